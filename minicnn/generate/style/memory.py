"""How much memory a style transfer takes, counted before it begins: a bound decides the tiles and L-BFGS's history.

What is there is counted in arrays of the picture's size, as tracing the allocations found them: while a tile is looked at
(the pixels, their gradient, the optimizer's state, the average), and at most between two steps, when a checkpoint is written
or read.  With them are the program itself, the network, the pictures as they were read, and the content in its new size.
What the bound leaves is the tile's.  With a bound no transformed filters are kept.  Holes
between arrays are not counted: see threads.return_freed_memory.
"""
import functools
import math
from dataclasses import dataclass

import numpy as np

from ...core.tensor import instrumented, no_grad, tensor
from .tiles import GRID, PROBE, RIM

PROGRAM = 100e6                   # bytes of Python, NumPy and minicnn, with their threads' buffers
STEP = {"adam": 5, "lbfgs": 12}   # arrays of the picture's size, beside L-BFGS's pairs
BETWEEN = {"adam": 10, "lbfgs": 10}
PAIR_STEP, PAIR_BETWEEN = 2, 5    # such arrays for each pair of L-BFGS's history
FEWEST_PAIRS, MOST_PAIRS = 3, 100


@dataclass(frozen=True)
class Plan:
    """The side of a tile in pixels, None for no tiles, and how many pairs L-BFGS keeps."""
    tile: int = None
    pairs: int = MOST_PAIRS


def planned(memory, feature_maps, recipe, content, styles, size, style_scale=1.):
    """The Plan of a transfer that takes at most `memory` bytes; None: as much as it likes.

    content, styles, size, style_scale   as in Transfer, `size` the longer side of the result
    Raises ValueError, with how much is needed, for a memory in which not even small tiles and a short history find room.
    """
    if memory is None:
        return Plan()
    masked = sum(style.mask is not None for style in styles)
    picture, a_pixel = _bytes(content, size, recipe), bytes_a_pixel(feature_maps, recipe, masked)
    step, between = _besides(feature_maps, recipe, content, styles, size, style_scale)
    small, pairs = (3 * RIM) ** 2 * a_pixel, 0
    if recipe.optimizer == "lbfgs":
        free = min((memory - between) / PAIR_BETWEEN, (memory - step - max(small, (memory - step) / 2)) / PAIR_STEP)
        pairs = min(max(int(free // picture), FEWEST_PAIRS), MOST_PAIRS)
    step, between = step + pairs * PAIR_STEP * picture, between + pairs * PAIR_BETWEEN * picture
    _require(memory, max(step + small, between), content, size)
    return Plan((math.isqrt(int((memory - step) / a_pixel)) - 2 * RIM) // GRID * GRID, pairs or MOST_PAIRS)


def _besides(feature_maps, recipe, content, styles, size, style_scale):
    """(bytes during a step, bytes between two), beside the tile and the pairs of L-BFGS."""
    picture = _bytes(content, size, recipe)
    there = PROGRAM + content.nbytes + sum(style.picture.nbytes for style in styles)
    there += 2 * sum(parameter.data.nbytes for parameter in feature_maps.model.parameters())
    if size != max(content.shape[:2]) or recipe.dtype != "float32":
        there += picture                                                         # the content once more
    drawn = max(_bytes(style.picture, style_scale * size, recipe) for style in styles)        # one at a time is measured
    masked = any(style.mask is not None for style in styles)
    return (there + max((STEP[recipe.optimizer] + masked) * picture, drawn),
            there + max(BETWEEN[recipe.optimizer] * picture, 3 * drawn))


def _require(memory, least, content, size):
    if memory < least:
        height, width = (max(1, round(side * size / max(content.shape[:2]))) for side in content.shape[:2])
        raise ValueError(f"{memory / 1e6:.0f} MB are too little memory: a picture of {width} x {height} pixels needs at "
                         f"least {math.ceil(least / 1e6)} MB; give it more, or ask for a smaller one")


def _bytes(picture, side, recipe):
    """What the picture (H, W, 3) takes when its longer side is `side`."""
    return 3 * side ** 2 * min(picture.shape[:2]) / max(picture.shape[:2]) * np.dtype(recipe.dtype).itemsize


def bytes_a_pixel(feature_maps, recipe, masked=0):
    """About how much memory the feature maps of a tile and their gradients take, for each of its pixels.

    Every operation's output is kept for the gradient, and while it is computed there are about as many numbers again, and
    a third of that for what operations need on the way.  Each of `masked` regions weighs the maps of the style's layers,
    twice.
    """
    sizes, x = [], tensor(np.zeros((1, PROBE, PROBE, 3), np.float32)).to(feature_maps.model.device)
    with no_grad(), instrumented(functools.partial(_noting_size, sizes)):
        maps = feature_maps(x)
    numbers = sum(sizes) + 2 * masked * sum(maps[layer].size for layer in recipe.style)
    return 2.6 * np.dtype(recipe.dtype).itemsize * numbers / PROBE ** 2


def _noting_size(sizes, operation, *_):
    """The same operation; the size of each output is noted."""
    def noting(*arguments, **options):
        output, rules = operation(*arguments, **options)
        sizes.append(output.size)
        return output, rules
    return noting
