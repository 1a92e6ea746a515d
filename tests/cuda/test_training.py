"""Whole runs on CuPy arrays against NumPy: a training, an inversion, checkpoints and networks that change the device."""
import copy

import numpy as np
import pytest
from PIL import Image

import minicnn as mc
from minicnn import models
from minicnn.core.backend import device_of, to_numpy
from minicnn.data.dataset import Dataset
from minicnn.generate.inversion import InversionRecipe, invert
from minicnn.generate.style.one_pass import StylizerSettings, StylizerTraining
from minicnn.generate.style.recipes import recipe_for
from minicnn.generate.style.transfer import Style, Transfer
from minicnn.training import classifier
from minicnn.training.attack import l2_attack
from minicnn.training.evaluation import evaluate

MODE, STEPS = "fast", 20


class Net(mc.Module):
    """A little of everything: convolution, batch norm, pooling, dropout, dense."""

    def __init__(self):
        super().__init__()
        self.layers = mc.Sequential(
            mc.Conv2d(3, 8, 3, padding=1, bias=False, rng=0), mc.BatchNorm2d(8), mc.ReLU(), mc.MaxPool2d(2), mc.Dropout(.25, seed=1),
            mc.Conv2d(8, 12, 3, padding=1, activation="relu", rng=1), mc.AvgPool2d(2), mc.Flatten(), mc.Dense(48, 5, rng=2))

    def forward(self, x):
        return self.layers(x)


def pictures(n=40):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, n)
    images = np.clip(rng.normal(100, 20, (n, 8, 8, 3)) + 25 * labels[:, None, None, None] * [1, 0, -1], 0, 255)
    return Dataset(images.astype(np.uint8), labels, list("abcde"))


def run(device, optimizer, path=None, steps=STEPS):
    settings = classifier.TrainingSettings(epochs=5, batch=10, lr=.02, optimizer=optimizer, augment="none", average=.9, epsilon=.1)
    run = classifier.Training(Net().to(device), pictures(), settings, path)
    for _ in range(steps // 4):
        run.run_epoch(quiet=True)
    return run


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_twenty_steps_as_numpy(cp, optimizer):
    here, there = (run(device, optimizer) for device in ("cpu", "cuda"))
    assert there.model.device == "cuda"
    assert [row["loss"] for row in there.history] == pytest.approx([row["loss"] for row in here.history], rel=1e-3)
    for name, wanted in here.model.state_dict().items():         # rounding grows with each step
        away = np.abs(to_numpy(there.model.state_dict()[name]) - wanted)
        assert away.mean() < 1e-3 and away.max() < .02, name     # Adam divides by gradients, also where these are noise
    assert here.model.layers[4].rng.offset == there.model.layers[4].rng.offset


@pytest.mark.parametrize("first, second", [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_checkpoint_opens_on_the_other_device(cp, tmp_path, first, second):
    path = tmp_path / "run.ckpt"
    whole = run("cpu", "sgd", steps=8)
    run(first, "sgd", path, steps=4)
    resumed = classifier.Training(Net().to(second), pictures(), whole.settings, path)
    resumed.resume()
    resumed.run_epoch(quiet=True)
    for name, wanted in whole.model.state_dict().items():
        np.testing.assert_allclose(to_numpy(resumed.model.state_dict()[name]), wanted, rtol=1e-3, atol=1e-3, err_msg=name)


def test_an_inversion_as_numpy(cp):
    recipe, found = InversionRecipe(steps=5, first=.5, last=.5), []
    for device in ("cpu", "cuda"):
        model = models.load("robust").to(device)
        found.append(invert(model, "cat", count=2, seed=3, recipe=recipe))
        assert isinstance(found[-1], np.ndarray)
    np.testing.assert_allclose(found[1], found[0], atol=2e-3)


def test_opinions_attacks_and_evaluation_as_numpy(cp):
    found = []
    for device in ("cpu", "cuda"):
        model, data = Net().to(device), pictures(12)
        found.append((mc.predict(model, data.images_float(slice(0, 12))), evaluate(model, data).probabilities,
                      mc.accuracy(model, data, lambda model, x, labels: l2_attack(model, x, labels, steps=2))))
    for wanted, got in zip(*found):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_devices_do_not_mix(cp):
    model, x = Net().to("cuda"), np.zeros((1, 8, 8, 3), np.float32)
    with pytest.raises(TypeError, match=r"cpu float32 \(1, 8, 8, 3\).*cuda float32 \(3, 3, 3, 8\).*x.to\('cuda'\)"):
        model(x)
    assert model.device == "cuda" and model.to("cpu").device == "cpu"
    assert model(x).device == "cpu"


def test_parts_in_lists_move_too(cp):
    model = mc.Module()
    model.blocks, model.scales = [mc.BatchNorm2d(3)], {"one": mc.tensor([1.])}
    assert {device_of(array) for array in model.to("cuda").state_dict().values()} == {"cuda"}
    assert {device_of(array) for array in model.to("cpu").state_dict().values()} == {"cpu"}


def test_weights_saved_on_one_device_load_on_the_other(cp, tmp_path):
    there = models.build("small", list("ab"), rng=0, widths=((4,), (8,))).to("cuda")
    models.save(there, tmp_path / "net.safetensors")
    here = models.load(tmp_path / "net.safetensors")
    x = np.random.default_rng(0).random((2, 32, 32, 3), dtype=np.float32)
    np.testing.assert_allclose(mc.predict(there, x), mc.predict(here, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [
    dict(), dict(loss="w2", optimizer="lbfgs"), dict(loss="gram", start="noise"), dict(loss="mean-std"), dict(loss="sliced"),
    dict(loss="histogram", average=0.)], ids=lambda options: " ".join(map(str, options.values())) or "as it is")
def test_a_style_transfer_as_numpy(cp, options):
    small = models.build("small", list("ab"), rng=0, widths=((4, 4), (6, 6), (8, 8))).eval()
    rng = np.random.default_rng(0)
    content, style = rng.random((24, 32, 3), dtype=np.float32), rng.random((20, 20, 3), dtype=np.float32)
    mask, found = np.eye(24, 32, dtype=np.float32) + .1, []
    for device in ("cpu", "cuda"):
        model = copy.deepcopy(small).to(device)
        recipe = recipe_for(model, "fast", first_steps=2, steps=1, **options)
        styles = [Style(style)] if recipe.loss in ("sliced", "histogram") else [Style(style, 1., mask), Style(style[::-1], 2.)]
        found.append(Transfer(content, styles, model, recipe, 32).run())
    np.testing.assert_allclose(found[1], found[0], atol=2e-3)


def test_a_stylizer_learns_as_on_numpy(cp, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    small = models.build("small", list("ab"), rng=0, widths=((4, 4), (6, 6), (8, 8))).eval()
    style, found = np.random.default_rng(1).random((20, 20, 3), dtype=np.float32), []
    for device in ("cpu", "cuda"):
        model = copy.deepcopy(small).to(device)
        lessons = StylizerSettings(steps=2, batch=1, side=24, width=2, blocks=1)
        run = StylizerTraining(style, [tmp_path / "a.png"], model, recipe_for(model), lessons)
        run.run()
        found.append(run.losses)
    assert found[1] == pytest.approx(found[0], rel=1e-3)
