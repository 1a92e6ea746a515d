"""Convolution on the GPU: one matrix product whose left matrix, all patches of the image, is never stored.

What a block of threads does, and why, is drawn in implicit.cu.  This room says which pixels meet which: forwards, and
backwards, where a convolution with a stride falls apart into stride * stride convolutions without one.
Its twin is `im2col`, which makes the same products in the same order of taps.
"""
import math
from typing import NamedTuple

from ...core import tuning
from ...core.backend import array_library
from ...core.kernels import Kernels, in_c_order
from .epilogue import through_relu

kernels = Kernels(__file__, "implicit.cu")

FOR = "float32 arrays on the GPU"
TILES = {"wide": (128, 128), "medium": (64, 64), "narrow": (128, 32)}           # pixels and filters of a block
SLICE = 16                        # of the inner dimension


class Axis(NamedTuple):
    """How an axis of the output finds its pixels in the source: see implicit.cu, whose struct has the same fields."""
    source: int
    outputs: int
    stride: int
    first: int
    size: int
    step: int
    start: int
    per_tap: int
    taps: int


def suits(weight_shape, geometry):
    """It does every convolution."""
    return True


def pays(x_shape, weight_shape):
    """Always, on a GPU."""
    return True


def forward(x, weight, geometry, bias=None, activation=None):
    """x (N, H, W, C), weight (kh, kw, C/groups, K), bias (K,) or None, activation "relu" or None  ->  y (N, OH, OW, K)."""
    size = geometry.output_size(x.shape[1:3], weight.shape[:2])
    y = array_library(x).empty((len(x), *size, weight.shape[3]), x.dtype)
    rows, columns = forward_axes(x.shape[1:3], size, weight.shape[:2], geometry)
    _convolve(x, weight, bias, y, rows, columns, geometry.groups, activation == "relu")
    return y


def input_gradient(dy, weight, x_shape, geometry, y=None):
    """dy (N, OH, OW, K)  ->  dx of x_shape; y, the output of a ReLU that followed, lets dy through where it is positive.

    dx[p] is the sum of dy[o] w[tap] over all o and taps that met in p.  With a stride s, the pixels of each residue p mod s
    meet some of the taps, always the same ones: they are a launch of their own.
    """
    dy = dy if y is None else through_relu(dy, y)
    xp, (kh, kw, Cg, K), groups = array_library(dy), weight.shape, geometry.groups
    dx = xp.empty(x_shape, dy.dtype)
    exchanged = weight.reshape(kh, kw, Cg, groups, K // groups).transpose(0, 1, 4, 3, 2)  # (kh, kw, K/groups, groups, Cg)
    exchanged = exchanged.reshape(kh, kw, K // groups, groups * Cg)
    for rows, some in gradient_axes(0, dy.shape, x_shape, kh, geometry):
        for columns, others in gradient_axes(1, dy.shape, x_shape, kw, geometry):
            _convolve(dy, exchanged[some, others], None, dx, rows, columns, groups, False)
    return dx


def weight_gradient(x, dy, weight_shape, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K)  ->  dw of weight_shape: partial sums over shares of the pixels, then their sum."""
    xp, (kh, kw, Cg, K), groups = array_library(x), weight_shape, geometry.groups
    rows, columns = forward_axes(x.shape[1:3], dy.shape[1:3], (kh, kw), geometry)
    numbers, filters, pixels = kh * kw * Cg, K // groups, dy.size // (K or 1)
    name, tall, wide = _tile(filters, Cg % 4 != 0, large=filters > 64 and numbers > 64)
    blocks = -(-numbers // tall), -(-filters // wide)
    shares, share = _shares(pixels, blocks[0] * blocks[1] * groups)
    partial = xp.empty((shares, kh, kw, Cg, K), x.dtype)
    kernels.launch(f"weigh_{name}", ((*blocks, groups * shares), (tall * wide // 64,)), in_c_order(x), in_c_order(dy),
                   partial, (*rows, *columns, pixels, Cg, filters, 0), groups, share)
    return partial[0] if shares == 1 else partial.sum(axis=0)


def forward_axes(source, size, kernel, geometry):
    """(rows, columns): output o sees, at tap i, source pixel  o * stride - padding + i * dilation."""
    return tuple(Axis(n, m, 1, 0, m, s, -p, d, k) for n, m, s, p, d, k in zip(
        source, size, geometry.stride, geometry.padding, geometry.dilation, kernel))


def gradient_axes(axis, dy_shape, x_shape, taps, geometry):
    """[(Axis, slice of the taps), ...] for each residue of an image's rows (axis 0) or columns (1) modulo the stride.

    Pixel p = a * stride + first met, at tap i, the output  o = (p + padding - i * dilation) / stride  if that is whole.  The
    taps for which it is lie `every` apart, and o moves by dilation / common from one of them to the next.
    """
    stride, padding, dilation = (pair[axis] for pair in (geometry.stride, geometry.padding, geometry.dilation))
    source, size, common = dy_shape[axis + 1], x_shape[axis + 1], math.gcd(stride, dilation)
    every, found = stride // common, []
    for first in range(min(stride, size)):
        tap = next((i for i in range(min(every, taps)) if (first + padding - i * dilation) % stride == 0), taps)
        start = (first + padding - tap * dilation) // stride
        found.append((Axis(source, -(-(size - first) // stride), stride, first, size, 1, start, -(dilation // common),
                           len(range(tap, taps, every))), slice(tap, None, every)))
    return found


def _convolve(x, weight, bias, y, rows, columns, groups, relu):
    inner, filters, pixels = weight.shape[2], weight.shape[3] // groups, len(x) * rows.outputs * columns.outputs
    tall, wide = TILES["wide"]
    large = filters > 64 and -(-pixels // tall) * -(-filters // wide) * groups >= tuning.CONV_ENOUGH_BLOCKS // 2
    name, tall, wide = _tile(filters, inner % 4 != 0 or inner < SLICE, large)
    blocks = -(-pixels // tall), -(-filters // wide), groups
    kernels.launch(f"convolve_{name}", (blocks, (tall * wide // 64,)), in_c_order(x), in_c_order(weight),
                   in_c_order(bias), y, (*rows, *columns, pixels, inner, filters, int(relu)))


def _tile(filters, flat, large):
    """(name of the kernel, its rows, its columns): large tiles use each number more often, small ones fill the GPU."""
    aligned = filters % 4 == 0
    size = "narrow" if filters <= 32 or not aligned else "wide" if large and not flat else "medium"
    return size + "_flat" * flat + "_odd" * (not aligned), *TILES[size]


def _shares(pixels, blocks):
    """(number of shares, pixels in each): enough blocks, but slices enough for each of them."""
    slices = -(-pixels // SLICE)
    shares = max(1, min(tuning.CONV_ENOUGH_BLOCKS * 2 // blocks, slices // tuning.CONV_FEWEST_SLICES))
    share = max(1, -(-slices // shares))
    return max(1, -(-slices // share)), share * SLICE
