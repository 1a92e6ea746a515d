"""The optimizers' kernels against NumPy: several steps each, on sizes that fill no block.

Weights, state and averages agree to 2e-6, a few roundings of float32: a GPU joins a product and a sum into one rounding.
"""
import numpy as np
import pytest

import minicnn as mc
from minicnn.core.backend import to_numpy

OPTIMIZERS = {"plain": lambda w: mc.SGD(w, .1), "decay": lambda w: mc.SGD(w, .1, weight_decay=.3),
              "momentum": lambda w: mc.SGD(w, .1, momentum=.9),
              "both": lambda w: mc.SGD(w, .1, momentum=.9, weight_decay=.3),
              "nesterov": lambda w: mc.SGD(w, .1, momentum=.9, nesterov=True, weight_decay=.3),
              "adam": lambda w: mc.Adam(w, .1), "adam decay": lambda w: mc.Adam(w, .1, (.8, .95), 1e-2, weight_decay=.3),
              "adam long memory": lambda w: mc.Adam(w, .1, (.999, .99999)),
              "adamw": lambda w: mc.AdamW(w, .1, weight_decay=.3)}
SHAPES = [(1,), (257,), (3, 5, 7, 11), (0,), (1000, 3)]
LAYOUTS = {"C order": lambda xp, a: xp.asarray(a), "another order": lambda xp, a: xp.asarray(a.T.copy()).T,
           "every second number": lambda xp, a: xp.asarray(np.repeat(a.reshape(-1), 2))[::2].reshape(a.shape)
           if a.ndim == 1 else xp.asarray(np.repeat(a, 2, axis=-1))[..., ::2]}


def trained(xp, make, of_weight="C order", of_gradient="C order", dtype=np.float32, steps=4):
    """Weights, state and averages after some steps with random gradients; the last shape gets none in one of them."""
    rng = np.random.default_rng(0)
    found = [mc.Tensor(LAYOUTS[of_weight](xp, rng.standard_normal(shape).astype(dtype)), requires_grad=True)
             for shape in SHAPES]
    optimizer, average = make(found), mc.WeightAverage(found, .9)
    for step in range(steps):
        for w in found:
            w.grad = LAYOUTS[of_gradient](xp, rng.standard_normal(w.shape).astype(dtype))
        if step == 1:
            found[-1].grad = None
        optimizer.step()
        average.update()
    return [to_numpy(a) for a in (*(w.data for w in found), *optimizer.state.values(), *average.averaged())]


def assert_same(wanted, got, tolerance=2e-6):
    assert len(wanted) == len(got)
    for w, g in zip(wanted, got):
        assert w.dtype == g.dtype and w.shape == g.shape
        np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance * np.abs(w).max(initial=0))


@pytest.mark.parametrize("of_gradient", LAYOUTS)
@pytest.mark.parametrize("of_weight", LAYOUTS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_as_numpy(cp, name, of_weight, of_gradient):
    assert_same(trained(np, OPTIMIZERS[name]), trained(cp, OPTIMIZERS[name], of_weight, of_gradient))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_in_double_precision_as_numpy(cp, name):
    assert_same(trained(np, OPTIMIZERS[name], dtype=np.float64), trained(cp, OPTIMIZERS[name], dtype=np.float64), 1e-14)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_more_numbers_than_threads(cp, name, few_threads):
    """A thread takes several, whatever the order in which an emulator runs threads."""
    assert_same(trained(np, OPTIMIZERS[name]), trained(cp, OPTIMIZERS[name]))


def test_small_gradients_keep_their_digits(cp):
    """A mean of squares of 1e-8 is not lost beside the numbers of the weights."""
    results = []
    for xp in (np, cp):
        w = mc.Tensor(xp.ones(300, np.float32), requires_grad=True)
        optimizer = mc.Adam([w], 1e-3)
        for _ in range(3):
            w.grad = xp.asarray(np.random.default_rng(0).standard_normal(300).astype(np.float32)) * 1e-4
            optimizer.step()
        results.append([to_numpy(optimizer.state["square.0"]), to_numpy(optimizer.state["mean.0"])])
    for wanted, got in zip(*results):
        np.testing.assert_allclose(got, wanted, rtol=2e-6)


def test_a_state_opens_on_the_other_device(cp):
    w = mc.tensor(np.ones(5, np.float32), requires_grad=True)
    there = mc.tensor(cp.ones(5, np.float32), requires_grad=True)
    w.grad = np.arange(5, dtype=np.float32)
    one, other = mc.Adam([w], .1), mc.Adam([there], .1)
    one.step()
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(to_numpy(other.state["mean.0"]), one.state["mean.0"])
    assert other.state_dict().keys() == one.state_dict().keys()
