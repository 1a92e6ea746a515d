"""Resizing's kernels against NumPy."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.backend import to_numpy

CASES = [  # shape, options
    ((2, 3, 5, 3), dict(scale=2)), ((1, 5, 4, 33), dict(scale=(3, 1))), ((2, 7, 5, 1), dict(size=(4, 9))),
    ((1, 6, 7, 5), dict(scale=1.7)), ((2, 1, 1, 4), dict(size=(3, 2))), ((1, 9, 8, 3), dict(size=(1, 1))),
    ((3, 8, 8, 2), dict(scale=.6)), ((0, 3, 3, 2), dict(scale=2)), ((1, 4, 4, 3), dict(size=4))]


def both(cp, shape, turn=lambda a: a, **options):
    rng, results, dy = np.random.default_rng(0), [], None
    x = rng.standard_normal(shape).astype(np.float32)
    for xp in (np, cp):
        leaf = mc.tensor(turn(xp.asarray(x)), requires_grad=True)
        y = mc.upsample(leaf, **options)
        dy = rng.standard_normal(y.shape).astype(np.float32) if dy is None else dy
        y.backward(turn(turn(xp.asarray(dy)).copy()))
        results.append((y.numpy(), to_numpy(leaf.grad)))
    return results


@pytest.mark.parametrize("shape, options", CASES)
def test_nearest_as_numpy(cp, shape, options):
    (y, dx), (their_y, their_dx) = both(cp, shape, mode="nearest", **options)
    np.testing.assert_array_equal(their_y, y)
    np.testing.assert_allclose(their_dx, dx, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("shape, options", CASES)
def test_bilinear_as_numpy(cp, shape, options, align_corners):
    for wanted, got in zip(*both(cp, shape, mode="bilinear", align_corners=align_corners, **options)):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_arrays_in_another_order(cp, mode):
    for wanted, got in zip(*both(cp, (5, 6, 7, 4), lambda a: a.swapaxes(0, 3), mode=mode, size=(4, 11))):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
