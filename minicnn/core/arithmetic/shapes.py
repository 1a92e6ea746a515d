"""Shape and order: reshape, transpose, repetition, indexing, joining, splitting."""
import builtins
import math

from ..backend import array_library
from ..tensor import Tensor, differentiable
from .broadcasting import unbroadcast


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
def swapaxes(x, first, second):
    """Two axes exchanged."""
    return x.swapaxes(first, second), (lambda dy: dy.swapaxes(first, second),)


@differentiable
def flatten(x, start_axis=0, end_axis=-1):
    """The axes from start_axis to end_axis made one:  flatten(x, 1) of (N, H, W, C) is (N, H * W * C).

    Raises ValueError for an axis that x does not have, or a start behind the end.
    """
    before, ndim = x.shape, builtins.max(x.ndim, 1)                   # a single number becomes one of one axis
    if not (-ndim <= start_axis < ndim and -ndim <= end_axis < ndim and start_axis % ndim <= end_axis % ndim):
        raise ValueError(f"flatten: axes {start_axis} to {end_axis} of shape {before}: there are axes 0 to {ndim - 1}, and "
                         "the start comes before the end")
    start, end = start_axis % ndim, end_axis % ndim + 1
    y = x.reshape(*before[:start], math.prod(before[start:end]), *before[end:])
    return y, (lambda dy: dy.reshape(before),)


@differentiable
def squeeze(x, axis=None):
    """Without axes of size 1: all of them (None), one, or those in a tuple.  Raises ValueError for one of another size."""
    before, axes = x.shape, axis if isinstance(axis, tuple) else () if axis is None else (axis,)
    for i in axes:
        if -x.ndim <= i < x.ndim and before[i] != 1:
            raise ValueError(f"squeeze: axis {i} of shape {before} has size {before[i]}: only axes of size 1 can go")
    return x.squeeze(axis), (lambda dy: dy.reshape(before),)


@differentiable
def expand_dims(x, axis):
    """With a new axis of size 1 at `axis` of the result, or several (a tuple).  PyTorch calls it unsqueeze."""
    before = x.shape
    return array_library(x).expand_dims(x, axis), (lambda dy: dy.reshape(before),)


@differentiable
def broadcast_to(x, shape):
    """Repeated to a larger shape, as broadcasting would: a read-only view, which takes no memory.

    Raises ValueError for a shape that x does not broadcast to.
    """
    before, shape = x.shape, (shape,) if isinstance(shape, int) else tuple(shape)
    if len(shape) < len(before) or not all(m in (1, n) for m, n in zip(before[::-1], shape[::-1])):
        raise ValueError(f"broadcast_to: shape {before} does not broadcast to {shape}: counted from the last, its axes must "
                         "be equal to those, or 1")
    return array_library(x).broadcast_to(x, shape), (lambda dy: unbroadcast(dy, before),)


@differentiable
def repeat(x, repeats, axis=None):
    """Each element `repeats` times, one beside the other, along `axis` (None: in the flattened x):  1 2  ->  1 1 2 2.

    PyTorch calls it repeat_interleave, and `repeat` what is `tile` here.  Raises ValueError unless repeats is a whole
    number, or for an axis that x does not have.
    """
    _check_repeats("repeat", (repeats,))
    if axis is not None and not -x.ndim <= axis < x.ndim:
        raise ValueError(f"repeat: axis {axis} does not exist in a tensor of shape {x.shape}")
    before, shape = x.shape, (x.size,) if axis is None else x.shape
    y = x.reshape(shape).repeat(repeats, axis=axis or 0)
    new = (axis or 0) % len(shape) + 1
    apart = *shape[:new], repeats, *shape[new:]                       # the repeats on an axis of their own
    return y, (lambda dy: dy.reshape(apart).sum(axis=new).reshape(before),)


@differentiable
def tile(x, repeats):
    """The whole of x several times along each axis, as tiles lie (a number, or one for each axis):  1 2  ->  1 2 1 2.

    Where there are more numbers than axes x gets new ones in front; with fewer, they are for the last axes.
    Raises ValueError for numbers that are not whole.
    """
    repeats = tuple(repeats) if isinstance(repeats, (tuple, list)) else (repeats,)
    _check_repeats("tile", repeats)
    before, ndim = x.shape, builtins.max(x.ndim, len(repeats))
    sizes, counts = (1,) * (ndim - len(before)) + before, (1,) * (ndim - len(repeats)) + repeats
    apart = tuple(n for pair in zip(counts, sizes) for n in pair)     # (how often, size) of each axis
    every_other = tuple(range(0, 2 * ndim, 2))
    return array_library(x).tile(x, repeats), (lambda dy: dy.reshape(apart).sum(axis=every_other).reshape(before),)


def _check_repeats(name, counts):
    for n in counts:
        if not hasattr(n, "__index__") or n < 0:
            raise ValueError(f"{name}: how often must be a whole number, 0 or more, not {n!r}")


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


def split(x, parts, axis=0):
    """Cut into a list of tensors along `axis`: into `parts` of equal size, or, for a list, before each of these positions.

    The opposite of `concatenate`.  As NumPy's: PyTorch's split is told the size of a part, its chunk how many there are.
    Raises ValueError when x does not have the axis, or the parts would not be equal.
    """
    shape = x.shape
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"split: axis {axis} does not exist in a tensor of shape {shape}")
    size, axis = shape[axis], axis % len(shape)
    cuts = list(parts) if hasattr(parts, "__len__") else _equal_cuts(shape, axis, parts)
    return [getitem(x, along(axis, start, stop)) for start, stop in zip([0, *cuts], [*cuts, size])]


def _equal_cuts(shape, axis, parts):
    if not hasattr(parts, "__index__") or parts < 1 or shape[axis] % parts:
        raise ValueError(f"split: axis {axis} of shape {shape} has no {parts} equal parts: give a list of positions")
    return [shape[axis] // parts * i for i in range(1, parts)]


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
