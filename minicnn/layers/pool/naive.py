"""Max and average pooling as their definition: window after window, number by number.  Slow, and right by inspection.

    y[n, r, c, k] = the largest, or the mean, of  x[n, i, j, k]  over the rows i of window r and the columns j of window c

Only pixels in the image have a say.  Each pixel gets from dy what it gave to y.
"""
import math

import numpy as np

from ...core.backend import array_library


def max_pool(x, windows, ceil_mode):
    """y and its gradient rule.   The first of equal maxima wins; in a window with a NaN the last pixel does."""
    (y, places_of), winners = _output_and_windows(x, windows, ceil_mode), {}
    for at, places in places_of:
        values = [float(x[place]) if _inside(place, x.shape) else -math.inf for place in places]
        y[at] = math.nan if any(map(math.isnan, values)) else max(values)
        winners[at] = places[-1 if math.isnan(y[at]) else values.index(max(values))]

    def grad_x(dy):
        dx = array_library(x).zeros_like(x)
        for at, place in winners.items():
            if _inside(place, x.shape):
                dx[place] += dy[at]                              # windows overlap: += and never =
        return dx
    return y, (grad_x,)


def average_pool(x, windows, ceil_mode, count_include_pad):
    """y and its gradient rule.   The sum is divided by the number of pixels in the image, or in it and its padding."""
    (y, places_of), pixels_of, counts = _output_and_windows(x, windows, ceil_mode), {}, {}
    for at, places in places_of:
        pixels_of[at] = [place for place in places if _inside(place, x.shape)]
        border = windows.padding if count_include_pad else (0, 0)
        counts[at] = max(1, sum(_inside(place, x.shape, border) for place in places))
        y[at] = sum(float(x[place]) for place in pixels_of[at]) / counts[at]

    def grad_x(dy):
        dx = array_library(x).zeros_like(x)
        for at, pixels in pixels_of.items():
            for place in pixels:
                dx[place] += dy[at] / counts[at]
        return dx
    return y, (grad_x,)


def _output_and_windows(x, windows, ceil_mode):
    """An empty y, and for each of its places the places of x in its window, row by row, those outside the image too."""
    rows, columns = (_positions(*sizes, ceil_mode) for *sizes, _ in windows.axes())
    y = array_library(x).empty((len(x), len(rows), len(columns), x.shape[3]), x.dtype)
    return y, [((n, r, c, k), [(n, i, j, k) for i in rows[r] for j in columns[c]]) for n, r, c, k in np.ndindex(y.shape)]


def _positions(length, kernel, stride, padding, dilation, ceil_mode):
    """For each window along an axis the positions that it looks at: 0 to length - 1 are the image, the rest is padding."""
    extent, end = dilation * (kernel - 1) + 1, length + padding
    starts = [start for start in range(-padding, end, stride) if start + extent <= end]
    following = starts[-1] + stride
    if ceil_mode and starts[-1] + extent < end and following < length:           # pixels are left over: one window more
        starts.append(following)
    return [range(start, start + extent, dilation) for start in starts]


def _inside(place, shape, border=(0, 0)):
    """Whether a place (n, i, j, k) lies in the image, or in a border around it."""
    (_, i, j, _), (_, H, W, _), (rows, columns) = place, shape, border
    return -rows <= i < H + rows and -columns <= j < W + columns
