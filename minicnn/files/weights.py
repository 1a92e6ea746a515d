"""Reading and writing the weights of a network as safetensors.

A safetensors file is a short JSON header (name, type, shape and place of every array) followed by the plain numbers.
Nothing in it can run, so a file from a stranger can be opened without fear, unlike a pickle.
https://github.com/huggingface/safetensors
"""
import contextlib
import hashlib
import json
import textwrap
from pathlib import Path

import numpy as np
import safetensors

from ..core.backend import to_numpy
from .atomic import atomic_write, sha256_of

_MOST_LINES = 20                                 # of a mismatch that an error shows; the rest are counted

_KINDS = {"U64": "u8", "I64": "i8", "F64": "f8", "F32": "f4", "U32": "u4", "I32": "i4", "F16": "f2", "U16": "u2",
          "I16": "i2", "I8": "i1", "U8": "u1", "BOOL": "b1"}     # NumPy's names, in the order that the library writes in


def save(model_or_state, path, metadata=None, dtype=None):
    """Write the weights of a model (or a dict name -> array) to `path`, atomically.

    metadata   dict with string keys; values that are no strings are kept as JSON text
    dtype      None keeps every array as it is; "float16" or "float32" converts the floating ones (float16 halves the
               file and keeps about three decimal digits)
    The same weights and metadata give the same bytes.
    Raises ValueError when a weight does not fit into float16, WriteError when the file cannot be written.
    """
    parts = _serialized(_arrays(model_or_state, dtype), metadata)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        for part in parts:
            file.write(part)


