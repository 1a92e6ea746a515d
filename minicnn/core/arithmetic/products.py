"""The matrix product and the outer product."""
import builtins
import math

from .. import threads, tuning
from ..backend import array_library, is_gpu_array
from ..tensor import differentiable
from .broadcasting import broadcastable, unbroadcast
from .shapes import along



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


@differentiable
def outer(a, b):
    """The products of each element of a with each of b:  a (m,)   b (n,)   ->   (m, n).

    Raises ValueError unless both are vectors.
    """
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"outer: shapes {a.shape} and {b.shape}: both must be vectors; use a[:, None] * b or reshape(-1)")
    return a[:, None] * b, (lambda dy: dy @ b, lambda dy: a @ dy)


def product(a, b):
    """a @ b of plain arrays, (..., m, k) and (..., k, n) -> (..., m, n): large ones over the threads."""
    if is_gpu_array(a) or is_gpu_array(b) or a.size * b.shape[-1] < tuning.INLINE_PRODUCT:
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
        where = along(axis, part.start, part.stop)
        xp.matmul(a[where], b[where], out=y[where])
    threads.in_parallel(some, threads.slices(leading[axis], y.size * k // tuning.THREAD_PRODUCT))
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
    if not broadcastable(a.shape[:-2], b.shape[:-2]):
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape}: the leading axes {a.shape[:-2]} and "
                         f"{b.shape[:-2]} do not broadcast; counted from the last, they must be equal or 1")


def _with_matrix_axes(dy, shape_a, shape_b):
    """Put back the axes that the product dropped, because a or b was a vector."""
    dy = dy[..., None] if len(shape_b) == 1 else dy                   # (..., m, 1)
    return dy[..., None, :] if len(shape_a) == 1 else dy              # (..., 1, n)


def _as_matrix(x):
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
