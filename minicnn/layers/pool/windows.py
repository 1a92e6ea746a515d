"""Where the windows of a pooling lie, and what max and average pooling have in common.

A window of kh x kw pixels is seen as kh*kw *taps*: tap (i, j) is the strided view of the image that holds, for every
output pixel at once, the pixel in row i and column j of its window.  Pooling is then a short loop over whole arrays,

    y = maximum(tap 0, tap 1, ...)        or        y = (tap 0 + tap 1 + ...) / number of taps

and its gradient is the same loop, writing into the taps of dx.
"""
from dataclasses import dataclass

import numpy as np

from ...core import tuning
from ...core.backend import array_library
from ...core.kernels import Kernels
from ...core.threads import image_blocks, in_parallel
from ..conv.geometry import pair
from ..module import Module

kernels = Kernels(__file__, "pool.cu")           # of max and average pooling, which go the same ways


@dataclass(frozen=True)
class Windows:
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
        image = image_shape(operation, x)[1:3]
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
        needed = [(out - 1) * s + d * (k - 1) + 1 - size - p for size, k, s, p, d, out in self.axes()]
        return tuple(max(0, n) for n in needed)

    def axes(self):
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
        all_blocks, step = blocks(y), self.stride[0]
        rows = min([part.stop - part.start for _, part in all_blocks], default=1)
        shared = 0 if rows == y.shape[1] else max(0, self.extent[0] - step)         # rows of pixels, between neighbours
        apart = 1 + -(-shared // (rows * step))
        for first in range(apart):
            in_parallel(block, all_blocks[first::apart])

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
                         for _, k, s, _, d, out in self.axes())
        return [padded[:, row, column] for row in rows for column in columns]

    def pixels(self, x, count_padding):
        """How many pixels of each window count, those in the image, or also those in its padding: (H', W', 1), or a single
        number where it is everywhere the same."""
        counts = []
        for size, k, s, p, d, out in self.axes():
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


def image_shape(operation, x):
    if x.ndim != 4:
        raise ValueError(f"{operation}: x must be (N, H, W, C), its shape is {x.shape}")
    return x.shape


def blocks(y):
    """Images, or rows of one image, that are worth a thread."""
    return image_blocks(*y.shape[:2], tuning.POOL_BLOCK_BYTES // (y[0, 0].nbytes or 1)) if y.size else []


def combine(function, taps, out):
    """function(function(tap 0, tap 1), tap 2) ..., in out."""
    xp = array_library(out)
    function(taps[0], taps[1], out=out) if len(taps) > 1 else xp.copyto(out, taps[0])
    for tap in taps[2:]:
        function(out, tap, out=out)


def give(dtap, share, overlap):
    """A tap's share of the gradient: added where windows overlap, else just written."""
    if overlap:
        dtap += share
    else:
        dtap[...] = share


class Pool(Module):
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
