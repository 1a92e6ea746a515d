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
    xp = array_library(x)
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
    """exp(x) / sum exp(x) over the last axis: positive numbers with sum 1.  Shifted by the row's maximum, so it never overflows."""
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
    """In terms of tanh, which overflows nowhere."""
    return .5 * (1 + array_library(x).tanh(.5 * x))


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

    All terms have the sign of x, so nothing cancels (Abramowitz and Stegun 7.1.6).  Beyond 6 it is 1 to 17 digits.
    """
    xp = array_library(x)
    x = xp.clip(x, -6, 6)
    term = total = x
    for n in range(1, 120):
        term = term * (x * x) * (2 / (2 * n + 1))
        total = total + term
    return total * xp.exp(-x * x) * (2 / math.sqrt(math.pi))


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
    function = staticmethod(relu)


class LeakyReLU(_Activation):
    """Option: slope."""
    function = staticmethod(leaky_relu)


class Sigmoid(_Activation):
    function = staticmethod(sigmoid)


class Tanh(_Activation):
    function = staticmethod(tanh)


class SiLU(_Activation):
    function = staticmethod(silu)


class GELU(_Activation):
    """Option: approximate."""
    function = staticmethod(gelu)


class Softmax(_Activation):
    function = staticmethod(softmax)


class LogSoftmax(_Activation):
    function = staticmethod(log_softmax)
