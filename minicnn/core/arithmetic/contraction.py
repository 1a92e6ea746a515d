"""Sums of products in Einstein's notation: a letter for each axis of what goes in and of what comes out."""
import math

from ..backend import array_library
from ..tensor import differentiable
from .products import product


def einsum(subscripts, *tensors):
    """The sum of products that the subscripts describe:  einsum("ij,jk->ik", a, b) is the matrix product a @ b.

    Each tensor has a letter for each of its axes.  Elements are multiplied where several tensors have the same letter, and
    summed over the letters that the result does not have.  Without -> the result has those that occur once, in
    alphabetical order.  Of three tensors or more the first two are multiplied first, then the next.

    Raises ValueError when the subscripts do not fit the tensors, for "..." and for a letter twice in one tensor.
    """
    return _einsum(*tensors, subscripts=subscripts)


@differentiable
def _einsum(*arrays, subscripts):
    inputs, output = _parsed(subscripts, [getattr(array, "shape", None) for array in arrays])
    rules = tuple(_rule(i, inputs, arrays, output) for i in range(len(arrays)))
    return _contract(inputs, arrays, output), rules


def _rule(i, inputs, arrays, output):
    """The gradient of array i is the same sum with dy in its place, its letters those of the result."""
    letters, shape = inputs[i], arrays[i].shape
    others, their_letters = arrays[:i] + arrays[i + 1:], inputs[:i] + inputs[i + 1:]
    common = "".join(letter for letter in letters if letter in output + "".join(their_letters))
    kept = tuple(n if letter in common else 1 for letter, n in zip(letters, shape))

    def gradient(dy):
        dx = _contract([output, *their_letters], [dy, *others], common).reshape(kept)
        return array_library(dy).broadcast_to(dx, shape)              # along an axis that was only summed, all the same
    return gradient


def _contract(inputs, arrays, output):
    """The array whose axes are the letters of `output`: two arrays at a time become one."""
    letters, total = inputs[0], arrays[0]
    for i in range(1, len(arrays)):
        needed = output + "".join(inputs[i + 1:])
        letters, total = _multiply(letters, total, inputs[i], arrays[i], needed)
    letters, total = _sum_out(letters, total, output)
    return total.transpose([letters.index(letter) for letter in output])


def _multiply(letters_a, a, letters_b, b, needed):
    """(letters, array) of the product of two arrays, summed over what is not needed: a stack of matrix products."""
    letters_a, a = _sum_out(letters_a, a, letters_b + needed)
    letters_b, b = _sum_out(letters_b, b, letters_a + needed)
    both, sizes = set(letters_a) & set(letters_b), dict(zip(letters_a + letters_b, a.shape + b.shape))
    stack = "".join(n for n in letters_a if n in both and n in needed)
    summed = "".join(n for n in letters_a if n in both and n not in needed)
    rows, columns = ("".join(n for n in letters if n not in both) for letters in (letters_a, letters_b))
    a = _as_matrices(letters_a, a, stack, rows, summed)               # (stack..., rows, summed)
    b = _as_matrices(letters_b, b, stack, summed, columns)            # (stack..., summed, columns)
    y = product(a, b) if summed else a * b                            # (stack..., rows, columns)
    letters = stack + rows + columns
    return letters, y.reshape([sizes[n] for n in letters])


def _sum_out(letters, array, needed):
    """(letters, array) without the axes whose letters are not needed: summed over them."""
    axes = tuple(i for i, n in enumerate(letters) if n not in needed)
    kept = "".join(n for n in letters if n in needed)
    return (kept, array.sum(axis=axes)) if axes else (letters, array)


def _as_matrices(letters, array, stack, rows, columns):
    """The array as (stack..., rows, columns): each of the last two axes is what several letters become together."""
    array = array.transpose([letters.index(n) for n in stack + rows + columns])
    ends = len(stack), len(stack) + len(rows)
    sizes = array.shape[:ends[0]], array.shape[ends[0]:ends[1]], array.shape[ends[1]:]
    return array.reshape(*sizes[0], math.prod(sizes[1]), math.prod(sizes[2]))


# ---- the notation --------------------------------------------------------------------------------------------------

def _parsed(subscripts, shapes):
    """("ij, jk", [(2, 3), (3, 4)])  ->  (("ij", "jk"), "ik").  Raises ValueError when they do not fit."""
    if not isinstance(subscripts, str):
        raise ValueError(f'einsum: the subscripts, a text like "ij,jk->ik", come first, not {type(subscripts).__name__}')
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    inputs = tuple(left.split(","))
    once = sorted(n for n in set(left) - {","} if left.count(n) == 1)
    output = output if arrow else "".join(once)
    _check(f"einsum {subscripts!r}", inputs, output, shapes)
    return inputs, output


def _check(name, inputs, output, shapes):
    if not all(n.isalpha() for n in output + "".join(inputs)):
        raise ValueError(f"{name}: only letters name axes; write out what ... stands for")
    if None in shapes:
        raise ValueError(f"{name}: operand {shapes.index(None)} is no tensor and no array")
    if len(inputs) != len(shapes):
        raise ValueError(f"{name}: subscripts for {len(inputs)} tensors, but {len(shapes)} were given")
    for letters, shape in zip(inputs, shapes):
        _check_operand(name, letters, shape)
    if len(set(output)) < len(output) or not set(output) <= set("".join(inputs)):
        raise ValueError(f"{name}: the result's letters must be letters of the tensors, each at most once, not {output!r}")
    _check_sizes(name, zip("".join(inputs), [size for shape in shapes for size in shape]))


def _check_sizes(name, axes):
    sizes = {}
    for n, size in axes:
        if sizes.setdefault(n, size) != size:
            raise ValueError(f"{name}: the axes called {n} have sizes {sizes[n]} and {size}: they must be equal")


def _check_operand(name, letters, shape):
    if len(letters) != len(shape):
        raise ValueError(f"{name}: {letters!r} names {len(letters)} axes of a tensor of shape {shape}: name each once")
    if len(set(letters)) < len(letters):
        raise ValueError(f"{name}: a letter twice in {letters!r} asks for a diagonal: take it with x[i, i], "
                         "i = np.arange(n), first")
