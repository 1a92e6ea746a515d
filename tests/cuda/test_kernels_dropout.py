"""Dropout's kernels: the same mask as NumPy's, bit for bit."""
import importlib

import numpy as np
import pytest

import minicnn as mc
from minicnn.core import tuning
from minicnn.core.backend import to_numpy
from minicnn.layers.dropout import Philox

room = importlib.import_module("minicnn.layers.dropout")               # minicnn.layers.dropout is also the function in it
# (shape, whole channels).  Of whole channels: blocks of four words that reach over images, pixels that fill no share
SHAPES = [((3, 5), False), ((2, 3, 5, 7), False), ((0, 4), False), ((1,), False), ((), False), ((2, 3, 5, 7), True),
          ((3, 5), True), ((1, 1, 1, 1), True), ((7, 9, 1), True), ((2, 4, 9, 33), True), ((5, 17, 3), True),
          ((3, 4, 8, 4), True), ((0, 2, 2, 3), True), ((2, 0, 2, 3), True)]


def both(cp, shape, channels, p=.4, turn=lambda a: a, rng=lambda: Philox(5, 11)):
    """[(y, dx) on NumPy, the same on the GPU], and what the streams are then.   The second call of each stream."""
    x, dy = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32) + np.float32(5)
    results, streams = [], []
    for xp in (np, cp):
        streams.append(rng())
        leaf = mc.tensor(turn(xp.asarray(x)), requires_grad=True)
        mc.dropout(leaf, p, streams[-1], channels)
        y = mc.dropout(leaf, p, streams[-1], channels)
        y.backward(turn(xp.asarray(dy)))
        results.append((y.numpy(), to_numpy(leaf.grad)))
    return results, streams


def assert_same(results, streams):
    for wanted, got in zip(*results):
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got == 0, wanted == 0)
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert repr(streams[0]) == repr(streams[1])


@pytest.mark.parametrize("count", [0, 1, 4, 5, 1023, 1026])
@pytest.mark.parametrize("seed, offset", [(0, 0), (2 ** 63 + 12345, 7), (99, 2 ** 32 - 2), (3, 2 ** 40)])
def test_words_are_those_of_numpy(cp, count, seed, offset):
    here, there = Philox(seed, offset), Philox(seed, offset)
    np.testing.assert_array_equal(to_numpy(there.words(count, cp)), here.words(count))
    assert here.offset == there.offset


def test_the_published_words(cp):
    """Random123, kat_vectors: philox4x32-10 of counter 0 under key 0."""
    words = to_numpy(Philox(0).words(4, cp))
    assert [f"{word:08x}" for word in words] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]


@pytest.mark.parametrize("p", [.1, .5, .999, 1.])
@pytest.mark.parametrize("shape, channels", SHAPES)
def test_as_numpy(cp, p, shape, channels):
    assert_same(*both(cp, shape, channels, p))


@pytest.mark.parametrize("pixels", [1, 2, 1000])
def test_whole_channels_by_other_shares(cp, pixels, monkeypatch):
    monkeypatch.setattr(tuning, "DROPOUT_PIXELS", pixels)
    assert_same(*both(cp, (3, 5, 7, 6), True))


@pytest.mark.parametrize("seed, offset", [(2 ** 63 + 12345, 7), (99, 2 ** 32 - 2)])
@pytest.mark.parametrize("channels", [False, True])
def test_masks_of_other_streams(cp, seed, offset, channels):
    assert_same(*both(cp, (4, 3, 5, 6), channels, rng=lambda: Philox(seed, offset)))


@pytest.mark.parametrize("channels", [False, True])
def test_a_generator_of_numpy(cp, channels):
    assert_same(*both(cp, (4, 3, 5, 6), channels, rng=lambda: np.random.default_rng(3))[:1], ["", ""])


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("shape", [(6, 9), (4, 3, 5, 6)])
def test_arrays_in_another_order(cp, shape, channels):
    assert_same(*both(cp, shape, channels, turn=lambda a: a.T))


@pytest.mark.parametrize("channels", [False, True])
def test_more_numbers_than_threads(cp, channels, few_threads, monkeypatch):
    monkeypatch.setattr(tuning, "DROPOUT_PIXELS", 2)
    assert_same(*both(cp, (3, 11, 9, 33), channels))


def test_dropout2d_keeps_its_stream(cp):
    """The layer's second mask on the GPU is its second on NumPy."""
    x = np.ones((3, 4, 5, 6), np.float32)
    here, there = mc.Dropout2d(.5, seed=1), mc.Dropout2d(.5, seed=1)
    for _ in range(2):
        np.testing.assert_array_equal(there(cp.asarray(x)).numpy(), here(x).data)
