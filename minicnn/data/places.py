"""Where data sets lie: the folder that was named, or that MINICNN_DATA names."""
import os
from pathlib import Path


def find(name, folder, inside, form_of, advice):
    """(folder, form): the first of `folder` and its subfolders `inside` that holds the data set `name`.

    folder    None: what the environment variable MINICNN_DATA names
    form_of   a function of a folder: the form of the data set that lies there, or None
    Raises FileNotFoundError, which says where it looked and ends in `advice`.
    """
    folder = folder or os.environ.get("MINICNN_DATA")
    if not folder:
        raise FileNotFoundError(f"{name}: no folder was named. {advice}")
    folder = Path(folder).expanduser()
    candidates = [folder, *(folder / part for part in inside)]
    for candidate in candidates:
        form = form_of(candidate)
        if form:
            return candidate, form
    raise FileNotFoundError(f"{name} was not found; looked in {', '.join(map(str, candidates))}. {advice}")


def existing(path, name):
    """The path, if there is such a file; else FileNotFoundError."""
    if not path.is_file():
        raise FileNotFoundError(f"{name}: {path.name} is missing in {path.parent}: copy or unpack the data again")
    return path


def check_split(function, split, limit):
    """Raises ValueError unless `split` is 'train' or 'test' and `limit` None or at least 1."""
    if split not in ("train", "test"):
        raise ValueError(f"{function}: split must be 'train' or 'test', not {split!r}")
    if limit is not None and limit < 1:
        raise ValueError(f"{function}: limit must be 1 or more, not {limit}")
