"""The statistics of feature maps and the losses made of them: known values, gradients, parts, regions and mixtures."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.generate.style.textures import LOSSES, Moments, axes, diagonal, mixed, moments, projected, sliced_loss, slices


def features(seed, height=6, width=5, channels=4):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((1, height, width, channels)) @ rng.standard_normal((channels, channels)) + 1


# ---- Moments -----------------------------------------------------------------------------------------

def test_moments_are_the_mean_and_the_gram_matrix():
    x = features(0)
    found, pixels = moments(x).arrays(), x.reshape(-1, 4)
    np.testing.assert_allclose(found.mean, pixels.mean(axis=0))
    np.testing.assert_allclose(found.products, pixels.T @ pixels / 30)
    np.testing.assert_allclose(found.covariance(), np.cov(pixels.T, bias=True), atol=1e-12)


def test_shares_count_pixels_several_times():
    x, times = features(1, 3, 4), np.random.default_rng(0).integers(0, 4, (3, 4))
    repeated = x.reshape(-1, 4).repeat(times.ravel(), axis=0)
    found = moments(x, times / times.sum()).arrays()
    np.testing.assert_allclose(found.mean, repeated.mean(axis=0))
    np.testing.assert_allclose(found.covariance(), np.cov(repeated.T, bias=True), atol=1e-12)


def test_moments_of_parts_add_up():
    x, share = features(2), np.random.default_rng(1).random((6, 5)) / 30
    whole, upper, lower = moments(x, share), moments(x[:, :2], share[:2]), moments(x[:, 2:], share[2:])
    np.testing.assert_allclose(whole.mean.data, upper.mean.data + lower.mean.data)
    np.testing.assert_allclose(whole.products.data, upper.products.data + lower.products.data)


def test_mixed_moments_are_those_of_all_pixels_together():
    one, two = features(3), features(4)
    both = mixed([moments(one).arrays(), moments(two).arrays()], [1, 2])
    together = moments(np.concatenate([one, two, two], axis=1)).arrays()
    np.testing.assert_allclose(both.mean, together.mean)
    np.testing.assert_allclose(both.products, together.products)


@pytest.mark.parametrize("share", [None, np.random.default_rng(0).random((6, 5)) * (np.arange(5) > 1) + 1e-3])
def test_gradients_of_moments(share):
    mc.gradcheck(lambda x: moments(x, share).mean, features(5))
    mc.gradcheck(lambda x: moments(x, share).products, features(5))
    mc.gradcheck(lambda x: moments(x, share).covariance(), features(5))


# ---- Losses of moments ---------------------------------------------------------------------------------

@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_zero_at_its_goal_and_positive_elsewhere_and_its_gradient_holds(name):
    make_goal, loss = LOSSES[name]
    goal = make_goal(moments(features(6)).arrays())
    assert loss(moments(features(6)), goal).item() == pytest.approx(0, abs=1e-7)
    assert loss(moments(features(7)), goal).item() > .1
    mc.gradcheck(lambda x: loss(moments(x), goal), features(7))


@pytest.mark.parametrize("name", LOSSES)
def test_places_do_not_matter(name):
    make_goal, loss = LOSSES[name]
    goal, x = make_goal(moments(features(6)).arrays()), features(7)
    shuffled = np.random.default_rng(0).permutation(x.reshape(-1, 4)).reshape(x.shape)
    assert loss(moments(x), goal).item() == pytest.approx(loss(moments(shuffled), goal).item())


def test_only_the_wasserstein_distance_relative_to_the_style_forgets_the_scale():
    x, style = features(8), features(9)
    for name, grows in (("w2", 9), ("relative", 1), ("gram", 81)):
        make_goal, loss = LOSSES[name]
        once, thrice = (loss(moments(k * x), make_goal(moments(k * style).arrays())).item() for k in (1, 3))
        assert thrice == pytest.approx(grows * once)


def test_losses_of_flat_features_are_finite_and_have_finite_gradients():
    flat = np.full((1, 4, 4, 3), .5, np.float32)
    for name, (make_goal, loss) in LOSSES.items():
        for style, picture in ((flat, features(0, 4, 4, 3)), (features(0, 4, 4, 3), flat), (0 * flat, 0 * flat)):
            x = mc.tensor(picture.astype(np.float32), requires_grad=True)
            value = loss(moments(x), make_goal(moments(style.astype(np.float32)).arrays()))
            value.backward()
            assert np.isfinite(value.item()) and np.isfinite(x.grad).all(), name


def test_diagonal():
    mc.gradcheck(diagonal, np.random.default_rng(0).standard_normal((4, 4)))


# ---- Sliced ----------------------------------------------------------------------------------------------

def test_slices_are_unit_vectors_of_the_seed():
    first, same, other = (slices(5, 7, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_allclose(np.linalg.norm(first, axis=0), 1, rtol=1e-6)
    assert np.array_equal(first, same) and not np.array_equal(first, other) and first.shape == (5, 7)


def test_sliced_in_one_dimension_is_the_distance_of_the_sorted_values():
    x, style = features(0, channels=1), features(1, channels=1)
    expected = ((np.sort(x.ravel()) - np.sort(style.ravel())) ** 2).mean()
    ones = np.ones((1, 1))
    assert sliced_loss(x, ones, projected(style, ones)).item() == pytest.approx(expected)


def test_pixels_that_count_more():
    """As if they were there more often: the curve of the sorted values, read at equal distances."""
    rng, lines = np.random.default_rng(0), np.eye(2)
    one, two = rng.standard_normal((900, 2)), 3 + rng.standard_normal((600, 2))
    both = np.concatenate([one, two])
    np.testing.assert_allclose(projected(both, lines, np.full(1500, .3)), np.sort(both, axis=0), rtol=1e-9)
    twice = projected(both, lines, np.repeat([1, 2], [900, 600]))
    expected = np.sort(np.concatenate([one, two, two]), axis=0)                      # 2100 numbers; read 1500 of them
    at = ((np.arange(1500) + .5) * 2100 / 1500 - .5).round().astype(int)
    assert np.abs(twice - expected[at]).mean() < .01
    alone = projected(both, lines, np.repeat([1e-9, 1], [900, 600]))
    assert np.abs(alone[1:-1].mean(axis=0) - two.mean(axis=0)).max() < .02


def test_sliced_gradient_and_another_number_of_pixels():
    directions = slices(4, 6, np.random.default_rng(0)).astype(np.float64)
    for shape in ((6, 5), (3, 4), (9, 8), (1, 1)):
        goal = projected(features(2, *shape), directions)
        mc.gradcheck(lambda x: sliced_loss(x, directions, goal), features(3))
    repeated = projected(features(3).repeat(3, axis=1), directions)
    assert sliced_loss(features(3), directions, repeated).item() < .1 * sliced_loss(features(4), directions, repeated).item()


def test_along_the_axes_it_compares_the_histograms_of_the_channels():
    x, style = features(2), features(3)
    columns = zip(x.reshape(-1, 4).T, style.reshape(-1, 4).T)
    expected = np.mean([(np.sort(one) - np.sort(other)) ** 2 for one, other in columns])
    directions = axes(4).astype(np.float64)
    goal = projected(style, directions)
    assert sliced_loss(x, directions, goal).item() == pytest.approx(expected)
    mc.gradcheck(lambda x: sliced_loss(x, directions, goal), x)
    apart = np.stack([np.random.default_rng(c).permutation(style[..., c].ravel()).reshape(6, 5) for c in range(4)], axis=-1)
    assert sliced_loss(apart[None], directions, goal).item() == pytest.approx(0)     # how channels go together it forgets


def test_moments_know_arrays_from_tensors():
    found = moments(features(0))
    assert isinstance(found.mean, mc.Tensor) and isinstance(found.arrays().mean, np.ndarray)
    assert isinstance(Moments(np.ones(2), np.eye(2)).covariance(), np.ndarray)
