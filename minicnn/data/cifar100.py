"""CIFAR-100: 50,000 pictures to learn from and 10,000 to test with, 32x32 pixels, 100 classes in 20 groups.

Alex Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009),
https://www.cs.toronto.edu/~kriz/cifar.html
Both original forms are understood:

    binary    train.bin, test.bin, fine_label_names.txt, coarse_label_names.txt
    python    train, test, meta, which are pickles
"""
import numpy as np

from . import cifar
from .cifar import SOURCE, Labelling
from .dataset import Dataset
from .places import check_split, find

INSIDE = ["cifar100", "cifar-100-binary", "cifar-100-python"]
LABELS = {"fine": Labelling("CIFAR-100", 100), "coarse": Labelling("CIFAR-100 (coarse)", 20)}
ADVICE = (f"Download and unpack it from {SOURCE} and name its folder. Understood are the binary version (train.bin, "
          "test.bin, fine_label_names.txt ...) and the python version (train, test, meta)")


def load_cifar100(folder=None, split="train", limit=None, coarse=False):
    """Read CIFAR-100 from a folder, in whichever of its two forms lies there.

    folder    the folder itself, or one that holds it as cifar100, cifar-100-binary or cifar-100-python;
              None: the environment variable MINICNN_DATA names it
    split     'train' (50,000 pictures) or 'test' (10,000)
    limit     only the first `limit` pictures
    coarse    label the 20 groups ("fish", "trees") instead of the 100 classes ("shark", "oak_tree")

    Returns a Dataset: images (N, 32, 32, 3) uint8, labels (N,) int64, 100 or 20 class names.
    Raises FileNotFoundError when no form is found or a file is missing, ValueError for a damaged file or a wrong split.
    """
    check_split("load_cifar100", split, limit)
    folder, form = locate(folder)
    images, labels, class_names = READERS[form](folder, split, "coarse" if coarse else "fine")
    return Dataset(images[:limit], labels[:limit].astype(np.int64), class_names)


def locate(folder=None):
    """(folder, form) of the CIFAR-100 in the folder or below it.  Raises FileNotFoundError when there is none."""
    return find("CIFAR-100", folder, INSIDE, _form_of, ADVICE)


def _form_of(folder):
    marks = {"binary": ("train.bin", "test.bin", "fine_label_names.txt"), "python": ("train", "test", "meta")}
    for form, names in marks.items():
        if sum((folder / name).is_file() for name in names) > 1:        # the one that is missing will be named
            return form
    return None


def _read_binary(folder, split, kind):
    """A record is the coarse label, the fine label and the picture."""
    images, labels = cifar.binary_batch(folder / f"{split}.bin", LABELS[kind], 2, ["coarse", "fine"].index(kind))
    return images, labels, cifar.text_names(folder / f"{kind}_label_names.txt", LABELS[kind])


def _read_python(folder, split, kind):
    images, labels = cifar.pickled_batch(folder / split, LABELS[kind], f"{kind}_labels".encode())
    return images, labels, cifar.pickled_names(folder / "meta", LABELS[kind], f"{kind}_label_names".encode())


READERS = {"binary": _read_binary, "python": _read_python}
