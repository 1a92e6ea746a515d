"""The attacks: where they may go, what they reach, and what they leave alone."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.layers.loss import cross_entropy
from minicnn.models import small
from minicnn.training import attack as room
from minicnn.training.attack import input_gradient, l2_attack, linf_attack, project_to_ball, unit


@pytest.fixture
def model():
    return small(["a", "b", "c"], ((4,), (6,)), rng=0)


@pytest.fixture
def pictures():
    rng = np.random.default_rng(1)
    x = rng.random((8, 8, 8, 3), dtype=np.float32)
    x[:2] = np.round(x[:2])                                      # at the ends of the range, where clipping acts
    return x, rng.integers(0, 3, 8)


def norms(x):
    return np.sqrt((x.astype(np.float64) ** 2).sum(axis=(1, 2, 3)))


def loss(model, x, labels):
    with model.frozen(), mc.no_grad():
        return cross_entropy(model(x), labels).item()


@pytest.mark.parametrize("epsilon, step, steps", [(.5, .1, 10), (.5, .6, 1), (2., 5., 3), (0., .1, 2)])
@pytest.mark.parametrize("seed", [None, 3])
def test_stays_in_the_ball_and_in_range(model, pictures, epsilon, step, steps, seed):
    x, labels = pictures
    rng = None if seed is None else np.random.default_rng(seed)
    attacked = l2_attack(model, x, labels, epsilon, step, steps, rng)
    assert attacked.shape == x.shape and attacked.dtype == np.float32
    assert norms(attacked - x).max() <= epsilon + 1e-5
    assert attacked.min() >= 0 and attacked.max() <= 1


@pytest.mark.parametrize("epsilon, step, steps", [(.5, .1, 10), (.5, .6, 1), (2., 5., 3)])
@pytest.mark.parametrize("seed", [None, 3])
def test_the_l2_attack_is_its_formula_to_the_last_bit(model, pictures, epsilon, step, steps, seed):
    """Written out as one loop, with nothing shared: the results of trained networks and of tables hang on these bits."""
    x, labels = pictures

    def project(y):
        difference = y - x
        length = np.sqrt((difference * difference).sum(axis=(1, 2, 3), keepdims=True))
        return np.clip(x + difference * np.minimum(1, epsilon / (length + 1e-12)), 0, 1)
    y = x
    if seed is not None:
        rng = np.random.default_rng(seed)
        way = rng.standard_normal(x.shape, dtype=np.float32)
        length = (epsilon * rng.random((8, 1, 1, 1)) ** (1 / 192)).astype(np.float32)
        y = x + way / (np.sqrt((way * way).sum(axis=(1, 2, 3), keepdims=True)) + 1e-12) * length
    y = project(y)
    for _ in range(steps):
        pixels = mc.tensor(y, requires_grad=True)
        with model.frozen():
            cross_entropy(model(pixels), labels).backward()
        gradient = pixels.grad
        norm = np.sqrt((gradient * gradient).sum(axis=(1, 2, 3), keepdims=True))
        y = project(y + step * (gradient / (norm + 1e-12)))
    attacked = l2_attack(model, x, labels, epsilon, step, steps, None if seed is None else np.random.default_rng(seed))
    assert np.array_equal(attacked, y) and not np.array_equal(attacked, x)


@pytest.mark.parametrize("epsilon, step, steps", [(8 / 255, 2 / 255, 10), (.1, .3, 1), (1e-9, .1, 2), (0., .1, 2),
                                                  (2., 5., 3)])
@pytest.mark.parametrize("seed", [None, 3])
def test_linf_stays_in_the_cube_and_in_range_exactly(model, pictures, epsilon, step, steps, seed):
    x, labels = pictures
    rng = None if seed is None else np.random.default_rng(seed)
    attacked = linf_attack(model, x, labels, epsilon, step, steps, rng)
    assert attacked.shape == x.shape and attacked.dtype == np.float32
    assert np.abs(attacked.astype(np.float64) - x).max() <= np.float64(np.float32(epsilon))       # no tolerance
    assert attacked.min() >= 0 and attacked.max() <= 1


def test_linf_uses_the_cube_up_to_its_corners(model, pictures):
    """A step of the whole radius ends beside epsilon or where the range ends, on the side that the gradient points to."""
    x, labels = pictures
    attacked = linf_attack(model, x, labels, .1, .1, 1)
    with model.frozen():
        sign = np.sign(input_gradient(model, x, labels))
    assert (sign != 0).mean() > .9
    np.testing.assert_allclose(attacked, np.clip(x + np.float32(.1) * sign, 0, 1), atol=1e-6)


def test_linf_of_two_pixels_by_hand():
    """The logits are the pixels: the attack on class 0 darkens the first and brightens the second, step by step."""
    class Pixels(mc.Module):
        def forward(self, x):
            return x.reshape(-1, 2)                              # (N, classes)
    x = np.array([[.5, .9], [.05, .5]], np.float32).reshape(2, 1, 1, 2)
    for steps, expected in [(1, [[.4, 1.], [0., .6]]), (2, [[.3, 1.], [0., .7]]), (3, [[.25, 1.], [0., .75]])]:
        attacked = linf_attack(Pixels(), x, np.array([0, 0]), .25, .1, steps)
        np.testing.assert_allclose(attacked.reshape(2, 2), expected, atol=1e-6)


def test_linf_raises_the_loss_more_than_random_signs_as_large(model, pictures):
    x, labels = pictures
    noise = np.clip(x + 8 / 255 * np.random.default_rng(0).choice(np.float32([-1, 1]), x.shape), 0, 1)
    clean, attacked = loss(model, x, labels), loss(model, linf_attack(model, x, labels), labels)
    assert attacked > clean and attacked - clean > 3 * abs(loss(model, noise, labels) - clean)


def test_linf_of_the_same_length_hurts_more_than_l2(model, pictures):
    """The cube reaches beyond the ball of its radius: the same number allows far more."""
    x, labels = pictures
    linf, l2 = (loss(model, attack(model, x, labels, .2, .05), labels) for attack in (linf_attack, l2_attack))
    assert linf > l2


def test_the_random_start_of_linf_is_uniform_in_the_cube():
    x = np.zeros((5000, 1, 1, 3), np.float32)
    start = np.sort(room._random_in_cube(x, 2., np.random.default_rng(0)).ravel())
    assert start.dtype == np.float32
    assert np.abs((start + 2) / 4 - (np.arange(15000) + .5) / 15000).max() < 1.63 / np.sqrt(15000)


@pytest.mark.parametrize("attack", [l2_attack, linf_attack])
def test_an_attack_lowers_the_accuracy_of_a_trained_network(attack):
    """Two classes, dark and bright with noise, that a tiny network learns to tell apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 2
    images = np.clip(110 + 30 * labels[:, None, None, None] + rng.normal(0, 25, (64, 8, 8, 3)), 0, 255).astype(np.uint8)
    data, model = mc.data.Dataset(images, labels, ["dark", "bright"]), small(["dark", "bright"], ((4,), (6,)), rng=0)
    optimizer = mc.Adam(model.parameters(), .02)
    for _ in range(40):
        optimizer.zero_grad()
        cross_entropy(model(data.images_float()), labels).backward()
        optimizer.step()
    assert mc.accuracy(model, data) > .9
    radius = {l2_attack: {"epsilon": 2., "step": .5}, linf_attack: {"epsilon": .15, "step": .03}}[attack]
    assert mc.accuracy(model, data, lambda *given: attack(*given, **radius)) < .5


