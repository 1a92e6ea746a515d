"""The Wasserstein distance between clouds of features: known values, gradients, and clouds that are flat."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.generate.style.textures import moments
from minicnn.generate.style.wasserstein import overlap, trace, wasserstein
from minicnn.generate.style.wasserstein import cloud as cloud_of


def features(seed, height=6, width=5, channels=4, scale=1.):
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((channels, channels))
    return scale * rng.standard_normal((1, height, width, channels)) @ mixing + rng.standard_normal(channels)


def cloud(x):
    found = moments(x).arrays()
    return cloud_of(found.mean, found.covariance())


def distance(x, other, share=None):
    found = moments(x, share)
    return wasserstein(found.mean, found.covariance(), other)


def square_root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def by_the_formula(x, y):
    """W2^2 with dense matrix roots, of two arrays (pixels, C)."""
    S, A = (np.cov(points.T, bias=True) for points in (x, y))
    R = square_root(A)
    return ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum() + np.trace(S + A - 2 * square_root(R @ S @ R))


# ---- Values --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", range(5))
def test_the_distance_is_that_of_the_formula(seed):
    x, y = features(seed), features(seed + 50, 7, 3)
    ours = distance(mc.tensor(x), cloud(mc.tensor(y))).item()
    assert ours == pytest.approx(by_the_formula(x.reshape(-1, 4), y.reshape(-1, 4)), rel=1e-9)


@pytest.mark.parametrize("points", [1, 3, 5, 12])
def test_a_cloud_of_few_points_has_a_narrow_root_and_the_same_distance(points):
    x, y = features(3, 4, 5, 6), features(4, 1, points, 6)
    other = cloud(mc.tensor(y))
    assert other.root.shape == (6, min(points - 1, 6))
    np.testing.assert_allclose(other.root @ other.root.T, other.covariance, atol=1e-9 * (y ** 2).max())
    assert distance(mc.tensor(x), other).item() == pytest.approx(by_the_formula(x.reshape(-1, 6), y.reshape(-1, 6)), rel=1e-4)


def test_in_one_dimension_it_compares_means_and_widths():
    rng = np.random.default_rng(0)
    x, y = 3 + 2 * rng.standard_normal((1, 10, 10, 1)), -1 + .5 * rng.standard_normal((1, 8, 8, 1))
    expected = (x.mean() - y.mean()) ** 2 + (x.std() - y.std()) ** 2
    assert distance(mc.tensor(x), cloud(mc.tensor(y))).item() == pytest.approx(expected)


@pytest.mark.parametrize("x", [features(2), features(3, 1, 2, 6), np.full((1, 4, 4, 3), .7), np.zeros((1, 1, 1, 5))],
                         ids=["full", "flat", "constant", "one point"])
def test_a_cloud_is_nowhere_away_from_itself(x):
    assert distance(mc.tensor(x), cloud(mc.tensor(x))).item() == pytest.approx(0, abs=1e-9 * (1 + (x ** 2).sum()))


def test_it_is_symmetric_and_grows_with_the_scale_squared():
    x, y = features(4), features(5)
    there, back = distance(mc.tensor(x), cloud(y)).item(), distance(mc.tensor(y), cloud(x)).item()
    assert there == pytest.approx(back) and there > 0
    assert distance(mc.tensor(3 * x), cloud(3 * y)).item() == pytest.approx(9 * there)


# ---- Gradients -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape", [(6, 5, 4), (2, 1, 3), (1, 3, 8), (1, 1, 4), (9, 1, 1)],
                         ids=["full", "two points", "more channels than points", "one point", "one channel"])
def test_gradient_with_respect_to_the_features(shape):
    """Fewer points than channels make a cloud that is flat; moved, it stays flat in as many directions."""
    other = cloud(features(7)) if shape[2] == 4 else cloud(features(7, channels=shape[2]))
    mc.gradcheck(lambda x: distance(x, other), features(8, *shape))


def test_gradient_of_the_overlap():
    S, A = (np.cov(features(seed).reshape(-1, 4).T) for seed in (0, 1))
    for root in (square_root(A), np.linalg.cholesky(A), square_root(A)[:, :2]):
        mc.gradcheck(lambda s: overlap((s + s.transpose(1, 0)) / 2, root), S)


def test_gradient_of_the_trace():
    mc.gradcheck(trace, np.random.default_rng(0).standard_normal((4, 4)))


def test_without_a_graph_there_is_the_same_overlap():
    S, root = np.cov(features(0).reshape(-1, 4).T), square_root(np.cov(features(1).reshape(-1, 4).T))
    with mc.no_grad():
        alone = overlap(S, root)
    assert alone.item() == overlap(mc.tensor(S, requires_grad=True), root).item()


def test_no_gradient_is_a_subnormal_number():
    """A channel that is nearly never active: in float32 its gains would be such, which makes products with them slow."""
    S = np.cov(features(0).reshape(-1, 4).T).astype(np.float32)
    faint = np.diag(np.array([1, 1, 1, 1e-41])).astype(np.float32)
    S = mc.tensor(S, requires_grad=True)
    overlap(S, faint @ square_root(np.cov(features(1).reshape(-1, 4).T)).astype(np.float32)).backward()
    size = np.abs(S.grad)
    assert (size[:3, :3] > 0).all() and ((size == 0) | (size >= np.finfo(np.float32).tiny)).all()


def test_a_flat_style_and_a_flat_picture_give_finite_gradients():
    flat = np.zeros((1, 4, 4, 3), np.float32)
    x = mc.tensor(features(0, 4, 4, 3).astype(np.float32), requires_grad=True)
    distance(x, cloud(flat)).backward()
    assert np.isfinite(x.grad).all() and np.abs(x.grad).max() > 0
    x = mc.tensor(flat + np.float32(.5), requires_grad=True)
    distance(x, cloud(features(0, 4, 4, 3).astype(np.float32))).backward()
    assert np.isfinite(x.grad).all()


def test_float32_stays_float32_and_is_near_float64():
    x, y = features(9, 12, 12, 16), features(10, 12, 12, 16)
    single, double = (mc.tensor(x.astype(kind), requires_grad=True) for kind in ("float32", "float64"))
    losses = [distance(single, cloud(y.astype("float32"))), distance(double, cloud(y))]
    for loss in losses:
        loss.backward()
    assert losses[0].dtype == np.float32 and single.grad.dtype == np.float32
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-4)
    assert np.abs(single.grad - double.grad).max() < 1e-4 * np.abs(double.grad).max()


def test_walking_against_the_gradient_brings_one_cloud_onto_the_other():
    """Not the pixels: where a point lies in the picture plays no part."""
    other, x = cloud(features(11)), mc.tensor(features(12), requires_grad=True)
    for _ in range(300):
        x.zero_grad()
        loss = distance(x, other)
        loss.backward()
        x.data[...] -= .4 * 30 * x.grad / 2                      # 30 pixels share the gradient
    assert loss.item() < 1e-4
    found = moments(x).arrays()
    np.testing.assert_allclose(found.mean, other.mean, atol=1e-2)
    np.testing.assert_allclose(found.covariance(), other.covariance, atol=5e-2)
