"""Reductions: axis is None (all axes), an integer or a tuple.

`sum`, `max` and `min` are minicnn's from here on.
"""
import math

from ..backend import array_library
from ..tensor import differentiable
from .shapes import plain


@differentiable
def sum(x, axis=None, keepdims=False):
    """The sum over `axis`."""
    xp = array_library(x)
    shape, kept = x.shape, _kept_shape(x, axis)
    return x.sum(axis=axis, keepdims=keepdims), (lambda dy: xp.broadcast_to(dy.reshape(kept), shape),)


@differentiable
def mean(x, axis=None, keepdims=False):
    """The mean over `axis`."""
    xp = array_library(x)
    shape, kept = x.shape, _kept_shape(x, axis)
    count = _count(shape, kept)
    return x.mean(axis=axis, keepdims=keepdims), (lambda dy: xp.broadcast_to(dy.reshape(kept) / count, shape),)


@differentiable
def var(x, axis=None, keepdims=False, correction=0):
    """The variance over `axis`: the sum of squared distances from the mean, over the count less `correction`.

    correction   0 as in NumPy, or 1 as in PyTorch: right on average where the elements are a sample of many more

    Raises ValueError unless there are more elements than `correction`.
    """
    y, centered, divisor, kept = _variance(x, axis, keepdims, correction)
    return y, (lambda dy: centered * (dy.reshape(kept) * (2 / divisor)),)


@differentiable
def std(x, axis=None, keepdims=False, correction=0):
    """The standard deviation over `axis`, the square root of `var`.  Its gradient where it is 0 is taken as 0.

    Raises ValueError unless there are more elements than `correction`, which is NumPy's 0 or PyTorch's 1 (see `var`).
    """
    variance, centered, divisor, kept = _variance(x, axis, keepdims, correction)
    y = array_library(x).sqrt(variance)

    def grad_x(dy):
        return centered * (dy * (y != 0) / (divisor * (y + (y == 0)))).reshape(kept)
    return y, (grad_x,)


def _variance(x, axis, keepdims, correction):
    """(variance, distances from the mean, the divisor of the sum of their squares, the shape with reduced axes kept)."""
    kept = _kept_shape(x, axis)
    count = _count(x.shape, kept)
    centered = x - x.sum(axis=axis, keepdims=True) / (count or 1)
    divisor = float(count - correction)                               # a NumPy float64 would turn float32 into float64
    if divisor <= 0:
        raise ValueError(f"the variance over axis {axis} of shape {x.shape}, {count} elements with correction {correction}, "
                         "needs more elements than that: set correction=0, or take another axis")
    return (centered * centered).sum(axis=axis, keepdims=keepdims) / divisor, centered, divisor, kept


@differentiable
def max(x, axis=None, keepdims=False):
    """The largest element over `axis`.  Equal largest elements share the gradient evenly (as PyTorch's amax)."""
    y = x.max(axis=axis, keepdims=keepdims)
    return y, (lambda dy: _shared_between_ties(dy, x, y, axis),)


@differentiable
def min(x, axis=None, keepdims=False):
    """The smallest element over `axis`.  Equal smallest elements share the gradient evenly (as PyTorch's amin)."""
    y = x.min(axis=axis, keepdims=keepdims)
    return y, (lambda dy: _shared_between_ties(dy, x, y, axis),)


def _shared_between_ties(dy, x, y, axis):
    kept = _kept_shape(x, axis)
    ties = x == y.reshape(kept)
    return ties * (dy.reshape(kept) / ties.sum(axis=axis, keepdims=True, dtype=dy.dtype))


def _kept_shape(x, axis):
    """The shape of x with each axis of `axis` (None: every axis) reduced to size 1."""
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    reduced = {i % x.ndim for i in axes if -x.ndim <= i < x.ndim}     # for other axes the reduction itself complains
    return tuple(1 if i in reduced else size for i, size in enumerate(x.shape))


def _count(shape, kept):
    """How many elements became one."""
    return math.prod(n for n, left in zip(shape, kept) if left == 1)


def argmax(x, axis=None):
    """The position of the largest element along `axis` (None: in the flattened x), as a plain array of integers."""
    return plain(x).argmax(axis=axis)


def argmin(x, axis=None):
    """The position of the smallest element along `axis` (None: in the flattened x), as a plain array of integers."""
    return plain(x).argmin(axis=axis)
