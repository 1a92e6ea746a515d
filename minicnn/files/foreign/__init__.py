"""Reading other people's weights: without their libraries, and without running anything that is in the file.

    safe.py           .safetensors                          pickled.py    a pickle, read and not obeyed
    torch_zip.py      .pth and .pt of PyTorch 1.6 and on    tensors.py    PyTorch's tensors in it: views of storages
    torch_legacy.py   .pth and .pt of before                archive.py    zip archives, with caution
    npz.py            .npz of NumPy                         contents.py   what a file holds; what an error looks like
    adapt.py          from their names and layouts to those of a network here

What a file says of itself is never believed: every size and place is compared with the bytes that are there before memory
is asked for, and a file that cannot be what it says is refused in one line.
"""
from pathlib import Path

import numpy as np

from ..weights import require_file
from . import npz, safe, torch_legacy, torch_zip
from .archive import members
from .contents import UnreadableWeights, explained

# What files that are no weights begin with, and what to tell whoever took them for weights.
OTHERS = {b"version https://git-lfs": "it is a pointer of Git LFS, not the file itself; download it with `git lfs pull`",
          b"\x89HDF": "it is an HDF5 file, as Keras writes, which is not read here; convert it to safetensors or .npz",
          b"\x1f\x8b": "it is compressed with gzip; unpack it first",
          b"GGUF": "it is a GGUF file, which is not read here",
          b"\x80": "it is a pickle, but not one of torch.save; write a state_dict() with that, or arrays with np.savez"}
GLANCE = 512                                     # bytes that tell what a file is


def read(path):
    """(state, metadata): {name: array} in the file's own names and layouts, and {str: str}.

    The form is told by what is in the file, not by its name.  Floating numbers of any length come as float32, others as
    they are.  Of a checkpoint, the dictionary of tensors in it is taken.
    Raises FileNotFoundError, or UnreadableWeights, a ValueError.
    """
    contents = opened(path)
    return {name: np.array(array) for name, array in contents.arrays.items()}, contents.metadata


def opened(path):
    """The Contents of a file: names, shapes and kinds of its arrays, which are read only when they are asked for.

    Raises FileNotFoundError, or UnreadableWeights, a ValueError.
    """
    require_file(path)
    path = Path(path)
    with explained(path):
        with open(path, "rb") as file:
            reader = _reader(path, file.read(GLANCE))
        return reader(path)


def _reader(path, start):
    """The function that reads a file with this start.  Raises UnreadableWeights for one that holds no weights."""
    if not start:
        raise UnreadableWeights("it is empty; download it again")
    if start.startswith(b"PK\x03\x04"):
        return npz.contents if all(name.endswith(".npy") for name in members(path)) else torch_zip.contents
    if start.startswith(torch_legacy.BEGINNING):
        return torch_legacy.contents
    if start[8:9] == b"{" and start[5:8] == bytes(3):            # a length below 2^40
        return safe.contents
    raise UnreadableWeights(_what_it_is(start))


def _what_it_is(start):
    """What a file with this start is instead of weights, and the mend."""
    text = start.removeprefix(b"\xef\xbb\xbf").strip().decode("utf-8", "replace")
    if text.lower().startswith(("<!doctype", "<html", "<?xml", "<head", "<script")):
        return "it is a web page (HTML) saved under this name, most likely an error; look at it, and download it again"
    for beginning, reason in OTHERS.items():
        if start.startswith(beginning):
            return reason
    if text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable() and "\ufffd" not in text[:-4]:
        return f"it is a text that begins with {text.splitlines()[0][:60]!r}" if text else "it is blank"
    return "it is neither a safetensors file nor one of PyTorch or NumPy"
