"""Resizing's kernels against NumPy.  Copies are compared exactly; means and sums may differ in the last digits."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.core.backend import to_numpy

CASES = [  # shape, options
    ((2, 3, 5, 3), dict(scale=2)), ((1, 5, 4, 33), dict(scale=(3, 1))), ((2, 7, 5, 1), dict(size=(4, 9))),
    ((1, 6, 7, 5), dict(scale=1.7)), ((2, 1, 1, 4), dict(size=(3, 2))), ((1, 9, 8, 3), dict(size=(1, 1))),
    ((3, 8, 8, 2), dict(scale=.6)), ((0, 3, 3, 2), dict(scale=2)), ((1, 4, 4, 3), dict(size=4)),
    ((1, 3, 11, 5), dict(size=(23, 2))), ((2, 13, 3, 1), dict(scale=(.3, 4.3))), ((1, 10, 7, 3), dict(size=(7, 10)))]


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


def assert_near(results):
    for wanted, got in zip(*results):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape, options", CASES)
def test_nearest_as_numpy(cp, shape, options):
    results = both(cp, shape, mode="nearest", **options)
    np.testing.assert_array_equal(results[1][0], results[0][0])
    assert_near(results)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("shape, options", CASES)
def test_bilinear_as_numpy(cp, shape, options, align_corners):
    assert_near(both(cp, shape, mode="bilinear", align_corners=align_corners, **options))


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("shape, options", [CASES[2], CASES[4], CASES[7]])
def test_kernels_and_definition_agree(cp, shape, options, mode):
    """The definition on NumPy, and on the arrays of the GPU."""
    (exact, on_device), (_, by_kernels) = (both(cp, shape, mode=mode, **options, algorithm=name) for name in ("naive", "auto"))
    assert_near((exact, on_device))
    assert_near((exact, by_kernels))


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_arrays_in_another_order(cp, mode):
    assert_near(both(cp, (5, 6, 7, 4), lambda a: a.swapaxes(0, 3), mode=mode, size=(4, 11)))


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_a_part_of_an_array(cp, mode):
    """Every second column of pictures, and an upstream gradient that is one number at all places."""
    x, results = np.random.default_rng(0).standard_normal((2, 5, 8, 3)).astype(np.float32), []
    for xp in (np, cp):
        leaf = mc.Tensor(xp.asarray(x)[:, 1:, ::2], requires_grad=True)
        y = mc.upsample(leaf, 1.5, mode=mode)
        y.backward(xp.broadcast_to(xp.asarray(np.float32([1.5])), y.shape))
        results.append((y.numpy(), to_numpy(leaf.grad)))
    assert_near(results)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_more_numbers_than_threads(cp, mode, few_threads):
    assert_near(both(cp, (2, 13, 9, 5), mode=mode, size=(11, 17)))
