"""CIFAR-10: 50,000 pictures to learn from and 10,000 to test with, 32x32 pixels, ten classes.

Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009),
https://www.cs.toronto.edu/~kriz/cifar.html
Three forms of it are understood:

    binary    data_batch_1.bin ... data_batch_5.bin, test_batch.bin     the original "binary version"
    python    data_batch_1 ... data_batch_5, test_batch                 the original "python version", pickles
    mosaic    cifar10_train_00.webp ..., cifar10_labels.npz             lossless WebP, thousands of pictures as tiles

Both original forms keep a picture as 3072 bytes: the red plane row by row, then the green, then the blue.
"""
import hashlib
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from minicnn.data import Dataset

SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
CLASS_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SIDE = 32
PICTURE_BYTES = 3 * SIDE * SIDE
RECORD_BYTES = 1 + PICTURE_BYTES             # binary form: the label, then the picture
BATCH_NAMES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}


def load_cifar10(folder=None, split="train", limit=None, verify=False):
    """Read CIFAR-10 from a folder, in whichever of its three forms lies there.

    folder    the folder itself, or one that holds it as cifar10, cifar-10-batches-bin or cifar-10-batches-py;
              None: the environment variable MINICNN_DATA names it
    split     'train' (50,000 pictures) or 'test' (10,000)
    limit     only the first `limit` pictures; files beyond them are not read
    verify    compare the pictures with the SHA-256 that the mosaic form keeps beside them

    Returns a Dataset: images (N, 32, 32, 3) uint8, labels (N,) int64, ten class names.
    Raises FileNotFoundError when no form is found or a file is missing, ValueError for a damaged file, a wrong split,
    or verify where there is nothing to compare with.
    """
    if split not in BATCH_NAMES:
        raise ValueError(f"load_cifar10: split must be 'train' or 'test', not {split!r}")
    if limit is not None and limit < 1:
        raise ValueError(f"load_cifar10: limit must be 1 or more, not {limit}")
    folder, form = _find(folder)
    if verify and (form != "mosaic" or limit is not None):
        raise ValueError("load_cifar10: verify needs the mosaic form, which has a checksum, and the whole split "
                         f"(form: {form}, limit: {limit})")
    images, labels, class_names = READERS[form](folder, split, limit)
    if verify:
        _verify(folder, split, images)
    return Dataset(images[:limit], labels[:limit].astype(np.int64), class_names)


# ---- finding it ---------------------------------------------------------------------------------------------------

def _find(folder):
    """The folder that holds the data, and the name of the form."""
    folder = folder or os.environ.get("MINICNN_DATA")
    if not folder:
        raise FileNotFoundError(f"CIFAR-10: no folder was named. {_advice()}")
    folder = Path(folder).expanduser()
    candidates = [folder, folder / "cifar10", folder / "cifar-10-batches-bin", folder / "cifar-10-batches-py"]
    for candidate in candidates:
        form = _form_of(candidate)
        if form:
            return candidate, form
    raise FileNotFoundError(f"CIFAR-10 was not found; looked in {', '.join(map(str, candidates))}. {_advice()}")


def _form_of(folder):
    marks = {"binary": ("data_batch_1.bin", "test_batch.bin"), "python": ("data_batch_1", "test_batch"),
             "mosaic": ("cifar10_labels.npz",)}
    for form, names in marks.items():
        if any((folder / name).is_file() for name in names):
            return form
    return None


def _advice():
    return (f"Download and unpack it from {SOURCE} and name its folder with --data DIR or the environment variable "
            "MINICNN_DATA. Understood are the binary version (data_batch_1.bin ...), the python version "
            "(data_batch_1 ...) and WebP mosaics (cifar10_labels.npz, cifar10_train_00.webp ...)")


def _existing(path):
    if not path.is_file():
        raise FileNotFoundError(f"CIFAR-10: {path.name} is missing in {path.parent}: copy or unpack the data again")
    return path


def _checked_labels(labels, path):
    whole = labels.ndim == 1 and labels.size > 0 and labels.dtype.kind in "iu"
    if not whole or labels.min() < 0 or labels.max() >= len(CLASS_NAMES):
        raise ValueError(f"{path}: its labels are not whole numbers in 0..{len(CLASS_NAMES) - 1}: "
                         "the file is damaged, or another data set")
    return labels


def _checked_names(names, path):
    if len(names) != len(CLASS_NAMES):
        raise ValueError(f"{path}: {len(names)} class names, CIFAR-10 has {len(CLASS_NAMES)}: "
                         "the file is damaged, or another data set")
    return names


# ---- the original forms -------------------------------------------------------------------------------------------

def _read_binary(folder, split, limit):
    images, labels = _joined([folder / f"{name}.bin" for name in BATCH_NAMES[split]], _binary_batch, limit)
    meta = folder / "batches.meta.txt"
    return images, labels, _binary_names(meta) if meta.is_file() else list(CLASS_NAMES)


def _read_python(folder, split, limit):
    images, labels = _joined([folder / name for name in BATCH_NAMES[split]], _python_batch, limit)
    meta = folder / "batches.meta"
    return images, labels, _python_names(meta) if meta.is_file() else list(CLASS_NAMES)


def _joined(paths, read, limit):
    """Images and labels of these files together; of no more files than `limit` pictures need."""
    images, labels, count = [], [], 0
    for path in paths:
        if limit is None or count < limit:
            batch = read(_existing(path))
            images.append(batch[0])
            labels.append(batch[1])
            count += len(batch[1])
    return np.concatenate(images), np.concatenate(labels)


