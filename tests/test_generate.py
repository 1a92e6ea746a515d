"""A picture as the parameter: transforms, objectives, and the loop that runs a classifier in reverse."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.generate import Recipe, invert, jitter, roll, total_variation
from minicnn.generate.inversion import NO_PRIOR, PictureDescent

NAMES = ["cat", "dog", "ship"]


@pytest.fixture(scope="module")
def model():
    """A small untrained network with statistics of pictures to start from."""
    network = mc.models.build("small", NAMES, rng=3, widths=((8,), (8,)))
    rng = np.random.default_rng(0)
    pictures = mc.data.Dataset(rng.integers(0, 256, (120, 32, 32, 3), dtype=np.uint8), np.arange(120) % 3, NAMES)
    network.start = mc.models.ClassGaussian(3, rank=20).fit(pictures)
    return network


def quick(**changes):
    return Recipe(**{"steps": 10, **changes})


# ------------------------------------------------------------------------------------------------------------ the parts

def test_total_variation_of_known_pictures():
    steps = np.zeros((1, 2, 3, 1), np.float32)
    steps[0, :, 1:] = 1.                                         # one jump of 1 in each of two rows, of 2 x 2 neighbours
    assert total_variation(mc.tensor(steps)).item() == pytest.approx(.5)
    assert total_variation(mc.tensor(np.full((2, 5, 5, 3), .3, np.float32))).item() == 0


def test_gradients_of_total_variation_and_roll():
    x = np.random.default_rng(1).standard_normal((2, 4, 5, 3))
    mc.gradcheck(total_variation, x)
    mc.gradcheck(lambda x: roll(x, 3, -2), x)


def test_roll_moves_down_and_right():
    x = np.zeros((1, 4, 4, 1), np.float32)
    x[0, 1, 1] = 1
    assert roll(x, 1, 2).data[0, 2, 3, 0] == 1


def test_jitter_reaches_every_offset_and_no_other():
    x, rng = np.arange(25, dtype=np.float32).reshape(1, 5, 5, 1), np.random.default_rng(0)
    corners = {float(jitter(x, 1, rng).data[0, 0, 0, 0]) for _ in range(200)}
    assert corners == {float(x[0, r, c, 0]) for r in (-1, 0, 1) for c in (-1, 0, 1)}


def test_picture_descent_keeps_length_ball_and_range():
    rng = np.random.default_rng(2)
    picture = mc.tensor(rng.uniform(.4, .6, (3, 8, 8, 3)).astype(np.float32), requires_grad=True)
    start = picture.data.copy()
    optimizer = PictureDescent([picture], lr=.2, radius=.5)
    picture.grad = rng.standard_normal(picture.shape).astype(np.float32) * np.array([1e-6, 1, 1e6], "f")[:, None, None, None]
    optimizer.step()
    lengths = np.linalg.norm((picture.data - start).reshape(3, -1), axis=1)
    assert lengths == pytest.approx(.2, rel=1e-4)                # whatever the length of the gradient
    for _ in range(5):
        optimizer.step()
    lengths = np.linalg.norm((picture.data - start).reshape(3, -1), axis=1)
    assert lengths == pytest.approx(.5, rel=1e-4)                # and then held by the ball
    for _ in range(200):
        optimizer.radius = 1e3
        optimizer.step()
    assert picture.data.min() == 0 and picture.data.max() == 1


# ------------------------------------------------------------------------------------------------------------- the loop

def test_the_network_is_more_and_more_convinced(model):
    """The sign of the step is wrong in more than one public repository."""
    labels, seen = np.array([0, 1, 2]), []

    def watch(step, pictures):
        seen.append(mc.log_softmax(mc.predict(model, pictures)).data[np.arange(3), labels].mean())
    invert(model, labels, recipe=quick(steps=20, smoothness=0., jitter=0), start="noise", watch=watch)
    assert len(seen) == 20 and seen[-1] > seen[10] > seen[0]


def test_shape_dtype_range_and_ball(model):
    start = np.full((32, 32, 3), .5, np.float32)
    pictures = invert(model, "dog", count=2, start=start, recipe=quick(radius=1.))
    assert pictures.shape == (2, 32, 32, 3) and pictures.dtype == np.float32
    assert pictures.min() >= 0 and pictures.max() <= 1
    assert np.linalg.norm((pictures - start).reshape(2, -1), axis=1).max() <= 1 + 1e-4


def test_same_seed_same_pictures_and_another_seed_others(model):
    one, same, other = (invert(model, "cat", count=2, seed=seed, recipe=quick()) for seed in (5, 5, 6))
    assert one.tobytes() == same.tobytes()
    assert np.abs(one - other).max() > .05
    assert np.abs(one[0] - one[1]).max() > .05                   # pictures of one call differ, too


def test_weights_and_modes_stay_and_no_weight_gradient_is_computed(model):
    before = {name: array.copy() for name, array in model.state_dict().items()}
    model.train()
    invert(model, "cat", count=1, recipe=quick(steps=2))
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


def test_no_prior_is_the_plain_gradient(model):
    assert NO_PRIOR.smoothness == 0 and NO_PRIOR.jitter == 0
    drawn = invert(model, "cat", count=1, seed=1, recipe=Recipe(steps=3, smoothness=0., jitter=0), start="noise")
    picture = mc.tensor(np.random.default_rng(1).random((1, 32, 32, 3), dtype=np.float32), requires_grad=True)
    with model.frozen():
        for step in range(3):
            picture.zero_grad()
            mc.cross_entropy(model(picture), np.array([0])).backward()
            length = .3 + (.03 - .3) * step / 3
            picture.data[...] = np.clip(picture.data - length * picture.grad / np.linalg.norm(picture.grad), 0, 1)
    np.testing.assert_allclose(drawn, picture.data, atol=1e-5)


def test_what_cannot_be_done_is_said(model):
    with pytest.raises(ValueError, match="knows no 'unicorn'; it knows cat, dog, ship"):
        invert(model, "unicorn")
    with pytest.raises(ValueError, match="start must be 'gaussian', 'noise' or a picture, not 'blur'"):
        invert(model, "cat", start="blur")
    bare = mc.models.build("small", NAMES, rng=0, widths=((4,),))
    with pytest.raises(ValueError, match="use start='noise'"):
        invert(bare, "cat")


def test_nan_stops_the_run_with_the_operation_that_made_it():
    network = mc.models.build("small", NAMES, rng=0, widths=((4,), (4,)))
    network.features[5].weight.data[0] = np.nan                  # the second convolution
    with pytest.raises(FloatingPointError, match="conv2d: NaN or infinity"):
        invert(network, "cat", count=1, start="noise", recipe=quick())
