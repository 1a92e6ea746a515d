"""CIFAR-10: 50,000 pictures to learn from and 10,000 to test with, 32x32 pixels, ten classes.

Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009),
https://www.cs.toronto.edu/~kriz/cifar.html
Three forms of it are understood:

    binary    data_batch_1.bin ... data_batch_5.bin, test_batch.bin     the original "binary version"
    python    data_batch_1 ... data_batch_5, test_batch                 the original "python version", pickles
    mosaic    cifar10_train_00.webp ..., cifar10_labels.npz             lossless WebP, thousands of pictures as tiles
"""
import functools
import hashlib
import zipfile

import numpy as np
from PIL import Image

from . import cifar
from .cifar import SIDE, SOURCE, Labelling, checked_labels, checked_names
from .dataset import Dataset
from .places import check_split, existing, find

CLASS_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCH_NAMES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
INSIDE = ["cifar10", "cifar-10-batches-bin", "cifar-10-batches-py"]
LABELS = Labelling("CIFAR-10", 10)


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
    check_split("load_cifar10", split, limit)
    folder, form = locate(folder)
    if verify and (form != "mosaic" or limit is not None):
        raise ValueError("load_cifar10: verify needs the mosaic form, which has a checksum, and the whole split "
                         f"(form: {form}, limit: {limit})")
    images, labels, class_names = READERS[form](folder, split, limit)
    if verify:
        _verify(folder, split, images)
    return Dataset(images[:limit], labels[:limit].astype(np.int64), class_names)


# ---- finding it ---------------------------------------------------------------------------------------------------

ADVICE = (f"Download and unpack it from {SOURCE} and name its folder with --data DIR or the environment variable "
          "MINICNN_DATA. Understood are the binary version (data_batch_1.bin ...), the python version "
          "(data_batch_1 ...) and WebP mosaics (cifar10_labels.npz, cifar10_train_00.webp ...)")


def locate(folder=None):
    """(folder, form) of the CIFAR-10 in the folder or below it.  Raises FileNotFoundError when there is none."""
    return find(LABELS.name, folder, INSIDE, _form_of, ADVICE)


def _form_of(folder):
    marks = {"binary": ("data_batch_1.bin", "test_batch.bin"), "python": ("data_batch_1", "test_batch"),
             "mosaic": ("cifar10_labels.npz",)}
    for form, names in marks.items():
        if any((folder / name).is_file() for name in names):
            return form
    return None


# ---- the original forms -------------------------------------------------------------------------------------------

def _read_binary(folder, split, limit):
    read = functools.partial(cifar.binary_batch, labelling=LABELS)
    images, labels = cifar.joined([folder / f"{name}.bin" for name in BATCH_NAMES[split]], read, limit)
    meta = folder / "batches.meta.txt"
    return images, labels, cifar.text_names(meta, LABELS) if meta.is_file() else list(CLASS_NAMES)


def _read_python(folder, split, limit):
    read = functools.partial(cifar.pickled_batch, labelling=LABELS)
    images, labels = cifar.joined([folder / name for name in BATCH_NAMES[split]], read, limit)
    meta = folder / "batches.meta"
    return images, labels, cifar.pickled_names(meta, LABELS) if meta.is_file() else list(CLASS_NAMES)


# ---- mosaics ------------------------------------------------------------------------------------------------------

def _read_mosaic(folder, split, limit):
    stored, path = _label_file(folder), folder / "cifar10_labels.npz"
    labels = checked_labels(stored[f"y_{split}"], path, LABELS)
    class_names = checked_names([str(name) for name in stored["class_names"]], path, LABELS)
    wanted = len(labels) if limit is None else min(limit, len(labels))
    images, count = [], 0
    while count < wanted:
        path = existing(folder / f"cifar10_{split}_{len(images):02d}.webp", LABELS.name)
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
