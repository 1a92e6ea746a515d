"""Transformed filters are kept while a weight is frozen, or stays what it is, and never used when it does not."""
import gc

import numpy as np
import pytest

import minicnn as mc
from minicnn.layers.conv import filters, tiling, winograd
from minicnn.layers.conv.filters import Frozen, is_frozen, kept


@pytest.fixture
def transformed(monkeypatch):
    """The weights that were transformed, one entry a call; nothing is kept from other tests."""
    calls, transform = [], winograd.transform_filters
    monkeypatch.setattr(filters, "_entries", {})
    monkeypatch.setattr(tiling, "BLOCK_BYTES", 1)

    def counted(weight, m, turned):
        calls.append(turned)
        return transform(weight, m, turned)
    monkeypatch.setattr(winograd, "transform_filters", counted)
    return calls


def weight_and_picture(seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((3, 3, 16, 16)), mc.tensor(rng.standard_normal((1, 40, 40, 16)), requires_grad=True)


def step(weight, picture):
    y = mc.conv2d(picture, weight, padding=1, algorithm="winograd")
    picture.zero_grad()
    y.backward(np.ones(y.shape))
    truth = mc.conv2d(picture.data, weight, padding=1, algorithm="im2col").data
    np.testing.assert_allclose(y.data, truth, atol=1e-10 * np.abs(truth).max())


def test_a_weight_that_stays_is_transformed_twice_and_then_kept(transformed):
    weight, picture = weight_and_picture()
    for _ in range(5):
        step(weight, picture)
    assert transformed == [False, True, False, True]             # once to see it, once to keep it; as it is, and turned


@pytest.mark.parametrize("change", [lambda w: w.__imul__(2), lambda w: w.__setitem__((1, 2, 3, 4), 9.),
                                    lambda w: w.__setitem__(..., w[::-1].copy())])
def test_a_change_in_place_is_noticed(transformed, change):
    weight, picture = weight_and_picture()
    for _ in range(3):
        step(weight, picture)
    change(weight)
    for _ in range(3):
        step(weight, picture)                                    # compares with a convolution that keeps nothing
    assert len(transformed) == 8


def test_an_optimizer_changes_the_weight_and_it_is_noticed(transformed):
    array, picture = weight_and_picture()
    weight = mc.tensor(array, requires_grad=True)
    optimizer = mc.SGD([weight], .1)
    for _ in range(4):
        optimizer.zero_grad()
        y = mc.conv2d(picture, weight, padding=1, algorithm="winograd")
        truth = mc.conv2d(picture.data, weight.data, padding=1, algorithm="im2col").data
        np.testing.assert_allclose(y.data, truth, atol=1e-10 * np.abs(truth).max())
        mc.mean(y * y).backward()
        optimizer.step()


def test_two_weights_do_not_mix_and_both_go_with_their_arrays(transformed):
    (first, picture), (second, _) = weight_and_picture(1), weight_and_picture(2)
    for _ in range(3):
        step(first, picture)
        step(second, picture)
    assert len(filters._entries) == 4
    del first
    gc.collect()
    assert len(filters._entries) == 2
    del second
    gc.collect()
    assert not filters._entries


def test_there_is_a_limit(monkeypatch, transformed):
    weight, picture = weight_and_picture()
    monkeypatch.setattr(filters, "KEEP_BYTES", weight.nbytes + 100)
    for _ in range(4):
        step(weight, picture)
    assert sum(entry.nbytes() for entry in filters._entries.values()) <= weight.nbytes + 100
    assert len(transformed) == 8


def test_what_is_not_a_number_is_transformed_each_time(transformed):
    weight = np.full((3, 3, 2, 2), np.nan)
    for _ in range(3):
        assert np.isnan(kept(weight, (4, False), winograd.transform_filters)).any()
    assert len(transformed) == 3


# ---- Frozen: nobody can change it ------------------------------------------------------------------------------------

def test_a_frozen_weight_is_transformed_once_for_each_direction(transformed):
    weight, picture = weight_and_picture()
    frozen = Frozen([weight])
    for _ in range(4):
        step(weight, picture)
    assert transformed == [False, True] and is_frozen(weight) and not filters._entries
    del frozen


def test_a_frozen_weight_of_a_layer_with_few_tiles_too(monkeypatch, transformed):
    monkeypatch.setattr(tiling, "BLOCK_BYTES", 1 << 30)
    weight, picture = weight_and_picture()
    frozen = Frozen([weight])
    for _ in range(4):
        step(weight, picture)
    assert transformed == [False, True]
    del frozen


def test_large_and_small_tiles_have_their_own_filters(monkeypatch, transformed):
    weight, picture = weight_and_picture()
    frozen = Frozen([weight])
    for many in (1, 1000, 1, 1000):
        monkeypatch.setattr(tiling, "MANY", many)
        step(weight, picture)
    assert transformed == [False, True] * 2
    del frozen


def test_a_frozen_weight_is_read_only_until_nobody_wants_it_frozen():
    weight, _ = weight_and_picture()
    first, second = Frozen([weight]), Frozen([weight, weight])
    for owner in ("first", "second"):
        with pytest.raises(ValueError, match="read-only"):
            weight[0] = 1
        assert is_frozen(weight)
        if owner == "first":
            del first
    del second
    gc.collect()
    weight[0] = 1
    assert not is_frozen(weight)


def test_after_the_thaw_a_change_is_noticed(transformed):
    weight, picture = weight_and_picture()
    frozen = Frozen([weight])
    step(weight, picture)
    del frozen
    gc.collect()
    weight *= 2
    frozen = Frozen([weight])
    step(weight, picture)                                        # compares with a convolution that keeps nothing
    assert transformed == [False, True] * 2
    del frozen
