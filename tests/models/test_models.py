"""Networks by name, their files, and the statistics from which their pictures start."""
import json

import numpy as np
import pytest
from conftest import data_folder

import minicnn as mc
from minicnn.files import weights
from minicnn.models.resnet import ResidualBlock, Shortcut
from minicnn.models.start import shrunk

NAMES = ["left", "right"]


@pytest.fixture
def model():
    network = mc.models.build("small", NAMES, rng=1, widths=((4, 5), (6,)))
    network.start = mc.models.ClassGaussian(2)
    network.start.mean[...] = .25
    return network


def test_small_is_built_as_told(model):
    assert mc.models.build("small", list("0123456789"), rng=0).parameters()[0].shape == (3, 3, 3, 24)
    assert sum(p.size for p in mc.models.build("small", list("0123456789"), rng=0).parameters()) == 433_922
    assert model(mc.tensor(np.zeros((2, 32, 32, 3), np.float32))).shape == (2, 2)
    assert model(mc.tensor(np.zeros((1, 40, 24, 3), np.float32))).shape == (1, 2)       # any size


def test_the_same_seed_builds_the_same_network():
    one, same, other = (mc.models.build("small", NAMES, rng=seed).state_dict() for seed in (4, 4, 5))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["features.1.weight"], other["features.1.weight"])


def test_unknown_network():
    with pytest.raises(ValueError, match="there is no network 'large'; there are small.*resnet20.*file.py:function"):
        mc.models.build("large", NAMES)


def test_a_saved_network_comes_back_whole(model, tmp_path):
    x = np.random.default_rng(0).random((2, 32, 32, 3), dtype=np.float32)
    model.train()(mc.tensor(x))                                  # running statistics that are not the first ones
    mc.save(model, tmp_path / "net.safetensors")
    back = mc.models.load(tmp_path / "net.safetensors")
    assert back.class_names == NAMES and not back.training and back.start.mean[0, 0] == .25
    assert np.array_equal(back(mc.tensor(x)).data, model.eval()(mc.tensor(x)).data)


def test_half_precision_file_is_half_as_large_and_nearly_the_same(model, tmp_path):
    mc.save(model, tmp_path / "whole.safetensors")
    mc.save(model, tmp_path / "half.safetensors", dtype="float16")
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < .55 * sizes[0]
    x = np.random.default_rng(0).random((2, 32, 32, 3), dtype=np.float32)
    np.testing.assert_allclose(mc.models.load(tmp_path / "half.safetensors")(mc.tensor(x)).data,
                               model.eval()(mc.tensor(x)).data, atol=5e-3)


def test_weights_of_any_other_module_are_saved_alone(tmp_path):
    layer = mc.Sequential(mc.Dense(3, 2, rng=0))
    mc.save(layer, tmp_path / "layer.safetensors")
    assert list(weights.read(tmp_path / "layer.safetensors")[0]) == ["0.bias", "0.weight"]
    with pytest.raises(ValueError, match="does not say of which network.*load_into"):
        mc.models.load(tmp_path / "layer.safetensors")


def described(**changes):
    return json.dumps({"network": "small", "class_names": NAMES, "options": {}, "start": False, **changes})


@pytest.mark.parametrize("description", [
    json.dumps({"network": "small"}), described(options={"depth": 3}), described(options={"size": 2}),
    described(network="large"), described(network=["small"]), described(class_names="ab"), described(class_names=[1, 2]),
    described(options={"widths": [[10 ** 400]]}), described(options={"widths": [[0]]}),
    described(network="alexnet-2012", options={"width": 6 * 10 ** 8}), described(network="lenet5", options={"size": 10 ** 9}),
    described(options=[]), described(options={"widths": 3}), described(options={"channels": "3"}),
    "[]", "7", "{", "[" * 9999])
def test_a_description_of_another_version_is_refused(description, tmp_path):
    weights.save({"x": np.zeros(1, np.float32)}, tmp_path / "net.safetensors", {"architecture": description})
    with pytest.raises(ValueError, match="this version cannot build"):
        mc.models.load(tmp_path / "net.safetensors")


