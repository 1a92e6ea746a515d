"""The optimizers' kernels against NumPy: three steps each, on sizes that fill no block."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.backend import to_numpy

OPTIMIZERS = {"plain": lambda w: mc.SGD(w, .1), "decay": lambda w: mc.SGD(w, .1, weight_decay=.01),
              "momentum": lambda w: mc.SGD(w, .1, momentum=.9, weight_decay=.01),
              "nesterov": lambda w: mc.SGD(w, .1, momentum=.9, nesterov=True, weight_decay=.01),
              "adam": lambda w: mc.Adam(w, .01), "adam decay": lambda w: mc.Adam(w, .01, (.8, .95), 1e-4, weight_decay=.1),
              "adamw": lambda w: mc.AdamW(w, .01, weight_decay=.1)}
SHAPES = [(1,), (257,), (3, 5, 7, 11), (0,)]


def trained(xp, make, contiguous=True):
    rng, found = np.random.default_rng(0), []
    for shape in SHAPES:
        start = xp.asarray(rng.standard_normal(shape).astype(np.float32))
        found.append(mc.tensor(start, requires_grad=True))
    optimizer, average = make(found), mc.WeightAverage(found, .9)
    for _ in range(3):
        for w in found:
            gradient = rng.standard_normal(w.shape).astype(np.float32)
            w.grad = xp.asarray(gradient if contiguous else np.asfortranarray(gradient), order="C" if contiguous else "F")
        optimizer.step()
        average.update()
    return [to_numpy(a) for a in (*(w.data for w in found), *optimizer.state.values(), *average.averaged())]


@pytest.mark.parametrize("contiguous", [True, False], ids=["C order", "gradients in another order"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_three_steps_as_numpy(cp, name, contiguous):
    for wanted, got in zip(trained(np, OPTIMIZERS[name]), trained(cp, OPTIMIZERS[name], contiguous)):
        np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=1e-6)


def test_a_state_opens_on_the_other_device(cp):
    w = mc.tensor(np.ones(5, np.float32), requires_grad=True)
    there = mc.tensor(cp.ones(5, np.float32), requires_grad=True)
    w.grad = np.arange(5, dtype=np.float32)
    one, other = mc.Adam([w], .1), mc.Adam([there], .1)
    one.step()
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(to_numpy(other.state["mean.0"]), one.state["mean.0"])
    assert other.state_dict().keys() == one.state_dict().keys()