def test_raises_the_loss_more_than_a_random_change_as_large(model, pictures):
    x, labels = pictures
    attacked = l2_attack(model, x, labels)
    noise = room._project(x + norms(attacked - x).reshape(-1, 1, 1, 1).astype(np.float32)
                          * unit(np.random.default_rng(0).standard_normal(x.shape, dtype=np.float32)), x, .5)
    clean = loss(model, x, labels)
    assert loss(model, attacked, labels) > clean
    assert loss(model, attacked, labels) - clean > 3 * abs(loss(model, noise, labels) - clean)
    assert loss(model, l2_attack(model, x, labels, steps=1), labels) < loss(model, attacked, labels)


def test_gradient_is_that_of_the_mean_loss(model, pictures):
    x, labels = pictures
    with model.frozen():
        gradient = input_gradient(model, x, labels)
    direction = unit(gradient)
    for k in (0, 5):
        moved = [x.copy(), x.copy()]
        moved[0][k] += .005 * direction[k]
        moved[1][k] -= .005 * direction[k]
        slope = (loss(model, moved[0], labels) - loss(model, moved[1], labels)) / .01
        assert slope == pytest.approx(norms(gradient)[k], rel=.05)


def test_the_random_start_is_uniform_in_the_ball():
    """The share of a ball's volume within radius r is (r / R)^d: so (length / R)^d is uniform in 0..1."""
    x, radius = np.zeros((20000, 1, 1, 3), np.float32), 2.
    start = room._random_in_ball(x, radius, np.random.default_rng(0))
    share = np.sort((norms(start) / radius) ** 3)
    uniform = (np.arange(20000) + .5) / 20000
    assert np.abs(share - uniform).max() < 1.63 / np.sqrt(20000)    # Kolmogorov and Smirnov, 1 %
    np.testing.assert_allclose(start.mean(axis=0), 0, atol=.03)     # and no direction is preferred
    np.testing.assert_allclose(start.var(axis=0), radius ** 2 / 5, rtol=.05)