def test_memory_that_does_not_suffice_is_told_of_the_file(model, tmp_path, monkeypatch):
    def exhausted(*_):
        raise MemoryError("Unable to allocate 1 TiB")
    mc.save(model, tmp_path / "net.safetensors")
    monkeypatch.setattr(weights, "read", exhausted)
    with pytest.raises(MemoryError, match="net.safetensors needs more memory than there is.*Unable to allocate 1 TiB"):
        mc.models.load(tmp_path / "net.safetensors")


def test_what_is_neither_a_file_nor_shipped(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no network nothing: neither a file nor one that ships.*robust"):
        mc.models.load("nothing")


# ------------------------------------------------------------------------------------------------------- every network

# Options that make an instance small enough to check every step of it; without dropout where that has to hold still.
SMALL_INSTANCES = {
    "small": dict(widths=((3, 4), (4,))), "lenet5": {}, "lenet5 as in the paper": dict(activation="tanh", pooling="average"),
    "alexnet-small": dict(width=3, hidden=6, dropout=0), "alexnet-small with response norm":
        dict(width=3, hidden=6, dropout=0, response_norm=True),
    "vgg11-small": dict(width=2, dropout=0), "resnet20": dict(width=2, blocks=1)}


def small_instance(name, **options):
    return mc.models.build(name.split()[0], NAMES, rng=0, **{**SMALL_INSTANCES[name], **options})


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def count(model):
    return sum(parameter.size for parameter in model.parameters())


def conv(k, inputs, outputs, bias=True):
    return k * k * inputs * outputs + bias * outputs


def conv_bn(inputs, outputs):
    return conv(3, inputs, outputs, bias=False) + 2 * outputs


LENET_REST = conv(5, 6, 16) + conv(5, 16, 120) + (120 * 84 + 84) + (84 * 10 + 10)
ALEXNET_REST = (conv(5, 48, 128) + conv(3, 128, 192) + conv(3, 192, 192) + conv(3, 192, 128)
                + (3 * 3 * 128 * 512 + 512) + (512 * 512 + 512) + (512 * 10 + 10))
VGG_REST = (conv_bn(64, 128) + conv_bn(128, 256) + conv_bn(256, 256) + conv_bn(256, 512) + 3 * conv_bn(512, 512)
            + 2 * (512 * 512 + 512) + (512 * 10 + 10))
RESNET_REST = (6 * conv_bn(16, 16) + conv_bn(16, 32) + 5 * conv_bn(32, 32) + conv_bn(32, 64) + 5 * conv_bn(64, 64)
               + (64 * 10 + 10))


@pytest.mark.parametrize("name, channels, expected, total", [
    ("lenet5", 1, conv(5, 1, 6) + LENET_REST, 61_706), ("lenet5", 3, conv(5, 3, 6) + LENET_REST, 62_006),
    ("alexnet-small", 1, conv(7, 1, 48) + ALEXNET_REST, 1_788_906),
    ("alexnet-small", 3, conv(7, 3, 48) + ALEXNET_REST, 1_793_610),
    ("vgg11-small", 1, conv_bn(1, 64) + VGG_REST, 9_752_522), ("vgg11-small", 3, conv_bn(3, 64) + VGG_REST, 9_753_674),
    ("resnet20", 1, conv_bn(1, 16) + RESNET_REST, 269_434), ("resnet20", 3, conv_bn(3, 16) + RESNET_REST, 269_722)])
def test_parameters_by_arithmetic(name, channels, expected, total):
    model = mc.models.build(name, list("0123456789"), rng=0, channels=channels)
    assert count(model) == expected == total == mc.summary(model).parameters


def test_resnet20_is_the_papers():
    """He et al. 2015, table 6: 20 layers, .27 M parameters; 32, 44 and 56 layers have .46, .66 and .85 M."""
    assert [round(count(mc.models.build("resnet20", list("0123456789"), rng=0, blocks=n)) / 1e6, 2) for n in (3, 5, 7, 9)] \
        == [.27, .46, .66, .85]
    names = [name for name, p in mc.models.build("resnet20", NAMES, rng=0).named_parameters() if p.ndim > 1]
    assert len(names) == 20                                      # convolutions and the dense layer: shortcuts have none


@pytest.mark.parametrize("name", SMALL_INSTANCES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 32, 64])
def test_every_network_takes_these_pictures(name, channels, size):
    model = small_instance(name, channels=channels, size=size)
    assert model.input_shape == (size, size, channels)
    logits = model(mc.tensor(pictures(2, size, size, channels)))
    assert logits.shape == (2, 2) and logits.dtype == np.float32 and np.isfinite(logits.data).all()


