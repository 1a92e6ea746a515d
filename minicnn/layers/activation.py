"""Nonlinearities, one number at a time, and softmax, over an axis (the last: classes or channels).

There are no kernels here: on the GPU the same lines are chains of CuPy's elementwise arithmetic and reductions.  Where
softmax has to be quick, in the loss of a classifier, it is part of cross_entropy's kernel (loss.cu).
"""
import math

from ..core import tuning
from ..core.backend import array_library, is_gpu_array
from ..core.kernels import fused
from ..core.tensor import differentiable
from ..core.threads import in_parallel, slices
from .module import Module



def elementwise(function, *arrays):
    """function(*arrays, out=...), which makes a number of each number by itself: large arrays by blocks, over the threads.

    The arrays have one shape and dtype, which is that of the result.  A function of NumPy, like xp.tanh, will do.
    """
    out = array_library(*arrays).empty(arrays[0].shape, arrays[0].dtype)
    if out.size <= tuning.ACTIVATION_BLOCK or is_gpu_array(out):
        function(*arrays, out=out)
        return out
    *flat, flat_out = (a.reshape(-1) for a in (*arrays, out))

    def block(part):
        function(*(a[part] for a in flat), out=flat_out[part])
    in_parallel(block, slices(out.size, -(-out.size // tuning.ACTIVATION_BLOCK)))
    return out


@differentiable
def relu(x):
    """max(x, 0), any shape.  The gradient at 0 is 0; NaN stays NaN."""
    xp = array_library(x)
    y = elementwise(lambda x, out: xp.clip(x, 0, math.inf, out=out), x)      # half the time of xp.maximum
    return y, (lambda dy: elementwise(lambda dy, y, out: xp.multiply(dy, y > 0, out=out), dy, y),)


@differentiable
def leaky_relu(x, slope=.01):
    """x where positive, slope * x elsewhere (Maas et al. 2013)."""
    xp, slope = array_library(x), float(slope)                   # a NumPy float64 would turn float32 into float64

    def scale(values, x, out):
        out[...] = xp.where(x > 0, values, slope * values)
    return elementwise(scale, x, x), (lambda dy: elementwise(scale, dy, x),)


@differentiable
def elu(x, alpha=1.):
    """x where positive, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2016).  The gradient at 0 is alpha."""
    xp, alpha = array_library(x), float(alpha)                   # a NumPy float64 would turn float32 into float64

    def value(x, out):
        out[...] = xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0)))

    def gradient(dy, x, out):
        out[...] = dy * xp.where(x > 0, xp.ones_like(x), alpha * xp.exp(xp.minimum(x, 0)))
    return elementwise(value, x), (lambda dy: elementwise(gradient, dy, x),)


@differentiable
def softplus(x):
    """log(1 + exp(x)), positive: a smooth relu (Dugas et al. 2001), whose slope is sigmoid(x).  Never overflows."""
    xp = array_library(x)

    def value(x, out):
        xp.add(xp.maximum(x, 0), xp.log1p(xp.exp(-xp.abs(x))), out=out)

    def gradient(dy, x, out):
        _sigmoid(x, out)
        out *= dy
    return elementwise(value, x), (lambda dy: elementwise(gradient, dy, x),)


@differentiable
def sigmoid(x):
    """1 / (1 + exp(-x)), in (0, 1)."""
    xp = array_library(x)
    y = elementwise(_sigmoid, x)
    return y, (lambda dy: elementwise(lambda dy, y, out: xp.multiply(dy * y, 1 - y, out=out), dy, y),)


@differentiable
def tanh(x):
    """Hyperbolic tangent, in (-1, 1)."""
    xp = array_library(x)
    y = elementwise(xp.tanh, x)
    return y, (lambda dy: elementwise(lambda dy, y, out: xp.multiply(dy, 1 - y * y, out=out), dy, y),)


@differentiable
def silu(x):
    """x * sigmoid(x) (Elfwing et al. 2017), also called swish."""
    xp = array_library(x)
    s = elementwise(_sigmoid, x)

    def gradient(dy, x, s, out):
        xp.multiply(dy, s + x * s * (1 - s), out=out)
    return elementwise(xp.multiply, x, s), (lambda dy: elementwise(gradient, dy, x, s),)


