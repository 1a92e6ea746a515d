"""Normalisation: bring numbers to mean 0 and variance 1, then give them a learned scale (`weight`) and offset (`bias`).

    x_hat = (x - mean) / sqrt(variance + eps)          y = weight x_hat + bias

The layers differ in what they take the mean and the variance over: `batch_norm` each channel over all images and
pixels, `layer_norm` each pixel over its channels, `group_norm` each image over its pixels and a group of channels.
`local_response_norm` is older and divides by the energy of the neighbouring channels only.
"""
import math

import numpy as np

from ...core.backend import array_library, is_gpu_array
from ...core.kernels import MOST_BLOCKS, THREADS, Kernels, in_c_order, runs_kernels
from ...core.processes import all_reduce, all_reduce_many
from ...core.processes import count as processes
from ...core.tensor import Tensor, differentiable, once
from ...core.threads import in_parallel, matmul, slices
from .. import init
from ..module import Module

kernels = Kernels(__file__, "normalize.cu")

STEPS, MOST_SHARES = 32, 1024                    # pixels that are worth a thread of a kernel; shares of an image's pixels
SHORT = 1024                                     # channels of a layer norm that one warp of a kernel deals with
BLOCK = 1 << 18                                  # numbers that are worked on at once: a few arrays of them stay in cache


