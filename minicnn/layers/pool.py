"""Pooling: each output pixel is the maximum, or the mean, of a window of input pixels, channel by channel.

A window of kh x kw pixels is seen as kh*kw *taps*: tap (i, j) is the strided view of the image that holds, for every
output pixel at once, the pixel in row i and column j of its window.  Pooling is then a short loop over whole arrays,

    y = maximum(tap 0, tap 1, ...)        or        y = (tap 0 + tap 1 + ...) / number of taps

and its gradient is the same loop, writing into the taps of dx.  Where the windows have their maximum is remembered as the
number of a tap, one byte a window: a backward pass that had to read the image again would wait for memory most of the time.
"""
from dataclasses import dataclass

import numpy as np

from ..core.backend import array_library
from ..core.kernels import Kernels, in_c_order, runs_kernels
from ..core.tensor import differentiable, recording
from ..core.threads import image_blocks, in_parallel
from .conv.geometry import pair
from .module import Module

kernels = Kernels(__file__, "pool.cu")
BLOCK_BYTES = 1 << 20                            # of the output: smaller ones are not worth a thread


@differentiable
def max_pool2d(x, kernel, stride=None, padding=0, ceil_mode=False, dilation=1):
    """The maximum of each window:   x (N, H, W, C)   ->   y (N, H', W', C)

    kernel, stride, padding, dilation  a whole number or a pair (rows, columns); stride None is the kernel's size
    ceil_mode  H' = floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1; with ceil_mode it is rounded up, so
               that a last window may hang over the edge, as long as it starts inside the image or its left padding

    The padding counts as -infinity and never wins.  Of equal maxima the first (row by row) gets the gradient, as in
    PyTorch.  A NaN in a window makes its maximum NaN, and its last pixel gets the gradient.
    Raises ValueError when x has not four axes, a size is out of range, or no window fits.
    """
    windows = _Windows.of("max_pool2d", x, kernel, stride, padding, dilation, ceil_mode)
    if runs_kernels(x):
        return _max_pool_by_kernel(x, windows)
    xp, padded = array_library(x), windows.pad(x, -np.inf)
    taps, shape = windows.taps(padded), padded.shape
    y = xp.empty(taps[0].shape, x.dtype)
    first = xp.empty(y.shape, np.min_scalar_type(len(taps))) if recording() else None    # the tap that is the maximum

    def reduce(where):
        _combine(xp.maximum, [tap[where] for tap in taps], y[where])
        if first is not None:
            _find_first([tap[where] for tap in taps], y[where], first[where])
    in_parallel(reduce, _blocks(y))

    def grad_x(dy):
        dpadded = windows.blank(shape, dy)
        dtaps = windows.taps(dpadded)

        def hand_out(where):
            for number, dtap in enumerate(dtaps):
                _give(dtap[where], dy[where] * (first[where] == number), windows.overlap)
        windows.by_blocks(hand_out, dy)
        return windows.crop(dpadded)

    return y, (grad_x,)


def _max_pool_by_kernel(x, windows):
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


def _combine(function, taps, out):
    """function(function(tap 0, tap 1), tap 2) ..., in out."""
    xp = array_library(out)
    function(taps[0], taps[1], out=out) if len(taps) > 1 else xp.copyto(out, taps[0])
    for tap in taps[2:]:
        function(out, tap, out=out)


def _find_first(taps, y, first):
    """The number of the first tap that equals y, in first; where none does, for a NaN, that of the last."""
    first[...] = 0
    free = None                                                  # windows whose maximum none of the taps so far has been
    for tap in taps[:-1]:
        free = tap != y if free is None else array_library(y).logical_and(free, tap != y, out=free)
        first += free.view(np.uint8)


def _give(dtap, share, overlap):
    """A tap's share of the gradient: added where windows overlap, else just written."""
    if overlap:
        dtap += share
    else:
        dtap[...] = share


