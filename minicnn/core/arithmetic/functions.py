"""Functions of one operand, element by element."""
from ..backend import array_library
from ..tensor import differentiable


@differentiable
def negative(x):
    """-x"""
    return -x, (lambda dy: -dy,)


@differentiable
def exp(x):
    """e to the x."""
    y = array_library(x).exp(x)
    return y, (lambda dy: dy * y,)


@differentiable
def log(x):
    """The natural logarithm."""
    return array_library(x).log(x), (lambda dy: dy / x,)


@differentiable
def sqrt(x):
    """The square root.  Its gradient at 0 is infinite, and is given as that."""
    y = array_library(x).sqrt(x)
    return y, (lambda dy: dy / (2 * y),)


@differentiable
def sin(x):
    """The sine of an angle in radians."""
    xp = array_library(x)
    return xp.sin(x), (lambda dy: dy * xp.cos(x),)


@differentiable
def cos(x):
    """The cosine of an angle in radians."""
    xp = array_library(x)
    return xp.cos(x), (lambda dy: -dy * xp.sin(x),)


@differentiable
def abs(x):
    """The absolute value.  Its gradient at 0 is taken as 0."""
    xp = array_library(x)
    return xp.abs(x), (lambda dy: dy * xp.sign(x),)


@differentiable
def clip(x, low=None, high=None):
    """x, but no smaller than the number `low` and no larger than `high`; None leaves that side open.

    The gradient passes where low <= x <= high, ends included.  Raises ValueError when low > high.
    """
    if low is not None and high is not None and low > high:
        raise ValueError(f"clip: low ({low}) is larger than high ({high})")

    def grad_x(dy):
        dy = dy if low is None else dy * (x >= low)
        return dy if high is None else dy * (x <= high)
    bounded = low is not None or high is not None                # NumPy 2.0 refuses to clip where there is no bound
    return array_library(x).clip(x, low, high) if bounded else x, (grad_x,)