def read(path, dtype=np.float32):
    """(state, metadata) of a safetensors file: a dict name -> array in the order of the names, and a dict of strings.

    Floating arrays of 16, 32 or 64 bits come as `dtype`, or as they are if that is None; whole numbers and booleans keep
    their type.
    Raises FileNotFoundError, or ValueError when the file is not a sound safetensors file.
    """
    require_file(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            state = {name: _array(file, name, dtype) for name in sorted(file.keys())}
            return state, dict(file.metadata() or {})
    except MemoryError:
        raise
    except Exception as error:                   # a hostile header raises much more than SafetensorError
        reason = textwrap.shorten(str(error) or type(error).__name__, 200)
        raise ValueError(f"{path} cannot be read as safetensors: {reason}; "
                         "if it should be such a file, download or write it again") from error


def load_into(model, path):
    """Put the weights of the file into the model, each in the model's own dtype, and return the file's metadata.

    Raises ValueError, and leaves the model untouched, unless names and shapes agree: the message shows every array that
    is missing, unexpected or of another shape, the file's beside the model's.
    """
    state, metadata = read(path)
    put(state, model, path)
    return metadata


def put(state, model, source):
    """Put the state that was read from the file `source` into the model; see `load_into`."""
    own = model.state_dict()
    require_same(*({name: array.shape for name, array in arrays.items()} for arrays in (state, own)), source)
    model.load_state_dict({name: array.astype(own[name].dtype, copy=False) for name, array in state.items()})


def hash_of(source, digits=12):
    """The first `digits` hexadecimal digits of a SHA-256, short enough to stand in a picture's settings (all: 64).

    source   a path: the hash of the file; a model or a dict name -> array: the hash of the file that `save` would
             write without metadata
    """
    if isinstance(source, (str, Path)):
        return sha256_of(source)[:digits]
    digest = hashlib.sha256()
    for part in _serialized(_arrays(source, dtype=None), metadata=None):
        digest.update(part)
    return digest.hexdigest()[:digits]


def _arrays(model_or_state, dtype):
    """The state as NumPy arrays in C order, the floating ones converted to `dtype` if one is given."""
    state = model_or_state.state_dict() if hasattr(model_or_state, "state_dict") else model_or_state
    arrays = {name: np.asarray(to_numpy(array), order="C") for name, array in state.items()}
    if dtype is None:
        return arrays
    return {name: _converted(name, array, np.dtype(dtype)) for name, array in arrays.items()}


def _converted(name, array, dtype):
    if array.dtype.kind != "f":
        return array
    if array.size and np.abs(array).max() > np.finfo(dtype).max:
        raise ValueError(f"save: {name} holds {np.abs(array).max():.4g}, more than {dtype} can "
                         f"({np.finfo(dtype).max:.4g}); save it without dtype")
    return array.astype(dtype)


def _serialized(arrays, metadata):
    """A safetensors file in parts: the header, then the numbers of one array after the other, which are not copied.

    These are the library's bytes, the order of arrays too; only the metadata, which it writes in an order that changes from
    call to call, is sorted, so that the same weights always have the same hash.
    Raises ValueError for numbers of a type that such files do not hold.
    """
    kinds, header, end = {name: _kind(name, array) for name, array in arrays.items()}, {}, 0
    if metadata:
        header["__metadata__"] = {key: _text(metadata[key]) for key in sorted(metadata)}
    names = sorted(arrays, key=lambda name: (list(_KINDS).index(kinds[name]), name))
    for name in names:
        start, end = end, end + arrays[name].nbytes
        header[name] = {"dtype": kinds[name], "shape": list(arrays[name].shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    numbers = (arrays[name].astype(arrays[name].dtype.newbyteorder("<"), copy=False) for name in names)
    return [len(text).to_bytes(8, "little") + text, *(part.reshape(-1).view(np.uint8) for part in numbers)]


def _kind(name, array):
    """The file's word for the type of the numbers."""
    for kind, numpys in _KINDS.items():
        if array.dtype.newbyteorder("=") == np.dtype(numpys):
            return kind
    raise ValueError(f"save: {name} holds numbers of type {array.dtype}, which a safetensors file cannot; convert them")


def _text(value):
    return value if isinstance(value, str) else json.dumps(value)


def _array(file, name, dtype):
    kind = file.get_slice(name).get_dtype()
    if kind not in _KINDS:
        raise ValueError(f"{name} holds {kind} numbers, which are not read here (convert them to F16 or F32)")
    array = file.get_tensor(name)
    return np.array(array, dtype if array.dtype.kind == "f" else None)


def parameter_limit(state):
    """How many numbers may be asked for to build the network that a file with this state describes, see `init.skipped`.

    Twice as many as it has: some networks ask for a few twice, and what differs a little is better shown in a table.
    """
    return 2 * sum(array.size for array in state.values())


@contextlib.contextmanager
def enough_memory(path):
    """A MemoryError within it names the file that was to be read."""
    try:
        yield
    except MemoryError as error:
        raise MemoryError(f"{path} needs more memory than there is: end other programs, or take a smaller file "
                          f"({error})") from error


def require_file(path):
    """Raises FileNotFoundError for an absent file, ValueError for what is none."""
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no weights file {path}; check the name")
    if not Path(path).is_file():
        raise ValueError(f"{path} is a folder or a device; name a file of weights")


def require_same(found, own, source):
    """Raises ValueError unless the file `source` has the arrays of the model: {name: shape} of both.

    The message is a table of all that differ, the file's shape beside the model's.
    """
    kinds = {"missing": [(name, "-", own[name]) for name in own if name not in found],
             "unexpected": [(name, found[name], "-") for name in found if name not in own],
             "other shape": [(name, found[name], own[name]) for name in own if found.get(name, own[name]) != own[name]]}
    differing = sum(map(len, kinds.values()))
    if differing:
        raise ValueError("\n".join([f"{source} does not fit this model of {len(own)} arrays ({differing} differ); "
                                    "was it saved from another architecture?", *_mismatch_table(kinds)]))


def _mismatch_table(kinds):
    """Lines of what is wrong, the name, and the two shapes side by side; of each kind as many as its share allows."""
    shares, rows = _shares({kind: len(lines) for kind, lines in kinds.items()}), [("", "", "file", "model")]
    for kind, lines in kinds.items():
        rows += [(kind, *map(str, line)) for line in lines[:shares[kind]]]
        if len(lines) > shares[kind]:
            rows.append((kind, f"... and {len(lines) - shares[kind]} more", "", ""))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _shares(counts):
    """{kind: lines} of _MOST_LINES: each kind has as many, and what one does not need goes to the others."""
    left, shares = _MOST_LINES, {}
    for done, kind in enumerate(sorted(counts, key=counts.get)):
        shares[kind] = min(counts[kind], left // (len(counts) - done))
        left -= shares[kind]
    return shares
