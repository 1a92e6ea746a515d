"""Batch norm: each channel to mean 0 and variance 1 over all images and pixels, then a learned scale and offset for it.

    x_hat = (x - mean) / sqrt(variance + eps)          y = weight x_hat + bias

In training mean and variance come from the batch, in evaluation they are constants.
"""
import math
from typing import NamedTuple

import numpy as np

from ...core import tuning
from ...core.backend import array_library, is_gpu_array
from ...core.kernels import Kernels, runs_kernels
from ...core.processes import all_reduce, all_reduce_many
from ...core.processes import count as processes
from ...core.tensor import differentiable, once
from ...core.threads import in_parallel, slices
from .. import init
from ..algorithm import wants_naive
from . import naive
from .affine import Affine, check_channels, inverse_deviation, sum_over_leading
from .over_pixels import Pixels, normalize_groups, weight_and_bias_rules

kernels = Kernels(__file__, "batch.cu")          # of the running statistics; the others are in over_pixels.cu



@differentiable
def batch_norm(x, weight, bias, running_mean=None, running_var=None, training=True, momentum=.1, eps=1e-5,
               algorithm="auto"):
    """Each channel to mean 0 and variance 1, then scaled and shifted:   x (N, H, W, C) or (N, C)   ->   y like x

        y = weight (x - mean) / sqrt(var + eps) + bias             weight, bias, mean and var (C,)

    In training mean and (biased) variance are those of the batch, so dx sees through them; the arrays running_mean and
    running_var, where given, move towards them in place: running += momentum (batch - running), with the unbiased
    variance, as in PyTorch.  Otherwise the running statistics are constants.  Where several processes learn together (see
    processes.py) the batch is that of all of them.

    algorithm  "auto", the quickest, or "naive", the definition (in training for a single process)
    Source: Ioffe and Szegedy 2015, Batch Normalization, algorithm 1 and the gradients of section 3.
    Raises ValueError for wrong shapes, one value per channel in training, no running statistics in evaluation, or an
    unknown algorithm.
    """
    check_channels("batch_norm", x, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    by_definition = wants_naive("batch_norm", algorithm)
    by_kernels = x.size and runs_kernels(x, weight, bias, running_mean, running_var)
    if training:
        count = _pixels_of_batch(x)
        if by_definition:
            return _naive(x, weight, bias, running_mean, running_var, momentum, eps)
        if by_kernels:
            return _by_kernels(x, weight, bias, running_mean, running_var, momentum, eps, count)
        return _by_rows(x, weight, bias, running_mean, running_var, momentum, eps, count)
    if running_mean is None or running_var is None:
        raise ValueError("batch_norm: training=False needs running_mean and running_var")
    mean, inverse = running_mean.copy(), inverse_deviation(running_var, eps)
    if by_definition:
        return _naive_by_constants(x, weight, bias, mean, inverse)
    if by_kernels:
        return _constants_by_kernels(x, weight, bias, mean, inverse)
    return _by_constants(x, weight, bias, mean, inverse)


def _pixels_of_batch(x):
    """How many values a channel has, in all processes."""
    count = int(all_reduce(np.array(x.size // x.shape[-1])))
    if count < 2:
        raise ValueError(f"batch_norm: one value per channel in x of shape {x.shape} has no variance: "
                         "use a larger batch, or training=False")
    return count


# ---- the definition ------------------------------------------------------------------------------------------------

def _naive(x, weight, bias, running_mean, running_var, momentum, eps):
    """In training: a set of numbers is a channel."""
    if processes() > 1:
        raise ValueError("batch_norm: algorithm='naive' knows the batch of one process only: use algorithm='auto'")
    pixels = tuple(range(x.ndim - 1))
    _move(running_mean, x.mean(axis=pixels), momentum)
    _move(running_var, x.var(axis=pixels, ddof=1), momentum)
    return naive.normalize(x, weight, bias, [(..., c) for c in range(x.shape[-1])], eps)


def _naive_by_constants(x, weight, bias, mean, inverse):
    """In evaluation each y depends on one x only, and the rules can be read off."""
    x_hat, pixels = (x - mean) * inverse, tuple(range(x.ndim - 1))
    return weight * x_hat + bias, (lambda dy: dy * weight * inverse, lambda dy: (dy * x_hat).sum(axis=pixels),
                                   lambda dy: dy.sum(axis=pixels))


# ---- in NumPy ------------------------------------------------------------------------------------------------------

def _by_rows(x, weight, bias, running_mean, running_var, momentum, eps, count):
    """In training.  Mean and deviation carry dy back to every pixel:

        dx = scale (dy - mean(dy) - x_hat mean(dy x_hat)),      scale = weight / deviation,   x_hat = (x - mean) / deviation
    """
    rows = _Rows.of(x)
    mean, square = _joined(*rows.moments(), count)
    _move(running_mean, mean, momentum)
    _move(running_var, square / count * (count / (count - 1)), momentum)
    inverse = inverse_deviation(square / count, eps)
    scale, sums = weight * inverse, once(lambda dy: rows.gradient_sums(dy, mean, inverse))

    def grad_x(dy):
        sum_dy, sum_dy_x_hat = all_reduce_many(sums(dy))
        return rows.input_gradient(dy, mean, scale, sum_dy / count, inverse * sum_dy_x_hat / count)
    return rows.linear(scale, bias - scale * mean), (grad_x, lambda dy: sums(dy)[1], lambda dy: sums(dy)[0])


def _by_constants(x, weight, bias, mean, inverse):
    """In evaluation all is linear:   y = scale x + (bias - scale mean),   scale = weight / deviation"""
    rows, scale = _Rows.of(x), weight * inverse
    sums = once(lambda dy: rows.gradient_sums(dy, mean, inverse))

    def grad_x(dy):                              # which needs no x: a frozen layer keeps none
        return _Rows.of(dy).scaled(scale)
    return rows.linear(scale, bias - scale * mean), (grad_x, lambda dy: sums(dy)[1], lambda dy: sums(dy)[0])


def _joined(means, squares, lengths, count):
    """Mean and sum of squares around it, (C,) both, from those of parts, (parts, ..., C), here and in other processes.

    E[x^2] - E[x]^2 would lose the digits of a large mean.  So each part has its own mean and sum of squares around it, and
    the sum of squares of all  =  their sum  +  that of length (own mean - mean)^2
    (Chan, Golub and LeVeque 1983, Algorithms for computing the sample variance, equation 2.1).
    """
    mean = all_reduce(sum_over_leading(lengths * means)) / count
    return mean, all_reduce(sum_over_leading(squares + lengths * (means - mean) ** 2))


def _move(running, value, momentum):
    if running is not None:
        running += float(momentum) * (value - running)


class _Rows(NamedTuple):
    """x (N, H, W, C) as rows of pixels, (N*H, W*C), in blocks that the threads share out.

    NumPy is faster with few long rows than with many of C numbers.
    (A tuple, so that the graph finds the array in it and makes it read-only: see core/locks.py.)
    """
    rows: object
    shape: tuple                                 # of x
    blocks: list                                 # slices of the rows, of as many numbers as stay in cache
    xp: object                                   # the library of x

    @classmethod
    def of(cls, x):
        rows = x.reshape(-1, math.prod(x.shape[1:][-2:]))
        count = 1 if is_gpu_array(x) else -(-x.size // tuning.NORM_BLOCK)
        return cls(rows, x.shape, slices(len(rows), count), array_library(x))

    def moments(self):
        """(means, sums of squares around them, numbers of rows) of the columns of each block:  (blocks, W, C) twice,
        (blocks, 1, 1)."""
        xp, lengths = self.xp, [part.stop - part.start for part in self.blocks]

        def of_block(part):
            mean = self.rows[part].sum(axis=0) / (part.stop - part.start)                # (W*C,)
            centred = self.rows[part] - mean
            return mean, self._products(centred, centred)
        return *self._of_blocks(of_block), xp.asarray(lengths, dtype=self.rows.dtype)[:, None, None]

    def gradient_sums(self, dy, mean, inverse):
        """The sums of dy and dy x_hat over all pixels, the gradients of bias and weight, (C,) both."""
        dy, mean = dy.reshape(self.rows.shape), self._repeated(mean)
        sums = self._of_blocks(lambda part: (dy[part].sum(axis=0), self._products(dy[part], self.rows[part] - mean)))
        sum_dy, sum_products = map(sum_over_leading, sums)
        return sum_dy, sum_products * inverse

    def input_gradient(self, dy, mean, scale, offset, slope):
        """scale (dy - offset - slope (x - mean)), in the shape of x; all but dy (C,)."""
        xp, dy = self.xp, dy.reshape(self.rows.shape)
        mean, scale, offset, slope = map(self._repeated, (mean, scale, offset, slope))

        def block(part, dx):
            xp.subtract(self.rows[part], mean, out=dx)
            dx *= slope
            dx += offset
            xp.subtract(dy[part], dx, out=dx)
            dx *= scale
        return self._filled(block)

    def linear(self, scale, offset):
        """scale x + offset, both (C,), in the shape of x."""
        xp, scale, offset = self.xp, self._repeated(scale), self._repeated(offset)

        def block(part, y):
            xp.multiply(self.rows[part], scale, out=y)
            y += offset
        return self._filled(block)

    def scaled(self, scale):
        """scale x, with scale (C,), in the shape of x."""
        xp, scale = self.xp, self._repeated(scale)
        return self._filled(lambda part, y: xp.multiply(self.rows[part], scale, out=y))

    def _repeated(self, values):
        """values (C,) repeated for the pixels of a row, (W*C,)."""
        xp = self.xp
        return xp.broadcast_to(values, self.shape[1:][-2:]).flatten()

    def _products(self, a, b):
        """The sum of a * b over the rows, (W*C,), with the product never stored."""
        xp = self.xp
        return xp.einsum("ri,ri->i", a, b)

    def _of_blocks(self, function):
        """What function(part) gives for the rows[part], some (W*C,), each as one array (blocks, W, C)."""
        xp = self.xp
        found = zip(*in_parallel(function, self.blocks))
        return [xp.stack(rows).reshape(len(rows), -1, self.shape[-1]) for rows in found]

    def _filled(self, block):
        """A new array like x, by blocks: block(part, out) writes its rows[part] into out."""
        xp = self.xp
        y = xp.empty(self.shape, self.rows.dtype)
        rows = y.reshape(self.rows.shape)
        in_parallel(lambda part: block(part, rows[part]), self.blocks)
        return y


# ---- by kernels ----------------------------------------------------------------------------------------------------

def _by_kernels(x, weight, bias, running_mean, running_var, momentum, eps, count):
    """In training: a group norm of one image with the pixels of all, and with a channel a group."""
    pixels, C = Pixels.of(x, 1), x.shape[-1]
    mean, square = pixels.moments()
    if processes() > 1:
        mean, square = (array.reshape(1, C) for array in _joined(mean, square, x.size // C, count))
    running = [array for array in (running_mean, running_var) if array is not None]
    if all(array.flags.c_contiguous for array in running):
        kernels.launch("move_running", C if running else 0, running_mean, running_var, mean, square, C, count - 1, momentum)
    else:
        _move(running_mean, mean[0], momentum)
        _move(running_var, square[0] / (count - 1), momentum)
    return normalize_groups(pixels, weight, bias, (mean, square), C, count, eps, all_reduce_many)


def _constants_by_kernels(x, weight, bias, mean, inverse):
    """In evaluation."""
    pixels, scale = Pixels.of(x, 1), weight * inverse
    rules = weight_and_bias_rules(once(lambda dy: pixels.gradient_sums(mean, dy)), inverse)
    return pixels.normalized(mean, scale, bias), (lambda dy: dy * scale, *rules)


class BatchNorm2d(Affine):
    """batch_norm with its weight, bias, running_mean and running_var, all (C,).   (N, H, W, C) or (N, C) -> the same

    In evaluation mode, and so in a frozen network, it uses the running statistics and leaves them alone.
    """

    def __init__(self, channels, eps=1e-5, momentum=.1):
        super().__init__(channels, eps)
        self.momentum = momentum
        self.register_buffer("running_mean", init.zeros((channels,)))
        self.register_buffer("running_var", init.ones((channels,)))

    def forward(self, x):
        return batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, self.training,
                          self.momentum, self.eps)

    def scale_and_offset(self):
        """(C,) both: in evaluation mode it is scale x + offset."""
        scale = self.weight.data * inverse_deviation(self.running_var, self.eps)
        return scale, self.bias.data - self.running_mean * scale

    def __repr__(self):
        return f"BatchNorm2d({len(self.weight)})"
