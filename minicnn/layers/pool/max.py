"""Max pooling: each output pixel is the largest number of a window of input pixels, channel by channel.

Where a window has its maximum is remembered as the number of a tap (see windows.py), one byte a window: a backward pass that
had to read the image again would wait for memory most of the time.
"""
import numpy as np

from ...core.backend import array_library
from ...core.kernels import in_c_order, runs_kernels
from ...core.tensor import differentiable, recording
from ...core.threads import in_parallel
from ..algorithm import wants_naive
from . import naive
from .windows import Pool, Windows, blocks, combine, give, kernels


@differentiable
def max_pool2d(x, kernel, stride=None, padding=0, ceil_mode=False, dilation=1, algorithm="auto"):
    """The maximum of each window:   x (N, H, W, C)   ->   y (N, H', W', C)

    kernel, stride, padding, dilation  a whole number or a pair (rows, columns); stride None is the kernel's size
    ceil_mode  H' = floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1; with ceil_mode it is rounded up, so
               that a last window may hang over the edge, as long as it starts inside the image or its left padding
    algorithm  "auto", the quickest, or "naive", the definition

    The padding counts as -infinity and never wins.  Of equal maxima the first (row by row) gets the gradient, as in
    PyTorch.  A NaN in a window makes its maximum NaN, and its last pixel gets the gradient.
    Raises ValueError when x has not four axes, a size is out of range, no window fits, or the algorithm is unknown.
    """
    windows = Windows.of("max_pool2d", x, kernel, stride, padding, dilation, ceil_mode)
    if wants_naive("max_pool2d", algorithm):
        return naive.max_pool(x, windows, ceil_mode)
    return (_by_kernel if runs_kernels(x) else _by_taps)(x, windows)


def _by_taps(x, windows):
    """max_pool2d with all windows at once."""
    xp, padded = array_library(x), windows.pad(x, -np.inf)
    taps, shape = windows.taps(padded), padded.shape
    y = xp.empty(taps[0].shape, x.dtype)
    first = xp.empty(y.shape, np.min_scalar_type(len(taps))) if recording() else None    # the tap that is the maximum

    def reduce(where):
        combine(xp.maximum, [tap[where] for tap in taps], y[where])
        if first is not None:
            _find_first([tap[where] for tap in taps], y[where], first[where])
    in_parallel(reduce, blocks(y))
    return y, (lambda dy: _gradient_by_taps(dy, first, windows, shape),)


def _gradient_by_taps(dy, first, windows, padded_shape):
    """Each dy to the tap that was the first maximum of its window."""
    dpadded = windows.blank(padded_shape, dy)
    dtaps = windows.taps(dpadded)

    def hand_out(where):
        for number, dtap in enumerate(dtaps):
            give(dtap[where], dy[where] * (first[where] == number), windows.overlap)
    windows.by_blocks(hand_out, dy)
    return windows.crop(dpadded)


def _find_first(taps, y, first):
    """The number of the first tap that equals y, in first; where none does, for a NaN, that of the last."""
    first[...] = 0
    free = None                                                  # windows whose maximum none of the taps so far has been
    for tap in taps[:-1]:
        free = tap != y if free is None else array_library(y).logical_and(free, tap != y, out=free)
        first += free.view(np.uint8)


def _by_kernel(x, windows):
    """max_pool2d by pool.cu."""
    xp, shape, sizes = array_library(x), x.shape, windows.sizes(x)
    y = xp.empty((len(x), *windows.outputs, x.shape[3]), x.dtype)
    first = xp.empty(y.shape, xp.int32) if recording() else None
    kernels.launch("max_pool", y.size, in_c_order(x), y, first, sizes)

    def grad_x(dy):
        dx = xp.empty(shape, dy.dtype)
        kernels.launch("max_pool_gradient", dx.size, in_c_order(dy), first, dx, sizes)
        return dx
    return y, (grad_x,)


class MaxPool2d(Pool):
    """max_pool2d with its sizes:   (N, H, W, C) -> (N, H', W', C)"""
    function = staticmethod(max_pool2d)
    picks = True

    def __init__(self, kernel, stride=None, padding=0, ceil_mode=False, dilation=1):
        super().__init__(kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode, dilation=dilation)
