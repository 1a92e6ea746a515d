"""Broadcasting: NumPy repeats the smaller operand, so its gradient is the sum over the repeats."""


def unbroadcast(dy, shape):
    """Sum `dy` over the axes along which an array of `shape` was repeated to become as large as dy.

    The gradient of a value that was used several times is the sum of the gradients of its uses.
    """
    if dy.shape == shape:
        return dy
    new = dy.ndim - len(shape)                    # axes which broadcasting put in front
    stretched = tuple(i for i, size in enumerate(shape, start=new) if size == 1 and dy.shape[i] != 1)
    return dy.sum(axis=tuple(range(new)) + stretched).reshape(shape)


def operand_shapes(name, a, b):
    """The shapes of two operands; ValueError when they do not broadcast."""
    shape_a, shape_b = getattr(a, "shape", ()), getattr(b, "shape", ())
    if not broadcastable(shape_a, shape_b):
        raise ValueError(f"{name}: shapes {shape_a} and {shape_b} do not broadcast: counted from the last, "
                         "axes must be equal or 1; reshape one of them")
    return shape_a, shape_b


def broadcastable(shape_a, shape_b):
    """Whether arrays of these shapes can be broadcast together."""
    return all(m == n or 1 in (m, n) for m, n in zip(reversed(shape_a), reversed(shape_b)))
