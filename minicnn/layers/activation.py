"""Nonlinearities, one number at a time, and softmax, over the last axis (classes or channels)."""
import math

from ..backend import array_library
from ..tensor import differentiable
from .module import Module


@differentiable
def relu(x):
    """max(x, 0), any shape.  The gradient at 0 is 0; NaN stays NaN."""
    y = array_library(x).maximum(x, 0)
    return y, (lambda dy: dy * (y > 0),)


@differentiable
def leaky_relu(x, slope=.01):
    """x where positive, slope * x elsewhere (Maas et al. 2013)."""
    xp, slope = array_library(x), float(slope)                   # a NumPy float64 would turn float32 into float64
    return xp.where(x > 0, x, slope * x), (lambda dy: xp.where(x > 0, dy, slope * dy),)


@differentiable
def sigmoid(x):
    """1 / (1 + exp(-x)), in (0, 1)."""
    y = _sigmoid(x)
    return y, (lambda dy: dy * y * (1 - y),)


@differentiable
def tanh(x):
    """Hyperbolic tangent, in (-1, 1)."""
    y = array_library(x).tanh(x)
    return y, (lambda dy: dy * (1 - y * y),)


@differentiable
def silu(x):
    """x * sigmoid(x) (Elfwing et al. 2017), also called swish."""
    s = _sigmoid(x)
    return x * s, (lambda dy: dy * (s + x * s * (1 - s)),)


@differentiable
def gelu(x, approximate="none"):
    """x * Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016).

    approximate "none" uses Phi itself, "tanh" the paper's .5 (1 + tanh(sqrt(2/pi) (x + .044715 x^3))).
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}")
    phi, slope = (_normal_by_tanh if approximate == "tanh" else _normal)(x)
    return x * phi, (lambda dy: dy * (phi + x * slope),)


@differentiable
def softmax(x):
    """exp(x) / sum exp(x) over the last axis: positive numbers with sum 1.

    Shifted by the row's maximum, which changes nothing, so that it never overflows.
    """
    xp = array_library(x)
    e = xp.exp(x - x.max(axis=-1, keepdims=True))
    y = e / e.sum(axis=-1, keepdims=True)
    return y, (lambda dy: y * (dy - (dy * y).sum(axis=-1, keepdims=True)),)


@differentiable
def log_softmax(x):
    """log(softmax(x)) over the last axis, without the rounding of a logarithm near 0."""
    y = log_probabilities(x)
    return y, (lambda dy: dy - array_library(y).exp(y) * dy.sum(axis=-1, keepdims=True),)


def log_probabilities(x):
    """log(softmax(x)) over the last axis of an array."""
    xp = array_library(x)
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=-1, keepdims=True))


def _sigmoid(x):
    """1 / (1 + exp(-x)) where x is positive, else exp(x) / (1 + exp(x)): the same, and neither overflows or rounds to 0."""
    xp = array_library(x)
    return xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(-xp.abs(x)))


def _normal(x):
    """(Phi(x), its derivative): the normal distribution function and density."""
    density = array_library(x).exp(-.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return .5 * (1 + _erf(x * math.sqrt(.5))), density


def _normal_by_tanh(x):
    c = math.sqrt(2 / math.pi)
    t = array_library(x).tanh(c * (x + .044715 * x * x * x))
    return .5 * (1 + t), .5 * (1 - t * t) * c * (1 + 3 * .044715 * x * x)


def _erf(x):
    """The error function, to the last digits of float64:  2/sqrt(pi) exp(-x^2) * sum of 2^n x^(2n+1) / (2n+1)!!

    All terms have the sign of x, so nothing cancels (Abramowitz and Stegun 7.1.6).  Beyond 4 it is 1 to 7 digits, beyond 6
    to 17.
    """
    xp, end = array_library(x), 4 if x.dtype.itemsize <= 4 else 6
    near = xp.clip(x, -end, end)
    term = total = near
    for n in range(1, 120):
        term = term * (near * near) * (2 / (2 * n + 1))
        total = total + term
    return xp.where(xp.abs(x) < end, total * xp.exp(-near * near) * (2 / math.sqrt(math.pi)), xp.sign(x))


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


class LeakyReLU(_Activation):
    """`leaky_relu` as a Module.  Option: slope."""
    function = staticmethod(leaky_relu)


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
    """`softmax` as a Module."""
    function = staticmethod(softmax)


class LogSoftmax(_Activation):
    """`log_softmax` as a Module."""
    function = staticmethod(log_softmax)
