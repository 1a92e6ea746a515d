"""Colours of whole pictures: brighter, with more contrast, more colourful, of another hue; and the colours of a data set.

A colour (red, green, blue) is seen as its grey, the mean of the three, and the rest, which says in which direction and how
far it is from grey.  Stretching that rest changes the saturation, turning it about the axis of greys changes the hue.
"""
import numpy as np

from ..core.backend import array_library

PORTION = 500                                    # pictures whose colours are added up at once


def adjust_colours(x, brightness, contrast, saturation=None, hue=None):
    """Each picture in other colours:   x (N, H, W, C) in 0..1  ->  (N, H, W, C) in 0..1

    brightness   factors (N,) of all values
    contrast     factors (N,) of the distance from the picture's mean value
    saturation   factors (N,) of the distance from grey; None, as for pictures that are not RGB, leaves colours alone
    hue          angles (N,) in radians: a third of a turn makes red green, green blue and blue red
    Factor 1 and angle 0 change nothing, bit for bit.
    """
    N, H, W, C = x.shape
    xp = array_library(x)
    brightness, contrast = (xp.asarray(f, dtype=x.dtype)[:, None, None, None] for f in (brightness, contrast))
    y = x * brightness
    y = contrast * y + (1 - contrast) * y.mean(axis=(1, 2, 3), keepdims=True)
    if saturation is not None:
        matrices = xp.asarray(colour_matrices(saturation, hue), dtype=x.dtype)
        y = y.reshape(N, H * W, C) @ matrices.transpose(0, 2, 1)            # (N, H*W, C)
    return xp.clip(y, 0, 1).reshape(N, H, W, C)


def colour_matrices(saturation, hue):
    """What changes (red, green, blue) by factors (N,) and angles (N,)  ->  (N, 3, 3)

    With G the matrix that makes grey, all its entries 1/3:   saturation * turn @ (1 - G) + G.   A turn about the axis
    of greys leaves grey as it is, turn @ G = G, so that is  saturation * turn + (1 - saturation) * G.
    """
    saturation, hue = (np.asarray(values)[:, None, None] for values in (saturation, hue))
    grey = np.full((3, 3), 1 / 3)
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)    # the cross product with the axis
    turn = np.cos(hue) * np.eye(3) + (1 - np.cos(hue)) * grey + np.sin(hue) * across       # Rodrigues' formula
    return saturation * turn + (1 - saturation) * grey


def principal_colours(images):
    """In which directions the colours of a data set differ, and how much:   (N, H, W, C) uint8  ->  (C, C) float64

    Row i is the i-th principal component of the pixels, of unit length, times the standard deviation of the pixels (in
    0..1) in its direction; the largest comes first.  The sums are of whole numbers, and so exact.
    Raises ValueError for images of another type, or none.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.size == 0:
        raise ValueError(f"principal_colours: images must be (N, H, W, C) uint8, not {images.shape} {images.dtype}")
    C, count = images.shape[3], images[..., 0].size
    total, products = np.zeros(C), np.zeros((C, C))
    for start in range(0, len(images), PORTION):
        pixels = images[start:start + PORTION].reshape(-1, C).astype(np.float64)           # (pixels, C)
        total += pixels.sum(axis=0)
        products += pixels.T @ pixels
    mean = total / count
    variances, components = np.linalg.eigh((products / count - np.outer(mean, mean)) / 255 ** 2)
    deviations = np.sqrt(np.maximum(variances, 0))                          # rounding may leave a zero below zero
    return (components * deviations).T[::-1]
