"""Operations on two operands, element by element: + - * / **, maximum, minimum, where."""
from ..backend import array_library
from ..tensor import differentiable
from .broadcasting import operand_shapes, unbroadcast


@differentiable
def add(a, b):
    """a + b, with broadcasting."""
    shape_a, shape_b = operand_shapes("add", a, b)
    return a + b, (lambda dy: unbroadcast(dy, shape_a), lambda dy: unbroadcast(dy, shape_b))


@differentiable
def subtract(a, b):
    """a - b, with broadcasting."""
    shape_a, shape_b = operand_shapes("subtract", a, b)
    return a - b, (lambda dy: unbroadcast(dy, shape_a), lambda dy: unbroadcast(-dy, shape_b))


@differentiable
def multiply(a, b):
    """a * b, with broadcasting."""
    shape_a, shape_b = operand_shapes("multiply", a, b)
    return a * b, (lambda dy: unbroadcast(dy * b, shape_a), lambda dy: unbroadcast(dy * a, shape_b))


@differentiable
def divide(a, b):
    """a / b, with broadcasting."""
    shape_a, shape_b = operand_shapes("divide", a, b)
    y = a / b
    return y, (lambda dy: unbroadcast(dy / b, shape_a), lambda dy: unbroadcast(-dy * y / b, shape_b))


@differentiable
def power(a, b):
    """a ** b, with broadcasting: a tensor to a number, a number to a tensor, or both tensors.

    d/da = b a^(b-1)      0 where b is 0, also for a = 0
    d/db = a^b log a      0 where a is 0; NaN where a is negative
    """
    shape_a, shape_b = operand_shapes("power", a, b)
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
    shape_a, shape_b = operand_shapes("maximum", a, b)
    return array_library(a, b).maximum(a, b), (lambda dy: unbroadcast(_share_of_larger(dy, a, b), shape_a),
                                               lambda dy: unbroadcast(_share_of_larger(dy, b, a), shape_b))


@differentiable
def minimum(a, b):
    """The smaller of a and b, element by element, with broadcasting.  Where they are equal, each gets half of dy."""
    shape_a, shape_b = operand_shapes("minimum", a, b)
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
    shape_a, shape_b = operand_shapes("where", a, b)
    operand_shapes("where (condition and a)", chosen, a)
    operand_shapes("where (condition and b)", chosen, b)
    return xp.where(chosen, a, b), (lambda dy: unbroadcast(dy * chosen, shape_a),
                                    lambda dy: unbroadcast(dy * ~chosen, shape_b))
