"""Pooling's kernels against NumPy: outputs, and gradients of random upstream gradients."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.backend import to_numpy

CASES = [  # shape, options
    ((2, 6, 8, 5), dict(kernel=2)),
    ((2, 7, 9, 33), dict(kernel=3, stride=2, padding=1)),
    ((1, 7, 8, 3), dict(kernel=3, stride=1)),
    ((3, 9, 7, 1), dict(kernel=(2, 3), stride=(3, 1), padding=(0, 2), ceil_mode=True)),
    ((2, 9, 9, 4), dict(kernel=2, stride=2, dilation=2, ceil_mode=True)),
    ((2, 8, 7, 3), dict(kernel=3, stride=4, dilation=(1, 2), padding=1)),
    ((1, 1, 1, 2), dict(kernel=1)),
    ((0, 4, 4, 3), dict(kernel=2)),
]


def both(cp, operation, x, turn=lambda a: a, **options):
    """[(y, dx) on NumPy, the same on the GPU];  turn: what is done to the arrays before, to change their order."""
    results, dy = [], None
    for xp in (np, cp):
        leaf = mc.tensor(turn(xp.asarray(x)), requires_grad=True)
        y = operation(leaf, **options)
        dy = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32) if dy is None else dy
        y.backward(turn(turn(xp.asarray(dy)).copy()))
        results.append((y.numpy(), to_numpy(leaf.grad)))
    return results


@pytest.mark.parametrize("shape, options", CASES)
def test_max_pool_as_numpy(cp, shape, options):
    x = np.random.default_rng(0).integers(-4, 4, shape).astype(np.float32)                 # equal maxima abound
    for wanted, got in zip(*both(cp, mc.max_pool2d, x, **options)):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize("shape, options", CASES)
def test_average_pool_as_numpy(cp, shape, options, count_include_pad):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    for wanted, got in zip(*both(cp, mc.avg_pool2d, x, count_include_pad=count_include_pad, **options)):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("where", range(9))
def test_a_nan_is_the_maximum(cp, where):
    x = np.random.default_rng(0).standard_normal((1, 5, 5, 2)).astype(np.float32)
    x[0, where // 3 + 1, where % 3 + 1, 0] = np.nan
    for wanted, got in zip(*both(cp, mc.max_pool2d, x, kernel=3, stride=2)):
        np.testing.assert_allclose(got, wanted)


@pytest.mark.parametrize("value", [-np.inf, np.inf])
def test_infinities(cp, value):
    x = np.full((1, 4, 4, 1), value, np.float32)
    for wanted, got in zip(*both(cp, mc.max_pool2d, x, kernel=3, stride=1, padding=1)):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("operation", [mc.max_pool2d, mc.avg_pool2d])
def test_arrays_in_another_order(cp, operation):
    x = np.random.default_rng(0).standard_normal((5, 6, 7, 5)).astype(np.float32)
    for wanted, got in zip(*both(cp, operation, x, lambda a: a.swapaxes(0, 3), kernel=2)):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_without_a_graph_no_places_are_kept(cp):
    x = np.random.default_rng(0).standard_normal((1, 5, 5, 3)).astype(np.float32)
    with mc.no_grad():
        np.testing.assert_array_equal(mc.max_pool2d(cp.asarray(x), 2).numpy(), mc.max_pool2d(x, 2).data)
