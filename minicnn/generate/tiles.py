"""A picture looked at in tiles: the feature maps of a large one, in the memory that one tile needs.

A tile is looked at together with a rim around it, since a feature at its edge sees what lies beyond; what the rim becomes is
left out again, for the neighbours see it better.  A picture that is small enough is one tile with no rim.

Around the whole picture lies a margin, where it is continued as in a mirror: so the network sees no edge.  What becomes of
the margin belongs to no tile.
"""
import itertools
import math
from dataclasses import dataclass

import numpy as np

from ..arithmetic import pad
from ..tensor import no_grad, tensor

GRID = 16                         # tiles begin at multiples of it, so that poolings fall on the same pixels as in the whole
RIM = 64                          # pixels around a tile that are looked at with it; a multiple of GRID
PROBE = 128                       # side of a picture that shows how much smaller the maps are


@dataclass(frozen=True)
class Span:
    """A tile along one axis of the padded picture: its own pixels, and those that are looked at."""
    start: int
    stop: int
    outer_start: int
    outer_stop: int
    length: int

    def in_map(self, stride, size, cut):
        """Its own pixels in a map that is `stride` times smaller, has `size` pixels there, and `cut` of margin at each end.

        ->  (where they are in the tile's map, where they are in the map of the whole without its margin), two slices
        """
        first = max(self.start // stride, cut)
        last = min(size if self.stop == self.length else self.stop // stride, size - cut)
        last, before = max(first, last), self.outer_start // stride
        return slice(first - before, last - before), slice(first - cut, last - cut)


@dataclass(frozen=True)
class Look:
    """What a tile shows in one layer.

    map     the tile's own pixels of the feature map, (N, h, w, C), a tensor
    place   where they are in the map of the whole picture: slices of its rows and columns
    size    of that map, (H, W)
    """
    map: object
    place: tuple
    size: tuple


def spans(length, tile):
    """The tiles along an axis, `tile` pixels each; None for all in one."""
    if tile is None or tile >= length:
        return [Span(0, length, 0, length, length)]
    tile = -(-tile // GRID) * GRID
    return [Span(start, min(start + tile, length), max(0, start - RIM), min(start + tile + RIM, length), length)
            for start in range(0, length, tile)]


def tile_within(memory, extractor, itemsize=4):
    """The side of a tile whose feature maps and gradients, numbers of `itemsize` bytes, take about `memory`; None without.

    Raises ValueError for a memory in which not even a small tile finds room.
    """
    if memory is None:
        return None
    side = math.isqrt(int(memory / bytes_a_pixel(extractor, itemsize))) - 2 * RIM
    if side < RIM:
        least = (3 * RIM) ** 2 * bytes_a_pixel(extractor, itemsize)
        raise ValueError(f"{memory / 1e6:.0f} MB are too little memory for this network: it needs {least / 1e6:.0f} MB")
    return side // GRID * GRID


def bytes_a_pixel(extractor, itemsize=4):
    """About how much memory the feature maps of a picture and their gradients take, for each of its pixels.

    Every step's output is kept for the gradient, and while it is computed there are about as many numbers again.
    """
    with no_grad():
        x, numbers = tensor(np.zeros((1, PROBE, PROBE, 3), np.float32)), 0
        for _, step in extractor.steps:
            x = step(x)
            numbers += x.data.size
    return 2 * itemsize * numbers / PROBE ** 2


class Tiling:
    """How pictures are looked at through an Extractor: with a margin, and in tiles.

    margin   pixels by which a picture is continued on each side
    tile     side of the tiles in pixels, or None: all in one
    Raises ValueError for tiles if the network's maps are not the picture's size divided by whole numbers that divide GRID.
    """

    def __init__(self, extractor, margin, tile=None):
        self.extractor, self.margin, self.tile = extractor, margin, tile
        self.strides = {name: round(PROBE / size) for name, size in self._map_sizes(PROBE).items()}
        if tile is not None:
            self._require_exact(PROBE + GRID + 5)

    def _map_sizes(self, side):
        with no_grad():
            maps = self.extractor(tensor(np.zeros((1, side, side, 3), np.float32)))
        return {name: y.shape[1] for name, y in maps.items()}

    def _require_exact(self, side):
        for name, size in self._map_sizes(side).items():
            if size != side // self.strides[name] or GRID % self.strides[name]:
                raise ValueError(f"tiles need maps that fit together, but layer {name} makes {size} pixels of {side}: look "
                                 "at the whole picture, or take another network")

    def padded(self, x):
        """x (N, H, W, 3), continued by the margin on each side."""
        return pad(x, self.widths(), self.mode(x))

    def widths(self):
        """Of the margin, as `pad` takes them."""
        return (0, 0), (self.margin, self.margin), (self.margin, self.margin), (0, 0)

    def mode(self, x):
        """A narrow picture has not enough to show for a mirror."""
        return "reflect" if self.margin < min(x.shape[1:3]) else "replicate"

    def parts(self, padded):
        """The tiles of a padded picture: pairs (rows, columns) of Span."""
        rows, columns = (spans(length, self.tile) for length in padded.shape[1:3])
        return list(itertools.product(rows, columns))

    def whole(self, x):
        """{layer: Look} of pictures x (N, H, W, 3), each with all of it at once: nothing but the margin is left out."""
        padded = self.padded(x)
        return self.looks(padded, tuple(spans(length, None)[0] for length in padded.shape[1:3]))

    def outer(self, padded, part):
        """What is looked at of a padded picture for one tile."""
        rows, columns = part
        return padded[:, rows.outer_start:rows.outer_stop, columns.outer_start:columns.outer_stop]

    def looks(self, seen, part):
        """{layer: Look} of what is seen for a tile; without layers of which it holds nothing but margin."""
        looks = {name: self._look(y, self.strides[name], part) for name, y in self.extractor(seen).items()}
        return {name: look for name, look in looks.items() if 0 not in look.map.shape}

    def _look(self, y, stride, part):
        inside, place, sizes = [], [], []
        for span, seen in zip(part, y.shape[1:3]):
            alone = span.outer_stop - span.outer_start == span.length
            size = seen if alone else span.length // stride
            cut = min(round(self.margin / stride), (size - 1) // 2)
            for found, slices in zip((inside, place), span.in_map(stride, size, cut)):
                found.append(slices)
            sizes.append(size - 2 * cut)
        return Look(y[:, inside[0], inside[1]], tuple(place), tuple(sizes))
