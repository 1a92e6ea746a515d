"""Mean, variance and gradient over pixels on the GPU: what batch norm and group norm share.  over_pixels.cu has the kernels.

A batch norm is a group norm of one image that has the pixels of all, and each channel is a group.
"""
from typing import NamedTuple

from ...core import tuning
from ...core.backend import array_library
from ...core.kernels import THREADS, Kernels, in_c_order
from ...core.tensor import once
from .affine import sum_over_leading

kernels = Kernels(__file__, "over_pixels.cu")



class Pixels(NamedTuple):
    """x as (images, pixels, channels), in C order, and how the kernels walk over it."""
    x: object
    images: int
    walk: tuple                                  # the struct Images of over_pixels.cu
    blocks: tuple                                # (blocks, threads of a block)
    xp: object                                   # the library of x

    @classmethod
    def of(cls, x, images):
        """x (..., C), whose leading axes are the images, 1 of them or as many as x has, and their pixels."""
        C = x.shape[-1]
        pixels, tiles = x.size // (images * C), -(-C // THREADS)
        width = -(-C // tiles)                                                           # channels of a tile
        rows = max(1, min(THREADS // width, pixels))
        share = max(tuning.NORM_STEPS * rows, -(-pixels // tuning.NORM_MOST_SHARES))
        shares = -(-pixels // share)
        walk, blocks = (pixels, C, share, shares, tiles), ((images * shares * tiles,), (width, rows))
        return cls(in_c_order(x), images, walk, blocks, array_library(x))

    def moments(self):
        """Mean and sum of squares around it of each channel of each image, (images, C) both."""
        xp, (pixels, C, share, shares, _) = self.xp, self.walk
        means, squares = xp.empty((2, self.images * shares, C), self.x.dtype)
        kernels.launch("channel_moments", self.blocks, self.x, means, squares, self.walk)
        if shares == 1:
            return means, squares
        mean, square = xp.empty((2, self.images, C), self.x.dtype)
        width, tiles = min(C, 8), -(-C // 8)                     # few columns a block, so that there are many blocks
        kernels.launch("join_moments", ((self.images * tiles,), (width, THREADS // 8)), self.x, means, squares, mean, square,
                       (shares, C, shares, 1, tiles), pixels, share)
        return mean, square

    def normalized(self, mean, scale, bias):
        """scale (x - mean) + bias;   mean and scale (images, C) or (C,), bias (C,)"""
        xp = self.xp
        y = xp.empty(self.x.shape, self.x.dtype)
        kernels.launch("normalize", self.blocks, self.x, mean, scale, in_c_order(bias), y, self.walk)
        return y

    def gradient_sums(self, mean, dy):
        """The sums of dy and dy (x - mean) over the pixels of each image, (images, C) both."""
        xp, (_, C, _, shares, _) = self.xp, self.walk
        parts = xp.empty((2, self.images, shares, C), self.x.dtype)
        kernels.launch("gradient_sums", self.blocks, self.x, mean, in_c_order(dy), parts, self.walk, self.images * shares)
        plain, along = parts.sum(axis=2) if shares > 1 else parts.reshape(2, self.images, C)
        return plain, along

    def input_gradient(self, dy, mean, scale, offset, slope):
        """scale dy - offset - slope (x - mean), each of them (images, C)"""
        xp = self.xp
        dx = xp.empty(self.x.shape, self.x.dtype)
        kernels.launch("normalize_gradient", self.blocks, self.x, in_c_order(dy), mean, scale, offset, slope, dx, self.walk)
        return dx


def normalize_groups(pixels, weight, bias, moments, groups, count, eps, of_all=tuple):
    """y and the three gradient rules, from the moments (images, C) of channels of `count` pixels each.

    of_all: makes of a list of sums over pixels those over the pixels of all processes, where these are normalised together.
    """
    (images, C), xp, dtype, weight = moments[0].shape, pixels.xp, pixels.x.dtype, in_c_order(weight)
    members, sets = C // groups, images * groups
    mean, inverse, scale = xp.empty((3, images, C), dtype)
    kernels.launch("group_constants", 32 * sets, *moments, weight, mean, inverse, scale, sets, groups, members, count, eps)
    sums = once(lambda dy: pixels.gradient_sums(mean, dy))

    def grad_x(dy):
        plain, along = of_all(sums(dy))
        offset, slope = xp.empty((2, images, C), dtype)
        kernels.launch("gradient_constants", 32 * sets, plain, along, weight, inverse, offset, slope, sets, groups, members,
                       count * members)
        return pixels.input_gradient(dy, mean, scale, offset, slope)
    return pixels.normalized(mean, scale, bias), (grad_x, *weight_and_bias_rules(sums, inverse))


def weight_and_bias_rules(sums, inverse):
    """Their gradient rules, from a function of dy that gives its sums (see gradient_sums) and 1 / deviation."""
    return lambda dy: sum_over_leading(sums(dy)[1] * inverse), lambda dy: sum_over_leading(sums(dy)[0])
