"""Resampling: the same picture with more, or fewer, pixels.

Each output pixel is a weighted mean of input pixels, and the weights are those of its row times those of its column.
So there are two matrices of weights, R (H', H) for the rows and S (W', W) for the columns, and

    y = R x S^T          dx = R^T dy S

The gradient of a linear map is its transpose: whatever an output pixel took from an input pixel, it gives back.

The matrices are nearly all zeros: an output pixel knows only its neighbours.  So a product goes through a band of rows at
a time, and leaves out the columns in which the whole band is zero.
"""
from functools import partial

import numpy as np

from ..core import tuning
from ..core.backend import array_library, is_gpu_array
from ..core.kernels import Kernels, in_c_order, runs_kernels
from ..core.tensor import differentiable
from ..core.threads import image_blocks, in_parallel
from .algorithm import wants_naive
from .conv.geometry import pair
from .module import Module

kernels = Kernels(__file__, "resample.cu")



@differentiable
def upsample(x, scale=None, size=None, mode="nearest", align_corners=False, algorithm="auto"):
    """Resize images:   x (N, H, W, C)   ->   y (N, H', W', C)

    scale          how many times larger, a number or a pair (rows, columns), also with a fraction: H' = floor(scale H)
    size           or the new size itself, a number or a pair (H', W')
    mode           "nearest": each output pixel copies one input pixel; "bilinear": the mean of the 2 x 2 around it
    align_corners  False: pixels are squares, and the outer edges of both images coincide (output pixel i has its centre
                   at (i + 1/2) H / H').  True, for bilinear: the centres of the corner pixels coincide
    algorithm      "auto", the quickest, or "naive", the definition

    The meaning is PyTorch's, also for a scale with a fraction, and like there nothing is smoothed when shrinking.
    Raises ValueError when x has not four axes, not exactly one of scale and size is given, or the mode or the algorithm
    is unknown.
    """
    if x.ndim != 4:
        raise ValueError(f"upsample: x must be (N, H, W, C), its shape is {x.shape}")
    if mode not in ("nearest", "bilinear") or (align_corners and mode == "nearest"):
        raise ValueError(f"upsample: mode must be 'nearest' or 'bilinear', and align_corners=True goes with 'bilinear' "
                         f"only, not mode={mode!r}, align_corners={align_corners}")
    sizes, steps = _sizes_and_steps(x.shape[1:3], scale, size)
    if wants_naive("upsample", algorithm):
        return _naive(x, sizes, steps, mode, align_corners)
    if mode == "nearest":
        return _nearest(x, sizes, steps)
    return _bilinear(x, sizes, steps, align_corners)


def _sizes_and_steps(old, scale, size):
    """The new sizes, and by how many input pixels an output pixel is further than the last, for rows and columns.

    A scale is taken at its word, a step of 1 / scale, although what does not fill a pixel is cut off at the end.
    Only an image that keeps its size stays as it is.
    """
    if (scale is None) == (size is None):
        raise ValueError(f"upsample: give either scale or size, not scale={scale}, size={size}")
    scales = scale if isinstance(scale, (tuple, list)) else (scale, scale)
    new = pair(size, "size") if scale is None else tuple(int(n * s) for n, s in zip(old, scales))
    if len(scales) != 2 or min(new) < 1:
        raise ValueError(f"upsample: scale={scale}, size={size} makes {new} pixels of {old}: give a number or a pair "
                         "(rows, columns) so that each is at least 1")
    if scale is None:
        return new, tuple(n / m for n, m in zip(old, new))
    return new, tuple(1 if n == m else 1 / s for n, m, s in zip(old, new, scales))


def _naive(x, sizes, steps, mode, align_corners):
    """The definition, pixel by pixel.  Whatever an output pixel takes from an input pixel, it gives back to its gradient."""
    xp, old = array_library(x), x.shape[1:3]
    sources = _sources_of_nearest if mode == "nearest" else partial(_sources_of_bilinear, align_corners=align_corners)
    rows, columns = ([list(sources(i, n, m, step)) for i in range(m)] for n, m, step in zip(old, sizes, steps))
    pairs = [(r, c, i, j, down * right) for r, c in np.ndindex(sizes) for i, down in rows[r] for j, right in columns[c]]
    y = xp.zeros((len(x), *sizes, x.shape[3]), x.dtype)
    for r, c, i, j, share in pairs:
        y[:, r, c] += share * x[:, i, j]

    def grad_x(dy):
        dx = xp.zeros_like(x)
        for r, c, i, j, share in pairs:
            dx[:, i, j] += share * dy[:, r, c]
        return dx
    return y, (grad_x,)


