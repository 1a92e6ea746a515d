"""Pooling's kernels against NumPy: outputs, and gradients of random upstream gradients.

Maxima are compared exactly, and their gradients too, as those of whole numbers: their sums are not rounded.  Means are sums
in another order, or multiplied and added in one step, and may differ in the last digits of a float32.
"""
import numpy as np
import pytest

import minicnn as mc
from minicnn.core.backend import to_numpy

CASES = [  # shape, options
    ((2, 6, 8, 5), dict(kernel=2)),
    ((2, 7, 9, 33), dict(kernel=3, stride=2, padding=1)),
    ((1, 7, 8, 3), dict(kernel=3, stride=1)),
    ((3, 9, 7, 1), dict(kernel=(2, 3), stride=(3, 1), padding=(0, 2), ceil_mode=True)),
    ((2, 9, 9, 4), dict(kernel=2, stride=2, dilation=2, ceil_mode=True)),
    ((2, 8, 7, 3), dict(kernel=3, stride=4, dilation=(1, 2), padding=1)),
    ((1, 7, 6, 5), dict(kernel=(1, 3), stride=(2, 3), padding=(0, 1), ceil_mode=True)),
    ((2, 10, 11, 3), dict(kernel=3, stride=(1, 2), dilation=(2, 3), padding=(2, 3))),
    ((1, 8, 8, 1), dict(kernel=5, stride=3, padding=2, ceil_mode=True)),
    ((1, 9, 10, 2), dict(kernel=(17, 18), stride=1, padding=8)),                  # 306 taps: more than a byte can count
    ((2, 5, 4, 3), dict(kernel=1, stride=2)),
    ((1, 1, 1, 2), dict(kernel=1)),
    ((0, 4, 4, 3), dict(kernel=2)),
]


def same(a):
    return a


def turned(a):
    """The other way round in memory.  A symmetric turn: turned(turned(a)) is a."""
    return a.swapaxes(0, 3)


def both(cp, operation, x, turn=same, **options):
    """[(y, dx) on NumPy, the same on the GPU];  turn: what is done to the arrays before, to change their order."""
    results, dy = [], None
    for xp in (np, cp):
        leaf = mc.tensor(turn(xp.asarray(x)), requires_grad=True)
        y = operation(leaf, **options)
        dy = np.random.default_rng(1).integers(-9, 10, y.shape).astype(np.float32) if dy is None else dy
        y.backward(turn(turn(xp.asarray(dy)).copy()))
        results.append((y.numpy(), to_numpy(leaf.grad)))
    return results


def assert_equal(results):
    for wanted, got in zip(*results):
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, wanted)


def assert_near(results):
    for wanted, got in zip(*results):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("shape, options", CASES)
def test_max_pool_as_numpy(cp, shape, options):
    x = np.random.default_rng(0).integers(-4, 4, shape).astype(np.float32)                 # equal maxima abound
    assert_equal(both(cp, mc.max_pool2d, x, **options))


@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize("shape, options", CASES)
def test_average_pool_as_numpy(cp, shape, options, count_include_pad):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    assert_near(both(cp, mc.avg_pool2d, x, count_include_pad=count_include_pad, **options))


@pytest.mark.parametrize("operation", [mc.max_pool2d, mc.avg_pool2d])
@pytest.mark.parametrize("shape, options", [CASES[3], CASES[10], CASES[11]])
def test_kernels_and_definition_agree(cp, operation, shape, options):
    """The definition on NumPy, and on the arrays of the GPU."""
    x = np.random.default_rng(0).integers(-4, 4, shape).astype(np.float32)
    (exact, on_device), (_, by_kernels) = (both(cp, operation, x, **options, algorithm=name) for name in ("naive", "auto"))
    assert_near((exact, on_device))
    assert_near((exact, by_kernels))


@pytest.mark.parametrize("where", range(9))
@pytest.mark.parametrize("options", [dict(stride=2), dict(stride=1, padding=1)])
def test_a_nan_is_the_maximum(cp, where, options):
    """Also where the last pixel of the window, which then gets the gradient, lies in the padding."""
    x = np.random.default_rng(0).standard_normal((1, 5, 5, 2)).astype(np.float32)
    x[0, where // 3 + 1, where % 3 + 1, 0] = np.nan
    assert_equal(both(cp, mc.max_pool2d, x, kernel=3, **options))


def test_several_nans(cp):
    x = np.random.default_rng(0).standard_normal((2, 6, 7, 3)).astype(np.float32)
    x[np.random.default_rng(1).random(x.shape) < .2] = np.nan
    assert_equal(both(cp, mc.max_pool2d, x, kernel=3, stride=2, padding=1))


@pytest.mark.parametrize("value", [-np.inf, np.inf])
def test_infinities(cp, value):
    x = np.full((1, 4, 4, 1), value, np.float32)
    assert_equal(both(cp, mc.max_pool2d, x, kernel=3, stride=1, padding=1))


@pytest.mark.parametrize("operation", [mc.max_pool2d, mc.avg_pool2d])
def test_arrays_in_another_order(cp, operation):
    x = np.random.default_rng(0).standard_normal((5, 6, 7, 5)).astype(np.float32)
    assert_near(both(cp, operation, x, turned, kernel=2))


@pytest.mark.parametrize("operation", [mc.max_pool2d, mc.avg_pool2d])
def test_a_part_of_an_array(cp, operation):
    """Every second channel of pictures, and an upstream gradient that is one number at all places."""
    x, results = np.random.default_rng(0).standard_normal((2, 7, 6, 10)).astype(np.float32), []
    for xp in (np, cp):
        leaf = mc.Tensor(xp.asarray(x)[:, 1:, :, ::2], requires_grad=True)
        y = operation(leaf, 3, 2)
        y.backward(xp.broadcast_to(xp.asarray(np.float32([1.5])), y.shape))
        results.append((y.numpy(), to_numpy(leaf.grad)))
    assert_near(results)


@pytest.mark.parametrize("operation", [mc.max_pool2d, mc.avg_pool2d])
def test_more_numbers_than_threads(cp, operation, few_threads):
    x = np.random.default_rng(0).integers(-4, 4, (3, 13, 11, 5)).astype(np.float32)
    assert_near(both(cp, operation, x, kernel=3, stride=2, padding=1))


def test_without_a_graph_no_places_are_kept(cp):
    x = np.random.default_rng(0).standard_normal((1, 5, 5, 3)).astype(np.float32)
    with mc.no_grad():
        np.testing.assert_array_equal(mc.max_pool2d(cp.asarray(x), 2).numpy(), mc.max_pool2d(x, 2).data)


@pytest.mark.parametrize("shape", [(2, 7, 5, 33), (1, 1, 1, 1), (0, 3, 4, 5)])
def test_means_without_kernels(cp, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    assert_near(both(cp, lambda x: mc.global_avg_pool2d(x), x))
    assert_near(both(cp, mc.adaptive_avg_pool2d, x, size=(2, 3) if shape[1] > 1 else 1))
