"""Average pooling: each output pixel is the mean of a window of input pixels, channel by channel."""
from ...core.backend import array_library
from ...core.kernels import in_c_order, runs_kernels
from ...core.tensor import differentiable
from ...core.threads import in_parallel
from ..algorithm import wants_naive
from . import naive
from .windows import Pool, Windows, blocks, combine, give, kernels


@differentiable
def avg_pool2d(x, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True, dilation=1, algorithm="auto"):
    """The mean of each window:   x (N, H, W, C)   ->   y (N, H', W', C)

    Sizes, algorithm and errors as in `max_pool2d`.  The padding counts as zeros.  With count_include_pad the sum is
    divided by the number of pixels of the window that lie in the image or its padding (what ceil_mode lets hang over
    beyond that does not count), otherwise by the number of those in the image.  Both as in PyTorch.
    """
    windows = Windows.of("avg_pool2d", x, kernel, stride, padding, dilation, ceil_mode)
    if wants_naive("avg_pool2d", algorithm):
        return naive.average_pool(x, windows, ceil_mode, count_include_pad)
    return (_by_kernel if runs_kernels(x) else _by_taps)(x, windows, count_include_pad)


def _by_taps(x, windows, count_include_pad):
    """avg_pool2d with all windows at once."""
    xp, padded = array_library(x), windows.pad(x, 0)
    taps, shape = windows.taps(padded), padded.shape
    y = xp.empty(taps[0].shape, x.dtype)
    part = 1 / windows.pixels(x, count_include_pad)              # that a pixel has in its window, (H', W', 1), or a number
    part_of = (lambda where: part) if part.ndim == 0 else (lambda where: part[where[1]])

    def reduce(where):
        combine(xp.add, [tap[where] for tap in taps], y[where])
        y[where] *= part_of(where)
    in_parallel(reduce, blocks(y))
    return y, (lambda dy: _gradient_by_taps(dy, part_of, windows, shape),)


def _gradient_by_taps(dy, part_of, windows, padded_shape):
    """To each tap of a window its part of dy."""
    dpadded = windows.blank(padded_shape, dy)
    dtaps = windows.taps(dpadded)

    def hand_out(where):
        share = dy[where] * part_of(where)
        for dtap in dtaps:
            give(dtap[where], share, windows.overlap)
    windows.by_blocks(hand_out, dy)
    return windows.crop(dpadded)


def _by_kernel(x, windows, count_include_pad):
    """avg_pool2d by pool.cu."""
    xp, shape, sizes = array_library(x), x.shape, windows.sizes(x)
    y = xp.empty((len(x), *windows.outputs, x.shape[3]), x.dtype)
    part = xp.broadcast_to(1 / windows.pixels(x, count_include_pad), (*windows.outputs, 1)).copy()
    kernels.launch("average_pool", y.size, in_c_order(x), part, y, sizes)

    def grad_x(dy):
        dx = xp.empty(shape, dy.dtype)
        kernels.launch("average_pool_gradient", dx.size, in_c_order(dy), part, dx, sizes)
        return dx
    return y, (grad_x,)


class AvgPool2d(Pool):
    """avg_pool2d with its sizes:   (N, H, W, C) -> (N, H', W', C)"""
    function = staticmethod(avg_pool2d)

    def __init__(self, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True, dilation=1):
        super().__init__(kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode,
                         count_include_pad=count_include_pad, dilation=dilation)
