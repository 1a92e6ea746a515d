"""What the shipped network draws, judged from its saved files by a network that took no part in it (see measure.py).

100 pictures and the controls: about two minutes on two cores.
"""
import numpy as np
import pytest
from conftest import data_folder

torch = pytest.importorskip("torch", reason="the judge is a PyTorch network: pip install torch")

import measure                                                   # noqa: E402
import network                                                   # noqa: E402

from minicnn.cli import main                                     # noqa: E402
from minicnn.data import load_cifar10                            # noqa: E402

COUNT = 10


@pytest.fixture(scope="module")
def judge():
    return network.load()


@pytest.fixture(scope="module")
def real():
    return load_cifar10(data_folder("cifar10"), "test").subset(5000)


def drawn(folder, *options):
    """The files of `minicnn invert --all`, as (pictures, labels); an option given twice counts as said last."""
    assert main(["invert", "--all", "--count", str(COUNT), "--native", str(folder), "-o", str(folder / "sheet.png"),
                 *options]) == 0
    return measure.read_pictures(folder, ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
                                          "truck"])


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return drawn(tmp_path_factory.mktemp("ours"), "--seed", "11")


def test_the_judge_knows_photographs(judge, real):
    assert (network.opinion(judge, real.images)[0] == real.labels).mean() > .85


def test_pictures_are_recognised_and_differ(judge, real, ours):
    result = measure.measure(judge, *ours, real)
    assert measure.passes(result), measure.line("pictures", result)


def test_pictures_drawn_larger_are_recognised_when_they_are_shrunk(judge, real, tmp_path):
    larger = measure.measure(judge, *drawn(tmp_path, "--size", "96", "--count", "4", "--seed", "12"), real)
    assert larger["mean"] >= measure.MEAN_ACCURACY_OF_LARGER, measure.line("larger", larger)


def test_noise_and_class_means_fail(judge, real):
    controls = measure.controls(real)
    noise = measure.measure(judge, *controls["noise"], real)
    means = measure.measure(judge, *controls["class mean"], real)
    assert noise["mean"] <= .2 and not measure.passes(noise)
    assert means["diversity"] < .01 and not measure.passes(means)


def test_shuffled_labels_are_at_chance(judge, real, ours):
    pictures, labels = ours
    shuffled = np.random.default_rng(0).permutation(labels)
    assert measure.measure(judge, pictures, shuffled, real)["mean"] <= .25


def test_the_plain_gradient_fails(judge, real, ours, tmp_path):
    plain = measure.measure(judge, *drawn(tmp_path, "--no-prior", "--seed", "11"), real)
    assert plain["mean"] <= measure.measure(judge, *ours, real)["mean"] / 2, measure.line("no prior", plain)
    assert not measure.passes(plain)
