"""The differentiable operations that are no layer: + - * / ** @, exp, sum, reshape, indexing, joining, padding.

Read `add` and `multiply` first: every other operation here has their form, and so would one of your own.  Three habits
run through the room:

    broadcasting   NumPy repeats the smaller operand, so its gradient is the sum over the repeats: `unbroadcast`
    plain numbers  `x * 2.0` hands the Python number 2.0 through, and float32 stays float32 (NumPy's rule, NEP 50)
    kinks          where a function has no gradient, the convention stands in its docstring; it is PyTorch's

`sum`, `abs`, `max` and `min` are minicnn's from here on; Python's own are `builtins.max` and so on.
The table at the end gives tensors their operators and methods.
"""
import builtins
import math
import operator

from . import threads
from .backend import array_library, is_gpu_array
from .tensor import Tensor, differentiable

SMALL_PRODUCT = 1 << 16          # multiply-adds that are done before a thread has begun, one of BLAS's included


# ---- broadcasting --------------------------------------------------------------------------------------------------

def unbroadcast(dy, shape):
    """Sum `dy` over the axes along which an array of `shape` was repeated to become as large as dy.

    The gradient of a value that was used several times is the sum of the gradients of its uses.
    """
    if dy.shape == shape:
        return dy
    new = dy.ndim - len(shape)                    # axes which broadcasting put in front
    stretched = tuple(i for i, size in enumerate(shape, start=new) if size == 1 and dy.shape[i] != 1)
    return dy.sum(axis=tuple(range(new)) + stretched).reshape(shape)


def _shapes(name, a, b):
    """The shapes of two operands; ValueError when they do not broadcast."""
    shape_a, shape_b = getattr(a, "shape", ()), getattr(b, "shape", ())
    if not _broadcast(shape_a, shape_b):
        raise ValueError(f"{name}: shapes {shape_a} and {shape_b} do not broadcast: counted from the last, "
                         "axes must be equal or 1; reshape one of them")
    return shape_a, shape_b


def _broadcast(shape_a, shape_b):
    """Whether arrays of these shapes can be broadcast together."""
    return all(m == n or 1 in (m, n) for m, n in zip(reversed(shape_a), reversed(shape_b)))


# ---- two operands --------------------------------------------------------------------------------------------------

@differentiable
def add(a, b):
    """a + b, with broadcasting."""
    shape_a, shape_b = _shapes("add", a, b)
    return a + b, (lambda dy: unbroadcast(dy, shape_a), lambda dy: unbroadcast(dy, shape_b))


@differentiable
def subtract(a, b):
    """a - b, with broadcasting."""
    shape_a, shape_b = _shapes("subtract", a, b)
    return a - b, (lambda dy: unbroadcast(dy, shape_a), lambda dy: unbroadcast(-dy, shape_b))


@differentiable
def multiply(a, b):
    """a * b, with broadcasting."""
    shape_a, shape_b = _shapes("multiply", a, b)
    return a * b, (lambda dy: unbroadcast(dy * b, shape_a), lambda dy: unbroadcast(dy * a, shape_b))


@differentiable
def divide(a, b):
    """a / b, with broadcasting."""
    shape_a, shape_b = _shapes("divide", a, b)
    y = a / b
    return y, (lambda dy: unbroadcast(dy / b, shape_a), lambda dy: unbroadcast(-dy * y / b, shape_b))


@differentiable
def power(a, b):
    """a ** b, with broadcasting: a tensor to a number, a number to a tensor, or both tensors.

    d/da = b a^(b-1)      0 where b is 0, also for a = 0
    d/db = a^b log a      0 where a is 0; NaN where a is negative
    """
    shape_a, shape_b = _shapes("power", a, b)
    y = a ** b

    def grad_a(dy):
        exponent = b - (b != 0)                   # b - 1, but 0 where b is 0: there 0 * a^0 = 0, while 0 * 0^-1 is NaN
        return unbroadcast(dy * b * a ** exponent, shape_a)

    def grad_b(dy):
        xp = array_library(y)
        base = xp.asarray(a, dtype=y.dtype)       # log of a Python number would be float64
        return unbroadcast(dy * y * xp.log(base + (base == 0)), shape_b)
    return y, (grad_a, grad_b)