@differentiable
def gelu(x, approximate="none"):
    """x * Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016).

    approximate "none" uses Phi itself, "tanh" the paper's .5 (1 + tanh(sqrt(2/pi) (x + .044715 x^3))).
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}")
    normal, slope = (_normal_by_tanh, _slope_by_tanh) if approximate == "tanh" else (_normal, _density)
    xp = array_library(x)
    phi = elementwise(normal, x)

    def gradient(dy, x, phi, out):
        xp.multiply(dy, phi + x * slope(x, phi), out=out)
    return elementwise(xp.multiply, x, phi), (lambda dy: elementwise(gradient, dy, x, phi),)


@differentiable
def softmax(x, axis=-1):
    """exp(x) / sum exp(x) over an axis: positive numbers with sum 1.

    Shifted by the largest number along the axis, which changes nothing, so that it never overflows.
    """
    xp = array_library(x)
    e = xp.exp(x - x.max(axis=axis, keepdims=True))
    y = e / e.sum(axis=axis, keepdims=True)
    return y, (lambda dy: y * (dy - (dy * y).sum(axis=axis, keepdims=True)),)


@differentiable
def log_softmax(x, axis=-1):
    """log(softmax(x)) over an axis, without the rounding of a logarithm near 0."""
    y = log_probabilities(x, axis)
    return y, (lambda dy: dy - array_library(y).exp(y) * dy.sum(axis=axis, keepdims=True),)


def log_probabilities(x, axis=-1):
    """log(softmax(x)) over an axis of an array."""
    xp = array_library(x)
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=axis, keepdims=True))


def _sigmoid(x, out):
    """1 / (1 + exp(-x)) where x is positive, else exp(x) / (1 + exp(x)): the same, and neither overflows or rounds to 0."""
    xp = array_library(x)
    xp.divide(xp.exp(xp.minimum(x, 0)), 1 + xp.exp(-xp.abs(x)), out=out)


def _normal(x, out):
    """Phi(x), the normal distribution function."""
    out[...] = .5 * (1 + _erf(x * math.sqrt(.5)))


def _density(x, phi):
    """The derivative of Phi."""
    return array_library(x).exp(-.5 * x * x) * (1 / math.sqrt(2 * math.pi))


def _normal_by_tanh(x, out):
    out[...] = .5 * (1 + array_library(x).tanh(math.sqrt(2 / math.pi) * (x + .044715 * x * x * x)))


def _slope_by_tanh(x, phi):
    """The derivative of phi = .5 (1 + tanh(u)):   .5 (1 - tanh(u)^2) du/dx,   and 1 - tanh(u)^2 is 4 phi (1 - phi)."""
    return 2 * phi * (1 - phi) * math.sqrt(2 / math.pi) * (1 + 3 * .044715 * x * x)


def _erf(x):
    """The error function, to the last digits of float64:  2/sqrt(pi) exp(-x^2) * sum of 2^n x^(2n+1) / (2n+1)!!

    All terms have the sign of x, so nothing cancels (Abramowitz and Stegun 7.1.6).  Beyond 4 it is 1 to 7 digits, beyond 6
    to 17.  On the GPU it is one of CUDA's own functions.
    """
    if is_gpu_array(x):
        return fused("T x", "T y", "y = erf(x)", "error_function")(x)
    xp, end = array_library(x), 4 if x.dtype.itemsize <= 4 else 6
    near = xp.clip(x, -end, end)
    square, term, total = near * near, near.copy(), near.copy()
    for n in range(1, 120):
        term *= square
        term *= 2 / (2 * n + 1)
        total += term
    return xp.where(xp.abs(x) < end, total * xp.exp(-square) * (2 / math.sqrt(math.pi)), xp.sign(x))


class _Activation(Module):
    """An activation as a Module: remembers its options and calls the function."""
    function = None

    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, x):
        return type(self).function(x, **self.options)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self.options.items())})"


class ReLU(_Activation):
    """`relu` as a Module."""
    function = staticmethod(relu)
    keeps_order, fused_as = True, "relu"


class LeakyReLU(_Activation):
    """`leaky_relu` as a Module.  Option: slope."""
    function = staticmethod(leaky_relu)


class ELU(_Activation):
    """`elu` as a Module.  Option: alpha."""
    function = staticmethod(elu)


class Softplus(_Activation):
    """`softplus` as a Module."""
    function = staticmethod(softplus)


class Sigmoid(_Activation):
    """`sigmoid` as a Module."""
    function = staticmethod(sigmoid)


class Tanh(_Activation):
    """`tanh` as a Module."""
    function = staticmethod(tanh)


class SiLU(_Activation):
    """`silu` as a Module."""
    function = staticmethod(silu)


class GELU(_Activation):
    """`gelu` as a Module.  Option: approximate."""
    function = staticmethod(gelu)


class Softmax(_Activation):
    """`softmax` as a Module.  Option: axis."""
    function = staticmethod(softmax)


class LogSoftmax(_Activation):
    """`log_softmax` as a Module.  Option: axis."""
    function = staticmethod(log_softmax)
