"""The differentiable operations that are no layer: + - * / ** @, exp, sum, reshape, indexing, joining, padding.

Read `add` and `multiply` first: every other operation here has their form, and so would one of your own.  Three habits
run through the rooms:

    broadcasting   NumPy repeats the smaller operand, so its gradient is the sum over the repeats: `unbroadcast`
    plain numbers  `x * 2.0` hands the Python number 2.0 through, and float32 stays float32 (NumPy's rule, NEP 50)
    kinks          where a function has no gradient, the convention stands in its docstring; it is PyTorch's

    broadcasting  the gradient of what NumPy repeats        functions     of one operand: exp, log, sin, clip
    operands      of two: + - * / ** maximum where          reductions    sum, mean, var, max
    products      the matrix product, over the threads      shapes        reshape, transpose, indexing, joining, repetition
    contraction   einsum, as matrix products                padding       zeros, a mirror, the border repeated

`sum`, `abs`, `max` and `min` are minicnn's here; Python's own are `builtins.max` and so on.  The table below gives tensors
their operators and methods.
"""
import operator

from ..tensor import Tensor
from .broadcasting import unbroadcast
from .contraction import einsum
from .functions import abs, clip, cos, exp, log, negative, sin, sqrt
from .operands import add, divide, maximum, minimum, multiply, power, subtract, where
from .padding import pad, pad_array, pad_gradient
from .products import matmul, outer, product
from .reductions import argmax, argmin, max, mean, min, std, sum, var
from .shapes import (broadcast_to, concatenate, expand_dims, flatten, getitem, plain, repeat, reshape, split, squeeze,
                     stack, swapaxes, tile, transpose)


def _reflected(operation):
    """`array - tensor` and `2 - tensor` arrive as tensor.__rsub__(2): the operands in the other order."""
    return lambda self, other: operation(other, self)


def _comparison(compare):
    """Comparisons have no gradient worth the name, so they answer with a plain array of booleans."""
    return lambda self, other: compare(self.data, plain(other))


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

    "exp": exp, "log": log, "sqrt": sqrt, "sin": sin, "cos": cos, "abs": abs, "clip": clip,
    "sum": sum, "mean": mean, "var": var, "std": std, "max": max, "min": min, "argmax": argmax, "argmin": argmin,
    "reshape": lambda x, *shape: reshape(x, _one_tuple(shape)),
    "transpose": lambda x, *axes: transpose(x, _one_tuple(axes) or None),
    "T": property(transpose),
    "swapaxes": swapaxes, "flatten": flatten, "squeeze": squeeze, "repeat": repeat, "split": split,

    # Tensor keeps its hash, which is its identity: a tensor may be a key of a dictionary.
    "__lt__": _comparison(operator.lt), "__le__": _comparison(operator.le),
    "__gt__": _comparison(operator.gt), "__ge__": _comparison(operator.ge),
    "__eq__": _comparison(operator.eq), "__ne__": _comparison(operator.ne),
}

for _name, _method in _METHODS.items():
    setattr(Tensor, _name, _method)
