"""The file of a checkpoint: what it says of itself, and the states in it.  What is refused: see training/test_run.py."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.files import checkpoint, weights


def test_it_says_of_what_it_is_and_keeps_each_dtype(tmp_path):
    path, dtypes = tmp_path / "run.ckpt", ("float64", "float32", "float16", "int32")
    checkpoint.save(path, "sum", {"lr": .1, "sizes": (1, 2)}, {name: np.ones(2, name) for name in dtypes}, {"step": 3})
    assert checkpoint.kind_of(weights.read(path)[1]) == "sum" and checkpoint.kind_of({"architecture": "{}"}) is None
    arrays, place = checkpoint.read(path, "sum", {"sizes": (1, 2), "lr": .1})
    assert {name: array.dtype.name for name, array in arrays.items()} == {name: name for name in dtypes}
    assert place == {"step": 3}


def test_states_of_several_owners_are_told_apart():
    one, other = mc.Dense(2, 3, rng=0), mc.Dense(2, 3, rng=1)
    arrays = checkpoint.joined_state(one=one, other=other)
    assert sorted(arrays) == ["one.bias", "one.weight", "other.bias", "other.weight"]
    twins = {name: mc.Dense(2, 3, rng=9) for name in ("one", "other")}
    checkpoint.load_joined_state(arrays, **twins)
    assert np.array_equal(twins["one"].weight.data, one.weight.data)
    assert np.array_equal(twins["other"].weight.data, other.weight.data)
    with pytest.raises(ValueError):
        checkpoint.load_joined_state(arrays, third=twins["one"])
