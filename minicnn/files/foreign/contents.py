"""What a file of weights holds before any of its numbers is read: the names, shapes and kinds of its arrays."""
import contextlib
import math
import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# A kind of number, and as what it lies in the file.  NumPy has no bfloat16: it is the upper half of a float32.
KINDS = {"float64": "<f8", "float32": "<f4", "float16": "<f2", "bfloat16": "<u2",
         "int64": "<i8", "int32": "<i4", "int16": "<i2", "int8": "i1",
         "uint64": "<u8", "uint32": "<u4", "uint16": "<u2", "uint8": "u1", "bool": "u1"}
LONGEST_NAME, MOST_AXES = 300, 16
SPARE, TIMES = 1 << 26, 16                       # a file of n bytes may unfold to SPARE + TIMES n bytes


class UnreadableWeights(ValueError):
    """A file of weights that cannot be read.  One line that names the file, what is wrong with it, and the mend."""


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, which is read when it is asked for: by `np.asarray`, or `load`.

    kind   one of KINDS
    raw    a function that reads it, as it lies there:  () -> array of `shape` and dtype KINDS[kind]
    """
    path: Path
    shape: tuple
    kind: str
    raw: Callable

    @property
    def size(self):
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self):
        """Their bytes in the file, before any compression."""
        return self.size * np.dtype(KINDS[self.kind]).itemsize

    def load(self):
        """The array: float32 of floating numbers of any length, whole numbers and booleans as they are.

        It may be read-only.  Raises UnreadableWeights when the file is damaged there.
        """
        with explained(self.path):
            return _numbers(self.raw(), self.kind)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.load(), dtype, copy=copy)


def _numbers(raw, kind):
    if kind == "bfloat16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    if kind == "bool":
        return raw != 0
    if kind.startswith("float"):
        with np.errstate(over="ignore"):         # a float64 beyond float32 becomes infinite
            return np.asarray(raw, np.float32, order="C")
    return np.asarray(raw, order="C")


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    form       what kind of file it is, in words
    arrays     {name: StoredArray}
    metadata   {str: str}, what else it says
    """
    path: Path
    form: str
    arrays: dict
    metadata: dict

    def __post_init__(self):
        """Raises UnreadableWeights for no arrays, senseless names and shapes, or more than a file of its size can mean."""
        if not self.arrays:
            raise UnreadableWeights("it holds no arrays")
        for name, array in self.arrays.items():
            if not isinstance(name, str) or len(name) > LONGEST_NAME or not name.isprintable():
                raise UnreadableWeights("one of its arrays has a name that is no name: too long, or no text to print")
            if len(array.shape) > MOST_AXES or any(n < 0 for n in array.shape):
                raise UnreadableWeights(f"{name} has the shape {str(array.shape)[:80]}")
        require_sane_size(sum(array.nbytes for array in self.arrays.values()), self.path)


def require_sane_size(nbytes, path):
    """UnreadableWeights if a file says that it holds far more than it can.  Tied weights are counted once each."""
    size = os.path.getsize(path)
    if nbytes > SPARE + TIMES * size:
        raise UnreadableWeights(f"a file of {size:,} bytes that unfolds to {nbytes:,} is made to exhaust the memory")


def quoted(text):
    """A name out of a file, short and harmless enough to stand in a message."""
    return ascii(str(text)[:60])


@contextlib.contextmanager
def explained(path):
    """Whatever a damaged or hostile file leads to is told in one line that names the file."""
    try:
        yield
    except (MemoryError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, UnreadableWeights) else f"it is damaged ({type(error).__name__}: {error})"
        reason = "".join(letter if letter.isprintable() else " " for letter in reason)
        raise UnreadableWeights(f"{path} cannot be read: {textwrap.shorten(reason, 400)}") from error