@differentiable
def maximum(a, b):
    """The larger of a and b, element by element, with broadcasting.  Where they are equal, each gets half of dy."""
    shape_a, shape_b = _shapes("maximum", a, b)
    return array_library(a, b).maximum(a, b), (lambda dy: unbroadcast(_share_of_larger(dy, a, b), shape_a),
                                               lambda dy: unbroadcast(_share_of_larger(dy, b, a), shape_b))


@differentiable
def minimum(a, b):
    """The smaller of a and b, element by element, with broadcasting.  Where they are equal, each gets half of dy."""
    shape_a, shape_b = _shapes("minimum", a, b)
    return array_library(a, b).minimum(a, b), (lambda dy: unbroadcast(_share_of_larger(dy, b, a), shape_a),
                                               lambda dy: unbroadcast(_share_of_larger(dy, a, b), shape_b))


def _share_of_larger(dy, a, b):
    """dy where a > b, half of it where they are equal, 0 elsewhere."""
    return array_library(dy).where(a == b, dy / 2, dy * (a > b))


def where(condition, a, b):
    """a where `condition` holds, b elsewhere, with broadcasting.  No gradient flows into the condition."""
    return _where(a, b, condition)


@differentiable
def _where(a, b, condition):
    xp = array_library(condition, a, b)
    chosen = xp.asarray(condition, dtype=bool)
    shape_a, shape_b = _shapes("where", a, b)
    _shapes("where (condition and a)", chosen, a)
    _shapes("where (condition and b)", chosen, b)
    return xp.where(chosen, a, b), (lambda dy: unbroadcast(dy * chosen, shape_a),
                                    lambda dy: unbroadcast(dy * ~chosen, shape_b))


# ---- matrix product ------------------------------------------------------------------------------------------------

@differentiable
def matmul(a, b):
    """The matrix product a @ b:  a (..., m, k)   b (..., k, n)   ->   (..., m, n).

    The leading axes broadcast.  A vector a counts as one row, a vector b as one column, and that axis is dropped from
    the result.  Raises ValueError when the inner sizes differ or one operand is a single number.

    d/da = dy bT,   d/db = aT dy
    """
    _check_matmul(a, b)
    rows = a[None, :] if a.ndim == 1 else a                           # (..., m, k)
    columns = b[:, None] if b.ndim == 1 else b                        # (..., k, n)
    shape_a, shape_b = a.shape, b.shape                               # each rule keeps one operand, of the other
    shape_rows, shape_columns = rows.shape, columns.shape             # it knows the shape only

    def grad_a(dy):
        dy = _with_matrix_axes(dy, shape_a, shape_b)                  # (..., m, n)
        return unbroadcast(product(dy, columns.swapaxes(-1, -2)), shape_rows).reshape(shape_a)

    def grad_b(dy):
        dy = _with_matrix_axes(dy, shape_a, shape_b)
        if len(shape_columns) == 2:                                   # one b for the whole batch: one large product
            return product(_as_matrix(rows).T, _as_matrix(dy)).reshape(shape_b)
        return unbroadcast(product(rows.swapaxes(-1, -2), dy), shape_columns).reshape(shape_b)
    y = product(rows, columns)                                        # (..., m, n)
    return y.reshape(_shape_of_product(y.shape, a.ndim, b.ndim)), (grad_a, grad_b)


def product(a, b):
    """a @ b of plain arrays, (..., m, k) and (..., k, n) -> (..., m, n): large ones over the threads."""
    if is_gpu_array(a) or is_gpu_array(b) or a.size * b.shape[-1] < SMALL_PRODUCT:
        return array_library(a, b).matmul(a, b)
    if b.ndim == 2:                                                   # one b for the whole batch: one large product
        return threads.matmul(_as_matrix(a), b).reshape(*a.shape[:-1], b.shape[1])
    return _stack_of_products(a, b)