def _sources_of_nearest(i, old, new, step):
    """(pixel, share) of each pixel that output pixel i comes from: the one below its place, which is rounded to float32."""
    place = i // 2 if new == 2 * old else int(np.float32(i) * np.float32(step))
    yield min(place, old - 1), 1.


def _sources_of_bilinear(i, old, new, step, align_corners):
    """At place 2.3 the shares are .7 of pixel 2 and .3 of pixel 3."""
    place = i * (old - 1) / max(new - 1, 1) if align_corners else (i + .5) * step - .5
    place = min(max(place, 0), old - 1)
    lower, share = int(place), place % 1
    yield lower, 1 - share
    if share:
        yield lower + 1, share


def _nearest(x, sizes, steps):
    xp, old = array_library(x), x.shape[1:3]
    rows, columns = (_nearest_pixels(n, m, step) for n, m, step in zip(old, sizes, steps))
    if runs_kernels(x):
        return _copied_by_kernel(x, sizes, rows, columns)
    if _repeats(old[0], rows) and _repeats(old[1], columns):
        return _repeated(x, *(m // n for n, m in zip(old, sizes)))
    y = x.take(xp.asarray(rows), axis=1).take(xp.asarray(columns), axis=2)

    def grad_x(dy):
        to_rows, to_columns = (_copying(n, pixels, dy) for n, pixels in zip(old, (rows, columns)))
        return weighted_means(dy, to_rows.T, to_columns.T)

    return y, (grad_x,)


def _nearest_pixels(old, new, step):
    """Which of `old` pixels each of `new` copies.

    In float32, where PyTorch rounds too: the last bit decides which pixel is copied.  Doubling takes each pixel twice.
    """
    step = .5 if new == 2 * old else step
    pixels = np.floor(np.arange(new, dtype=np.float32) * np.float32(step)).astype(int)
    return np.minimum(pixels, old - 1)


def _repeats(old, pixels):
    """Whether each of `old` pixels is copied, in order and equally often."""
    return len(pixels) % old == 0 and np.array_equal(pixels, np.arange(old).repeat(len(pixels) // old))


def _repeated(x, a, b):
    """Each pixel of x as a rectangle of a x b pixels; its gradient is the sum over the rectangle.

    Corner (i, j) of all rectangles at once is a strided view of y, as large as x.
    """
    xp, (N, H, W, C) = array_library(x), x.shape
    y = xp.empty((N, a * H, b * W, C), x.dtype)
    corners = [(slice(None), slice(i, None, a), slice(j, None, b)) for i in range(a) for j in range(b)]

    def copy(where):
        for corner in corners:
            y[corner][where] = x[where]
    in_parallel(copy, _blocks(y, H))

    def grad_x(dy):
        dx = xp.zeros((N, H, W, C), dy.dtype)

        def add(where):
            for corner in corners:
                dx[where] += dy[corner][where]
        in_parallel(add, _blocks(dy, H))
        return dx
    return y, (grad_x,)


def _blocks(y, rows):
    """Blocks of images and of the `rows` rows of x, each of which becomes some rows of y."""
    return image_blocks(len(y), rows, tuning.RESAMPLE_BLOCK * rows // (y[0].size or 1)) if len(y) else []


def _copying(old, pixels, dy):
    """The matrix (new, old) with a one where output pixel i copies input pixel pixels[i]."""
    return array_library(dy).asarray(pixels[:, None] == np.arange(old), dtype=dy.dtype)


def _copied_by_kernel(x, sizes, rows, columns):
    """_nearest by resample.cu.   rows, columns: which pixel each new one copies"""
    shape = x.shape
    copied = [np.searchsorted(pixels, np.arange(n + 1)) for pixels, n in zip((rows, columns), shape[1:3])]

    def grad_x(dy):
        return _launched("copy_pixels_gradient", dy, shape, shape, sizes, *copied)
    return _launched("copy_pixels", x, (len(x), *sizes, shape[3]), shape, sizes, rows, columns), (grad_x,)


def _mixed_by_kernel(x, sizes, places):
    """_bilinear by resample.cu.   places: for rows and columns, (lower pixel, fraction) of each new one"""
    shape, tables, ranges = x.shape, [table for place in places for table in place], []
    for (lower, _), n in zip(places, shape[1:3]):                # pixel i is the lower one of some, the upper one of others
        ranges += [np.searchsorted(lower, np.arange(n) - 1), np.searchsorted(lower, np.arange(n), "right")]

    def grad_x(dy):
        return _launched("mix_pixels_gradient", dy, shape, shape, sizes, *tables, *ranges)
    return _launched("mix_pixels", x, (len(x), *sizes, shape[3]), shape, sizes, *tables), (grad_x,)


def _launched(name, x, y_shape, old_shape, sizes, *tables):
    """The output of a kernel of resample.cu; old_shape: of the image before it was resized to `sizes`."""
    xp, (N, H, W, C) = array_library(x), old_shape
    y = xp.empty(y_shape, x.dtype)
    tables = [xp.asarray(table, dtype=np.int32 if table.dtype.kind == "i" else x.dtype) for table in tables]
    kernels.launch(name, y.size, in_c_order(x), *tables, y, (N, H, W, *sizes, C))
    return y


def _bilinear(x, sizes, steps, align_corners):
    if runs_kernels(x):
        return _mixed_by_kernel(x, sizes, [_between(n, m, step, align_corners)
                                           for n, m, step in zip(x.shape[1:3], sizes, steps)])
    to_rows, to_columns = (_mixing(n, m, step, align_corners, x) for n, m, step in zip(x.shape[1:3], sizes, steps))
    return weighted_means(x, to_rows, to_columns), (lambda dy: weighted_means(dy, to_rows.T, to_columns.T),)


def _mixing(old, new, step, align_corners, x):
    """The matrix (new, old) of bilinear weights: a pixel at position 2.3 is .7 of pixel 2 and .3 of pixel 3."""
    lower, fraction = _between(old, new, step, align_corners)
    weights = np.zeros((new, old))
    weights[np.arange(new), lower] += 1 - fraction
    weights[np.arange(new), np.minimum(lower + 1, old - 1)] += fraction
    return array_library(x).asarray(weights, dtype=x.dtype)


def _between(old, new, step, align_corners):
    """(pixel below, fraction of the way to the one above) of the place of each new pixel, (new,) both."""
    if align_corners:
        position = np.arange(new) * ((old - 1) / max(new - 1, 1))
    else:
        position = np.maximum((np.arange(new) + .5) * step - .5, 0)
    lower = np.minimum(position.astype(int), old - 1)
    return lower, np.minimum(position - lower, 1)


def weighted_means(x, to_rows, to_columns):
    """R x S^T for every image and channel:   x (N, H, W, C), R (H', H), S (W', W)   ->   (N, H', W', C)

    Arrays in, an array out; the rows of the matrices hold the weights.
    """
    N, H, W, C = x.shape
    x = _banded_product(to_rows, x.reshape(N, H, W * C))                                  # (N, H', W*C)
    x = _banded_product(to_columns, x.reshape(-1, W, C))                                  # (N*H', W', C)
    return x.reshape(N, len(to_rows), len(to_columns), C)


def _banded_product(weights, x):
    """weights @ x where most weights are zero:   weights (H', H), x (N, H, M)   ->   (N, H', M)"""
    if is_gpu_array(x):
        return weights @ x
    bands = [slice(start, start + tuning.RESAMPLE_BAND) for start in range(0, len(weights), tuning.RESAMPLE_BAND)]
    needed = [_span(weights[band].any(axis=0)) for band in bands]
    y = np.empty((len(x), len(weights), x.shape[2]), x.dtype)

    def block(where):
        images, some = where
        for band, rows in zip(bands[some], needed[some]):
            np.matmul(weights[band, rows], x[images, rows], out=y[images, band])
    in_parallel(block, image_blocks(len(x), len(bands), tuning.RESAMPLE_BLOCK // (tuning.RESAMPLE_BAND * x.shape[2] or 1)))
    return y


def _span(wanted):
    """The slice from the first to the last True."""
    where = np.flatnonzero(wanted)
    return slice(where[0], where[-1] + 1) if len(where) else slice(0, 0)


class Upsample(Module):
    """upsample with its options:   (N, H, W, C) -> (N, H', W', C)"""

    def __init__(self, scale=None, size=None, mode="nearest", align_corners=False):
        super().__init__()
        self.scale, self.size, self.mode, self.align_corners = scale, size, mode, align_corners

    def forward(self, x):
        return upsample(x, self.scale, self.size, self.mode, self.align_corners)

    def __repr__(self):
        new = f"scale={self.scale}" if self.size is None else f"size={self.size}"
        return f"Upsample({new}, mode={self.mode!r})"
