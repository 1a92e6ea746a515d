"""One door to all data sets: `load` takes a name or a folder."""
import functools
import inspect
import os
from pathlib import Path

import numpy as np

from ..files.download import cache_folder
from . import cifar10, cifar100, idx
from .cifar10 import load_cifar10
from .cifar100 import load_cifar100
from .download import download as download_files
from .folder import load_folder
from .idx import load_fashion_mnist, load_mnist
from .places import check_split
from .shapes import load_shapes

LOADERS = {"cifar10": load_cifar10, "cifar100": load_cifar100, "fashion-mnist": load_fashion_mnist,
           "mnist": load_mnist, "shapes": load_shapes}
NAMES = tuple(LOADERS)
# What finds each in a folder, in the order in which they are tried.
FORMS = {load_cifar10: cifar10.locate, load_cifar100: cifar100.locate,
         load_mnist: functools.partial(idx.locate, "MNIST"),
         load_fashion_mnist: functools.partial(idx.locate, "Fashion-MNIST")}


def load(source, split="train", limit=None, folder=None, download=True, **options):
    """A data set by name, or from a folder.

    source     "mnist", "fashion-mnist", "cifar10", "cifar100" or "shapes"; or a folder, which may hold one of these in
               its original form, or your own pictures with one folder a class (a folder that is called like one of
               the names: "./mnist")
    split      'train' or 'test'
    limit      only the first `limit` pictures
    folder     for a name: where to look first; None: in what the environment variable MINICNN_DATA names
    download   for a name: whether to download what is found neither there, nor in a folder of that name here, nor in the
               cache folder (MINICNN_HOME, else ~/.cache/minicnn), into which it goes
    options    what the data set's own function takes besides: size and seed (load_shapes, load_folder), test_share
               (load_folder), coarse (load_cifar100), verify (load_cifar10)

    Returns a Dataset.  Raises FileNotFoundError when there is no such data set or folder, DownloadError when
    it cannot be downloaded, and ValueError for damaged files and wrong arguments.
    """
    check_split("load", split, limit)
    name = _name(source)
    if name is None:
        return _load_folder(Path(source).expanduser(), split, limit, options)
    _check_options(LOADERS[name], options)
    if name == "shapes":
        return load_shapes(split, limit, **options)
    return _load_named(name, split, limit, folder, download, options)


def class_balance(dataset):
    """How many pictures there are of each class: {class name: count}, in the order of the labels."""
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    return dict(zip(dataset.class_names, counts.tolist()))


# ---- by name ------------------------------------------------------------------------------------------------------

def _name(source):
    """The name in NAMES that a string means ("Fashion_MNIST", "CIFAR-10"), or None: then it is a folder."""
    def plain(text):
        return text.lower().replace("-", "").replace("_", "")
    return next((name for name in NAMES if isinstance(source, str) and plain(source) == plain(name)), None)


def _load_named(name, split, limit, folder, download, options):
    if folder is not None and not Path(folder).expanduser().is_dir():
        raise FileNotFoundError(f"there is no folder {folder} to look for {name} in; check the name")
    cached = cache_folder() / "data" / name
    for place in filter(None, (folder, _here(name), os.environ.get("MINICNN_DATA"), cached)):
        try:
            return LOADERS[name](place, split, limit, **options)
        except FileNotFoundError as error:
            reason = error
    if not download:
        raise FileNotFoundError(f"{reason} (in the cache folder, and not to be downloaded)") from reason
    download_files(name, cached, split)
    return LOADERS[name](cached, split, limit, **options)


def _here(name):
    """The folder of that name in the current one, so that `--data cifar10` finds the folder cifar10."""
    return Path(name) if Path(name).is_dir() else None


# ---- by folder ----------------------------------------------------------------------------------------------------

def _load_folder(folder, split, limit, options):
    if not folder.is_dir():
        hint = "it is a file: unpack it, and name the folder" if folder.exists() else "check the name"
        raise FileNotFoundError(f"there is no folder {folder} ({hint}); data sets known by name are "
                                f"{', '.join(NAMES)}")
    loader = recognised(folder) or load_folder
    _check_options(loader, options)
    return loader(folder, split, limit, **options)


def recognised(folder):
    """The function that reads what lies in the folder in a known form; None for no such form: it may be pictures."""
    for loader, locate in FORMS.items():
        try:
            locate(folder)
            return loader
        except FileNotFoundError:
            continue
    return None


def _check_options(loader, options):
    """ValueError for options that this data set does not have."""
    known = [name for name in inspect.signature(loader).parameters if name not in ("folder", "split", "limit")]
    wrong = sorted(set(options) - set(known))
    if wrong:
        raise ValueError(f"load: {loader.__name__} has no option {wrong[0]!r}; it has {', '.join(known) or 'none'}")