@pytest.mark.parametrize("attack", [l2_attack, linf_attack])
def test_the_start_is_used_and_seeded(model, pictures, attack):
    x, labels = pictures
    plain, one, again, two = (attack(model, x, labels, rng=None if s is None else np.random.default_rng(s))
                              for s in (None, 1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, two) and not np.array_equal(one, plain)
    assert np.array_equal(attack(model, x, labels, steps=0), x)


def test_no_weight_gradient_is_computed(pictures):
    x, labels = pictures
    called = []

    @mc.differentiable
    def scaled(x, weight):
        def grad_x(dy):
            called.append("x")
            return dy * weight

        def grad_weight(dy):
            called.append("weight")
            return (dy * x).sum(axis=(0, 1, 2))
        return x * weight, (grad_x, grad_weight)

    class Scaled(mc.Module):
        def __init__(self):
            super().__init__()
            self.weight = mc.tensor(np.ones(3, np.float32), requires_grad=True)

        def forward(self, x):
            return scaled(x, self.weight).mean(axis=(1, 2))
    model = Scaled()
    l2_attack(model, x, labels, steps=3)
    assert called == ["x"] * 3 and model.weight.grad is None
    cross_entropy(model(x), labels).backward()                   # and outside the attack the rule is alive
    assert called == ["x"] * 3 + ["weight"]


@pytest.mark.parametrize("attack", [l2_attack, linf_attack])
def test_modes_weights_and_pictures_are_as_before(model, pictures, attack):
    x, labels = pictures
    model.train()
    model.features[2].eval()                                     # a mixed state must come back as it was
    model.classifier[1].bias.requires_grad = False
    modes = [module.training for _, module in model.named_modules()]
    wishes = [parameter.requires_grad for parameter in model.parameters()]
    state, before = {name: array.copy() for name, array in model.state_dict().items()}, x.copy()
    attack(model, x, labels, rng=np.random.default_rng(0))
    assert [module.training for _, module in model.named_modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == wishes
    assert all(np.array_equal(array, state[name]) for name, array in model.state_dict().items())   # statistics too
    assert np.array_equal(x, before)


@pytest.mark.parametrize("attack", [l2_attack, linf_attack])
def test_modes_come_back_after_an_error(model, pictures, attack):
    x, labels = pictures
    with pytest.raises(ValueError):
        attack(model, x, labels[:3])
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())


def test_project_to_ball_and_unit():
    x = np.array([[3., 4.], [.3, .4], [0., 0.]], np.float32).reshape(3, 1, 1, 2)
    near = project_to_ball(x, np.zeros_like(x), 1.).reshape(3, 2)
    np.testing.assert_allclose(near, [[.6, .8], [.3, .4], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(unit(x).reshape(3, 2), [[.6, .8], [.6, .8], [0, 0]], rtol=1e-6)
