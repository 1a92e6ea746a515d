"""Padding, and its gradient."""
import builtins

from ..backend import array_library
from ..tensor import differentiable
from .shapes import along

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
    dx = dy[along(axis, before, before + size)]
    if mode == "zeros":
        return dx
    left, right = dy[along(axis, 0, before)], dy[along(axis, before + size, None)]
    dx = dx.copy()
    if mode == "reflect":                         # the two targets may overlap on a short axis: two separate sums
        dx[along(axis, 1, 1 + before)] += left[along(axis, None, None, -1)]
        dx[along(axis, size - 1 - after, size - 1)] += right[along(axis, None, None, -1)]
    else:
        dx[along(axis, 0, 1)] += left.sum(axis=axis, keepdims=True)
        dx[along(axis, size - 1, size)] += right.sum(axis=axis, keepdims=True)
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
