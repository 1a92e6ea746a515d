"""The generated shapes: the distances themselves, the data set, and that a network learns it."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.data import load_shapes
from minicnn.data.shapes import SHAPES, _cover
from minicnn.training.classifier import Training, TrainingSettings
from minicnn.training.prediction import accuracy


@pytest.mark.parametrize("name", SHAPES)
def test_a_distance_is_negative_inside_and_grows_no_faster_than_space(name):
    """Lipschitz with 1 is what makes the band of mixed pixels on an edge one pixel wide, or wider, never narrower."""
    u, v = np.random.default_rng(0).uniform(-1.5, 1.5, (2, 4000))
    step = np.random.default_rng(1).normal(0, .01, (2, 4000))
    distance, beside = SHAPES[name](u, v), SHAPES[name](u + step[0], v + step[1])
    assert (np.abs(beside - distance) <= np.hypot(*step) * 1.0001 + 1e-12).all()
    inside = distance < 0
    assert .07 < inside.mean() * 9 / np.pi < .9                 # of the circle of radius 1; none is empty or all of it
    assert np.hypot(u, v)[inside].max() < 1.14                  # the square's corners reach furthest


@pytest.mark.parametrize("name, area", [("circle", np.pi * .81), ("cross", 4 * .6 - .36), ("ring", np.pi * .75),
                                        ("square", 2.56), ("triangle", 3 * np.sqrt(3) / 4)])
def test_areas(name, area):
    grid = (np.arange(600) + .5) / 200 - 1.5
    inside = SHAPES[name](*np.meshgrid(grid, grid)) < 0
    np.testing.assert_allclose(inside.sum() / 200**2, area, rtol=.01)


@pytest.mark.parametrize("name, fold", [("triangle", 3), ("star", 5), ("square", 4), ("cross", 4)])
def test_symmetry(name, fold):
    u, v = np.random.default_rng(0).uniform(-1.2, 1.2, (2, 500))
    turn = 2 * np.pi / fold
    turned = SHAPES[name](u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn))
    np.testing.assert_allclose(turned, SHAPES[name](u, v), atol=1e-12)
    np.testing.assert_allclose(SHAPES[name](-u, v), SHAPES[name](u, v), atol=1e-12)


def test_edges_are_mixtures_and_areas_do_not_depend_on_the_place():
    labels = np.arange(400) % 8
    cover = _cover(labels, 64, np.random.default_rng(0))
    assert cover.min() == 0 and cover.max() == 1
    mixed = ((cover > 0) & (cover < 1)).mean(axis=(1, 2))
    assert mixed.min() > 0 and mixed.max() < .15
    circles = cover[labels == 0].sum(axis=(1, 2)) / (np.pi * .81 * 64**2)         # (radius / size)^2
    assert .17**2 - .002 < circles.min() and circles.max() < .4**2 + .002
    assert cover[labels == 0][:, [0, -1]].max() < .5            # within the picture; corners of a square may stick out


def test_the_data_set():
    train, test = load_shapes("train"), load_shapes("test")
    assert train.images.shape == (8000, 32, 32, 3) and train.images.dtype == np.uint8
    assert np.bincount(train.labels).tolist() == [1000] * 8 and np.bincount(test.labels).tolist() == [250] * 8
    assert train.class_names == sorted(train.class_names) == list(SHAPES)
    seen = {picture.tobytes() for picture in train.images}
    assert len(seen) == 8000 and not any(picture.tobytes() in seen for picture in test.images)


def test_the_seed_decides_and_a_limit_is_a_beginning():
    first, again, other = load_shapes(limit=500), load_shapes(limit=500), load_shapes(limit=500, seed=1)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert not np.array_equal(first.images, other.images)
    np.testing.assert_array_equal(load_shapes(limit=3).images, first.images[:3])
    assert len(load_shapes("test", limit=10**6, size=16)) == 2000


def test_sizes():
    assert load_shapes(limit=2, size=48).images.shape == (2, 48, 48, 3)
    with pytest.raises(ValueError, match="size must be 16 or more.*not 8"):
        load_shapes(size=8)
    with pytest.raises(ValueError, match="split must be"):
        load_shapes("val")
    with pytest.raises(ValueError, match="limit must be 1 or more, not 0"):
        load_shapes(limit=0)


def test_colours_alone_do_not_tell_the_class():
    """What a network could learn without looking at the shape: the mean colours are the same for all classes."""
    train = load_shapes(limit=4000)
    x = train.images_float().mean(axis=(1, 2))                  # (N, 3)
    means = np.stack([x[train.labels == k].mean(axis=0) for k in range(8)])
    assert np.abs(means - means.mean(axis=0)).max() < 5 * x.std() / np.sqrt(500)


def test_a_small_network_begins_to_learn_it_and_a_linear_one_does_not():
    train, test = load_shapes(limit=1600, size=16), load_shapes("test", limit=400, size=16)
    x, x_test = (dataset.images_float().reshape(len(dataset), -1) - .5 for dataset in (train, test))
    weights = np.linalg.solve(x.T @ x + 100 * np.eye(x.shape[1]), x.T @ (np.eye(8)[train.labels] - 1 / 8))
    model = mc.models.build("small", train.class_names, rng=0, widths=((16,), (32,), (64,)))
    training = Training(model, train, TrainingSettings(epochs=8, batch=32, lr=.1, average=.95))
    training.run(quiet=True)
    assert ((x_test @ weights).argmax(axis=1) == test.labels).mean() < .2         # 0.125 by chance
    assert accuracy(training.averaged_model(), test) > .3