def _stack_of_products(a, b):
    """The same where b, too, is a stack, whose leading axes broadcast with those of a: slices of the longest of them."""
    xp, m, (k, n) = array_library(a, b), a.shape[-2], b.shape[-2:]
    leading = xp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = xp.broadcast_to(a, (*leading, m, k)), xp.broadcast_to(b, (*leading, k, n))
    if math.prod(leading) == 1:
        return threads.matmul(a.reshape(m, k), b.reshape(k, n)).reshape(*leading, m, n)
    y = xp.empty((*leading, m, n), xp.result_type(a, b))
    axis = leading.index(builtins.max(leading))

    def some(part):
        where = _along(axis, part.start, part.stop)
        xp.matmul(a[where], b[where], out=y[where])
    threads.in_parallel(some, threads.slices(leading[axis], y.size * k // threads.PRODUCT))
    return y


def _shape_of_product(shape, ndim_a, ndim_b):
    """(..., m, n) without the axis that a vector a was given, or a vector b."""
    *leading, m, n = shape
    return (*leading, *[m] * (ndim_a > 1), *[n] * (ndim_b > 1))


def _check_matmul(a, b):
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape}: a single number is no matrix, use * instead")
    inner = b.shape[0] if b.ndim == 1 else b.shape[-2]
    if a.shape[-1] != inner:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape}: the last axis of a has size {a.shape[-1]}, "
                         f"the axis of b that it is summed with {inner}; they must be equal")
    if not _broadcast(a.shape[:-2], b.shape[:-2]):
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape}: the leading axes {a.shape[:-2]} and "
                         f"{b.shape[:-2]} do not broadcast; counted from the last, they must be equal or 1")


def _with_matrix_axes(dy, shape_a, shape_b):
    """Put back the axes that the product dropped, because a or b was a vector."""
    dy = dy[..., None] if len(shape_b) == 1 else dy                   # (..., m, 1)
    return dy[..., None, :] if len(shape_a) == 1 else dy              # (..., 1, n)


def _as_matrix(x):
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


# ---- one operand ---------------------------------------------------------------------------------------------------

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
    return array_library(x).clip(x, low, high), (grad_x,)


# ---- reductions: axis is None (all axes), an integer or a tuple ----------------------------------------------------

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
    count = math.prod(n for n, left in zip(shape, kept) if left == 1)
    return x.mean(axis=axis, keepdims=keepdims), (lambda dy: xp.broadcast_to(dy.reshape(kept) / count, shape),)


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


def argmax(x, axis=None):
    """The position of the largest element along `axis` (None: in the flattened x), as a plain array of integers."""
    return _array(x).argmax(axis=axis)


def argmin(x, axis=None):
    """The position of the smallest element along `axis` (None: in the flattened x), as a plain array of integers."""
    return _array(x).argmin(axis=axis)


def _array(x):
    return x.data if isinstance(x, Tensor) else x


# ---- shape and order -----------------------------------------------------------------------------------------------

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
    shape, index = x.shape, tuple(map(_array, index)) if isinstance(index, tuple) else index

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


def _along(axis, *bounds):
    """The index that takes slice(*bounds) along one axis and everything along the others."""
    return (slice(None),) * axis + (slice(*bounds),)


# ---- joining -------------------------------------------------------------------------------------------------------

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
        return lambda dy: dy[_along(axis, end - size, end)]
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


# ---- padding -------------------------------------------------------------------------------------------------------

_NUMPY_PAD_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge"}


@differentiable
def pad(x, widths, mode="zeros"):
    """Lengthen every axis: widths is ((before, after), ...), one pair for each axis of x.

    mode        1 2 3 lengthened by (2, 2)
    zeros       0 0 1 2 3 0 0
    reflect     3 2 1 2 3 2 1     mirrored at the outermost element, which is not repeated
    replicate   1 1 1 2 3 3 3

    Raises ValueError for an unknown mode, a wrong number of pairs, a negative width, or a width that the mode cannot
    fill: reflect needs width < size, replicate at least one element.
    """
    return pad_array(x, widths, mode), (lambda dy: pad_gradient(dy, widths, mode),)


def pad_array(x, widths, mode="zeros"):
    """What `pad` does, on a plain array (convolution and images pad with it, too)."""
    _check_widths(x.shape, widths, mode)
    return array_library(x).pad(x, widths, mode=_NUMPY_PAD_MODES[mode])


def pad_gradient(dy, widths, mode="zeros"):
    """Fold the gradient of a padded array back: each padded element adds its gradient to the element it copied.

    dy has the padded shape; the result has the shape before padding.  Every mode pads one axis after the other, so the
    gradient may be folded one axis after the other.
    """
    for axis, (before, after) in enumerate(widths):
        if before or after:
            dy = _fold(dy, axis, before, after, mode)
    return dy


