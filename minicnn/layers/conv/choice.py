"""Which algorithm a convolution takes: by name, or the first in the table that can do it and is likely to be the quickest.

    algorithm    for                                      because
    pointwise    1x1                                      it is one matrix product already
    depthwise    a filter for each channel                there are no matrices in it
    winograd     3x3, stride 1, from 16 channels on       a quarter of the multiplications
    im2col       everything else                          a matrix product of patches
    implicit     everything in float32 on the GPU         the same, and the patches are never stored
    naive        (never by itself)                        the definition: to compare with, and to read

Winograd's rounds more than the others do: about 1e-5 of the largest value in float32, instead of 1e-6.  Within
`with exact():` it is not chosen.
"""
import contextlib
import contextvars

from ...core.backend import device_of, is_gpu_array
from ...core.kernels import runs_kernels
from . import depthwise, im2col, implicit, naive, pointwise, winograd

ALGORITHMS = {"naive": naive, "im2col": im2col, "pointwise": pointwise, "depthwise": depthwise,
              "winograd": winograd, "implicit": implicit}
TABLE = (pointwise, depthwise, winograd, im2col)                 # on the CPU
BY_KERNEL = (pointwise, depthwise, implicit, im2col)             # float32 on the GPU
ANYWHERE = (pointwise, im2col)                                   # they say all that they do in the array library's words

_exact = contextvars.ContextVar("exact", default=False)


@contextlib.contextmanager
def exact():
    """Within `with mc.exact():` convolutions are computed without Winograd's rounding, about 1e-5 of the largest value."""
    token = _exact.set(True)
    try:
        yield
    finally:
        _exact.reset(token)


def choose(operation, algorithm, x, weight_shape, geometry):
    """The room of the algorithm.  Raises ValueError for an unknown name, or one that cannot do this convolution."""
    if algorithm == "auto":
        return next(room for room in _candidates(x)
                    if room.suits(weight_shape, geometry) and room.pays(x.shape, weight_shape))
    if algorithm not in ALGORITHMS:
        raise ValueError(f"{operation}: algorithm must be 'auto' or one of {list(ALGORITHMS)}, not {algorithm!r}")
    room = ALGORITHMS[algorithm]
    if room not in (naive, *_on_device(x)):
        raise ValueError(f"{operation}: {algorithm} cannot do {x.dtype} arrays on this device, {device_of(x)}: use "
                         "algorithm='auto'")
    if not room.suits(weight_shape, geometry):
        raise ValueError(f"{operation}: {algorithm} cannot do weight {weight_shape} with {geometry} (it is for "
                         f"{room.FOR}): use algorithm='auto'")
    return room


def _candidates(x):
    return [room for room in _on_device(x) if not (_exact.get() and room is winograd)]


def _on_device(x):
    if is_gpu_array(x):
        return BY_KERNEL if runs_kernels(x) else ANYWHERE
    return TABLE
