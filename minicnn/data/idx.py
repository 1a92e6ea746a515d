"""MNIST and Fashion-MNIST: 60,000 gray pictures to learn from and 10,000 to test with, 28x28 pixels, ten classes.

MNIST            handwritten digits: LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document
                 Recognition" (1998), section III.A
Fashion-MNIST    pieces of clothing: Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
                 Machine Learning Algorithms" (2017), https://github.com/zalandoresearch/fashion-mnist

Both come as IDX files, packed with gzip or not: two zero bytes, the type of the numbers (8: bytes), the number of
axes, the length of each axis as a big-endian integer of four bytes, and then the numbers.
"""
import gzip
import math
import zlib

import numpy as np

from .dataset import Dataset
from .places import check_split, existing, find

SIDE = 28
MOST_PICTURES = 1_000_000                        # 784 MB; a damaged header may speak of four thousand million
FILES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
         "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}
CLASS_NAMES = {"MNIST": list("0123456789"),
               "Fashion-MNIST": ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
                                 "Bag", "Ankle boot"]}
INSIDE = {"MNIST": ["mnist", "MNIST/raw"],
          "Fashion-MNIST": ["fashion-mnist", "fashion_mnist", "FashionMNIST/raw"]}
# The files of both sets have the same names.  What tells them apart is the labels they begin with.
FIRST_LABELS = {"MNIST": ([5, 0, 4, 1, 9, 2, 1, 3, 1, 4], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]),
                "Fashion-MNIST": ([9, 0, 0, 3, 0, 2, 7, 2, 5, 5], [9, 2, 1, 1, 6, 1, 4, 6, 5, 7])}


def load_mnist(folder=None, split="train", limit=None):
    """Read MNIST from a folder of IDX files (train-images-idx3-ubyte.gz ...), gzipped or not.

    folder    the folder itself, or one that holds it as mnist; None: the environment variable MINICNN_DATA names it
    split     'train' (60,000 pictures) or 'test' (10,000)
    limit     only the first `limit` pictures; the rest is not read

    Returns a Dataset: images (N, 28, 28, 1) uint8, labels (N,) int64, ten class names.
    Raises FileNotFoundError when it is not found or a file is missing, ValueError for a damaged file or a wrong split.
    """
    return _load("MNIST", "load_mnist", folder, split, limit)


def load_fashion_mnist(folder=None, split="train", limit=None):
    """Read Fashion-MNIST from a folder of IDX files; arguments, result and errors as `load_mnist`.

    The folder itself, or one that holds it as fashion-mnist or fashion_mnist.
    """
    return _load("Fashion-MNIST", "load_fashion_mnist", folder, split, limit)


def _load(name, function, folder, split, limit):
    check_split(function, split, limit)
    folder = locate(name, folder)
    paths = [_path(folder, file) for file in FILES[split]]
    images, labels = (read_idx(existing(path, name), axes, limit) for path, axes in zip(paths, (3, 1)))
    if images.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"{paths[0]}: pictures of {images.shape[2]}x{images.shape[1]} pixels; those of {name} have "
                         f"{SIDE}x{SIDE}")
    if len(images) != len(labels):
        raise ValueError(f"{paths[0]} has {len(images)} pictures, but {paths[1]} has {len(labels)} labels: "
                         "the files do not belong together")
    if labels.size and labels.max() > 9:
        raise ValueError(f"{paths[1]}: its labels are not in 0..9: the file is damaged, or another data set")
    return Dataset(images[..., None], labels.astype(np.int64), list(CLASS_NAMES[name]))


def locate(name, folder=None):
    """The folder that holds the IDX files of 'MNIST' or 'Fashion-MNIST': this one, or one below it.

    Files whose labels begin like neither are taken for either.  Raises FileNotFoundError when there are none.
    """
    def form_of(candidate):
        return next((True for files in FILES.values() if _holds(name, candidate, files)), None)
    advice = "Wanted are train-images-idx3-ubyte, train-labels-idx1-ubyte and the same with t10k, packed (.gz) or not"
    return find(name, folder, INSIDE[name], form_of, advice)[0]


def _holds(name, folder, files):
    images, labels = (_path(folder, file) for file in files)
    return images.is_file() and labels.is_file() and _named_by_labels(labels) in (name, None)


def _named_by_labels(path):
    """'MNIST' or 'Fashion-MNIST', as the first labels tell; None for other labels or a file that cannot be read."""
    try:
        first = read_idx(path, 1, 10).tolist()
    except ValueError:
        return None
    return next((name for name, beginnings in FIRST_LABELS.items() if first in beginnings), None)


def _path(folder, file):
    """The file under one of the names that go about: packed or not, and with a dot before idx."""
    names = [file, f"{file}.gz", file.replace("-idx", ".idx"), file.replace("-idx", ".idx") + ".gz"]
    return next((folder / name for name in names if (folder / name).is_file()), folder / f"{file}.gz")


# ---- IDX files ----------------------------------------------------------------------------------------------------

def read_idx(path, axes, limit=None):
    """The bytes of an IDX file as a uint8 array with `axes` axes; of the first axis at most `limit`.

    Raises ValueError for a file that is damaged, cut short, too long, or no such IDX file.
    """
    try:
        with _opened(path) as file:
            shape = _shape(file.read(4 + 4 * axes), axes, path)
            count = shape[0] if limit is None else min(limit, shape[0])
            size = count * math.prod(shape[1:])
            content, rest = file.read(size), b"" if limit is not None else file.read(1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: cannot be read, it is damaged or cut short ({error}); download it again") from error
    if len(content) < size or rest:
        raise ValueError(f"{path}: {'more than ' if rest else ''}{len(content)} bytes follow its header, which speaks "
                         f"of {size}: the file is damaged or cut short; download it again")
    return np.frombuffer(content, np.uint8).reshape(count, *shape[1:]).copy()


def _opened(path):
    """The file, unpacked on the way if it is gzip, whatever its name says (browsers unpack and keep the .gz)."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else open(path, "rb")


def _shape(header, axes, path):
    if len(header) < 4 + 4 * axes or header[:4] != bytes([0, 0, 8, axes]):
        raise ValueError(f"{path}: not an IDX file of bytes with {axes} axes (it begins with {header[:4].hex(' ')}): "
                         "another file, or damaged")
    shape = np.frombuffer(header, ">u4", offset=4).tolist()
    if shape[0] > MOST_PICTURES or any(not 1 <= side <= 1024 for side in shape[1:]):
        raise ValueError(f"{path}: its header speaks of {' x '.join(map(str, shape))} numbers: the file is damaged")
    return shape