def _blocks(y):
    """Images, or rows of one image, of about BLOCK_BYTES."""
    return image_blocks(*y.shape[:2], BLOCK_BYTES // (y[0, 0].nbytes or 1)) if y.size else []


@differentiable
def avg_pool2d(x, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True, dilation=1):
    """The mean of each window:   x (N, H, W, C)   ->   y (N, H', W', C)

    Sizes and errors as in `max_pool2d`.  The padding counts as zeros.  With count_include_pad the sum is divided by the
    number of pixels of the window that lie in the image or its padding (what ceil_mode lets hang over beyond that does
    not count), otherwise by the number of those in the image.  Both as in PyTorch.
    """
    windows = _Windows.of("avg_pool2d", x, kernel, stride, padding, dilation, ceil_mode)
    if runs_kernels(x):
        return _average_pool_by_kernel(x, windows, count_include_pad)
    xp, padded = array_library(x), windows.pad(x, 0)
    taps, shape = windows.taps(padded), padded.shape
    y = xp.empty(taps[0].shape, x.dtype)
    part = 1 / windows.pixels(x, count_include_pad)              # that a pixel has in its window, (H', W', 1), or a number
    part_of = (lambda where: part) if part.ndim == 0 else (lambda where: part[where[1]])

    def reduce(where):
        _combine(xp.add, [tap[where] for tap in taps], y[where])
        y[where] *= part_of(where)
    in_parallel(reduce, _blocks(y))

    def grad_x(dy):
        dpadded = windows.blank(shape, dy)
        dtaps = windows.taps(dpadded)

        def hand_out(where):
            share = dy[where] * part_of(where)
            for dtap in dtaps:
                _give(dtap[where], share, windows.overlap)
        windows.by_blocks(hand_out, dy)
        return windows.crop(dpadded)

    return y, (grad_x,)


def _average_pool_by_kernel(x, windows, count_include_pad):
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


@differentiable
def global_avg_pool2d(x):
    """The mean over the whole image:   x (N, H, W, C)   ->   y (N, C)      (Lin et al. 2014, Network in Network, 3.2)

    Raises ValueError when x has not four axes.
    """
    N, H, W, C = _image_shape("global_avg_pool2d", x)
    y = x.sum(axis=1).sum(axis=1) / (H * W)

    def grad_x(dy):
        dx = array_library(x).empty_like(x)
        dx[...] = (dy / (H * W))[:, None, None, :]
        return dx

    return y, (grad_x,)


@differentiable
def adaptive_avg_pool2d(x, size):
    """The mean over bins that cover the image, as many as asked:   x (N, H, W, C)   ->   y (N, size[0], size[1], C)

    size is a whole number or a pair (rows, columns).  Bin i of H' goes from row floor(i H / H') up to, and without, row
    ceil((i + 1) H / H'), so that bins overlap where H' does not divide H (PyTorch's rule).  VGG uses it to accept
    pictures of any size.
    Raises ValueError when x has not four axes or a size is below 1.
    """
    N, H, W, C = _image_shape("adaptive_avg_pool2d", x)
    rows, columns = (_bins(length, count) for length, count in zip((H, W), pair(size, "size")))
    xp = array_library(x)
    y = xp.empty((N, len(rows), len(columns), C), x.dtype)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            y[:, i, j] = x[:, row, column].mean(axis=1).mean(axis=1)

    def grad_x(dy):
        dx = xp.zeros_like(x)
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                pixels = (row.stop - row.start) * (column.stop - column.start)
                dx[:, row, column] += (dy[:, i, j] / pixels)[:, None, None, :]
        return dx

    return y, (grad_x,)


def _bins(length, count):
    if count < 1:
        raise ValueError(f"adaptive_avg_pool2d: an output size must be at least 1, not {count}")
    return [slice(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


@dataclass(frozen=True)
class _Windows:
    """Where the windows lie.  Every field is a pair (rows, columns); `outputs` is the number of windows."""
    image: tuple
    kernel: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    outputs: tuple

    @classmethod
    def of(cls, operation, x, kernel, stride, padding, dilation, ceil_mode):
        """The windows of a pooling of x (N, H, W, C).  Raises ValueError for sizes that cannot be."""
        image = _image_shape(operation, x)[1:3]
        kernel, padding, dilation = pair(kernel, "kernel"), pair(padding, "padding"), pair(dilation, "dilation")
        stride = kernel if stride is None else pair(stride, "stride")
        sizes = list(zip(image, kernel, stride, padding, dilation))
        for axis, size in zip(("rows", "columns"), sizes):
            _check_window(f"{operation}, {axis}", *size)
        return cls(image, kernel, stride, padding, dilation, tuple(_count(*size, ceil_mode) for size in sizes))

    def pad(self, x, value):
        """x with its padding: before the image as much as asked, behind it as much as the last window needs."""
        before, behind = self.padding, self._behind()
        if before == behind == (0, 0):
            return x
        widths = ((0, 0), (before[0], behind[0]), (before[1], behind[1]), (0, 0))
        return array_library(x).pad(x, widths, constant_values=value)

    def _behind(self):
        needed = [(out - 1) * s + d * (k - 1) + 1 - size - p for size, k, s, p, d, out in self._axes()]
        return tuple(max(0, n) for n in needed)

    def _axes(self):
        return zip(self.image, self.kernel, self.stride, self.padding, self.dilation, self.outputs)

    @property
    def extent(self):
        """How many rows and columns a window reaches over."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation))

    @property
    def overlap(self):
        return self.stride[0] < self.extent[0] or self.stride[1] < self.extent[1]

    def blank(self, shape, dy):
        """An array for the gradient of the padded image: zeros, or anything where each pixel is written to in any case."""
        xp = array_library(dy)
        tiled = self.kernel == self.stride == self.extent and shape[1:3] == tuple(
            count * step for count, step in zip(self.outputs, self.stride))
        return (xp.empty if tiled else xp.zeros)(shape, dy.dtype)

    def by_blocks(self, block, y):
        """block(where) for all blocks of windows, at the same time only for those that share no pixels, in a fixed order."""
        blocks, step = _blocks(y), self.stride[0]
        rows = min([part.stop - part.start for _, part in blocks], default=1)
        shared = 0 if rows == y.shape[1] else max(0, self.extent[0] - step)         # rows of pixels, between neighbours
        apart = 1 + -(-shared // (rows * step))
        for first in range(apart):
            in_parallel(block, blocks[first::apart])

    def sizes(self, x):
        """The struct Sizes of pool.cu, whose rows and columns are structs Axis."""
        axes = zip(self.image, self.outputs, self.stride, self.padding, self.dilation, self.kernel)
        return *(number for axis in axes for number in axis), x.shape[0], x.shape[3]

    def crop(self, padded):
        """The image without its padding."""
        (top, left), (H, W) = self.padding, self.image
        return padded[:, top:top + H, left:left + W]

    def taps(self, padded):
        """One view (N, H', W', C) of the padded image for each of the kh*kw pixels of a window, row by row."""
        rows, columns = ([slice(i * d, i * d + (out - 1) * s + 1, s) for i in range(k)]
                         for _, k, s, _, d, out in self._axes())
        return [padded[:, row, column] for row in rows for column in columns]

    def pixels(self, x, count_padding):
        """How many pixels of each window count, those in the image, or also those in its padding: (H', W', 1), or a single
        number where it is everywhere the same."""
        counts = []
        for size, k, s, p, d, out in self._axes():
            at = s * np.arange(out)[:, None] + d * np.arange(k) - p              # (out, k): the pixels of each window
            inside = (at >= -p) & (at < size + p) if count_padding else (at >= 0) & (at < size)
            counts.append(np.maximum(1, inside.sum(axis=1)))
        pixels = np.outer(*counts)[:, :, None]
        return array_library(x).asarray(pixels if pixels.min() < pixels.max() else pixels[0, 0, 0], dtype=x.dtype)


def _count(image, kernel, stride, padding, dilation, ceil_mode):
    """How many windows fit along one axis."""
    room = image + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    outputs = -(-room // stride) + 1
    starts_behind_image = (outputs - 1) * stride >= image + padding
    return outputs - starts_behind_image


def _check_window(where, image, kernel, stride, padding, dilation):
    if min(kernel, stride, dilation) < 1 or padding < 0:
        raise ValueError(f"{where}: kernel {kernel}, stride {stride} and dilation {dilation} must be at least 1, "
                         f"padding {padding} at least 0")
    extent = dilation * (kernel - 1) + 1
    if padding >= extent:
        raise ValueError(f"{where}: padding {padding} is as large as the window, {extent} (kernel {kernel}, dilation "
                         f"{dilation}): windows would hold nothing but padding; use at most {extent - 1}")
    if image + 2 * padding < extent:
        raise ValueError(f"{where}: a window of {extent} (kernel {kernel}, dilation {dilation}) does not fit into an "
                         f"image of {image} with padding {padding}: use a larger image or a smaller kernel")


def _image_shape(operation, x):
    if x.ndim != 4:
        raise ValueError(f"{operation}: x must be (N, H, W, C), its shape is {x.shape}")
    return x.shape


class _Pool(Module):
    """A pooling function as a Module: remembers its options and calls it."""
    function = None

    def __init__(self, **options):
        super().__init__()
        self.options = options
        if options["stride"] is None:
            options["stride"] = options["kernel"]

    def forward(self, x):
        return type(self).function(x, **self.options)

    def window(self):
        """(kernel span, stride, padding) of one output pixel, in rows."""
        kernel, stride, padding, dilation = (pair(self.options[name], name)[0]
                                             for name in ("kernel", "stride", "padding", "dilation"))
        return dilation * (kernel - 1) + 1, stride, padding

    def __repr__(self):
        return "{}({kernel}, stride={stride}, padding={padding})".format(type(self).__name__, **self.options)


class MaxPool2d(_Pool):
    """max_pool2d with its sizes:   (N, H, W, C) -> (N, H', W', C)"""
    function = staticmethod(max_pool2d)
    picks = True

    def __init__(self, kernel, stride=None, padding=0, ceil_mode=False, dilation=1):
        super().__init__(kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode, dilation=dilation)


class AvgPool2d(_Pool):
    """avg_pool2d with its sizes:   (N, H, W, C) -> (N, H', W', C)"""
    function = staticmethod(avg_pool2d)

    def __init__(self, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True, dilation=1):
        super().__init__(kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode,
                         count_include_pad=count_include_pad, dilation=dilation)


class GlobalAvgPool2d(Module):
    """global_avg_pool2d:   (N, H, W, C) -> (N, C)"""

    def forward(self, x):
        return global_avg_pool2d(x)


class AdaptiveAvgPool2d(Module):
    """adaptive_avg_pool2d to a fixed size, a number or (rows, columns):   (N, H, W, C) -> (N, rows, columns, C)"""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return adaptive_avg_pool2d(x, self.size)

    def __repr__(self):
        return f"AdaptiveAvgPool2d({self.size})"