@differentiable
def batch_norm(x, weight, bias, running_mean=None, running_var=None, training=True, momentum=.1, eps=1e-5):
    """Each channel to mean 0 and variance 1, then scaled and shifted:   x (N, H, W, C) or (N, C)   ->   y like x

        y = weight (x - mean) / sqrt(var + eps) + bias             weight, bias, mean and var (C,)

    In training mean and (biased) variance are those of the batch, so dx sees through them; the arrays running_mean and
    running_var, where given, move towards them in place: running += momentum (batch - running), with the unbiased
    variance, as in PyTorch.  Otherwise the running statistics are constants.  Where several processes learn together (see
    processes.py) the batch is that of all of them.

    Source: Ioffe and Szegedy 2015, Batch Normalization, algorithm 1 and the gradients of section 3.
    Raises ValueError for wrong shapes, one value per channel in training, or no running statistics in evaluation.
    """
    _check_channels("batch_norm", x, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    if not training:
        return _by_constants(x, weight, bias, running_mean, running_var, eps)
    count = int(all_reduce(np.array(x.size // x.shape[-1])))                                   # pixels of the whole batch
    if count < 2:
        raise ValueError(f"batch_norm: one value per channel in x of shape {x.shape} has no variance: "
                         "use a larger batch, or training=False")
    if x.size and runs_kernels(x, weight, bias, running_mean, running_var):
        return _batch_norm_by_kernels(x, weight, bias, running_mean, running_var, momentum, eps, count)
    mean, variance = _statistics(x, count)
    _move(running_mean, mean, momentum)
    _move(running_var, variance * (count / (count - 1)), momentum)
    return _by_batch(x, mean, weight, bias, _inverse_deviation(variance, eps), count)


def _statistics(x, count):
    """Mean and biased variance of each channel, from one journey through x.

    E[x^2] - E[x]^2 would lose the digits of a large mean.  So each column of a block has its own mean and sum of squares
    around it, and these are joined:  the sum of squares of all  =  their sum  +  that of length (own mean - mean)^2
    (Chan, Golub and LeVeque 1983, Algorithms for computing the sample variance, equation 2.1).
    """
    mean, square = _joined(*_moments_of_blocks(x), count)
    return mean, square / count


def _joined(means, squares, lengths, count):
    """Mean and sum of squares around it, (C,) both, from those of parts, (parts, ..., C), here and in other processes."""
    mean = all_reduce(_sum(lengths * means)) / count
    return mean, all_reduce(_sum(squares + lengths * (means - mean) ** 2))


def _moments_of_blocks(x):
    """(means, sums of squares around them, numbers of rows) of the columns of each block of x:
    (blocks, W, C) twice, (blocks, 1, 1)"""
    xp, rows = array_library(x), _rows(x)

    def of_block(part):
        mean = rows[part].sum(axis=0) / (part.stop - part.start)                         # (W*C,)
        centred = rows[part] - mean
        return mean, _products(centred, centred)
    blocks = _blocks(x)
    means, squares = (xp.stack(rows).reshape(len(blocks), -1, x.shape[-1]) for rows in zip(*in_parallel(of_block, blocks)))
    lengths = xp.asarray([part.stop - part.start for part in blocks], dtype=x.dtype)[:, None, None]
    return means, squares, lengths


def _by_batch(x, mean, weight, bias, inverse, count):
    """y = scale x + (bias - scale mean),   scale = weight inverse, with statistics that depend on x.

    inverse (C,) is 1 / standard deviation.  Mean and deviation carry dy back to every pixel:

        dx = scale (dy - mean(dy) - x_hat mean(dy x_hat)),      x_hat = inverse (x - mean)
    """
    scale, sums = weight * inverse, _gradient_sums(x, mean, inverse)

    def grad_x(dy):
        sum_dy, sum_dy_x_hat = all_reduce_many(sums(dy))
        return _input_gradient(x, dy, mean, scale, sum_dy / count, inverse * sum_dy_x_hat / count)
    return _linear(x, scale, bias - scale * mean), (grad_x, lambda dy: sums(dy)[1], lambda dy: sums(dy)[0])


def _input_gradient(x, dy, mean, scale, offset, slope):
    """scale (dy - offset - slope (x - mean)), in the shape of x; all but x and dy (C,)."""
    xp = array_library(x)
    rows, dy_rows = _rows(x), _rows(dy)
    mean, factor, offset, slope = (_row(v, dy) for v in (mean, scale, offset, slope))

    def block(part, dx):
        xp.subtract(rows[part], mean, out=dx)
        dx *= slope
        dx += offset
        xp.subtract(dy_rows[part], dx, out=dx)
        dx *= factor
    return _filled(block, dy)


def _by_constants(x, weight, bias, mean, variance, eps):
    """With constant statistics all is linear:   y = scale x + (bias - scale mean),   scale = weight / deviation"""
    if mean is None or variance is None:
        raise ValueError("batch_norm: training=False needs running_mean and running_var")
    inverse, mean = _inverse_deviation(variance, eps), mean.copy()       # which stays what it is until the gradient
    scale = weight * inverse
    if x.size and runs_kernels(x, weight, bias, mean, inverse):
        return _by_constants_of_kernels(x, bias, mean, inverse, scale)
    sums = _gradient_sums(x, mean, inverse)

    def grad_x(dy):
        dy_rows, factor = _rows(dy), _row(scale, dy)
        return _filled(lambda part, dx: array_library(dx).multiply(dy_rows[part], factor, out=dx), dy)
    return _linear(x, scale, bias - scale * mean), (grad_x, lambda dy: sums(dy)[1], lambda dy: sums(dy)[0])


def _linear(x, scale, offset):
    """scale x + offset, both (C,), in the shape of x."""
    rows = _rows(x)
    scale, offset = _row(scale, x), _row(offset, x)

    def block(part, y):
        array_library(x).multiply(rows[part], scale, out=y)
        y += offset
    return _filled(block, x)


def _gradient_sums(x, mean, inverse):
    """A function of dy that gives its sum and that of dy x_hat over all pixels, the gradients of bias and weight, (C,) both.

    x_hat = inverse (x - mean).
    """
    @once
    def sums(dy):
        sum_dy, sum_products = _sums_of_blocks(x, mean, dy)
        return sum_dy, sum_products * inverse
    return sums


def _sums_of_blocks(x, mean, dy):
    """The sums of dy and dy (x - mean) over all pixels, (C,) both."""
    rows, dy_rows, mean = _rows(x), _rows(dy), _row(mean, x)
    return _totals(lambda part: [dy_rows[part].sum(axis=0), _products(dy_rows[part], rows[part] - mean)], dy)


# ---- by kernels: what each of them does stands in normalize.cu -----------------------------------------------------

def _batch_norm_by_kernels(x, weight, bias, running_mean, running_var, momentum, eps, count):
    """batch_norm in training; count: pixels of the whole batch, those of other processes included.

    A group norm of one image with the pixels of all, and with a channel a group.
    """
    C = x.shape[-1]
    x = in_c_order(x)
    mean, square = _moments_by_kernels(x, 1)
    if processes() > 1:
        mean, square = (array.reshape(1, C) for array in _joined(mean, square, x.size // C, count))
    running = [array for array in (running_mean, running_var) if array is not None]
    if all(array.flags.c_contiguous for array in running):
        kernels.launch("move_running", C if running else 0, running_mean, running_var, mean, square, C, count - 1, momentum)
    else:
        _move(running_mean, mean[0], momentum)
        _move(running_var, square[0] / (count - 1), momentum)
    return _normalized_by_kernels(x, weight, bias, (mean, square), C, count, eps, all_reduce_many)


def _normalized_by_kernels(x, weight, bias, moments, groups, count, eps, of_all=tuple):
    """y and the three gradient rules, from the moments (images, C) of channels of `count` pixels each.

    of_all: makes of a list of sums over pixels those over the pixels of all processes, where these are normalised together.
    """
    xp, C, images = array_library(x), x.shape[-1], len(moments[0])
    members, weight = C // groups, in_c_order(weight)
    mean, inverse, scale = xp.empty((3, images, C), x.dtype)
    sets, warps = images * groups, 32 * images * groups
    kernels.launch("group_constants", warps, *moments, weight, mean, inverse, scale, sets, groups, members, count, eps)
    sums = _gradient_sums_by_kernel(x, mean, images)

    def grad_x(dy):
        plain, along = of_all(sums(dy))
        offset, slope = xp.empty((2, images, C), x.dtype)
        kernels.launch("gradient_constants", warps, plain, along, weight, inverse, offset, slope, sets, groups, members,
                       count * members)
        dx, (walk, blocks) = xp.empty(x.shape, x.dtype), _walk(x, images)
        kernels.launch("normalize_gradient", blocks, x, in_c_order(dy), mean, scale, offset, slope, dx, walk)
        return dx
    grad_weight, grad_bias = _gradients_of_constants(sums, inverse)
    return _normalized(x, mean, scale, bias), (grad_x, grad_weight, grad_bias)


def _by_constants_of_kernels(x, bias, mean, inverse, scale):
    """batch_norm with constant statistics."""
    x = in_c_order(x)
    rules = _gradients_of_constants(_gradient_sums_by_kernel(x, mean, 1), inverse)
    return _normalized(x, mean, scale, bias), (lambda dy: dy * scale, *rules)


def _walk(x, images):
    """(struct Images, (blocks, threads of a block)) of normalize.cu for x as (images, pixels, C)."""
    C = x.shape[-1]
    pixels, tiles = x.size // (images * C), -(-C // THREADS)
    width = -(-C // tiles)                                                               # channels of a tile
    rows = max(1, min(THREADS // width, pixels))
    share = max(STEPS * rows, -(-pixels // MOST_SHARES))
    shares = -(-pixels // share)
    return (pixels, C, share, shares, tiles), ((images * shares * tiles,), (width, rows))


def _moments_by_kernels(x, images):
    """Mean and sum of squares around it of each channel of each image, (images, C) both."""
    xp, (walk, blocks) = array_library(x), _walk(x, images)
    pixels, C, share, shares, _ = walk
    means, squares = xp.empty((2, images * shares, C), x.dtype)
    kernels.launch("channel_moments", blocks, x, means, squares, walk)
    if shares == 1:
        return means, squares
    mean, square = xp.empty((2, images, C), x.dtype)
    width, tiles = min(C, 8), -(-C // 8)                         # few columns a block, so that there are many blocks
    kernels.launch("join_moments", ((images * tiles,), (width, THREADS // 8)), x, means, squares, mean, square,
                   (shares, C, shares, 1, tiles), pixels, share)
    return mean, square


def _normalized(x, mean, scale, bias):
    """scale (x - mean) + bias;   mean and scale (images, C) or (C,), bias (C,)"""
    y, (walk, blocks) = array_library(x).empty(x.shape, x.dtype), _walk(x, mean.size // x.shape[-1])
    kernels.launch("normalize", blocks, x, mean, scale, in_c_order(bias), y, walk)
    return y


def _gradient_sums_by_kernel(x, mean, images):
    """A function of dy that gives the sums of dy and dy (x - mean) over the pixels of each image, (images, C) both."""
    xp, C, (walk, blocks) = array_library(x), x.shape[-1], _walk(x, images)
    rows = images * walk[3]

    @once
    def sums(dy):
        parts = xp.empty((2, images, walk[3], C), x.dtype)
        kernels.launch("gradient_sums", blocks, x, mean, in_c_order(dy), parts, walk, rows)
        plain, along = parts.sum(axis=2) if walk[3] > 1 else parts.reshape(2, images, C)
        return plain, along
    return sums


def _gradients_of_constants(sums, inverse):
    """The gradients of weight and bias."""
    return lambda dy: _sum(sums(dy)[1] * inverse), lambda dy: _sum(sums(dy)[0])


@differentiable
def layer_norm(x, weight, bias, eps=1e-5):
    """Each row of channels to mean 0 and variance 1:   x (..., C), weight and bias (C,)   ->   y like x

    In an image every pixel is normalised by itself.  PyTorch's layer_norm with normalized_shape = (C,).
    Source: Ba, Kiros and Hinton 2016, Layer Normalization.  Raises ValueError for wrong shapes.
    """
    _check_channels("layer_norm", x, weight=weight, bias=bias)
    if runs_kernels(x, weight, bias):
        return _layer_norm_by_kernel(x, weight, bias, eps)
    return _scaled(x, weight, bias, (-1,), eps)


@differentiable
def group_norm(x, weight, bias, groups, eps=1e-5):
    """In each image, each group of neighbouring channels to mean 0 and variance 1 over all pixels.

    x (N, H, W, C) or (N, C), weight and bias (C,)   ->   y like x
    groups=1 takes all channels together, groups=C each alone (instance normalisation).

    Source: Wu and He 2018, Group Normalization.  Raises ValueError for wrong shapes, or when groups does not divide C.
    """
    _check_channels("group_norm", x, weight=weight, bias=bias)
    C = x.shape[-1]
    if groups < 1 or C % groups:
        raise ValueError(f"group_norm: {C} channels (x {x.shape}) do not split into {groups} groups: "
                         "groups must divide the channels")

    if x.size and runs_kernels(x, weight, bias):
        x = in_c_order(x)
        return _normalized_by_kernels(x, weight, bias, _moments_by_kernels(x, len(x)), groups, math.prod(x.shape[1:-1]), eps)

    def grouped(array):
        return array.reshape(*array.shape[:-1], groups, C // groups)                      # (..., groups, members)

    pixels_and_members = (*range(1, x.ndim - 1), x.ndim)
    y, rules = _scaled(grouped(x), grouped(weight), grouped(bias), pixels_and_members, eps)
    shapes = x.shape, weight.shape, bias.shape
    return y.reshape(x.shape), tuple(_through(grouped, rule, shape) for rule, shape in zip(rules, shapes))


def _through(grouped, rule, shape):
    return lambda dy: rule(grouped(dy)).reshape(shape)


def _scaled(x, weight, bias, axes, eps):
    """weight x_hat + bias with the mean and variance over `axes`, and its three gradient rules.

    With g = dy weight, the gradient of x_hat,     dx = (g - mean(g) - x_hat mean(g x_hat)) / deviation:
    what is left of g without its part along the mean and along x_hat, neither of which can reach y.
    """
    centred = x - _mean(x, axes)
    inverse = _inverse_deviation(_mean(centred * centred, axes), eps)
    x_hat = centred * inverse

    def grad_x(dy):
        g = dy * weight
        return (g - _mean(g, axes) - x_hat * _mean(g * x_hat, axes)) * inverse

    def grad_weight(dy):
        return _sum(dy * x_hat, weight.ndim)

    def grad_bias(dy):
        return _sum(dy, weight.ndim)

    return x_hat * weight + bias, (grad_x, grad_weight, grad_bias)


def _layer_norm_by_kernel(x, weight, bias, eps):
    """layer_norm by normalize.cu: a warp, or a block of threads, takes a row."""
    xp, C = array_library(x), x.shape[-1]
    x, weight, y, rows = in_c_order(x), in_c_order(weight), xp.empty(x.shape, x.dtype), x.size // (C or 1)
    means, inverses = xp.empty((2, rows, 1), x.dtype)
    threads = (32, THREADS // 32) if C <= SHORT else (THREADS, 1)
    blocks = (min(-(-rows // threads[1]), MOST_BLOCKS),), threads
    kernels.launch("layer_norm", blocks, x, weight, in_c_order(bias), y, means, inverses, rows, C, eps)

    def grad_x(dy):
        dx = xp.empty(x.shape, x.dtype)
        kernels.launch("layer_norm_gradient", blocks, x, in_c_order(dy), weight, means, inverses, dx, rows, C)
        return dx

    def grad_weight(dy):                                         # CuPy joins these few steps well enough
        return (dy.reshape(rows, C) * ((x.reshape(rows, C) - means) * inverses)).sum(axis=0)
    return y, (grad_x, grad_weight, _sum)


@differentiable
def local_response_norm(x, size, alpha=1e-4, beta=.75, k=1.0):
    """Divide each number by the energy of `size` neighbouring channels at the same pixel:   x (..., C)   ->   y like x

        y[c] = x[c] / (k + alpha/size * sum of x[j]^2) ** beta        over j = c - size//2 ... c + (size - 1)//2

    where channels outside 0 .. C - 1 count as zero.  This is PyTorch's meaning of alpha and of an even size; ONNX has
    the same alpha, but puts the larger half of an even window to the right.  The AlexNet paper does not divide alpha by
    size: its alpha = 1e-4, n = 5, k = 2 is size=5, alpha=5e-4, k=2 here.

    Source: Krizhevsky, Sutskever and Hinton 2012, section 3.3.  Raises ValueError when size is below 1.
    """
    if size < 1:
        raise ValueError(f"local_response_norm: size, the channels in a window, must be at least 1, not {size}")
    alpha, beta, k = float(alpha), float(beta), float(k)            # a NumPy float64 would turn float32 into float64
    if runs_kernels(x):
        return _response_norm_by_kernel(x, size, alpha, beta, k)
    window = _channel_window(size, x)                                                     # (C, C) of zeros and ones
    energy = k + _over_channels(x * x, window) * (alpha / size)
    inverse = energy ** -beta
    y = x * inverse

    def grad_x(dy):
        # x[c] reaches y[c] through the numerator, and through the energy every y whose window holds it
        through_energy = _over_channels(dy * y / energy, window.T)
        return dy * inverse - x * through_energy * (2 * alpha * beta / size)

    return y, (grad_x,)


def _over_channels(x, window):
    """x (..., C) times window (C, C)."""
    return matmul(x.reshape(-1, len(window)), window).reshape(x.shape)


def _response_norm_by_kernel(x, *numbers):
    """local_response_norm by normalize.cu;   numbers: size, alpha, beta, k"""
    xp, x = array_library(x), in_c_order(x)
    y, energy = xp.empty((2, *x.shape), x.dtype)
    kernels.launch("response_norm", x.size, x, y, energy, x.size, x.shape[-1], *numbers)

    def grad_x(dy):
        dx = xp.empty(x.shape, x.dtype)
        kernels.launch("response_norm_gradient", x.size, x, in_c_order(dy), y, energy, dx, x.size, x.shape[-1],
                       *numbers[:3])
        return dx
    return y, (grad_x,)


def _channel_window(size, x):
    """A band matrix with ones where y[c] looks at channel j, at [j, c]: x @ window is the sum over the window."""
    xp = array_library(x)
    channel = xp.arange(x.shape[-1])
    ahead = channel[:, None] - channel                                                    # of channel j before c
    return ((-(size // 2) <= ahead) & (ahead <= (size - 1) // 2)).astype(x.dtype)


def _sum(x, kept=1):
    """The sum over all axes but the last (or the last `kept`), (C,): one axis after the other.

    A float32 sum of n numbers added one by one loses digits with n.  128 images of 32 x 32 pixels make sums of 128, 32
    and 32 numbers instead of one of 131072, and NumPy adds whole images faster than rows of C numbers.
    """
    while x.ndim > kept:
        x = x.sum(axis=0)
    return x


def _mean(x, axes):
    """The mean over `axes`, which stay with length 1: one axis after the other, for the same reason."""
    for axis in axes:
        x = x.mean(axis=axis, keepdims=True)
    return x


def _rows(x):
    """x (N, H, W, C) as rows of pixels, (N*H, W*C): NumPy is faster with few long rows than with many of C numbers."""
    return x.reshape(-1, math.prod(x.shape[1:][-2:]))


def _row(values, x):
    """values (C,) repeated for the pixels of a row, (W*C,)."""
    return array_library(x).broadcast_to(values, x.shape[1:][-2:]).flatten()


def _products(a, b):
    """The sum of a * b over the rows, (W*C,), with the product never stored."""
    return array_library(a).einsum("ri,ri->i", a, b)


def _totals(sums, x):
    """Sums over all pixels, (C,) each: sums(part) gives those over the rows[part] of x, (W*C,) each, in a list."""
    of_blocks = zip(*in_parallel(sums, _blocks(x)))
    return [_sum(array_library(x).stack(rows).reshape(len(rows), -1, x.shape[-1])) for rows in of_blocks]


def _filled(block, x):
    """A new array like x, by blocks: block(part, out) writes its rows[part] into out."""
    y = array_library(x).empty(x.shape, x.dtype)
    rows = _rows(y)
    in_parallel(lambda part: block(part, rows[part]), _blocks(x))
    return y


def _blocks(x):
    """Slices of the rows of x, of about BLOCK numbers each."""
    rows = x.size // math.prod(x.shape[1:][-2:])
    return slices(rows, 1 if is_gpu_array(x) else -(-x.size // BLOCK))


def _move(running, value, momentum):
    if running is not None:
        running += float(momentum) * (value - running)


def _inverse_deviation(variance, eps):
    return 1 / array_library(variance).sqrt(variance + float(eps))


def _check_channels(operation, x, **parameters):
    for name, values in parameters.items():
        if values is not None and values.shape != x.shape[-1:]:
            raise ValueError(f"{operation}: {name} has shape {values.shape}, x {x.shape}: "
                             f"it must be ({x.shape[-1]},), one value per channel (the last axis)")


class _Affine(Module):
    """Base of the layers with one learned scale, first 1, and offset, first 0, a channel."""

    def __init__(self, channels, eps):
        super().__init__()
        self.weight = Tensor(init.ones((channels,)), requires_grad=True)
        self.bias = Tensor(init.zeros((channels,)), requires_grad=True)
        self.eps = eps


class BatchNorm2d(_Affine):
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
        scale = self.weight.data * _inverse_deviation(self.running_var, self.eps)
        return scale, self.bias.data - self.running_mean * scale

    def __repr__(self):
        return f"BatchNorm2d({len(self.weight)})"


class GroupNorm(_Affine):
    """group_norm with its weight and bias (C,).   (N, H, W, C) -> the same"""

    def __init__(self, groups, channels, eps=1e-5):
        super().__init__(channels, eps)
        self.groups = groups

    def forward(self, x):
        return group_norm(x, self.weight, self.bias, self.groups, self.eps)

    def __repr__(self):
        return f"GroupNorm({self.groups}, {len(self.weight)})"


class LayerNorm(_Affine):
    """layer_norm with its weight and bias (C,).   (..., C) -> the same"""

    def __init__(self, channels, eps=1e-5):
        super().__init__(channels, eps)

    def forward(self, x):
        return layer_norm(x, self.weight, self.bias, self.eps)

    def __repr__(self):
        return f"LayerNorm({len(self.weight)})"


class LocalResponseNorm(Module):
    """local_response_norm with its constants.   (..., C) -> the same"""

    def __init__(self, size, alpha=1e-4, beta=.75, k=1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x):
        return local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def __repr__(self):
        return f"LocalResponseNorm({self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k})"
