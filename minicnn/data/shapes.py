"""Coloured shapes: a data set that needs no download, drawn here from a seed.

A shape is a distance: a function of a point (u, v) that is negative inside, zero on the edge, positive outside.  To
draw it, each pixel's centre is moved into the shape's own frame (shifted, turned, divided by the radius) and asked for
its distance.  Half a pixel inside the edge the pixel is covered, half a pixel outside it is not, and between the two it
is a mixture: that is anti-aliasing.  The distances after Inigo Quilez, "2D distance functions",
https://iquilezles.org/articles/distfunctions2d/; some are only bounds of the distance, which is enough near the edge.
"""
import numpy as np

from .dataset import Dataset
from .places import check_split

PICTURES = {"train": 8000, "test": 2000}
BLOCK = 400                                      # pictures drawn from one generator, as many of each class
NOISE = .05                                      # standard deviation of a pixel, of 0..1


# ---- Eight distances -----------------------------------------------------------------------------------------------
# u to the right, v upwards, in radii of the shape: each lies about within the circle of radius 1.

def circle(u, v):
    return np.hypot(u, v) - .9


def crescent(u, v):
    """A circle out of which another one bites."""
    return np.maximum(np.hypot(u, v) - 1, .8 - np.hypot(u - .5, v))


def cross(u, v):
    """Two bars, one upright and one across."""
    u, v = np.abs(u), np.abs(v)
    return np.minimum(np.maximum(u - .3, v - 1), np.maximum(u - 1, v - .3))


def heart(u, v):
    """Two quarter discs on a square that stands on its corner; by symmetry only the right half."""
    u, v = np.abs(u) * .62, v * .62 + .56
    lobe = np.hypot(u - .25, v - .75) - np.sqrt(2) / 4
    along = np.maximum(u + v, 0) / 2
    flank = np.minimum(np.hypot(u, v - 1), np.hypot(u - along, v - along)) * np.sign(u - v)
    return np.where(u + v > 1, lobe, flank) / .62


def ring(u, v):
    return np.abs(np.hypot(u, v) - .75) - .25


def square(u, v):
    return np.maximum(np.abs(u), np.abs(v)) - .8


def star(u, v):
    """Five points: the plane is folded five times and mirrored, so that one edge is left, from a tip to a notch."""
    angle = (np.arctan2(u, v) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5      # from the nearest tip, -36..36 degrees
    along, aside = np.hypot(u, v) * np.cos(angle), np.hypot(u, v) * np.abs(np.sin(angle))
    edge = .45 * np.cos(np.pi / 5) - 1, .45 * np.sin(np.pi / 5)               # from the tip (1, 0) to the notch
    return ((along - 1) * edge[1] - aside * edge[0]) / np.hypot(*edge)


def triangle(u, v):
    """Three half-planes."""
    return np.maximum(np.abs(u) * np.sqrt(3) / 2 + v / 2, -v) - .5


SHAPES = {shape.__name__: shape for shape in (circle, crescent, cross, heart, ring, square, star, triangle)}


# ---- The data set --------------------------------------------------------------------------------------------------

def load_shapes(split="train", limit=None, size=32, seed=0):
    """Pictures of eight shapes in random colours, sizes, places and angles, before a noisy slope of another colour.

    split    'train' (8,000 pictures) or 'test' (2,000 others, from another stream of random numbers)
    limit    only the first `limit` pictures; the rest is not drawn
    size     height and width in pixels, from 16 on
    seed     the same seed gives the same pictures

    Returns a Dataset: images (N, size, size, 3) uint8, labels (N,) int64, as many pictures of each class.
    Raises ValueError for another split, or a limit or size that is too small.
    """
    check_split("load_shapes", split, limit)
    if size < 16:
        raise ValueError(f"load_shapes: size must be 16 or more, so that the shapes can be told apart, not {size}")
    count = min(limit or PICTURES[split], PICTURES[split])
    images, labels = np.empty((count, size, size, 3), np.uint8), np.empty(count, np.int64)
    for start in range(0, count, BLOCK):
        rng = np.random.default_rng([seed, list(PICTURES).index(split), start])
        block = slice(start, min(start + BLOCK, count))
        wanted = block.stop - block.start
        images[block], labels[block] = (array[:wanted] for array in _draw_block(size, rng))
    return Dataset(images, labels, list(SHAPES))


def _draw_block(size, rng):
    """BLOCK pictures (BLOCK, size, size, 3) uint8 and their labels (BLOCK,)."""
    labels = rng.permutation(np.arange(BLOCK) % len(SHAPES))
    cover = _cover(labels, size, rng)[..., None]                # (BLOCK, size, size, 1)
    ground = rng.random((BLOCK, 1, 1, 3))
    paint = (ground + rng.uniform(.3, .7, ground.shape)) % 1    # in each colour at least 0.3 away from the ground
    pictures = paint * cover + (ground + _slope(size, rng)) * (1 - cover)
    pictures += rng.normal(0, NOISE, pictures.shape)
    return np.floor(255 * np.clip(pictures, 0, 1) + .5).astype(np.uint8), labels


def _cover(labels, size, rng):
    """How much of each pixel the shape covers, 0..1: (BLOCK, size, size)"""
    radius = rng.uniform(.17, .4, (BLOCK, 1, 1)) * size
    middle = radius + rng.random((2, BLOCK, 1, 1)) * (size - 2 * radius)
    turn = rng.uniform(0, 2 * np.pi, (BLOCK, 1, 1))
    x, y = (_pixels(size)[:, None] - middle) / radius           # each (BLOCK, size, size)
    u, v = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    distance = np.empty_like(u)
    for k, shape in enumerate(SHAPES.values()):
        distance[labels == k] = shape(u[labels == k], v[labels == k])
    return np.clip(.5 - distance * radius, 0, 1)


def _slope(size, rng):
    """A ground that changes its colour a little from one side to the other: (BLOCK, size, size, 3)"""
    x, y = _pixels(size) / size - .5                            # each (size, size)
    turn = rng.uniform(0, 2 * np.pi, (BLOCK, 1, 1))
    along = x * np.cos(turn) + y * np.sin(turn)                 # (BLOCK, size, size)
    return along[..., None] * rng.uniform(-.4, .4, (BLOCK, 1, 1, 3))


def _pixels(size):
    """The centres of the pixels, from left to right and from bottom to top: (2, size, size)"""
    centres = np.arange(size) + .5
    return np.stack(np.meshgrid(centres, centres[::-1]))
