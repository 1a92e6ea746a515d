"""cupy.sort, argsort and lexsort: NumPy in place of Thrust, on the same memory."""
import ctypes
import math

import numpy as np


def install():
    from cupy.cuda import thrust
    thrust.sort, thrust.argsort, thrust.lexsort = _sort, _argsort, _lexsort


def _at(address, dtype, shape):
    """The memory at an address, as an array."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(address), dtype).reshape(shape)


def _sort(dtype, data, keys, shape):
    _at(data, dtype, shape).sort(axis=-1)


def _argsort(dtype, indices, data, keys, shape):
    values = _at(data, dtype, shape)
    order = values.argsort(axis=-1, kind="stable")
    _at(indices, np.intp, shape)[...] = order
    values[...] = np.take_along_axis(values, order, axis=-1)


def _lexsort(dtype, indices, keys, count, size):
    _at(indices, np.intp, (size,))[...] = np.lexsort(_at(keys, dtype, (count, size)))
