"""ndarray: an array of the device, which refuses to be mixed with NumPy's."""
import json
import operator
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from .memory import allocate

API = json.loads((Path(__file__).parents[1] / "cupy_api.json").read_text(encoding="utf-8"))
KEEP_ORDER = {"copy", "pad", "roll", "nan_to_num", "asfortranarray"}
IMPLICIT = ("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly.")


class ndarray:
    """As cupy.ndarray.   _host: the numbers as a NumPy array;  _block: the memory that they lie in"""
    __hash__ = None
    __array_priority__ = 100
    __module__ = "cupy"

    def __init__(self, shape, dtype=float):
        self._host, self._block = allocate((shape,) if isinstance(shape, int) else tuple(shape), np.dtype(dtype))

    # ---- from and to NumPy

    def __array__(self, *_, **__):
        raise TypeError(IMPLICIT)

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        if ufunc.__name__ not in API["ufuncs"]:
            return NotImplemented
        if method != "__call__":
            from .functions import function
            return getattr(function(ufunc.__name__), method)(*inputs, **options)
        refuse_numpy(inputs)
        if out:
            options["out"] = host_of(out[0])
        result = on_device(ufunc(*map(host_of, inputs), **options))
        return out[0] if out else result

    def __array_function__(self, function, types, arguments, options):
        from .modules import MODULES
        home = "cupy" + function.__module__.removeprefix("numpy")
        found = getattr(MODULES.get(home), function.__name__, None)
        return NotImplemented if found is None else found(*arguments, **options)

    def get(self, stream=None, order="C", out=None, blocking=True):
        """The array as a NumPy array."""
        if out is None:
            return self._host.copy(order=order)
        out[...] = self._host
        return out

    def set(self, array, stream=None):
        """Take a NumPy array's numbers."""
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError("shape and dtype must be the array's own")
        self._host[...] = array

    # ---- attributes

    shape = property(lambda self: self._host.shape)
    data = property(lambda self: SimpleNamespace(ptr=self._host.ctypes.data))
    base = property(lambda self: None)
    device = property(lambda self: SimpleNamespace(id=0))

    def __getattr__(self, name):
        if name.startswith("_") or name not in API["ndarray"] or not hasattr(np.ndarray, name):
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        value = getattr(self._host, name)
        return self._method(name, value) if callable(value) else on_device(value, self)

    def _method(self, name, method):
        def call(*arguments, **options):
            refuse_numpy(arguments)
            check_keywords(name, options)
            out = options.get("out")
            result = method(*map(host_of, arguments), **{key: host_of(value) for key, value in options.items()})
            if name in ("item", "tolist", "tobytes"):
                return result
            return on_device(result, self, keep=keeps_order(name, options)) if out is None else out
        return call

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        """A copy in another dtype; with copy=False itself where nothing is to be done."""
        if not copy and self.dtype == np.dtype(dtype):
            return self
        return on_device(self._host.astype(dtype, order=order, casting=casting or "unsafe"), keep=True)

    # ---- parts

    def __getitem__(self, index):
        return on_device(self._host[host_of(index)], self)

    def __setitem__(self, index, value):
        if isinstance(value, np.ndarray) and value.ndim:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self._host[host_of(index)] = host_of(value)

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    # ---- as a Python number: only when asked, and never as an index

    def __bool__(self):
        return bool(self._host)

    def __int__(self):
        return int(self._host.item())

    def __float__(self):
        return float(self._host.item())

    def __repr__(self):
        return repr(self._host)

    def __format__(self, how):
        return format(self._host.item() if self._host.ndim == 0 else str(self._host), how)


def host_of(value):
    """Device arrays, in tuples and lists too, as the NumPy arrays beneath."""
    if isinstance(value, ndarray):
        return value._host
    return type(value)(map(host_of, value)) if type(value) in (tuple, list) else value


def keeps_order(name, options):
    """Whether what a function makes lies in the memory order of its NumPy twin.  All else CuPy makes in C order."""
    return name in KEEP_ORDER or name.endswith("_like") or "order" in options


def on_device(value, *owners, keep=False):
    """NumPy's arrays, and its numbers, as arrays of the device: views of an owner, where they are, else in new memory.

    keep   in the memory order in which they are, else in C order
    """
    if type(value) in (tuple, list):
        return type(value)(on_device(part, *owners, keep=keep) for part in value)
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    for owner in owners:
        if isinstance(value, np.ndarray) and value.size and np.may_share_memory(value, owner._host):
            return _made_of(value, owner._block)
    value = np.asarray(value)
    memory_order = sorted(range(value.ndim), key=lambda axis: -abs(value.strides[axis]))
    host, block = allocate(value.shape, value.dtype, memory_order if keep else None)
    host[...] = value
    return _made_of(host, block)


def _made_of(host, block):
    array = object.__new__(ndarray)
    array._host, array._block = host, block
    return array


def refuse_numpy(values):
    """TypeError for a NumPy array among the values, as in CuPy; its numbers (np.float32(2)) are welcome."""
    for value in values:
        if isinstance(value, np.ndarray):
            raise TypeError(f"Unsupported type {type(value)}")
        if type(value) in (tuple, list):
            refuse_numpy(value)


def check_keywords(name, options):
    """TypeError for a keyword that CuPy's function of this name does not have."""
    known = API["functions"].get(name)
    if known is None or any(name.startswith("**") for name in known):
        return
    for keyword in options:
        if keyword not in known:
            raise TypeError(f"{name}() got an unexpected keyword argument {keyword!r}")


def _operator(name):
    function = getattr(operator, name)

    def operation(self, other):
        refuse_numpy((other,))
        if type(other) in (tuple, list):
            raise TypeError(f"Unsupported type {type(other)}")
        return on_device(function(self._host, host_of(other)))

    def turned(self, other):
        return on_device(function(other, self._host)) if not isinstance(other, np.ndarray) else refuse_numpy((other,))

    def in_place(self, other):
        refuse_numpy((other,))
        getattr(operator, f"i{name.strip('_')}")(self._host, host_of(other))
        return self
    return operation, turned, in_place


for _name in "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift".split():
    for _prefix, _function in zip(("", "r", "i"), _operator(_name)):
        setattr(ndarray, f"__{_prefix}{_name.strip('_')}__", _function)
for _name in "eq ne lt le gt ge".split():
    setattr(ndarray, f"__{_name}__", _operator(_name)[0])
for _name in "neg pos abs invert".split():
    setattr(ndarray, f"__{_name}__", lambda self, _function=getattr(operator, _name): on_device(_function(self._host)))
