"""What CIFAR-10 and CIFAR-100 share: their two original forms, records of bytes and pickles.

Both keep a picture as 3072 bytes: the red plane row by row, then the green, then the blue.
"""
import pickle
from typing import NamedTuple

import numpy as np

from .places import existing

SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
SIDE = 32
PICTURE_BYTES = 3 * SIDE * SIDE


class Labelling(NamedTuple):
    """What the labels mean: the data set's name for messages, and the number of classes."""
    name: str
    classes: int


def joined(paths, read, limit):
    """Images and labels of these files together; of no more files than `limit` pictures need."""
    images, labels, count = [], [], 0
    for path in paths:
        if limit is None or count < limit:
            batch = read(path)
            images.append(batch[0])
            labels.append(batch[1])
            count += len(batch[1])
    return np.concatenate(images), np.concatenate(labels)


def checked_labels(labels, path, labelling):
    """The labels, if they are whole numbers from 0 to classes - 1; else ValueError."""
    whole = labels.ndim == 1 and labels.size > 0 and labels.dtype.kind in "iu"
    if not whole or labels.min() < 0 or labels.max() >= labelling.classes:
        raise ValueError(f"{path}: its labels are not whole numbers in 0..{labelling.classes - 1}: "
                         "the file is damaged, or another data set")
    return labels


def checked_names(names, path, labelling):
    """The class names, if there is one for each class; else ValueError."""
    if len(names) != labelling.classes:
        raise ValueError(f"{path}: {len(names)} class names, {labelling.name} has {labelling.classes}: "
                         "the file is damaged, or another data set")
    return names


def _from_planes(planes):
    """(N, 3072) bytes, plane after plane -> pictures (N, 32, 32, 3)"""
    pictures = planes.reshape(-1, 3, SIDE, SIDE)                # (N, C, H, W)
    return np.ascontiguousarray(pictures.transpose(0, 2, 3, 1))     # (N, H, W, C)


# ---- the binary version -------------------------------------------------------------------------------------------

def binary_batch(path, labelling, label_bytes=1, which=0):
    """Images (N, 32, 32, 3) and labels (N,) of a file of records: `label_bytes` labels, then a picture.

    which   the place of the wanted label among them
    """
    data, record = np.fromfile(existing(path, labelling.name), dtype=np.uint8), label_bytes + PICTURE_BYTES
    if data.size == 0 or data.size % record:
        raise ValueError(f"{path}: {data.size} bytes are not a multiple of {record} ({label_bytes} for the label and "
                         f"{SIDE}x{SIDE}x3 pixels): the file is damaged or cut short; unpack {SOURCE} again")
    records = data.reshape(-1, record)                          # (N, label_bytes + 3072)
    return _from_planes(records[:, label_bytes:]), checked_labels(records[:, which], path, labelling)


def text_names(path, labelling):
    """The class names of a text file, one a line."""
    try:
        return checked_names(existing(path, labelling.name).read_text(encoding="utf-8").split(), path, labelling)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a list of class names: {error}") from error


# ---- the python version -------------------------------------------------------------------------------------------

def pickled_batch(path, labelling, key=b"labels"):
    """Images (N, 32, 32, 3) and labels (N,) of a pickle: a dictionary with b"data" (N, 3072) and a list `key`."""
    batch = _unpickled(existing(path, labelling.name))
    planes, labels = _entry(batch, b"data", path), _entry(batch, key, path)
    if not isinstance(planes, np.ndarray) or planes.dtype != np.uint8 or planes.shape != (len(labels), PICTURE_BYTES):
        found = f"{planes.dtype} {planes.shape}" if isinstance(planes, np.ndarray) else type(planes).__name__
        raise ValueError(f"{path}: data must be uint8 ({len(labels)}, {PICTURE_BYTES}), as there are {len(labels)} "
                         f"labels, not {found}")
    if not all(isinstance(label, (int, np.integer)) for label in labels):
        raise ValueError(f"{path}: its labels are not whole numbers")
    return _from_planes(planes), checked_labels(np.array(labels), path, labelling)


def pickled_names(path, labelling, key=b"label_names"):
    """The class names of a pickle: a dictionary with a list `key` of bytes."""
    names = _entry(_unpickled(existing(path, labelling.name)), key, path)
    return checked_names([name.decode("utf-8") for name in names if isinstance(name, bytes)], path, labelling)


def _entry(batch, key, path):
    if not isinstance(batch, dict) or not isinstance(batch.get(key), (list, np.ndarray)):
        raise ValueError(f"{path}: a CIFAR pickle is a dictionary with a list or array {key.decode()!r}; "
                         "this is another file")
    return batch[key]


def _unpickled(path):
    """What the pickle holds.  ValueError for one that is damaged or names anything but an array's parts."""
    try:
        with open(path, "rb") as file:
            value = _ArrayUnpickler(file, encoding="bytes").load()
        return {key: _finished(item) for key, item in value.items()} if isinstance(value, dict) else value
    except Exception as error:              # a damaged pickle may raise anything
        raise ValueError(f"{path}: not a readable CIFAR pickle: {error}") from error


class _ArrayUnpickler(pickle.Unpickler):
    """Reads numbers, strings, lists, dictionaries and arrays of bytes or integers, and calls nothing foreign.

    A pickle is a program: it may name any function and have it called.  The CIFAR files name four, which rebuild
    a NumPy array.  Each of them is answered with a stand-in of our own, and every other name is refused.
    """

    def find_class(self, module, name):
        """A stand-in for each of the four names that these files ask for; every other is refused."""
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _PickledArray
        if (module, name) == ("numpy", "dtype"):
            return _PickledDtype
        if (module, name) == ("numpy", "ndarray"):
            return None                     # only ever an argument of _reconstruct
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding: text.encode("latin1")     # how Python 3 writes bytes for Python 2
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which has no place in a data file; "
                                     "nothing of it was run")


class _PickledArray:
    """In place of numpy's _reconstruct: takes the state that follows, and makes the array itself."""

    def __init__(self, *unused):
        self.array = None

    def __setstate__(self, state):
        _, shape, dtype, fortran_order, content = state
        if len(shape) == 0:
            raise pickle.UnpicklingError("an array without axes")
        self.array = np.frombuffer(content, dtype.code).reshape(shape, order="F" if fortran_order else "C")


class _PickledDtype:
    """In place of numpy.dtype: one of the integer types, little endian as all these files are."""

    def __init__(self, code, *unused):
        code = code.decode("ascii") if isinstance(code, bytes) else code
        if code not in ("u1", "i4", "i8"):
            raise pickle.UnpicklingError(f"an array of type {code!r}; expected bytes or integers")
        self.code = f"<{code}"

    def __setstate__(self, state):
        if state[1] in (b">", ">"):
            raise pickle.UnpicklingError("a big-endian array; expected little-endian")


def _finished(item):
    return item.array if isinstance(item, _PickledArray) else item
