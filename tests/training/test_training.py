"""Training: exact resume, what is refused, what is explained, and the measures."""
import dataclasses
import os
import signal
import warnings

import numpy as np
import pytest

import minicnn as mc
from minicnn.data.dataset import Dataset
from minicnn.files import weights
from minicnn.models import small
from minicnn.training import classifier as room
from minicnn.training.classifier import Training, TrainingSettings
from minicnn.training.prediction import accuracy, predict, recognised

NAMES = ["dark", "bright", "red", "blue"]
SETTINGS = TrainingSettings(epochs=3, batch=16, lr=.1, epsilon=.5, average=.9, label_smoothing=.1, seed=5)
STEPS = 3 * 4                                                    # 64 pictures in batches of 16


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 64)
    colours = np.array([(30, 30, 30), (220, 220, 220), (200, 40, 40), (40, 40, 200)])
    images = np.clip(colours[labels][:, None, None] + rng.normal(0, 25, (64, 8, 8, 3)), 0, 255).astype(np.uint8)
    return Dataset(images, labels, NAMES)


def network(seed=0, widths=((4,), (4,))):
    return small(NAMES, widths, rng=seed)


def with_dropout(seed):
    body = network(0)
    body.features.layers.insert(4, mc.Dropout2d(.3, seed=seed))
    body.classifier.layers.insert(1, mc.Dropout(.4, seed=seed + 1))
    return body


def trained(model, data, path=None, settings=SETTINGS, **options):
    run = Training(model, data, settings, path, **options)
    run.run(data, quiet=True)
    return run


def everything(run):
    """All that a run has learned, as bytes."""
    states = [run.model.state_dict(), run.optimizer.state_dict(), run.average.state_dict()]
    return [(name, array.tobytes()) for state in states for name, array in state.items()]


class Stop(Exception):
    """A power cut: nothing is saved on the way out."""


def stop_after(steps):
    left = [steps]

    def callback(_):
        left[0] -= 1
        if left[0] == 0:
            raise Stop
    return callback


@pytest.mark.parametrize("build", [lambda seed: network(seed), with_dropout], ids=["plain", "dropout"])
@pytest.mark.parametrize("stop", [1, 3, 4, 7, 10, 12])
def test_resume_ends_in_the_same_bits(build, stop, data, tmp_path):
    undisturbed = trained(build(0), data)
    first = Training(build(0), data, SETTINGS, tmp_path / "run.ckpt", save_every=1)
    with pytest.raises(Stop):
        first.run(data, quiet=True, callback=stop_after(stop + 1) if stop < STEPS else stop_after(STEPS))
    second = Training(build(9), data, SETTINGS, tmp_path / "run.ckpt", save_every=1)    # other first weights and dice
    second.resume()
    assert 0 < second.epoch * 4 + second.batch <= stop
    second.run(data, quiet=True)
    assert everything(second) == everything(undisturbed)
    same = ("epoch", "loss", "train", "test")
    assert [[row[key] for key in same] for row in second.history] == \
           [[row[key] for key in same] for row in undisturbed.history]


def test_a_checkpoint_between_epochs_and_a_finished_run(data, tmp_path):
    path = tmp_path / "run.ckpt"
    done = trained(network(), data, path)
    again = Training(network(3), data, SETTINGS, path)
    again.resume()
    assert (again.epoch, again.batch) == (3, 0) and again.run(data) == done.history
    assert everything(again) == everything(done)


def test_ctrl_c_saves_after_the_step_and_the_run_goes_on_exactly(data, tmp_path):
    path, undisturbed = tmp_path / "run.ckpt", trained(network(), data)
    run = Training(network(), data, SETTINGS, path)
    step, count = run.step, []

    def interrupted():
        count.append(1)
        if len(count) == 6:
            os.kill(os.getpid(), signal.SIGINT)                  # in the middle of a step
        step()
    run.step = interrupted
    with pytest.raises(KeyboardInterrupt):
        run.run(data, quiet=True)
    assert (run.epoch, run.batch) == (1, 2)
    second = Training(network(3), data, SETTINGS, path)
    second.resume()
    assert (second.epoch, second.batch) == (1, 2)
    second.run(data, quiet=True)
    assert everything(second) == everything(undisturbed)


def test_ctrl_c_while_the_network_is_measured(data, tmp_path, monkeypatch):
    path, undisturbed = tmp_path / "run.ckpt", trained(network(), data)
    run = Training(network(), data, SETTINGS, path)

    def interrupted(*_):
        raise KeyboardInterrupt
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(room, "accuracy", interrupted)
        run.run(data, quiet=True)
    second = Training(network(3), data, SETTINGS, path)
    second.resume()
    assert (second.epoch, second.batch, second.history) == (0, 4, [])
    second.run(data, quiet=True)
    assert everything(second) == everything(undisturbed)
    assert [row["loss"] for row in second.history] == [row["loss"] for row in undisturbed.history]


@pytest.mark.parametrize("change", [dict(lr=.2), dict(seed=6), dict(epochs=4), dict(epsilon=0.), dict(batch=8)])
def test_other_settings_are_refused(change, data, tmp_path):
    path = tmp_path / "run.ckpt"
    Training(network(), data, SETTINGS, path).save()
    other = Training(network(), data, dataclasses.replace(SETTINGS, **change), path)
    (name, value), = change.items()
    with pytest.raises(ValueError, match=f"run.ckpt is a training run with other settings .{name} was .*, now {value}"):
        other.resume()