@pytest.mark.parametrize("name, height, width", [
    ("small", 40, 24), ("lenet5", 48, 61), ("alexnet-small", 15, 50), ("vgg11-small", 17, 45), ("resnet20", 5, 37)])
def test_other_sizes_than_it_was_built_for(name, height, width):
    assert small_instance(name)(mc.tensor(pictures(3, height, width, 3))).shape == (3, 2)


@pytest.mark.parametrize("name, options, complaint", [
    ("small", dict(size=7, widths=((3,),) * 4), "small: pictures of 7x7 with 3 channels; it needs at least 8x8"),
    ("lenet5", dict(size=27), "lenet5: pictures of 27x27 with 3 channels; it needs at least 28x28"),
    ("alexnet-small", dict(size=14), "alexnet-small: pictures of 14x14 with 3 channels; it needs at least 15x15"),
    ("vgg11-small", dict(size=16), "vgg11-small: pictures of 16x16.*at least 17x17"),
    ("resnet20", dict(channels=0), "with 0 channels"),
    ("lenet5", dict(activation="selu"), "lenet5: there is no activation 'selu'; there are relu, tanh"),
    ("lenet5", dict(pooling="min"), "lenet5: there is no pooling 'min'; there are max, average"),
    ("alexnet-small", dict(width=32), "width must be a multiple of 3, not 32"),
    ("resnet20", dict(widths=(3,)), r"resnet20 cannot be called with \(class_names, rng, widths\).*unexpected keyword "
                                    "argument 'widths'; it takes .*blocks=3")])
def test_what_does_not_fit_is_refused(name, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        mc.models.build(name, NAMES, rng=0, **options)


@pytest.mark.parametrize("name, size", [("lenet5", 27), ("alexnet-small", 14), ("vgg11-small", 16), ("small", 1)])
def test_a_picture_that_is_too_small_at_run_time(name, size):
    with pytest.raises(ValueError, match="does not fit into an image|more than the image"):
        small_instance(name).eval()(mc.tensor(pictures(1, size, size, 3)))


def test_lenet_of_28_sees_a_border_and_that_of_32_none():
    """Digits of 28x28 are worth as much as the same in a border of 2 pixels: the first layers' answers are the same."""
    bordered, plain = (mc.models.build("lenet5", NAMES, rng=0, channels=1, size=size) for size in (28, 32))
    x = pictures(2, 28, 28, 1)
    x[:, [0, -1]] = x[:, :, [0, -1]] = .2                        # the ground on which a digit stands
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=.2)
    np.testing.assert_allclose(bordered(mc.tensor(x)).data, plain(mc.tensor(padded)).data, atol=1e-5)


def in_float64(model):
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(np.float64)
    for _, module in model.named_modules():
        for name in module.buffer_names:
            setattr(module, name, getattr(module, name).astype(np.float64))
    return model