def _from_planes(planes):
    """(N, 3072) bytes, plane after plane -> pictures (N, 32, 32, 3)"""
    pictures = planes.reshape(-1, 3, SIDE, SIDE)                # (N, C, H, W)
    return np.ascontiguousarray(pictures.transpose(0, 2, 3, 1))     # (N, H, W, C)


def _binary_batch(path):
    data = np.fromfile(path, dtype=np.uint8)
    if data.size == 0 or data.size % RECORD_BYTES:
        raise ValueError(f"{path}: {data.size} bytes are not a multiple of {RECORD_BYTES} (a label and {SIDE}x{SIDE}x3 "
                         f"pixels): the file is damaged or cut short; unpack {SOURCE} again")
    records = data.reshape(-1, RECORD_BYTES)                    # (N, 1 + 3072)
    return _from_planes(records[:, 1:]), _checked_labels(records[:, 0], path)


def _binary_names(path):
    return _checked_names(path.read_text(encoding="utf-8").split(), path)


def _python_batch(path):
    batch = _unpickled(path)
    planes, labels = _entry(batch, b"data", path), _entry(batch, b"labels", path)
    if not isinstance(planes, np.ndarray) or planes.dtype != np.uint8 or planes.shape != (len(labels), PICTURE_BYTES):
        found = f"{planes.dtype} {planes.shape}" if isinstance(planes, np.ndarray) else type(planes).__name__
        raise ValueError(f"{path}: data must be uint8 ({len(labels)}, {PICTURE_BYTES}), as there are {len(labels)} "
                         f"labels, not {found}")
    if not all(isinstance(label, (int, np.integer)) for label in labels):
        raise ValueError(f"{path}: its labels are not whole numbers")
    return _from_planes(planes), _checked_labels(np.array(labels), path)


def _python_names(path):
    names = _entry(_unpickled(path), b"label_names", path)
    return _checked_names([name.decode("utf-8") for name in names if isinstance(name, bytes)], path)


def _entry(batch, key, path):
    if not isinstance(batch, dict) or not isinstance(batch.get(key), (list, np.ndarray)):
        raise ValueError(f"{path}: a CIFAR-10 pickle is a dictionary with a list or array {key.decode()!r}; "
                         "this is another file")
    return batch[key]


def _unpickled(path):
    """What the pickle holds.  ValueError for one that is damaged or names anything but an array's parts."""
    try:
        with open(path, "rb") as file:
            value = _ArrayUnpickler(file, encoding="bytes").load()
        return {key: _finished(item) for key, item in value.items()} if isinstance(value, dict) else value
    except Exception as error:              # a damaged pickle may raise anything
        raise ValueError(f"{path}: not a readable CIFAR-10 pickle: {error}") from error


class _ArrayUnpickler(pickle.Unpickler):
    """Reads numbers, strings, lists, dictionaries and arrays of bytes or integers, and calls nothing foreign.

    A pickle is a program: it may name any function and have it called.  The CIFAR-10 files name four, which rebuild
    a NumPy array.  Each of them is answered with a stand-in of our own, and every other name is refused.
    """

    def find_class(self, module, name):
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


# ---- mosaics ------------------------------------------------------------------------------------------------------

def _read_mosaic(folder, split, limit):
    stored, path = _label_file(folder), folder / "cifar10_labels.npz"
    labels = _checked_labels(stored[f"y_{split}"], path)
    class_names = _checked_names([str(name) for name in stored["class_names"]], path)
    wanted = len(labels) if limit is None else min(limit, len(labels))
    images, count = [], 0
    while count < wanted:
        path = _existing(folder / f"cifar10_{split}_{len(images):02d}.webp")
        images.append(_tiles(path))
        count += len(images[-1])
    if count > len(labels):
        raise ValueError(f"{path}: the mosaics up to this one hold {count} pictures, but cifar10_labels.npz only "
                         f"{len(labels)} {split} labels")
    return np.concatenate(images), labels[:count], class_names


def _label_file(folder):
    path = folder / "cifar10_labels.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in ("y_train", "y_test", "class_names", "sha256_train", "sha256_test")}
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not a readable label file of the mosaic form: {error}") from error


def _tiles(path):
    """The pictures of one mosaic, row after row of tiles: (rows * columns, 32, 32, 3) uint8"""
    try:
        with Image.open(path) as picture:
            mosaic = np.asarray(picture.convert("RGB"))
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable mosaic: {error}") from error
    H, W, _ = mosaic.shape
    if H % SIDE or W % SIDE:
        raise ValueError(f"{path}: a mosaic of {SIDE}x{SIDE} tiles cannot be {W}x{H} pixels")
    tiles = mosaic.reshape(H // SIDE, SIDE, W // SIDE, SIDE, 3).swapaxes(1, 2)      # (rows, columns, 32, 32, 3)
    return tiles.reshape(-1, SIDE, SIDE, 3)


def _verify(folder, split, images):
    expected = str(_label_file(folder)[f"sha256_{split}"])
    found = hashlib.sha256(images.tobytes()).hexdigest()
    if found != expected:
        raise ValueError(f"{folder}: the {split} pictures have SHA-256 {found}, expected {expected}: "
                         "a mosaic was changed")


READERS = {"binary": _read_binary, "python": _read_python, "mosaic": _read_mosaic}
