"""Dropout's kernels: the same mask as NumPy's, bit for bit."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.backend import to_numpy
from minicnn.layers.dropout import Philox


@pytest.mark.parametrize("count", [0, 1, 4, 5, 1023, 1026])
@pytest.mark.parametrize("seed, offset", [(0, 0), (2 ** 63 + 12345, 7), (99, 2 ** 32 - 2), (3, 2 ** 40)])
def test_words_are_those_of_numpy(cp, count, seed, offset):
    here, there = Philox(seed, offset), Philox(seed, offset)
    np.testing.assert_array_equal(to_numpy(there.words(count, cp)), here.words(count))
    assert here.offset == there.offset


@pytest.mark.parametrize("p", [.1, .5, .999, 1.])
@pytest.mark.parametrize("shape, channels", [((3, 5), False), ((2, 3, 5, 7), False), ((2, 3, 5, 7), True), ((0, 4), False)])
def test_as_numpy(cp, p, shape, channels):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, *shape)).astype(np.float32)
    results, streams = [], []
    for xp in (np, cp):
        streams.append(Philox(5, 11))
        leaf = mc.tensor(xp.asarray(x), requires_grad=True)
        mc.dropout(leaf, p, streams[-1], channels)                     # the second call takes the next words
        y = mc.dropout(leaf, p, streams[-1], channels)
        y.backward(xp.asarray(dy))
        results.append((y.numpy(), to_numpy(leaf.grad)))
    for wanted, got in zip(*results):
        np.testing.assert_array_equal(got == 0, wanted == 0)
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert streams[0].offset == streams[1].offset


def test_arrays_in_another_order(cp):
    x = np.random.default_rng(0).standard_normal((6, 9)).astype(np.float32)
    leaf = mc.tensor(cp.asarray(x), requires_grad=True)
    y = mc.dropout(leaf.T, .5, 3)
    y.backward(cp.asarray(x).T)
    wanted = mc.dropout(x.T, .5, 3).data
    np.testing.assert_allclose(y.numpy(), wanted, rtol=1e-6)
    np.testing.assert_allclose(to_numpy(leaf.grad), wanted.T, rtol=1e-6)
