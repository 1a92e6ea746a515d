"""Your own pictures: a folder with one folder a class.

    animals/            load_folder("animals", "train"), load_folder("animals", "test")
      cat/   1.jpg  2.png ...
      dog/   1.jpg  7.webp ...

Each picture is cut to its middle square and made small as soon as it is read, so that what is kept in memory is the
small pictures and one large one.
"""
import warnings
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..images import ImageError, read_square
from .dataset import Dataset
from .places import check_split

SPLIT_NAMES = {"train": ("train", "training"), "test": ("test", "testing", "val", "valid", "validation")}
NAMED_IN_WARNING = 5


def load_folder(folder, split="train", limit=None, size=32, seed=0, test_share=.2):
    """Read a folder of pictures with one folder a class; the names of those folders, sorted, are the class names.

    split        'train' or 'test'
    limit        only the first `limit` pictures; the rest is not read
    size         height and width that every picture is made to have, in pixels
    seed         of the division into train and test, and of the order.  The same seed divides the same files alike.
    test_share   share of each class that goes to the test pictures, between 0 and 1, at least one picture

    A folder that holds folders named train and test (or val) is taken as it is divided, without seed and test_share.
    Pictures may have any size and be of any kind that images.read_image reads; what cannot be read is left out, with a
    warning that says how many and names some.  Hidden files and folders are not looked at.

    Returns a Dataset: images (N, size, size, 3) uint8, labels (N,) int64, in an order that mixes the classes.
    Raises FileNotFoundError when there is no such folder, ValueError when it has no pictures, fewer than two classes,
    too few pictures of one, or none that can be read, and for arguments out of range.
    """
    check_split("load_folder", split, limit)
    if size < 1 or not 0 < test_share < 1:
        raise ValueError(f"load_folder: size must be 1 or more and test_share between 0 and 1, not {size}, {test_share}")
    files, class_names = _divided(Path(folder).expanduser(), split, seed, test_share)
    order = np.random.default_rng([seed, len(class_names)]).permutation(len(files))
    images, labels = _read([files[i] for i in order], limit, size, folder)
    missing = sorted(set(range(len(class_names))) - set(labels.tolist()))
    if missing and limit is None and split == "train":
        raise ValueError(f"{folder}: no picture to learn {class_names[missing[0]]!r} from can be read; "
                         "add some, or remove the folder")
    return Dataset(images, labels, class_names)


# ---- which files --------------------------------------------------------------------------------------------------

def _divided(folder, split, seed, test_share):
    """([(path, label), ...], class names) of one split."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; check the name")
    own = {which: part for which in SPLIT_NAMES if (part := _part(folder, which))}
    if len(own) < 2:
        classes = _classes(own.get("train", folder))
        return _chosen(folder, classes, split, seed, test_share), sorted(classes)
    class_names = sorted(_classes(own["train"]))
    classes = _classes(own[split], least=1)
    unknown = sorted(set(classes) - set(class_names))
    if unknown:
        raise ValueError(f"{own[split]} has a class {unknown[0]!r} that {own['train']} does not have")
    return [(path, class_names.index(name)) for name in sorted(classes) for path in classes[name]], class_names


def _part(folder, which):
    """The subfolder that holds this split, or None.  A class may be called train too: that folder holds no folders."""
    named = {child.name.lower(): child for child in _visible(folder)}
    parts = [named[name] for name in SPLIT_NAMES[which] if name in named]
    return next((part for part in parts if part.is_dir() and any(child.is_dir() for child in _visible(part))), None)


def _classes(folder, least=2):
    """{class name: its files, sorted} of the folders in `folder` that have any."""
    folders = [child for child in _visible(folder) if child.is_dir()]
    classes = {child.name: [path for path in _visible(child) if path.is_file()] for child in folders}
    classes = {name: paths for name, paths in classes.items() if paths}
    if not classes:
        raise ValueError(f"{folder} has no folders with pictures in them; make one a class, as in {folder}/cat/1.jpg "
                         f"and {folder}/dog/1.jpg")
    if len(classes) < least:
        raise ValueError(f"{folder} has pictures of one class only, {next(iter(classes))!r}; at least two are needed "
                         "to tell apart, each in a folder of its own")
    return classes


def _visible(folder):
    """What lies in the folder, sorted by name, without hidden files, __MACOSX and the like."""
    return sorted(child for child in folder.iterdir() if not child.name.startswith((".", "__")))


def _chosen(folder, classes, split, seed, test_share):
    """Of each class `test_share` of the files for the test, the rest to learn from: [(path, label), ...]"""
    chosen = []
    for label, name in enumerate(sorted(classes)):
        paths = classes[name]
        if len(paths) < 2:
            raise ValueError(f"{folder} has one picture only of class {name!r}; at least two are needed, one to learn "
                             "from and one to test with")
        order = np.random.default_rng([seed, label]).permutation(len(paths))
        tests = min(max(1, round(test_share * len(paths))), len(paths) - 1)
        chosen += [(paths[i], label) for i in (order[:tests] if split == "test" else order[tests:])]
    return chosen


# ---- reading them -------------------------------------------------------------------------------------------------

def _read(files, limit, size, folder):
    """The first `limit` of the files that can be read: images (N, size, size, 3) uint8, labels (N,) int64."""
    wanted = len(files) if limit is None else min(limit, len(files))
    images, labels, unreadable = np.empty((wanted, size, size, 3), np.uint8), [], []
    with tqdm(total=wanted, desc="reading pictures", leave=False, disable=None) as bar:
        for path, label in files:
            if len(labels) == wanted:
                break
            try:
                images[len(labels)] = np.floor(255 * read_square(path, size) + .5)
            except ImageError as error:
                unreadable.append(error)
            else:
                labels.append(label)
                bar.update()
    if not labels:
        raise ValueError(f"{folder}: none of its {len(files)} files can be read; the first: {unreadable[0]}")
    _warn(unreadable, len(labels) + len(unreadable), folder)
    return images[:len(labels)], np.array(labels, np.int64)


def _warn(unreadable, tried, folder):
    if unreadable:
        some = "; ".join(str(error) for error in unreadable[:NAMED_IN_WARNING])
        more = f"; and {len(unreadable) - NAMED_IN_WARNING} more" if len(unreadable) > NAMED_IN_WARNING else ""
        warnings.warn(f"{folder}: {len(unreadable)} of {tried} files could not be read and were left out: {some}{more}",
                      stacklevel=4)
