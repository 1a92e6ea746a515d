"""Shape and order: reshape, transpose, indexing, joining."""
import builtins

from ..backend import array_library
from ..tensor import Tensor, differentiable


def plain(x):
    return x.data if isinstance(x, Tensor) else x


@differentiable
def reshape(x, shape):
    """The same elements in another shape (an integer or a tuple; one size may be -1: whatever is left)."""
    before = x.shape
    return x.reshape(shape), (lambda dy: dy.reshape(before),)


@differentiable
def transpose(x, axes=None):
    """The axes in another order: axis i of the result is axis axes[i] of x.  None reverses them all.

    Raises ValueError unless axes names each axis of x once.
    """
    y = x.transpose(axes)
    order = list(range(x.ndim))[::-1] if axes is None else [i % x.ndim for i in axes]
    inverse = [order.index(i) for i in range(x.ndim)]
    return y, (lambda dy: dy.transpose(inverse),)


@differentiable
def getitem(x, index):
    """x[index]: integers, slices, None, Ellipsis, arrays of integers, boolean masks, or a tuple of them.

    An element that was picked several times gets the sum of the gradients.
    """
    shape, index = x.shape, tuple(map(plain, index)) if isinstance(index, tuple) else index

    def grad_x(dy):
        xp = array_library(dy)
        dx = xp.zeros(shape, dtype=dy.dtype)
        if _may_repeat(index):
            xp.add.at(dx, index, dy)              # dx[index] += dy would count a repeated element once
        else:
            dx[index] = dy
        return dx
    return x[index], (grad_x,)


def _may_repeat(index):
    """Whether an index can pick an element twice: lists and arrays of integers can, slices and masks cannot."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, list) or getattr(part, "ndim", 0) > 0 and part.dtype != bool for part in parts)


def along(axis, *bounds):
    """The index that takes slice(*bounds) along one axis and everything along the others."""
    return (slice(None),) * axis + (slice(*bounds),)


def concatenate(tensors, axis=0):
    """Join tensors end to end along an axis that they have.

    Raises ValueError when there is none, or when their shapes differ on another axis than that one.
    """
    return _concatenate(*tensors, axis=axis)


@differentiable
def _concatenate(*arrays, axis):
    _check_joined("concatenate", arrays, axis)
    axis = axis % arrays[0].ndim
    ends = [builtins.sum(a.shape[axis] for a in arrays[:i + 1]) for i in range(len(arrays))]

    def rule(end, size):
        return lambda dy: dy[along(axis, end - size, end)]
    return array_library(*arrays).concatenate(arrays, axis=axis), tuple(
        rule(end, a.shape[axis]) for end, a in zip(ends, arrays))


def stack(tensors, axis=0):
    """Join tensors of one shape along a new axis.  Raises ValueError when there is none, or when shapes differ."""
    return _stack(*tensors, axis=axis)


@differentiable
def _stack(*arrays, axis):
    _check_joined("stack", arrays)
    xp = array_library(*arrays)

    def rule(i):
        return lambda dy: xp.moveaxis(dy, axis, 0)[i]
    return xp.stack(arrays, axis=axis), tuple(rule(i) for i in range(len(arrays)))


def _check_joined(name, arrays, axis=None):
    """ValueError unless there is something to join, and all shapes are equal but for `axis`."""
    if not arrays:
        raise ValueError(f"{name}: the list of tensors is empty")
    ndim = arrays[0].ndim
    if axis is not None and not -ndim <= axis < ndim:
        raise ValueError(f"{name}: axis {axis} does not exist in a tensor of shape {arrays[0].shape}")
    fixed = {tuple(n for i, n in enumerate(a.shape) if axis is None or i != axis % ndim) for a in arrays}
    if len(fixed) > 1 or any(a.ndim != ndim for a in arrays):
        raise ValueError(f"{name}: shapes {', '.join(str(a.shape) for a in arrays)} must be equal"
                         + ("" if axis is None else f" but for axis {axis}"))
