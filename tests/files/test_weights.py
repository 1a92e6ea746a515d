"""Weights go to a file and come back, and a bad file is refused in one line."""
import json
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy

from minicnn.files import weights
from minicnn.files.atomic import WriteError, sha256_of


class SmallModel:
    """What weights.py asks of a model, and no more."""

    def __init__(self, **arrays):
        self.arrays = arrays

    def state_dict(self):
        return dict(self.arrays)

    def load_state_dict(self, state):
        self.arrays = dict(state)


@pytest.fixture
def state():
    rng = np.random.default_rng(0)
    return {"conv.weight": rng.standard_normal((3, 3, 2, 4)).astype(np.float32),
            "conv.bias": rng.standard_normal(4).astype(np.float32),
            "norm.count": np.array(7, np.int64)}


def raw_file(header, numbers=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def test_round_trip_is_exact(tmp_path, state):
    weights.save(SmallModel(**state), tmp_path / "net.safetensors", {"seed": "3", "classes": ["cat", "dog"]})
    again, metadata = weights.read(tmp_path / "net.safetensors")
    assert metadata == {"seed": "3", "classes": '["cat", "dog"]'}
    assert list(again) == sorted(state)
    for name, array in state.items():
        assert again[name].dtype == array.dtype and again[name].shape == array.shape
        np.testing.assert_array_equal(again[name], array)


def test_the_file_is_ordinary_safetensors(tmp_path, state):
    weights.save(state, tmp_path / "net.safetensors", {"b": "2", "a": "1", "é": "ü"})
    again = safetensors.numpy.load_file(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(again["conv.weight"], state["conv.weight"])
    with safetensors.safe_open(tmp_path / "net.safetensors", framework="numpy") as file:
        assert file.metadata() == {"a": "1", "b": "2", "é": "ü"}


def test_transposed_arrays_are_saved_in_their_own_order(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    weights.save({"weight": array}, tmp_path / "net.safetensors")
    np.testing.assert_array_equal(weights.read(tmp_path / "net.safetensors")[0]["weight"], array)


def test_float16_halves_the_file_and_is_read_as_float32(tmp_path, state):
    state["conv.weight"] = np.linspace(-1, 1, 4000, dtype=np.float32)
    weights.save(state, tmp_path / "full.safetensors")
    weights.save(state, tmp_path / "half.safetensors", dtype="float16")
    assert (tmp_path / "half.safetensors").stat().st_size < .55 * (tmp_path / "full.safetensors").stat().st_size
    half, _ = weights.read(tmp_path / "half.safetensors")
    assert half["conv.weight"].dtype == np.float32 and half["norm.count"].dtype == np.int64
    np.testing.assert_array_equal(half["conv.weight"], state["conv.weight"].astype(np.float16).astype(np.float32))


def test_float16_refuses_what_it_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="big holds 1e.05, more than float16 can"):
        weights.save({"big": np.array([1e5], np.float32)}, tmp_path / "net.safetensors", dtype="float16")
    assert not (tmp_path / "net.safetensors").exists()


def test_float64_is_read_as_float32(tmp_path):
    weights.save({"weight": np.array([1 / 3])}, tmp_path / "net.safetensors")
    assert weights.read(tmp_path / "net.safetensors")[0]["weight"] == np.float32(1 / 3)


def test_the_same_weights_and_metadata_give_the_same_bytes(tmp_path, state):
    metadata = {letter: letter for letter in "qwertyuiopasdfgh"}
    backwards = dict(reversed(metadata.items()))
    for i, some in enumerate([metadata, backwards, metadata]):
        weights.save(state, tmp_path / f"{i}.safetensors", some)
    assert len({(tmp_path / f"{i}.safetensors").read_bytes() for i in range(3)}) == 1


def test_hash_of_a_file_a_state_and_a_model_agree(tmp_path, state):
    path = tmp_path / "net.safetensors"
    weights.save(state, path)
    full = sha256_of(path)
    assert weights.hash_of(path) == weights.hash_of(str(path)) == full[:12]
    assert weights.hash_of(state) == weights.hash_of(SmallModel(**state)) == full[:12]
    assert weights.hash_of(state, digits=64) == full
    state["conv.bias"] = state["conv.bias"] + np.float32(1e-6)
    assert weights.hash_of(state) != full[:12]


def test_the_bytes_are_those_of_the_library_and_no_array_is_copied_for_them(tmp_path):
    kinds = ["u8", "i8", "f8", "f4", "u4", "i4", "f2", "u2", "i2", "i1", "u1", "?", ">f4", ">i8"]
    arrays = {f"{letter}.{kind}": np.arange(n).astype(kind).reshape(shape)
              for kind in kinds for letter, n, shape in (("b", 6, (2, 3)), ("a", 1, ()), ("c", 0, (0, 4)))}
    weights.save(arrays, tmp_path / "net.safetensors")
    assert (tmp_path / "net.safetensors").read_bytes() == safetensors.numpy.save(arrays)
    with pytest.raises(ValueError, match="odd holds numbers of type complex128, which a safetensors file cannot"):
        weights.save({"odd": np.zeros(2, complex)}, tmp_path / "net.safetensors")
    large = np.zeros(10 ** 6)
    tracemalloc.start()
    weights.save({"large": large}, tmp_path / "net.safetensors")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < large.nbytes / 2


def test_a_failed_write_keeps_the_old_weights(tmp_path, state, monkeypatch):
    path = tmp_path / "net.safetensors"
    weights.save(state, path)
    before = path.read_bytes()
    serialized = weights._serialized
    monkeypatch.setattr(weights, "_serialized", lambda *a: (serialized(*a)[0], "text where bytes belong"))
    with pytest.raises(TypeError):
        weights.save({"other": np.zeros(3)}, path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


def test_save_into_an_absent_folder(tmp_path, state):
    with pytest.raises(WriteError, match="there is no folder"):
        weights.save(state, tmp_path / "nowhere" / "net.safetensors")


def test_load_into_takes_the_weights_in_the_dtype_of_the_model(tmp_path, state):
    weights.save(state, tmp_path / "net.safetensors", {"seed": 3})
    model = SmallModel(**{name: np.zeros(array.shape, np.float64) for name, array in state.items()})
    assert weights.load_into(model, tmp_path / "net.safetensors") == {"seed": "3"}
    for name, array in state.items():
        assert model.arrays[name].dtype == np.float64
        np.testing.assert_array_equal(model.arrays[name], array)


def test_a_mismatch_lists_everything_side_by_side_and_changes_nothing(tmp_path, state):
    weights.save(state, tmp_path / "net.safetensors")
    own = {"conv.weight": np.zeros((3, 3, 2, 8)), "conv.bias": np.zeros(4), "dense.weight": np.zeros((5, 6))}
    model = SmallModel(**own)
    with pytest.raises(ValueError) as caught:
        weights.load_into(model, tmp_path / "net.safetensors")
    first, *table = str(caught.value).splitlines()
    assert "net.safetensors does not fit this model of 3 arrays (3 differ)" in first
    assert [line.split() for line in table] == [
        ["file", "model"], ["missing", "dense.weight", "-", "(5,", "6)"], ["unexpected", "norm.count", "()", "-"],
        ["other", "shape", "conv.weight", *"(3, 3, 2, 4)".split(), *"(3, 3, 2, 8)".split()]]
    assert model.arrays == own


def test_a_long_mismatch_is_cut(tmp_path):
    weights.save({}, tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="and 30 more") as caught:
        weights.load_into(SmallModel(**{f"w{i}": np.zeros(1) for i in range(50)}), tmp_path / "net.safetensors")
    assert len(str(caught.value).splitlines()) == 23


@pytest.mark.parametrize("missing, unexpected, misshapen, shown", [
    (50, 40, 30, (7, 7, 6)), (50, 3, 0, (17, 3, 0)), (0, 40, 1, (0, 19, 1)), (2, 2, 2, (2, 2, 2))])
def test_a_long_mismatch_shows_some_of_each_kind(missing, unexpected, misshapen, shown):
    found = {**{f"u{i}": (1,) for i in range(unexpected)}, **{f"s{i}": (2,) for i in range(misshapen)}}
    own = {**{f"m{i}": (1,) for i in range(missing)}, **{f"s{i}": (3,) for i in range(misshapen)}}
    with pytest.raises(ValueError, match="differ") as caught:
        weights.require_same(found, own, "net")
    table = [line.strip() for line in str(caught.value).splitlines()[2:]]
    for kind, count, lines in zip(("missing", "unexpected", "other shape"), (missing, unexpected, misshapen), shown):
        rows = [line.removeprefix(kind).strip() for line in table if line.startswith(kind)]
        more = [f"... and {count - lines} more"] * (count > lines)
        assert len(rows) == lines + len(more) and rows[lines:] == more


HOSTILE = {
    "empty": b"",
    "text": b"these are no weights, only words\n" * 10,
    "pickle": b"\x80\x02}q\x00." * 10,
    "endless header": b"\xff" * 8 + b"{}",
    "header beyond the file": (1000).to_bytes(8, "little") + b"{}",
    "deeply nested header": (2 ** 20).to_bytes(8, "little") + b"[" * 2 ** 20,
    "numbers beyond the file": raw_file({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}, bytes(4)),
    "enormous shape": raw_file({"a": {"dtype": "F32", "shape": [2 ** 62, 2 ** 62], "data_offsets": [0, 4]}}, bytes(4)),
    "shared numbers": raw_file({n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"}, bytes(4)),
    "unknown type": raw_file({"a": {"dtype": "PYTHON", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_bad_file_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        weights.read(path)
    assert "bad.safetensors cannot be read as safetensors" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("cut", [1, 7, 9, 60, -1])
def test_a_truncated_file_is_refused(tmp_path, state, cut):
    path = tmp_path / "net.safetensors"
    weights.save(state, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        weights.read(path)


def test_types_that_numpy_lacks_are_named(tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_bytes(raw_file({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)))
    with pytest.raises(ValueError, match="a holds BF16 numbers, which are not read here"):
        weights.read(path)


def test_an_absent_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no weights file .*net.safetensors"):
        weights.read(tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="is a folder"):
        weights.read(tmp_path)
