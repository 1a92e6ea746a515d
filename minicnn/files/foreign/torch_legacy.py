"""What torch.save wrote before PyTorch 1.6, and torchvision's older files are: five pickles, then the numbers.

    a magic number      1001, the version      {"little_endian": True, ...}      the state dict      the keys of the storages
    and for each key    how many numbers (8 bytes)      the numbers
"""
import functools
import os

import numpy as np

from .contents import KINDS, Contents, UnreadableWeights, quoted
from .pickled import MOST_BYTES
from .tensors import Tensors, remarks_in, stored_arrays, weights_in

MAGIC, VERSION = 0x1950a86a20f9469cfc6c, 1001
BEGINNING = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."         # the magic number as a pickle


def contents(path):
    """The Contents of the file at `path`."""
    with open(path, "rb") as file:
        pickle = Tensors(file.read(MOST_BYTES))
    magic, version, system, value, keys = (pickle.read() for _ in range(5))
    if type(magic) is not int or magic != MAGIC or type(version) is not int or version != VERSION:
        raise UnreadableWeights("it begins like a file of PyTorch, but is none")
    if type(system) is not dict or system.get("little_endian") is not True:
        raise UnreadableWeights("its numbers are big-endian, which is not read here")
    places = _places(path, pickle.position, keys, pickle.storages)
    read = functools.partial(_read, path, places)
    return Contents(path, "PyTorch before 1.6", stored_arrays(path, weights_in(value), read), remarks_in(value))


def _places(path, position, keys, storages):
    """{key: where its numbers begin}.  Raises UnreadableWeights unless each storage is there, in its size."""
    if type(keys) is not list or not all(type(key) is str for key in keys) or sorted(keys) != sorted(storages):
        raise UnreadableWeights("its list of storages is not that of its tensors")
    places, end = {}, os.path.getsize(path)
    with open(path, "rb") as file:
        for key in keys:
            file.seek(position)
            count = int.from_bytes(file.read(8), "little", signed=True)
            places[key] = position + 8
            position = places[key] + storages[key].nbytes
            if position > end:
                raise UnreadableWeights(f"it is cut short: its storage {quoted(key)} should end at byte {position:,}, the "
                                        f"file ends at {end:,}; download it again")
            if count != storages[key].count:
                raise UnreadableWeights(f"its storage {quoted(key)} should have {storages[key].count} numbers, not {count}")
    return places


def _read(path, places, storage):
    return np.fromfile(path, KINDS[storage.kind], storage.count, offset=places[storage.key])
