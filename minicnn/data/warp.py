"""Affine warps: pictures turned, zoomed, sheared and moved, in any combination and in one go.

A place in a picture is (row, column, 1), in pixels from the picture's middle, rows downwards.  An affine map is a 3x3
matrix that takes such a place of the old picture to where it lies in the new one, and one map after another is the
product of their matrices:

    affine_warp(x, translation(down, right) @ rotation(angles))             # first turned, then moved

The warp goes the other way: for each pixel of the new picture it asks where in the old one it comes from.  So no pixel of
the new picture is left out, which would happen if the old pixels were sent to their new places.
"""
import numpy as np

from ..core.backend import array_library


def affine_warp(x, matrices):
    """Each picture drawn anew through its affine map:   x (N, H, W, C), matrices (N, 3, 3)  ->  (N, H, W, C)

    A pixel that comes from between four pixels is their mean, weighted by how near they are (bilinear interpolation).
    What lies beyond the edge is the picture mirrored.  The identity, and whole pixels of translation, copy exactly.
    Raises numpy.linalg.LinAlgError for a matrix that has no inverse.
    """
    N, H, W, C = x.shape
    xp = array_library(x)
    rows, columns = _origins(xp, np.linalg.inv(matrices), H, W)             # each (N, H, W)
    top, bottom, down = _neighbours(xp, rows, H, x.dtype)
    left, right, across = _neighbours(xp, columns, W, x.dtype)
    pixels, first = x.reshape(N * H * W, C), xp.arange(N)[:, None, None] * H       # (N*H*W, C); image n starts at row n*H

    def at(row, column):
        return pixels.take((first + row) * W + column, axis=0)              # (N, H, W, C)
    return _mixed(_mixed(at(top, left), at(top, right), across),
                  _mixed(at(bottom, left), at(bottom, right), across), down)


def _origins(xp, backwards, H, W):
    """Where each new pixel comes from: rows (N, H, W) and columns (N, H, W) of the old picture, with fractions."""
    row, column = xp.arange(H)[:, None] - (H - 1) / 2, xp.arange(W) - (W - 1) / 2          # (H, 1), (W,)
    b = xp.asarray(backwards)[:, :, :, None, None]                          # each entry (N, 1, 1)
    return (b[:, 0, 0] * row + b[:, 0, 1] * column + b[:, 0, 2] + (H - 1) / 2,
            b[:, 1, 0] * row + b[:, 1, 1] * column + b[:, 1, 2] + (W - 1) / 2)


def _neighbours(xp, position, size, dtype):
    """The pixels before and after each position along an axis, and the weight of the second: three (N, H, W).

    Beyond the edge positions run back and forth:  ... 2 1 [0 1 2 ... last] last-1 last-2 ... 1 0 1 ...
    """
    last = size - 1
    inside = last - abs(last - abs(position) % (2 * last or 1))
    inside = xp.clip(inside, 0, last)                                       # an axis of one pixel has nowhere to run
    before = xp.floor(inside).astype(np.int64)
    return before, xp.minimum(before + 1, last), (inside - before).astype(dtype)


def _mixed(a, b, share):
    """Between a and b, (N, H, W, C); so written it is exactly a where share (N, H, W) is 0, and exactly b where it is 1."""
    share = share[..., None]
    return (1 - share) * a + share * b


# ---- Maps ----------------------------------------------------------------------------------------------------------

def rotation(angles):
    """Counterclockwise by angles (N,) in radians  ->  matrices (N, 3, 3)"""
    cos, sin = np.cos(angles), np.sin(angles)
    return _matrices([cos, -sin, 0], [sin, cos, 0])


def scaling(factors):
    """Zoom by factors (N,), above 1 larger  ->  matrices (N, 3, 3)"""
    return _matrices([factors, 0, 0], [0, factors, 0])


def shearing(angles):
    """Uprights leant by angles (N,) in radians: what is low moves right, what is high left  ->  matrices (N, 3, 3)"""
    return _matrices([1, 0, 0], [np.tan(angles), 1, 0])


def translation(down, right):
    """Moved by (N,) pixels, also by fractions of one  ->  matrices (N, 3, 3)"""
    return _matrices([1, 0, down], [0, 1, right])


def _matrices(to_row, to_column):
    """(N, 3, 3) from the upper two rows; each of their entries is a number or (N,)."""
    entries = np.broadcast_arrays(*to_row, *to_column, 0, 0, 1)             # 9 arrays (N,)
    return np.stack(entries, axis=-1).reshape(-1, 3, 3).astype(np.float64)