def test_another_number_of_pictures_is_refused(data, tmp_path):
    path = tmp_path / "run.ckpt"
    Training(network(), data, SETTINGS, path).save()
    with pytest.raises(ValueError, match="pictures was 64, now 48"):
        Training(network(), data.subset(48), SETTINGS, path).resume()


@pytest.mark.parametrize("other, said", [
    (network(0, ((4,), (5,))), r"network.features.5.weight was \[3, 3, 4, 4\], now \[3, 3, 4, 5\]"),
    (network(0, ((4,), (4,), (4,))), r"network.features.9.weight was absent, now \[3, 3, 4, 4\]"),
    (with_dropout(0), r"and \d+ more")])
def test_another_network_is_refused(other, said, data, tmp_path):
    path = tmp_path / "run.ckpt"
    Training(network(), data, SETTINGS, path).save()
    with pytest.raises(ValueError, match=f"run.ckpt is a training run with other settings .*{said}.*: resume with the same"):
        Training(other, data, SETTINGS, path).resume()


def test_other_dropout_layers_are_refused(data, tmp_path):
    path, dropped = tmp_path / "run.ckpt", network()
    dropped.classifier.layers.append(mc.Dropout(.1, seed=0))     # no weights, and none of them moves
    Training(network(), data, SETTINGS, path).save()
    with pytest.raises(ValueError, match=r"dropout layers was \[\], now \['classifier.2'\]"):
        Training(dropped, data, SETTINGS, path).resume()


def test_weights_alone_cannot_be_resumed_and_no_file_neither(data, tmp_path):
    weights.save(network(), tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="holds weights but no training run"):
        Training(network(), data, SETTINGS, tmp_path / "net.safetensors").resume()
    with pytest.raises(FileNotFoundError, match="no weights file"):
        Training(network(), data, SETTINGS, tmp_path / "absent.ckpt").resume()


def test_a_save_that_fails_half_way_leaves_the_checkpoint(data, tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    run = Training(network(), data, SETTINGS, path)
    run.save()
    before = path.read_bytes()
    run.run_epoch(quiet=True)
    assert path.read_bytes() != before                           # so saving does change the file
    before = path.read_bytes()

    def disk_full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr("minicnn.files.atomic.os.fsync", disk_full)     # all is written, but not yet renamed
    with pytest.raises(OSError, match="run.ckpt: the disk is full"):
        run.run_epoch(quiet=True)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["run.ckpt"]


def test_history_has_a_row_an_epoch_and_the_loss_falls(data):
    history = trained(network(), data, settings=dataclasses.replace(SETTINGS, epochs=6, epsilon=0.)).history
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert all(0 <= row["train"] <= 1 and 0 <= row["test"] <= 1 and row["seconds"] > 0 for row in history)
    assert history[-1]["loss"] < .8 * history[0]["loss"]
    assert history[-1]["train"] > history[0]["train"]


@pytest.mark.parametrize("name, operation", [("features.5.weight", "conv2d"), ("classifier.1.weight", "dense")])
@pytest.mark.parametrize("epsilon", [0., .5])
def test_nan_is_explained_with_the_operation_that_made_it(name, operation, epsilon, data):
    run = Training(network(), data, dataclasses.replace(SETTINGS, epsilon=epsilon))
    run.model.state_dict()[name].flat[0] = np.inf
    with warnings.catch_warnings(), pytest.raises(FloatingPointError) as error:
        warnings.simplefilter("error")                           # NumPy's own warnings would come first, and say less
        run.run(quiet=True)
    message = str(error.value)
    assert f"epoch 1, batch 1: {operation}: NaN or infinity" in message and "lower learning rate than 0.1" in message


def test_the_average_is_what_is_measured_and_kept(data):
    run = Training(network(), data, dataclasses.replace(SETTINGS, epochs=1))
    run.run(data, quiet=True)
    averaged = run.averaged_model()
    assert run.history[0]["test"] == accuracy(averaged, data)
    own, kept = run.model.state_dict(), averaged.state_dict()
    assert any(not np.array_equal(own[name], kept[name]) for name in own)
    assert np.array_equal(kept["features.1.weight"], run.average.averaged()[0]) and not averaged.training


def test_without_average_the_last_weights_are_kept(data):
    run = trained(network(), data, settings=dataclasses.replace(SETTINGS, epochs=1, average=0.))
    for name, array in run.averaged_model().state_dict().items():
        np.testing.assert_allclose(array, run.model.state_dict()[name], rtol=1e-5, atol=1e-7)


def test_predict_in_portions_in_evaluation_mode(data):
    model, x = with_dropout(0).train(), data.images_float()
    whole = predict(model, x)
    assert whole.shape == (64, 4) and whole.dtype == np.float32
    np.testing.assert_allclose(predict(model, x, batch=7), whole, rtol=1e-4, atol=1e-5)
    assert all(module.training for _, module in model.named_modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_accuracy_counts_what_is_recognised(data):
    class Knows(mc.Module):
        """Right for all pictures but those of class 2; told by the mean colour, which tells the classes apart."""
        def forward(self, x):
            x = mc.tensor(x) if isinstance(x, np.ndarray) else x
            r, g, b = np.moveaxis(x.data.mean(axis=(1, 2)), -1, 0)
            k = np.where(r - b > .3, 0, np.where(b - r > .3, 3, np.where(g > .5, 1, 0)))
            return mc.tensor(np.eye(4, dtype=np.float32)[k])
    expected = data.labels != 2
    assert np.array_equal(recognised(Knows(), data, batch=10), expected)
    assert accuracy(Knows(), data, batch=10) == expected.mean()
    black = accuracy(Knows(), data, attack=lambda model, x, labels: 0 * x)
    assert black == (data.labels == 0).mean()
