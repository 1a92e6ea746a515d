"""Networks by name, their files, and the statistics from which their pictures start."""
import json

import numpy as np
import pytest
from conftest import data_folder

import minicnn as mc
from minicnn import weights
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
    with pytest.raises(ValueError, match="there is no network 'large'; there are small"):
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


@pytest.mark.parametrize("description", [{"network": "small"}, {"network": "small", "class_names": NAMES, "start": False,
                                                                "options": {"depth": 3}}])
def test_a_description_of_another_version_is_refused(description, tmp_path):
    weights.save({"x": np.zeros(1, np.float32)}, tmp_path / "net.safetensors", {"architecture": json.dumps(description)})
    with pytest.raises(ValueError, match="this version cannot build"):
        mc.models.load(tmp_path / "net.safetensors")


def test_what_is_neither_a_file_nor_shipped(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no network nothing: neither a file nor one that ships.*robust"):
        mc.models.load("nothing")


# ---------------------------------------------------------------------------------------------------------- the starts

def test_shrunk_averages_blocks():
    x = np.arange(16 * 16 * 3, dtype=np.float32).reshape(1, 16, 16, 3)
    assert shrunk(x).shape == (1, 192)
    assert shrunk(x)[0, :3] == pytest.approx(x[0, :2, :2].mean(axis=(0, 1)))
    with pytest.raises(ValueError, match="multiples of 8"):
        shrunk(np.zeros((1, 12, 16, 3), np.float32))


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


# ------------------------------------------------------------------------------------------------- the one that ships

def test_the_shipped_network_is_small_and_says_how_it_was_made():
    path = mc.models.find("robust")
    assert path.stat().st_size <= 2_000_000
    _, metadata = weights.read(path)
    assert "minicnn train" in metadata["made_by"] and "--seed" in metadata["made_by"]
    assert path.with_suffix(".md").is_file()


def test_the_shipped_network_knows_photographs_and_withstands_attacks():
    test = mc.data.load_cifar10(data_folder("cifar10"), "test").subset(500)
    model = mc.models.load("robust")
    assert mc.accuracy(model, test) > .72
    assert mc.accuracy(model, test, lambda model, x, labels: mc.l2_attack(model, x, labels, .5, .1, 10)) > .5