@pytest.mark.parametrize("name", SMALL_INSTANCES)
def test_gradients_of_a_whole_network(name):
    """Of the picture, the first weight, the last weight and one in between, in training mode: through batch norm, too."""
    model = in_float64(small_instance(name)).train()
    owners = [module for _, module in model.named_modules() if isinstance(vars(module).get("weight"), mc.Tensor)]
    owners = [owners[0], owners[len(owners) // 2], owners[-1]]

    def forward(x, first, middle, last):
        for owner, weight in zip(owners, (first, middle, last)):
            owner.weight = weight
        return model(x)
    x = np.random.default_rng(1).random((3, 32, 32, 3))
    report = mc.gradcheck(forward, x, *(owner.weight for owner in owners), samples=6)
    assert all(row.checked >= 3 for row in report.inputs)


@pytest.mark.parametrize("name", SMALL_INSTANCES)
def test_one_step_lowers_the_loss(name):
    model, x, labels = small_instance(name).train(), mc.tensor(pictures(8, 32, 32, 3)), np.arange(8) % 2
    optimizer = mc.SGD(model.parameters(), .001)
    before = mc.cross_entropy(model(x), labels)
    before.backward()
    assert all(p.grad is not None and np.isfinite(p.grad).all() for p in model.parameters())
    optimizer.step()
    assert mc.cross_entropy(model(x), labels).item() < before.item()


@pytest.mark.parametrize("name", ["vgg11-small", "resnet20"])
def test_batch_norm_learns_its_statistics_in_training_only(name):
    model, x = small_instance(name), mc.tensor(pictures(4, 32, 32, 3))
    first = {name: array.copy() for name, array in model.named_buffers()}
    model.eval()(x)
    assert all(np.array_equal(array, first[name]) for name, array in model.named_buffers())
    model.train()(x)
    assert not any(np.array_equal(array, first[name]) for name, array in model.named_buffers())


@pytest.mark.parametrize("name", ["alexnet-small", "vgg11-small"])
def test_dropout_drops_in_training_only(name):
    model, x = small_instance(name, dropout=.5), mc.tensor(pictures(8, 32, 32, 3))
    model.eval()
    assert np.array_equal(model(x).data, model(x).data)
    model.train()
    assert not np.array_equal(model(x).data, model(x).data)


@pytest.mark.parametrize("name", ["alexnet-small", "vgg11-small"])
def test_a_seed_fixes_weights_and_dropout(name):
    x = mc.tensor(pictures(8, 32, 32, 3))
    same = [mc.models.build(name, NAMES, rng=seed, width=3).train()(x).data for seed in (1, 1, 2)]
    assert np.array_equal(same[0], same[1]) and not np.array_equal(same[0], same[2])


@pytest.mark.parametrize("name", SMALL_INSTANCES)
@pytest.mark.parametrize("channels, size", [(1, 28), (3, 32)])
def test_every_network_comes_back_from_its_file(name, channels, size, tmp_path):
    model, x = small_instance(name, channels=channels, size=size), mc.tensor(pictures(4, size, size, channels))
    model.start = mc.models.ClassGaussian(2, channels=channels)
    model.train()(x)                                             # running statistics that are not the first ones
    mc.save(model, tmp_path / "net.safetensors")
    back = mc.models.load(tmp_path / "net.safetensors")
    assert back.input_shape == (size, size, channels) and back.class_names == NAMES
    assert back.architecture["options"].keys() == model.architecture["options"].keys()
    assert np.array_equal(back(x).data, model.eval()(x).data)


def test_options_that_no_file_can_hold(tmp_path):
    model = mc.models.build("resnet20", NAMES, rng=0, width=np.int64(2))
    with pytest.raises(ValueError, match="options of network resnet20 cannot be written.*int64.*plain numbers"):
        mc.save(model, tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_weights_file_names_the_network_and_no_other_will_do(tmp_path):
    mc.save(small_instance("resnet20"), tmp_path / "net.safetensors")
    assert mc.models.load(tmp_path / "net.safetensors", network="resnet20").class_names == NAMES
    for other in ("small", "my.py:build"):
        with pytest.raises(ValueError, match="net.safetensors holds the weights of network 'resnet20', not of"):
            mc.models.load(tmp_path / "net.safetensors", network=other)


# ---------------------------------------------------------------------------------------------------- residual blocks

@pytest.mark.parametrize("height, width", [(6, 6), (5, 7), (1, 2)])
def test_a_shortcut_skips_pixels_and_adds_channels_of_zeros(height, width):
    x = pictures(2, height, width, 3)
    y = Shortcut(3, 5, stride=2)(mc.tensor(x)).data
    assert np.array_equal(y[..., :3], x[:, ::2, ::2]) and not y[..., 3:].any() and y.shape[3] == 5
    same = mc.tensor(x)
    assert Shortcut(3, 3)(same) is same


def test_a_block_whose_change_is_nothing_passes_its_input():
    block, x = ResidualBlock(3, 3, rng=0), pictures(2, 5, 4, 3)
    block.change[4].weight.data[...] = 0                         # the scale of the last batch norm
    assert np.array_equal(block(mc.tensor(x)).data, x)           # x is positive, so relu leaves it


@pytest.mark.parametrize("stride, width", [(1, 2), (2, 4)])
def test_gradients_of_a_block(stride, width):
    block = in_float64(ResidualBlock(2, width, stride, rng=0))
    mc.gradcheck(block, np.random.default_rng(0).standard_normal((2, 5, 4, 2)))


def test_summary_shows_residual_blocks():
    table = mc.summary(mc.models.build("resnet20", list("0123456789"), rng=0))
    rows = {row.name: row for row in table.rows}
    assert rows["features.7.shortcut"].layer == "Shortcut(16, 32, stride=2)"
    assert rows["features.7.shortcut"].output == rows["features.7.change.4"].output == (16, 16, 32)
    assert sum(name.endswith("shortcut") for name in rows) == 9
    assert table.parameters == sum(row.parameters for row in table.rows) == 269_722
    # a convolution of k x k x in x out weights multiplies each of them once a pixel
    assert table.multiply_adds == 32 ** 2 * (432 + 6 * 9 * 16 ** 2) + 16 ** 2 * (9 * 16 * 32 + 5 * 9 * 32 ** 2) \
        + 8 ** 2 * (9 * 32 * 64 + 5 * 9 * 64 ** 2) + 640 == 40_551_040


def test_the_receptive_field_through_shortcuts_agrees_with_the_gradient():
    model = mc.models.build("resnet20", NAMES, rng=0, blocks=1, width=2, size=64)
    x = mc.Tensor(pictures(1, 64, 64, 3), requires_grad=True)
    y = model.eval().features(x)
    dy = np.zeros(y.shape, np.float32)
    dy[0, 8, 8] = 1
    y.backward(dy)
    touched = np.flatnonzero(np.abs(x.grad).sum(axis=(0, 2, 3)))
    row = [row for row in mc.summary(model).rows if row.name.startswith("features")][-1]
    assert row.receptive_field == touched[-1] - touched[0] + 1 == 3 + 2 + 2 + 2 + 4 + 4 + 8


# --------------------------------------------------------------------------------------------- a network of one's own

OWN = """
import minicnn as mc

def build(class_names, rng, width=4, channels=3):
    return mc.Sequential(mc.Conv2d(channels, width, 3, rng=rng), mc.ReLU(), mc.GlobalAvgPool2d(),
                         mc.Dense(width, len(class_names), rng=rng))

def plain(class_names, rng):
    return mc.Sequential(mc.Flatten(), mc.Dense(12, len(class_names), rng=rng))

def classifier(class_names, rng):
    return mc.models.Classifier(mc.Sequential(mc.Flatten()), mc.Sequential(mc.Dense(12, 2, rng=rng)), class_names)

def deaf(class_names, rng):
    return mc.models.Classifier(mc.Sequential(), mc.Sequential(), ["up", "down"])

def three_scores(class_names, rng):
    return mc.Sequential(mc.Flatten(), mc.Dense(12, 3, rng=rng))

def no_module(class_names, rng):
    return lambda x: x

def too_few(class_names):
    return mc.Sequential()
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def test_a_network_from_a_file(own):
    model, same = (mc.models.build(f"{own}:build", NAMES, rng=3, width=5, channels=1, size=28) for _ in range(2))
    x = mc.tensor(pictures(2, 28, 28, 1))
    assert model(x).shape == (2, 2) and np.array_equal(model(x).data, same(x).data)
    assert model.class_names == NAMES and model.class_index("right") == 1 and model.start is None
    assert model.input_shape == (28, 28, 1) and count(model) == 9 * 5 + 5 + 5 * 2 + 2
    assert mc.summary(model).parameters == count(model)
    assert mc.models.build(f"{own}:build", NAMES).input_shape == (32, 32, 3)


def test_a_network_from_a_file_learns(own):
    model, x, labels = mc.models.build(f"{own}:build", NAMES, rng=0), pictures(40, 8, 8, 3), np.arange(40) % 2
    x[labels == 1, ..., 0] *= .3
    data = mc.data.Dataset((x * 255).astype(np.uint8), labels, NAMES)
    history = mc.Training(model, data, mc.TrainingSettings(epochs=8, batch=10, lr=.3, average=.5)).run(data, quiet=True)
    assert history[-1]["loss"] < history[0]["loss"] and history[-1]["test"] > .9


def test_channels_and_size_are_left_out_where_a_function_does_not_take_them(own):
    model = mc.models.build(f"{own}:plain", NAMES, rng=0, channels=3, size=2)
    assert model.input_shape == (2, 2, 3) and model(mc.tensor(pictures(1, 2, 2, 3))).shape == (1, 2)


def test_a_classifier_from_a_file_stays_what_it_is(own):
    model = mc.models.build(f"{own}:classifier", NAMES, rng=0)
    assert type(model) is mc.models.Classifier and model.architecture["network"] == f"{own}:classifier"


@pytest.mark.parametrize("function, options, complaint", [
    (":build", dict(depth=3), r"own.py:build cannot be called with \(class_names, rng, depth\): got an unexpected keyword "
                              r"argument 'depth'; it takes \(class_names, rng, width=4, channels=3\)"),
    (":too_few", {}, r"own.py:too_few cannot be called with \(class_names, rng\): too many positional.*takes \(class_names"),
    (":no_module", {}, "own.py:no_module must return a Module of minicnn, not function"),
    (":deaf", {}, "own.py:deaf knows up, down; it was to know left, right"),
    (":nothing", {}, "own.py has no function 'nothing'; it has build, plain"),
    ("", {}, "own.py needs the name of a function; it has build, plain")])
def test_a_file_that_gives_no_network(own, function, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        mc.models.build(f"{own}{function}", NAMES, **options)


def test_a_network_from_a_file_with_another_number_of_scores(own):
    model = mc.models.build(f"{own}:three_scores", NAMES, rng=0)
    with pytest.raises(ValueError, match=r"own.py:three_scores gives \(4, 3\) for 4 pictures and 2 classes; .*\(4, 2\)"):
        model(mc.tensor(pictures(4, 2, 2, 3)))


def test_a_file_that_is_absent_or_broken(own):
    with pytest.raises(FileNotFoundError, match="no file absent.py"):
        mc.models.build("absent.py:build", NAMES)
    own.write_text("1 / 0")
    with pytest.raises(ValueError, match="own.py cannot be run: ZeroDivisionError"):
        mc.models.build(f"{own}:build", NAMES)


def test_a_network_from_a_file_comes_back_when_its_file_is_named(own, tmp_path):
    model, x = mc.models.build(f"{own}:build", NAMES, rng=3, width=5, size=28), mc.tensor(pictures(2, 28, 28, 3))
    mc.save(model, tmp_path / "own.safetensors")
    back = mc.models.load(tmp_path / "own.safetensors", network=f"{own}:build")
    assert np.array_equal(back(x).data, model(x).data) and back.input_shape == (28, 28, 3) and not back.training
    described = weights.read(tmp_path / "own.safetensors")[1]["architecture"]
    assert '"own.py:build"' in described and str(tmp_path) not in described      # where the file lies stays at home
    own.rename(tmp_path / "moved.py")
    moved = mc.models.load(tmp_path / "own.safetensors", network=f"{tmp_path / 'moved.py'}:build")
    assert np.array_equal(moved(x).data, back(x).data)
    with pytest.raises(FileNotFoundError, match="own.safetensors needs the network that 'own.py:build' built: no file "
                                                ".*own.py.*weights alone are no network"):
        mc.models.load(tmp_path / "own.safetensors", network=f"{own}:build")


def test_a_weights_file_alone_never_runs_a_file(tmp_path, monkeypatch):
    """Not even when the file that it names lies in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN + "open('it-ran', 'w').close()\n")
    for place in ("own.py:build", str(tmp_path / "own.py") + ":build", "own.py", "small:own.py:build"):
        description = {"network": place, "class_names": NAMES, "options": {}, "start": False}
        weights.save({"x": np.zeros(1, np.float32)}, "net.safetensors", {"architecture": json.dumps(description)})
        with pytest.raises(ValueError, match="network of one's own.*to run that file, name it, .*network='"):
            mc.models.load("net.safetensors")
        with pytest.raises(ValueError, match="holds the weights of network"):
            mc.models.load("net.safetensors", network="small")
        assert not (tmp_path / "it-ran").exists()
    mc.models.build("own.py:build", NAMES)
    assert (tmp_path / "it-ran").exists()                        # so it would have been seen


# ---------------------------------------------------------------------------------------------------------- the starts

def test_shrunk_averages_blocks():
    x = np.arange(16 * 16 * 3, dtype=np.float32).reshape(1, 16, 16, 3)
    assert shrunk(x).shape == (1, 192)
    assert shrunk(x)[0, :3] == pytest.approx(x[0, :2, :2].mean(axis=(0, 1)))


def test_shrunk_takes_grey_pictures_and_sides_that_are_no_multiples_of_8():
    x = np.arange(28 * 12, dtype=np.float32).reshape(1, 28, 12, 1)
    assert shrunk(x).shape == (1, 64)
    assert shrunk(x)[0, 0] == pytest.approx(x[0, :4, :2].mean())                 # rows 0..3.5, columns 0..1.5
    assert shrunk(x)[0, 63] == pytest.approx(x[0, 24:, 10:].mean())              # rows 24.5..28, columns 10.5..12


def test_class_gaussian_has_the_mean_and_the_spread_of_its_pictures():
    rng = np.random.default_rng(0)
    base = np.stack([np.full((32, 32, 3), 90.), np.full((32, 32, 3), 160.)])
    labels = np.arange(400) % 2
    brightness = rng.normal(0, 20, (400, 1, 1, 1))               # the pictures of a class differ in brightness only
    pictures = np.clip(base[labels] + brightness, 0, 255).astype(np.uint8)
    gaussian = mc.models.ClassGaussian(2, rank=4).fit(mc.data.Dataset(pictures, labels, NAMES))
    drawn = gaussian.sample(np.repeat([0, 1], 300), 32, np.random.default_rng(1))
    assert drawn.shape == (600, 32, 32, 3) and drawn.dtype == np.float32 and 0 <= drawn.min() and drawn.max() <= 1
    levels = drawn.mean(axis=(1, 2, 3)) * 255
    assert levels[:300].mean() == pytest.approx(90, abs=4) and levels[300:].mean() == pytest.approx(160, abs=4)
    assert levels[:300].std() == pytest.approx(20, abs=3)
    assert drawn.std(axis=(1, 2)).max() < .02                    # and each is flat


def test_class_gaussian_of_grey_pictures():
    pictures = np.random.default_rng(0).integers(0, 256, (80, 28, 28, 1), dtype=np.uint8)
    data = mc.data.Dataset(pictures, np.arange(80) % 2, NAMES)
    drawn = mc.models.ClassGaussian(2, channels=1).fit(data).sample([0, 1], 28, np.random.default_rng(1))
    assert drawn.shape == (2, 28, 28, 1) and drawn.mean() == pytest.approx(.5, abs=.05)
    with pytest.raises(ValueError, match="1 channels, it was made for 3: make it with channels=1"):
        mc.models.ClassGaussian(2).fit(data)


# ----------------------------------------------------------------------------------------------------- those that ship

def test_the_shipped_networks_are_small_and_say_how_they_were_made():
    paths = [mc.models.find(name) for name in mc.models.shipped_names()]
    assert [path.stem for path in paths] == ["robust", "standard"]
    assert sum(path.stat().st_size for path in paths) <= 6_000_000
    for path in paths:
        _, metadata = weights.read(path)
        assert "minicnn train" in metadata["made_by"] and "--seed" in metadata["made_by"]
        assert path.with_suffix(".md").is_file()


def test_the_shipped_networks_know_photographs_and_one_withstands_attacks():
    """The first pictures of the test set; all of them are measured in the networks' cards."""
    test = mc.data.load_cifar10(data_folder("cifar10"), "test").subset(500)
    robust, standard = (mc.models.load(name) for name in ("robust", "standard"))
    assert mc.accuracy(standard, test) > .9 and mc.accuracy(robust, test) > .82

    def under_attack(model):
        return mc.accuracy(model, test, lambda model, x, labels: mc.l2_attack(model, x, labels, .5, .1, 10))
    assert under_attack(robust) > .6 and under_attack(standard) < .2
