"""Group norm and layer norm: mean and variance are those of one image, or one pixel, whatever else is in the batch.

    x_hat = (x - mean) / sqrt(variance + eps)          y = weight x_hat + bias

Layer norm takes them over the channels of a pixel, group norm over the pixels of an image and a group of its channels.
"""
import math

import numpy as np

from ...core import tuning
from ...core.backend import array_library
from ...core.kernels import MOST_BLOCKS, THREADS, Kernels, in_c_order, runs_kernels
from ...core.tensor import differentiable
from ..algorithm import wants_naive
from . import naive
from .affine import Affine, check_channels, inverse_deviation, sum_over_leading
from .over_pixels import Pixels, normalize_groups

kernels = Kernels(__file__, "layer.cu")          # of layer norm; group norm's are in over_pixels.cu



@differentiable
def layer_norm(x, weight, bias, eps=1e-5, algorithm="auto"):
    """Each row of channels to mean 0 and variance 1:   x (..., C), weight and bias (C,)   ->   y like x

    In an image every pixel is normalised by itself.  PyTorch's layer_norm with normalized_shape = (C,).
    algorithm  "auto", the quickest, or "naive", the definition
    Source: Ba, Kiros and Hinton 2016, Layer Normalization.  Raises ValueError for wrong shapes or an unknown algorithm.
    """
    check_channels("layer_norm", x, weight=weight, bias=bias)
    if wants_naive("layer_norm", algorithm):
        pixels = list(np.ndindex(x.shape[:-1]))
        return naive.normalize(x, weight, bias, pixels, eps)
    if runs_kernels(x, weight, bias):
        return _layer_norm_by_kernel(x, weight, bias, eps)
    return _normalize(x, weight, bias, (-1,), eps)


@differentiable
def group_norm(x, weight, bias, groups, eps=1e-5, algorithm="auto"):
    """In each image, each group of neighbouring channels to mean 0 and variance 1 over all pixels.

    x (N, H, W, C) or (N, C), weight and bias (C,)   ->   y like x
    groups=1 takes all channels together, groups=C each alone (instance normalisation).

    algorithm  "auto", the quickest, or "naive", the definition
    Source: Wu and He 2018, Group Normalization.
    Raises ValueError for wrong shapes, when groups does not divide C, or for an unknown algorithm.
    """
    check_channels("group_norm", x, weight=weight, bias=bias)
    C = x.shape[-1]
    if groups < 1 or C % groups:
        raise ValueError(f"group_norm: {C} channels (x {x.shape}) do not split into {groups} groups: "
                         "groups must divide the channels")
    if wants_naive("group_norm", algorithm):
        members = C // groups
        sets = [(n, ..., slice(first, first + members)) for n in range(len(x)) for first in range(0, C, members)]
        return naive.normalize(x, weight, bias, sets, eps)
    if x.size and runs_kernels(x, weight, bias):
        pixels = Pixels.of(x, len(x))
        return normalize_groups(pixels, weight, bias, pixels.moments(), groups, math.prod(x.shape[1:-1]), eps)
    return _group_norm(x, weight, bias, groups, eps)


def _group_norm(x, weight, bias, groups, eps):
    """With the groups as an axis of their own, group norm is like layer norm, over more axes."""
    def grouped(array):
        return array.reshape(*array.shape[:-1], groups, array.shape[-1] // groups)        # (..., groups, members)

    def through(rule, shape):
        return lambda dy: rule(grouped(dy)).reshape(shape)
    pixels_and_members = (*range(1, x.ndim - 1), x.ndim)
    y, rules = _normalize(grouped(x), grouped(weight), grouped(bias), pixels_and_members, eps)
    return y.reshape(x.shape), tuple(map(through, rules, (x.shape, weight.shape, bias.shape)))


def _normalize(x, weight, bias, axes, eps):
    """weight x_hat + bias with the mean and variance over `axes`, and its three gradient rules.

    With g = dy weight, the gradient of x_hat,     dx = (g - mean(g) - x_hat mean(g x_hat)) / deviation:
    what is left of g without its part along the mean and along x_hat, neither of which can reach y.
    """
    centred = x - _mean(x, axes)
    inverse = inverse_deviation(_mean(centred * centred, axes), eps)
    x_hat = centred * inverse

    def grad_x(dy):
        g = dy * weight
        return (g - _mean(g, axes) - x_hat * _mean(g * x_hat, axes)) * inverse

    def grad_weight(dy):
        return sum_over_leading(dy * x_hat, weight.ndim)

    def grad_bias(dy):
        return sum_over_leading(dy, weight.ndim)

    return x_hat * weight + bias, (grad_x, grad_weight, grad_bias)


def _mean(x, axes):
    """The mean over `axes`, which stay with length 1: one axis after the other, as in sum_over_leading, and why."""
    for axis in axes:
        x = x.mean(axis=axis, keepdims=True)
    return x


def _layer_norm_by_kernel(x, weight, bias, eps):
    """layer_norm by layer.cu: a warp, or a block of threads, takes a row."""
    xp, C = array_library(x), x.shape[-1]
    x, weight, y, rows = in_c_order(x), in_c_order(weight), xp.empty(x.shape, x.dtype), x.size // (C or 1)
    means, inverses = xp.empty((2, rows, 1), x.dtype)
    threads = (32, THREADS // 32) if C <= tuning.NORM_WARP_CHANNELS else (THREADS, 1)
    blocks = (min(-(-rows // threads[1]), MOST_BLOCKS),), threads
    kernels.launch("layer_norm", blocks, x, weight, in_c_order(bias), y, means, inverses, rows, C, eps)

    def grad_x(dy):
        dx = xp.empty(x.shape, x.dtype)
        kernels.launch("layer_norm_gradient", blocks, x, in_c_order(dy), weight, means, inverses, dx, rows, C)
        return dx

    def grad_weight(dy):                                         # CuPy joins these few steps well enough
        return (dy.reshape(rows, C) * ((x.reshape(rows, C) - means) * inverses)).sum(axis=0)
    return y, (grad_x, grad_weight, sum_over_leading)


class GroupNorm(Affine):
    """group_norm with its weight and bias (C,).   (N, H, W, C) -> the same"""

    def __init__(self, groups, channels, eps=1e-5):
        super().__init__(channels, eps)
        self.groups = groups

    def forward(self, x):
        return group_norm(x, self.weight, self.bias, self.groups, self.eps)

    def __repr__(self):
        return f"GroupNorm({self.groups}, {len(self.weight)})"


class LayerNorm(Affine):
    """layer_norm with its weight and bias (C,).   (..., C) -> the same"""

    def __init__(self, channels, eps=1e-5):
        super().__init__(channels, eps)

    def forward(self, x):
        return layer_norm(x, self.weight, self.bias, self.eps)

    def __repr__(self):
        return f"LayerNorm({len(self.weight)})"
