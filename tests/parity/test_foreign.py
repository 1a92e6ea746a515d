"""What PyTorch writes is read without it: numbers, names and layouts, and what the networks make of a picture."""
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import minicnn as mc
from minicnn.files import foreign
from minicnn.files.foreign import UnreadableWeights
from minicnn.models.adapt import adapt
from torchfiles import save_legacy, save_zip

torch = pytest.importorskip("torch")
nn = torch.nn
FORMS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def assert_same(state, theirs):
    assert sorted(state) == sorted(theirs)
    for name, tensor in theirs.items():
        expected = tensor.detach().float().numpy() if tensor.is_floating_point() else tensor.numpy()
        np.testing.assert_array_equal(state[name], expected, strict=True, err_msg=name)


def read_back(thing, path, zipped=True, **options):
    torch.save(thing, path, _use_new_zipfile_serialization=zipped, **options)
    return foreign.read(path)


class Network(nn.Module):
    """Parameters, buffers, tied weights, batch norm with its count, a scalar."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.encoder, self.decoder = nn.Linear(4, 4), nn.Linear(4, 4)
        self.decoder.weight = self.encoder.weight
        self.scale = nn.Parameter(torch.tensor(2.5, dtype=torch.float64))
        self.register_buffer("mask", torch.tensor([True, False]))
        self.features[1].num_batches_tracked += 7


@FORMS
@pytest.mark.parametrize("wrap", [
    lambda state: state, dict, lambda state: {"state_dict": state, "epoch": 3}, lambda state: {"model": {"net": state}},
    lambda state: {"state_dict": state, "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}},
                                                      "param_groups": [{"lr": .1, "nesterov": False, "params": [0]}]}}])
def test_the_state_of_a_network(wrap, zipped, tmp_path):
    state = Network().state_dict()
    assert isinstance(state, OrderedDict) and hasattr(state, "_metadata")
    assert_same(read_back(wrap(state), tmp_path / "net.pth", zipped)[0], state)


@FORMS
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8",
                                   "bool"])
def test_every_kind_of_number(dtype, zipped, tmp_path):
    numbers = (100 * torch.randn(3, 5, generator=torch.Generator().manual_seed(0))).to(getattr(torch, dtype))
    assert_same(read_back({"a": numbers}, tmp_path / "net.pth", zipped)[0], {"a": numbers})


@FORMS
def test_views_of_every_kind(zipped, tmp_path):
    whole = torch.arange(120.).reshape(4, 5, 6)
    state = {"whole": whole, "transposed": whole.permute(2, 0, 1), "part": whole[1:3, ::2, 1], "one": whole[3, 4, 5],
             "columns": whole[0].t(), "parameter": nn.Parameter(whole[2]), "empty": whole[:0], "last": whole.view(-1)[-7:],
             "channels_last": torch.arange(48.).reshape(1, 3, 4, 4).contiguous(memory_format=torch.channels_last)}
    assert_same(read_back(state, tmp_path / "net.pth", zipped)[0], state)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(protocol, tmp_path):
    state = Network().state_dict()
    assert_same(read_back(state, tmp_path / "net.pth", pickle_protocol=protocol)[0], state)


@FORMS
def test_objects_are_refused(zipped, tmp_path):
    """Whole networks and arrays of NumPy, which PyTorch itself reads only on trust; tensors that repeat themselves."""
    for thing, message in [(nn.Linear(2, 3), "asks for 'torch.nn.modules.linear.Linear'|no storage of numbers"),
                           ({"a": torch.ones(2), "b": np.ones(2)}, "asks for 'numpy"),
                           ({"a": torch.ones(1).expand(9)}, "repeats the 1 numbers of its storage"),
                           ({"a": torch.ones(2, dtype=torch.complex64)}, "asks for 'torch.ComplexFloatStorage'")]:
        with pytest.raises(UnreadableWeights, match=message):
            read_back(thing, tmp_path / "net.pth", zipped)


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_a_scripted_network_is_refused(tmp_path):
    torch.jit.save(torch.jit.script(nn.Linear(2, 3)), tmp_path / "net.pt")
    with pytest.raises(UnreadableWeights, match="a TorchScript archive"):
        foreign.read(tmp_path / "net.pt")


def test_bfloat16_in_safetensors(tmp_path):
    save_file = pytest.importorskip("safetensors.torch").save_file
    state = {"a": torch.randn(7).bfloat16(), "b": torch.randn(2, 3).half(), "c": torch.arange(3)}
    save_file(state, tmp_path / "net.safetensors")
    assert_same(foreign.read(tmp_path / "net.safetensors")[0], state)


def test_it_is_read_without_pytorch(tmp_path):
    state = Network().state_dict()
    torch.save(state, tmp_path / "net.pth")
    program = ("import sys; sys.modules['torch'] = None; from minicnn.files import foreign; "
               f"print(*foreign.read({str(tmp_path / 'net.pth')!r})[0])")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                          cwd=Path(foreign.__file__).parents[3])
    assert done.stdout.split() == list(state)


# ---- from their network to ours ------------------------------------------------------------------------------------

def test_a_network_that_flattens_gives_the_same_scores(tmp_path):
    torch.manual_seed(0)
    theirs = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, groups=3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
                           nn.ConvTranspose2d(6, 4, 2, stride=2), nn.Flatten(), nn.Linear(4 * 6 * 8, 5), nn.Linear(5, 2))
    theirs(torch.randn(9, 3, 6, 8))                              # statistics that are not the first
    theirs.eval()
    ours = mc.Sequential(mc.Conv2d(3, 6, 3, padding=1, groups=3), mc.BatchNorm2d(6), mc.ReLU(), mc.MaxPool2d(2),
                         mc.ConvTranspose2d(6, 4, 2, stride=2), mc.Flatten(), mc.Dense(4 * 6 * 8, 5), mc.Dense(5, 2))
    ours.flattened = 4, 6, 8
    torch.save(theirs.state_dict(), tmp_path / "net.pth")
    ours.eval().load_state_dict(adapt(foreign.opened(tmp_path / "net.pth").arrays, ours))
    x = np.random.default_rng(0).random((2, 6, 8, 3), dtype=np.float32)
    expected = theirs(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).detach().numpy()
    np.testing.assert_allclose(ours(x).data, expected, rtol=1e-4, atol=1e-5)


def test_files_put_together_by_hand_are_files_of_pytorch(tmp_path):
    """So that the tests without it test what they seem to."""
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(7), "c": np.ones(3, np.float16)}
    for save in (save_zip, save_legacy):
        found = torch.load(save(tmp_path / "net.pth", arrays), weights_only=True)
        assert list(found) == list(arrays)
        for name, tensor in found.items():
            np.testing.assert_array_equal(tensor.numpy(), arrays[name], strict=True)
