"""The tensors of PyTorch's pickles: which names they use, where their numbers lie, and which of them are the weights.

A tensor is a view: of the storage `key`, `count` numbers of one kind in a row, it takes those from `offset` on, in steps of
`strides`.  Tied weights are two views of one storage, a transposed matrix is a view with its strides the other way round.
"""
import functools
import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from .contents import KINDS, MOST_AXES, StoredArray, UnreadableWeights, quoted
from .pickled import Machine, Maker, fill

MOST_DEPTH = 4
STORAGES = {"Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
            "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool"}
# What training scripts call the weights among the other things that they keep.
WEIGHTS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params_ema", "params")


@dataclass(frozen=True)
class Kind:
    """What the name torch.FloatStorage stands for."""
    kind: str


@dataclass(frozen=True)
class Storage:
    """`count` numbers of one kind, to be found under `key`."""
    key: str
    kind: str
    count: int

    @property
    def nbytes(self):
        return self.count * np.dtype(KINDS[self.kind]).itemsize


@dataclass(frozen=True)
class Tensor:
    """A view of a Storage; offset and strides are counted in numbers, not in bytes."""
    storage: Storage
    offset: int
    shape: tuple
    strides: tuple


class Tensors(Machine):
    """Reads the pickles of torch.save.  `storages` gathers all that they speak of: {key: Storage}."""

    def __init__(self, data):
        super().__init__(data, NAMES, self._storage)
        self.storages = {}

    def _storage(self, identity):
        """("storage", torch.FloatStorage, key, device, count), and in the older form a sixth, None."""
        if type(identity) is not tuple or len(identity) not in (5, 6) or type(identity[0]) is not str:
            raise UnreadableWeights("it refers to something that is no storage of numbers")
        what, kind, key, _, count, *view = identity
        if what != "storage" or type(kind) is not Kind or type(key) is not str or not _is_size(count):
            raise UnreadableWeights("it refers to something that is no storage of numbers (a whole pickled network?); "
                                    "load it with PyTorch, if you trust it, and save its state_dict() alone")
        if view and view[0] is not None:
            raise UnreadableWeights("it has storages within storages, as PyTorch wrote before 0.4; load and save it again")
        storage = Storage(key, kind.kind, count)
        if self.storages.setdefault(key, storage) != storage:
            raise UnreadableWeights(f"it describes the storage {quoted(key)} in two ways")
        return storage


def _is_size(value):
    return type(value) is int and 0 <= value < 1 << 62


# ---- what the names stand for --------------------------------------------------------------------------------------

def _tensor(storage, offset, shape, strides, *_):
    """torch._utils._rebuild_tensor and _rebuild_tensor_v2; what follows is about gradients."""
    if type(storage) is not Storage or not _is_size(offset):
        raise UnreadableWeights("it has a tensor without a storage or a place in it")
    for sizes in (shape, strides):
        if type(sizes) is not tuple or len(sizes) > MOST_AXES or not all(map(_is_size, sizes)):
            raise UnreadableWeights("it has a tensor with a shape or strides that are no whole numbers from 0 on")
    size, last = math.prod(shape), offset + sum((n - 1) * step for n, step in zip(shape, strides))
    if len(shape) != len(strides) or size and last >= storage.count:
        raise UnreadableWeights(f"a tensor of shape {shape} reaches beyond its storage of {storage.count} numbers")
    if size > storage.count:
        raise UnreadableWeights(f"a tensor of shape {shape} repeats the {storage.count} numbers of its storage")
    return Tensor(storage, offset, shape, strides)


def _parameter(tensor, *_):
    """torch._utils._rebuild_parameter: a tensor that is learned."""
    if type(tensor) is not Tensor:
        raise UnreadableWeights("it has a parameter that is no tensor")
    return tensor


def _ordered_dict(pairs=()):
    dictionary = {}
    if not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
        raise UnreadableWeights("it has an OrderedDict that is not made of pairs")
    fill(dictionary, pairs)
    return dictionary


def _size(sizes=()):
    if type(sizes) is not tuple or len(sizes) > MOST_AXES:
        raise UnreadableWeights("it has a torch.Size that is no tuple")
    return tuple(sizes)


NAMES = {
    ("collections", "OrderedDict"): Maker(_ordered_dict),
    ("torch", "Size"): Maker(_size),
    ("torch._utils", "_rebuild_tensor"): Maker(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Maker(_tensor),
    ("torch._utils", "_rebuild_parameter"): Maker(_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): Maker(_parameter),
    **{(module, f"{name}Storage"): Kind(kind) for name, kind in STORAGES.items() for module in ("torch", "torch.cuda")},
    **{("torch", name): f"torch.{name}" for name in (*STORAGES.values(), "complex64", "complex128")},      # a dtype
}


# ---- which tensors are the weights ---------------------------------------------------------------------------------

def weights_in(value):
    """{name: Tensor}: the value itself, or the dictionary of tensors in a checkpoint, by one of the usual names or alone.

    Raises UnreadableWeights when there is none, or several of which none has a usual name.
    """
    for _ in range(MOST_DEPTH):
        if type(value) is not dict:
            raise UnreadableWeights(f"it holds a {type(value).__name__}, not a dictionary of tensors")
        if _is_state(value):
            return value
        value = _inner(value)
    raise UnreadableWeights("its dictionary of tensors lies too deep in others; save it alone")


def _is_state(value):
    return len(value) > 0 and all(type(item) is Tensor for item in value.values())


def _inner(value):
    """The dictionary in this one that holds the weights."""
    dictionaries = {key: item for key, item in value.items() if type(item) is dict}
    for key in WEIGHTS:
        if key in dictionaries:
            return dictionaries[key]
    each_once = {id(item): key for key, item in dictionaries.items()}
    states = [key for key in each_once.values() if _is_state(dictionaries[key])]
    if len(states) == 1:
        return dictionaries[states[0]]
    if states:
        raise UnreadableWeights(f"it holds several dictionaries of tensors ({', '.join(map(quoted, states[:9]))}), and none "
                                f"is called {WEIGHTS[0]}; save the one that you mean alone")
    raise UnreadableWeights("it holds no dictionary that is made of tensors alone")


def remarks_in(value):
    """{str: str}: the numbers and words that a checkpoint keeps beside the weights, the epoch for one."""
    return {key: str(item) for key, item in value.items() if type(key) is str and type(item) in (str, int, float, bool)}


# ---- numbers -------------------------------------------------------------------------------------------------------

def stored_arrays(path, tensors, read):
    """{name: StoredArray} of {name: Tensor}.

    read   a function of a Storage that reads its numbers: an array (count,).  What several tensors share is read once.
    """
    shared = {key for key, uses in Counter(tensor.storage.key for tensor in tensors.values()).items() if uses > 1}
    read_once = functools.cache(read)

    def raw(tensor):
        return view((read_once if tensor.storage.key in shared else read)(tensor.storage), tensor)
    return {name: StoredArray(path, tensor.shape, tensor.storage.kind, functools.partial(raw, tensor))
            for name, tensor in tensors.items()}


def view(numbers, tensor):
    """What a Tensor, whose bounds were checked, sees of its storage: read-only."""
    if len(numbers) != tensor.storage.count:
        raise UnreadableWeights(f"the storage {quoted(tensor.storage.key)} has {len(numbers)} numbers, not "
                                f"{tensor.storage.count}")
    if 0 in tensor.shape:
        return np.empty(tensor.shape, numbers.dtype)
    strides = [step * numbers.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset:], tensor.shape, strides, writeable=False)
