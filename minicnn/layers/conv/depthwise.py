"""Depthwise convolution: each channel has one filter of its own and sees no other channel (groups = C = K).

There is nothing to multiply as matrices: it is kh * kw times "shift, multiply, add" over whole rows of the image.
(Howard et al. 2017, "MobileNets", section 3.1.)
"""
import numpy as np

from ...core import tuning
from ...core.arithmetic import pad_array
from ...core.backend import array_library
from ...core.kernels import Kernels, in_c_order, runs_kernels
from ...core.threads import image_blocks, in_parallel, slices, workspace
from .epilogue import finish, in_a_row, through_relu
from .im2col import patches_of_tap

kernels = Kernels(__file__, "depthwise.cu")

CHANNELS, LANES = 32, 8           # of a block of the weight gradient's kernel, 256 threads
FOR = "a filter of its own for each channel"


def suits(weight_shape, geometry):
    """Whether this algorithm can do the convolution (as many groups as input channels and as filters)."""
    return weight_shape[2] == 1 and weight_shape[3] == geometry.groups


def pays(x_shape, weight_shape):
    """Always: a matrix product for every channel would be one of a row with a column."""
    return True


def forward(x, weight, geometry, bias=None, activation=None):
    """x (N, H, W, C), weight (kh, kw, 1, C), bias (C,) or None, activation "relu" or None  ->  y (N, OH, OW, C)."""
    size = geometry.output_size(x.shape[1:3], weight.shape[:2])
    if runs_kernels(x):
        return _launched("depthwise", (x, weight, bias), (len(x), *size, x.shape[3]),
                         _sizes(x.shape, size, weight.shape, geometry, activation))
    padded = _padded(x, geometry)
    y, taps = np.zeros((len(x), *size, x.shape[3]), x.dtype), _taps(weight, size[1])

    def block(where):
        for (i, j), row in taps:
            tap = patches_of_tap(padded, i, j, size, geometry)[where]
            y[where] += np.multiply(tap, row, out=workspace("products", tap.shape, x.dtype))
        finish(y[where], bias, activation)
    in_parallel(block, _blocks(y))
    return y


def input_gradient(dy, weight, x_shape, geometry, y=None):
    """dy (N, OH, OW, C)  ->  dx of x_shape: each tap hands its share back to the pixels that it came from.

    y, the output of a ReLU that followed, lets dy through only where it is positive.
    """
    dy = dy if y is None else through_relu(dy, y)
    if runs_kernels(dy):
        return _launched("depthwise_input_gradient", (dy, weight), x_shape,
                         _sizes(x_shape, dy.shape[1:3], weight.shape, geometry))
    (ph, pw), (N, H, W, C) = geometry.padding, x_shape
    dpadded, taps = np.zeros((N, H + 2 * ph, W + 2 * pw, C), dy.dtype), _taps(weight, dy.shape[2])

    def some_channels(images_and_channels):
        images, c = images_and_channels
        for (i, j), row in taps:
            tap = patches_of_tap(dpadded[images], i, j, dy.shape[1:3], geometry)[..., c]
            tap += dy[images][..., c] * row[:, c]
    in_parallel(some_channels, [(image, c) for image in slices(N, N) for c in slices(C, 2 if N == 1 else 1)])
    return dpadded[:, ph:ph + H, pw:pw + W]


def weight_gradient(x, dy, weight_shape, geometry):
    """x (N, H, W, C), dy (N, OH, OW, C)  ->  dw (kh, kw, 1, C): the sum of x times dy over all pixels of each tap."""
    if runs_kernels(x):
        return _weight_gradient_by_kernel(x, dy, weight_shape, geometry)
    padded, size, blocks = _padded(x, geometry), dy.shape[1:3], _blocks(dy)

    def share(part):
        return sum(np.stack([_sum_of_products(patches_of_tap(padded, i, j, size, geometry)[where], dy[where])
                             for i in range(weight_shape[0]) for j in range(weight_shape[1])]) for where in blocks[part])
    return sum(in_parallel(share, slices(len(blocks), tuning.DEPTHWISE_SHARES))).reshape(weight_shape)


def _sum_of_products(a, b):
    return np.einsum("nhwc,nhwc->c", a, b)


def _padded(x, geometry):
    (ph, pw) = geometry.padding
    return pad_array(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), "zeros")


def _taps(weight, columns):
    """((i, j), filter) of each tap, the filter repeated for a row of pixels, (columns, C)."""
    kh, kw = weight.shape[:2]
    return [((i, j), in_a_row(weight[i, j, 0], columns)) for i in range(kh) for j in range(kw)]


def _blocks(y):
    return image_blocks(*y.shape[:2], tuning.DEPTHWISE_BLOCK_BYTES // y[0, 0].nbytes)


def _sizes(x_shape, size, weight_shape, geometry, activation=None):
    """The struct Sizes of depthwise.cu, whose rows and columns are structs Axis."""
    axes = zip(x_shape[1:3], size, geometry.stride, geometry.padding, geometry.dilation, weight_shape[:2])
    return *(number for axis in axes for number in axis), x_shape[0], x_shape[3], int(activation == "relu")


def _launched(name, arrays, shape, sizes):
    """The output, of this shape, of a kernel that reads `arrays` and has a thread for each number that it writes."""
    y = array_library(arrays[0]).empty(shape, arrays[0].dtype)
    kernels.launch(name, y.size, *map(in_c_order, arrays), y, sizes)
    return y


def _weight_gradient_by_kernel(x, dy, weight_shape, geometry):
    (kh, kw, _, C), pixels = weight_shape, dy.shape[0] * dy.shape[1] * dy.shape[2]
    shares = -(-pixels // max(tuning.DEPTHWISE_FEWEST_PIXELS, -(-pixels // CHANNELS)))
    share = -(-pixels // shares)
    partial = array_library(x).empty((shares, *weight_shape), x.dtype)
    kernels.launch("depthwise_weight_gradient", ((-(-C // CHANNELS), kh * kw, shares), (CHANNELS, LANES)), in_c_order(x),
                   in_c_order(dy), partial, _sizes(x.shape, dy.shape[1:3], weight_shape, geometry), share)
    return partial.sum(axis=0)
