"""Augmentation: the same picture, a little moved or mirrored, so that a network cannot learn pixels by heart.

Crop and flip as in He et al., "Deep Residual Learning for Image Recognition" (2015), section 4.2.  The random numbers
are drawn on the CPU by a numpy.random.Generator, so a seed gives the same crops on every device; the pictures stay on
theirs.
"""
from minicnn.backend import array_library


def random_crop(x, rng, padding=4, mode="reflect"):
    """Pad each picture by `padding` pixels on all sides and cut a window of the old size at a random place.

    x (N, H, W, C) -> (N, H, W, C), each picture moved by up to `padding` pixels in height and width on its own.
    rng: numpy.random.Generator.  mode: what lies beyond the edge, 'reflect' (mirrored), 'replicate' or 'zeros'.
    Raises ValueError for another mode, a negative padding, or a reflection longer than the picture.
    """
    N, H, W, C = x.shape
    _check_crop(H, W, padding, mode)
    xp = array_library(x)
    down, right = rng.integers(-padding, padding + 1, size=(2, N, 1))
    rows, rows_inside = _window(xp, down, H, mode)              # each (N, H)
    columns, columns_inside = _window(xp, right, W, mode)       # each (N, W)
    image = xp.arange(N)[:, None, None]
    pixels = (image * H + rows[:, :, None]) * W + columns[:, None, :]       # (N, H, W), as numbered in x from 0
    y = x.reshape(N * H * W, C).take(pixels, axis=0)            # (N, H, W, C)
    if mode == "zeros":
        y *= (rows_inside[:, :, None] & columns_inside[:, None, :])[..., None]
    return y


def random_flip(x, rng):
    """Mirror each picture left to right with probability 1/2.   x (N, H, W, C) -> (N, H, W, C)"""
    xp = array_library(x)
    flipped = xp.asarray(rng.random(len(x)) < 0.5)
    y = x.copy()
    y[flipped] = x[flipped, :, ::-1]
    return y


def standard(x, rng):
    """The usual augmentation for 32x32 pictures: a crop moved by up to four pixels, then a flip."""
    return random_flip(random_crop(x, rng), rng)


def _check_crop(H, W, padding, mode):
    if mode not in ("reflect", "replicate", "zeros"):
        raise ValueError(f"random_crop: mode must be 'reflect', 'replicate' or 'zeros', not {mode!r}")
    if padding < 0:
        raise ValueError(f"random_crop: padding must be 0 or more, not {padding}")
    if mode == "reflect" and padding >= min(H, W):
        raise ValueError(f"random_crop: cannot reflect {padding} pixels of a {H}x{W} picture: "
                         f"use padding <= {min(H, W) - 1}, or mode='replicate'")


def _window(xp, offsets, size, mode):
    """Where each place of the moved window reads from along one axis, and whether that lay inside the picture.

    offsets (N, 1) -> two arrays (N, size): indices in 0..size-1, and booleans.
    """
    wanted = xp.asarray(offsets) + xp.arange(size)              # (N, size), from -padding to size-1+padding
    inside = (wanted >= 0) & (wanted < size)
    if mode == "reflect":                                       # ... 2 1 [0 1 2 ... last] last-1 last-2 ...
        last = size - 1
        return last - abs(last - abs(wanted)), inside
    return xp.clip(wanted, 0, size - 1), inside
