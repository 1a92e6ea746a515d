"""First weights: each function returns a float32 array of `shape`, (kh, kw, in/groups, out) or, for dense layers, (in, out).

`rng` is a numpy Generator or a seed.  None takes the next numbers of one common generator that starts the same in every
process: a script builds the same network each time it runs, and no two layers of it are equal.
"""
import contextlib
import contextvars
import math

import numpy as np

_common = np.random.default_rng(0)
_skipping = contextvars.ContextVar("skipping", default=None)     # None, or [how many numbers may still be asked for]


@contextlib.contextmanager
def skipped(most=math.inf):
    """Within `with mc.init.skipped():` nothing is drawn, all weights are 0: for networks whose weights are loaded next.

    A large array of zeros takes neither time nor memory until something is written into it: of VGG-19's 575 MB nothing is
    there yet.
    most   how many numbers may be asked for within: more is a ValueError, before it takes the memory
    """
    token = _skipping.set([min(most, *(_skipping.get() or [most]))])
    try:
        yield
    finally:
        _skipping.reset(token)


def generator(rng=None):
    """The numpy Generator that `rng` (a Generator, a seed or None) stands for."""
    return _common if rng is None else np.random.default_rng(rng)


def fans(shape):
    """(fan in, fan out): how many numbers one output sums over, and how many outputs one input number reaches."""
    if len(shape) < 2:
        raise ValueError(f"a weight of shape {shape} has no fan: it needs at least two axes, (..., in, out)")
    taps = math.prod(shape[:-2])
    return taps * shape[-2], taps * shape[-1]


def kaiming(shape, rng=None):
    """Normal with variance 2 / fan in: keeps the variance through layers with ReLU (He et al. 2015, eq. 10)."""
    return normal(shape, math.sqrt(2 / fans(shape)[0]), rng)


def xavier(shape, rng=None):
    """Uniform with variance 2 / (fan in + fan out): for tanh and linear layers (Glorot and Bengio 2010, eq. 16)."""
    bound = math.sqrt(6 / sum(fans(shape)))
    if _skipping.get():
        return zeros(shape)
    return generator(rng).uniform(-bound, bound, shape).astype(np.float32)


def alexnet(shape, rng=None):
    """Normal with standard deviation 0.01 (Krizhevsky et al. 2012, section 5)."""
    return normal(shape, .01, rng)


def vgg(shape, rng=None):
    """Normal with variance 0.01 (Simonyan and Zisserman 2014, section 3.1)."""
    return normal(shape, .1, rng)


def normal(shape, std, rng=None):
    """Normal around zero."""
    if _skipping.get():
        return zeros(shape)
    return (generator(rng).standard_normal(shape) * std).astype(np.float32)


def zeros(shape):
    """All 0: biases."""
    _count(shape)
    return np.zeros(shape, np.float32)


def ones(shape):
    """All 1: the scales of normalisation."""
    _count(shape)
    return np.ones(shape, np.float32)


def _count(shape):
    """Raises ValueError when with these a network has more numbers than `skipped` allows."""
    left = _skipping.get() or [math.inf]
    left[0] -= math.prod(shape)
    if left[0] < 0:
        raise ValueError("it needs more numbers than there are")
