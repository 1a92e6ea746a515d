"""What torch.save writes since PyTorch 1.6: a zip archive, not compressed.

    NAME/data.pkl      the pickle: the state dict, in which each tensor names a storage by its key
    NAME/data/KEY      the numbers of a storage
    NAME/byteorder     "little" or "big"; files of before 2.1 have none, and are little
"""
import numpy as np

from .archive import members
from .contents import KINDS, Contents, UnreadableWeights, quoted
from .pickled import MOST_BYTES
from .tensors import Tensors, remarks_in, stored_arrays, weights_in


def contents(path):
    """The Contents of the file at `path`."""
    files = members(path)
    folder = _folder(files)
    if f"{folder}constants.pkl" in files:
        raise UnreadableWeights("it is a TorchScript archive, a program with its weights; load it with PyTorch, if you "
                                "trust it, and save its state_dict()")
    order = files.get(f"{folder}byteorder")
    if order and order.start(8) != b"little":
        raise UnreadableWeights("its numbers are big-endian, which is not read here")
    program = _member(files, f"{folder}data.pkl")
    if program.size > MOST_BYTES:
        raise UnreadableWeights(f"its pickle is longer than {MOST_BYTES:,} bytes, weights need fewer")
    pickle = Tensors(program.read().tobytes())
    value = pickle.read()
    tensors = weights_in(value)
    places = {key: _place(files, folder, storage) for key, storage in pickle.storages.items()}

    def read(storage):
        return places[storage.key].read().view(KINDS[storage.kind])
    return Contents(path, "PyTorch", stored_arrays(path, tensors, read), remarks_in(value))


def _folder(files):
    """The one folder that has a data.pkl, with a slash at its end."""
    found = [name.removesuffix("data.pkl") for name in files if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(found) != 1:
        raise UnreadableWeights("it is a zip archive, but not one of PyTorch or NumPy; if it has weights in it, unpack it")
    return found[0]


def _member(files, name):
    if name not in files:
        raise UnreadableWeights(f"{quoted(name)} is missing in it")
    if files[name].is_compressed:
        raise UnreadableWeights(f"{quoted(name)} in it is compressed, which PyTorch never does")
    return files[name]


def _place(files, folder, storage):
    member = _member(files, f"{folder}data/{storage.key}")
    if member.size != storage.nbytes:
        raise UnreadableWeights(f"its storage {quoted(storage.key)} has {member.size:,} bytes, but should have "
                                f"{storage.nbytes:,}: {storage.count:,} numbers of {np.dtype(KINDS[storage.kind]).itemsize}")
    return member
