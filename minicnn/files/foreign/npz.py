"""What numpy.savez writes: a zip archive with a file NAME.npy for each array, a header and then the numbers.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""
import functools
import io
import math

import numpy as np

from .archive import members
from .contents import KINDS, Contents, StoredArray, UnreadableWeights, quoted

LONGEST_HEADER = 1 << 14
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def contents(path):
    """The Contents of the file at `path`."""
    arrays = {name.removesuffix(".npy"): _stored_array(member) for name, member in members(path).items()}
    return Contents(path, "NumPy", arrays, {})


def _stored_array(member):
    start = io.BytesIO(member.start(LONGEST_HEADER))
    version = np.lib.format.read_magic(start)
    if version not in HEADERS:
        raise UnreadableWeights(f"{quoted(member.name)} in it has the version {version} of NumPy's format, not 1.0 or 2.0")
    shape, in_columns, dtype = HEADERS[version](start)
    if dtype.name not in KINDS:
        raise UnreadableWeights(f"{quoted(member.name)} in it holds {str(dtype)[:40]}: only numbers are read")
    offset, needed = start.tell(), math.prod(shape) * dtype.itemsize
    if needed != member.size - offset:
        raise UnreadableWeights(f"{quoted(member.name)} in it has {member.size - offset:,} bytes of numbers, but its shape "
                                f"{str(shape)[:80]} needs {needed:,}")
    raw = functools.partial(_raw, member, offset, dtype, shape, "F" if in_columns else "C")
    return StoredArray(member.path, shape, dtype.name, raw)


def _raw(member, offset, dtype, shape, order):
    return member.read()[offset:].view(dtype).reshape(shape, order=order).astype(KINDS[dtype.name], copy=False)