def _fold(dy, axis, before, after, mode):
    size = dy.shape[axis] - before - after
    dx = dy[_along(axis, before, before + size)]
    if mode == "zeros":
        return dx
    left, right = dy[_along(axis, 0, before)], dy[_along(axis, before + size, None)]
    dx = dx.copy()
    if mode == "reflect":                         # the two targets may overlap on a short axis: two separate sums
        dx[_along(axis, 1, 1 + before)] += left[_along(axis, None, None, -1)]
        dx[_along(axis, size - 1 - after, size - 1)] += right[_along(axis, None, None, -1)]
    else:
        dx[_along(axis, 0, 1)] += left.sum(axis=axis, keepdims=True)
        dx[_along(axis, size - 1, size)] += right.sum(axis=axis, keepdims=True)
    return dx


def _check_widths(shape, widths, mode):
    if mode not in _NUMPY_PAD_MODES:
        raise ValueError(f"pad: mode must be one of {', '.join(_NUMPY_PAD_MODES)}, not {mode!r}")
    if not _is_list(widths, len(shape)) or not all(_is_list(pair, 2) for pair in widths):
        raise ValueError(f"pad: widths must be one pair (before, after) for each of the {len(shape)} axes "
                         f"of shape {shape}, not {widths}")
    for axis, (size, pair) in enumerate(zip(shape, widths)):
        width = builtins.max(pair)
        if builtins.min(pair) < 0:
            raise ValueError(f"pad: negative width {pair} on axis {axis} of shape {shape}: cut with x[...] instead")
        if mode == "reflect" and 0 < width >= size:
            raise ValueError(f"pad: reflect by {pair} on axis {axis} of shape {shape}: there are only {size - 1} "
                             f"elements to mirror; pad by at most {size - 1}, or use replicate")
        if mode == "replicate" and 0 < width and size == 0:
            raise ValueError(f"pad: axis {axis} of shape {shape} is empty: there is nothing to replicate")


def _is_list(value, length):
    return isinstance(value, (tuple, list)) and len(value) == length


# ---- what a tensor can do ------------------------------------------------------------------------------------------

def _reflected(operation):
    """`array - tensor` and `2 - tensor` arrive as tensor.__rsub__(2): the operands in the other order."""
    return lambda self, other: operation(other, self)


def _comparison(compare):
    """Comparisons have no gradient worth the name, so they answer with a plain array of booleans."""
    return lambda self, other: compare(self.data, _array(other))


def _one_tuple(numbers):
    """x.reshape(2, 3) means the same as x.reshape((2, 3)), and x.transpose(1, 0) as x.transpose((1, 0))."""
    return numbers[0] if len(numbers) == 1 and not isinstance(numbers[0], int) else numbers


_METHODS = {
    "__add__": add, "__radd__": _reflected(add),
    "__sub__": subtract, "__rsub__": _reflected(subtract),
    "__mul__": multiply, "__rmul__": _reflected(multiply),
    "__truediv__": divide, "__rtruediv__": _reflected(divide),
    "__pow__": power, "__rpow__": _reflected(power),
    "__matmul__": matmul, "__rmatmul__": _reflected(matmul),
    "__neg__": negative, "__abs__": abs, "__getitem__": getitem,

    "exp": exp, "log": log, "sqrt": sqrt, "abs": abs, "clip": clip,
    "sum": sum, "mean": mean, "max": max, "min": min, "argmax": argmax, "argmin": argmin,
    "reshape": lambda x, *shape: reshape(x, _one_tuple(shape)),
    "transpose": lambda x, *axes: transpose(x, _one_tuple(axes) or None),
    "T": property(transpose),

    # Tensor keeps its hash, which is its identity: a tensor may be a key of a dictionary.
    "__lt__": _comparison(operator.lt), "__le__": _comparison(operator.le),
    "__gt__": _comparison(operator.gt), "__ge__": _comparison(operator.ge),
    "__eq__": _comparison(operator.eq), "__ne__": _comparison(operator.ne),
}

for _name, _method in _METHODS.items():
    setattr(Tensor, _name, _method)
