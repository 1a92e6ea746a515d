"""NumPy's functions on arrays of the device, under the names and with the keywords that the real CuPy has."""
import numpy as np

from .array import API, check_keywords, host_of, keeps_order, ndarray, on_device, refuse_numpy

CONSTANTS = ("pi", "e", "inf", "nan", "newaxis")
OF_SHAPES_AND_DTYPES = {"result_type", "can_cast", "promote_types", "min_scalar_type", "broadcast_shapes", "shape", "ndim",
                        "isscalar", "iscomplexobj", "isrealobj"}
UFUNC_KEYWORDS = {"out", "dtype", "casting"}
UFUNC_METHODS = ("at", "reduce", "accumulate", "reduceat", "outer")


def function(name):
    """CuPy's function `name`.   Raises AttributeError when CuPy has none, though NumPy may have one."""
    if name in API["functions"]:
        return adapted(name, getattr(np, name))
    if name in CONSTANTS or name in API["modules"]["cupy"] and isinstance(getattr(np, name, None), type):
        return getattr(np, name)                 # float32 and the like are NumPy's there too
    raise AttributeError(f"module 'cupy' has no attribute {name!r}")


def adapted(name, original):
    """A function of NumPy as one of CuPy."""
    is_ufunc = name in API["ufuncs"] and API["functions"][name] is None              # CuPy's matmul is a function

    def call(*arguments, **options):
        if name not in OF_SHAPES_AND_DTYPES:
            refuse_numpy([*arguments, *options.values()])
        _check_ufunc(name, arguments, options) if is_ufunc else _check_function(name, arguments, options)
        return _called(original, arguments, options)
    for method in UFUNC_METHODS if is_ufunc else ():
        setattr(call, method, _adapted_method(getattr(original, method)))
    call.__name__ = name
    return call


def _called(original, arguments, options):
    """The call on the arrays beneath.  What `out` was given comes back as it is; True and False become arrays too."""
    out = options.get("out")
    result = original(*map(host_of, arguments), **{key: host_of(value) for key, value in options.items()})
    if isinstance(out, ndarray):
        return out
    if isinstance(result, bool) and original in (np.allclose, np.array_equal, np.array_equiv):
        result = np.bool_(result)
    return on_device(result, *_arrays_in(arguments), keep=keeps_order(original.__name__, options))


def _arrays_in(values):
    found = [value for value in values if isinstance(value, ndarray)]
    return found + [array for value in values if type(value) in (tuple, list) for array in _arrays_in(value)]


def _adapted_method(original):
    def call(*arguments, **options):
        refuse_numpy([*arguments, *options.values()])
        return _called(original, arguments, options)
    return call


def _check_ufunc(name, arguments, options):
    wrong = options.keys() - UFUNC_KEYWORDS
    if wrong:
        raise TypeError(f"{name}() got an unexpected keyword argument {min(wrong)!r}")
    if any(type(value) in (tuple, list) for value in arguments):
        raise TypeError(f"{name}(): Unsupported type list")


def _check_function(name, arguments, options):
    check_keywords(name, options)
    known = API["functions"].get(name)
    stars = known is None or any(name.startswith("*") for name in known)
    if not stars and len(arguments) > len(known):
        raise TypeError(f"{name}() takes {len(known)} positional arguments but {len(arguments)} were given")


# ---- from and to NumPy, and new arrays

def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, blocking=False):
    """A new array of the device from one of either kind, from a number, or from nested lists of them."""
    return on_device(np.array(host_of(obj), dtype=dtype, order=order, ndmin=ndmin), keep=True)


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    """The array itself, if it is one of the device and nothing is to be changed; else a new one."""
    if isinstance(a, ndarray) and (dtype is None or a.dtype == np.dtype(dtype)) and order in (None, "K", "A"):
        return a
    return array(a, dtype, order=order or "K")


def ascontiguousarray(a, dtype=None):
    """In C order: the array itself, if it is, else a new one."""
    if isinstance(a, ndarray) and a.flags.c_contiguous and (dtype is None or a.dtype == np.dtype(dtype)):
        return a
    return on_device(np.ascontiguousarray(host_of(a), dtype))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    """A NumPy array."""
    return a.get(order=order, out=out) if isinstance(a, ndarray) else np.asarray(a)


def empty(shape, dtype=float, order="C"):
    """New memory, which holds NaN."""
    return ndarray(shape if np.ndim(shape) else (int(shape),), dtype)


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    """New memory, in the order in which the other array's numbers lie."""
    if shape is not None:
        return empty(shape, dtype or prototype.dtype)
    made = on_device(np.empty_like(prototype._host, dtype=dtype, order=order), keep=True)
    made._block.bytes[...] = 0xff
    return made


def get_array_module(*arrays):
    """The module, CuPy or NumPy, that arrays belong to."""
    from .modules import MODULES
    return MODULES["cupy"] if any(isinstance(a, ndarray) for a in arrays) else np


OWN = {f.__name__: f for f in (array, asarray, ascontiguousarray, asnumpy, empty, empty_like, get_array_module)}
