"""Normalisation's kernels against NumPy: outputs, all gradients, and running statistics."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.backend import to_numpy
from minicnn.layers import normalize

SHAPES = [(2, 3, 5, 1), (4, 7, 5, 3), (2, 5, 6, 33), (3, 5), (2, 17, 19, 130)]


def both(cp, operation, shape, mean=0., turn=lambda a: a, **options):
    """[outputs and gradients of x, weight and bias on NumPy, the same on the GPU]"""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(shape) + mean).astype(np.float32)
    dy, (weight, bias) = rng.standard_normal(shape).astype(np.float32), rng.standard_normal((2, shape[-1])).astype(np.float32)
    results = []
    for xp in (np, cp):
        leaves = [mc.tensor(turn(xp.asarray(a)), requires_grad=True) if a is x else mc.tensor(xp.asarray(a), True)
                  for a in (x, weight, bias)]
        given = {name: xp.array(value) if isinstance(value, np.ndarray) else value for name, value in options.items()}
        y = operation(*leaves, **given)
        y.backward(turn(xp.asarray(dy)))
        results.append([y.numpy(), *(to_numpy(leaf.grad) for leaf in leaves),
                        *(to_numpy(value) for value in given.values() if hasattr(value, "shape"))])
    return results


def assert_same(results, rtol=2e-5):
    for wanted, got in zip(*results):
        np.testing.assert_allclose(got, wanted, rtol=rtol, atol=rtol * max(1, np.abs(wanted).max(initial=0)))


@pytest.mark.parametrize("steps", [32, 1], ids=["long walks", "short walks"])
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_as_numpy(cp, shape, steps, monkeypatch):
    monkeypatch.setattr(normalize, "STEPS", steps)
    running = dict(running_mean=np.zeros(shape[-1], np.float32), running_var=np.ones(shape[-1], np.float32))
    assert_same(both(cp, mc.batch_norm, shape, **running))


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_of_constants_as_numpy(cp, shape):
    running = dict(running_mean=np.full(shape[-1], .3, np.float32), running_var=np.full(shape[-1], 2, np.float32))
    assert_same(both(cp, mc.batch_norm, shape, training=False, **running))


def test_a_large_mean_costs_no_digits(cp):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((8, 16, 16, 3)) + 1e4).astype(np.float32)
    ones, zeros = cp.ones(3, np.float32), cp.zeros(3, np.float32)
    y = mc.batch_norm(cp.asarray(x), ones, zeros).numpy()
    exact = (x.astype(float) - x.mean((0, 1, 2), dtype=float)) / x.std((0, 1, 2), dtype=float)
    np.testing.assert_allclose(y, exact, atol=5e-3)              # x itself is rounded to .001


@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm_as_numpy(cp, shape):
    assert_same(both(cp, mc.layer_norm, shape))


@pytest.mark.parametrize("groups", [1, 3, 6])
@pytest.mark.parametrize("shape", [(2, 5, 7, 6), (3, 12), (1, 17, 19, 18)])
def test_group_norm_as_numpy(cp, shape, groups):
    assert_same(both(cp, mc.group_norm, shape, groups=groups))


@pytest.mark.parametrize("size", [1, 2, 5, 40])
@pytest.mark.parametrize("shape", [(2, 3, 4, 7), (5, 33), (1, 1)])
def test_local_response_norm_as_numpy(cp, shape, size):
    def alone(x, weight, bias):
        return mc.local_response_norm(x, size, alpha=.5, k=2.) * weight + bias
    assert_same(both(cp, alone, shape))


@pytest.mark.parametrize("operation, options", [(mc.batch_norm, {}), (mc.layer_norm, {}), (mc.group_norm, dict(groups=1))])
def test_arrays_in_another_order(cp, operation, options):
    assert_same(both(cp, operation, (4, 5, 6, 4), turn=lambda a: a.swapaxes(0, 3).copy().swapaxes(0, 3), **options))
