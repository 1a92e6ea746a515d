"""Safetensors files of others: any kind of number that the format knows and NumPy can hold, bfloat16 included.

The library checks the file; its header, a JSON text after 8 bytes with its length, then tells where each array lies.
"""
import functools
import json
import math
import os

import numpy as np
import safetensors

from .contents import KINDS, Contents, StoredArray, UnreadableWeights, quoted

LONGEST_HEADER = 1 << 23
CODES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
         "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool"}


def contents(path):
    """The Contents of the file at `path`."""
    header, start = _header(path)
    with safetensors.safe_open(path, framework="numpy") as file:             # raises for anything that does not fit
        metadata = dict(sorted((file.metadata() or {}).items()))              # the library's order changes
    arrays = {name: _stored_array(path, start, name, about) for name, about in header.items() if name != "__metadata__"}
    return Contents(path, "safetensors", arrays, metadata)


def _header(path):
    """(the header, where the numbers begin)."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(LONGEST_HEADER, os.path.getsize(path) - 8):
            raise UnreadableWeights(f"its header should have {length:,} bytes: more than the file has, or a network needs")
        return json.loads(file.read(length), object_pairs_hook=_once), 8 + length


def _once(pairs):
    """A dictionary, of keys that appear only once."""
    dictionary = dict(pairs)
    if len(dictionary) < len(pairs):
        raise UnreadableWeights("its header names something twice")
    return dictionary


def _stored_array(path, start, name, about):
    if about["dtype"] not in CODES:
        raise UnreadableWeights(f"{quoted(name)} in it holds {about['dtype'][:20]} numbers, which are not read here; "
                                "convert them to F16 or F32")
    kind, shape = CODES[about["dtype"]], tuple(about["shape"])
    raw = functools.partial(_raw, path, start + about["data_offsets"][0], kind, shape)
    return StoredArray(path, shape, kind, raw)


def _raw(path, offset, kind, shape):
    return np.fromfile(path, KINDS[kind], math.prod(shape), offset=offset).reshape(shape)
