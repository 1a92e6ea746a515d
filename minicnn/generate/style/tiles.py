"""A picture looked at in tiles: the feature maps of a large one, in the memory that one tile needs.

A tile is looked at together with a rim around it, since a feature at its edge sees what lies beyond; what the rim becomes is
left out again, for the neighbours see it better.  A picture that is small enough is one tile with no rim.

Around the whole picture lies a margin, where it is continued as in a mirror: so the network sees no edge.  What becomes of
the margin belongs to no tile.
"""
import itertools
from dataclasses import dataclass

import numpy as np

from ...core.arithmetic import pad
from ...core.tensor import no_grad, tensor

GRID = 16                         # tiles begin at multiples of it, so that poolings fall on the same pixels as in the whole
RIM = 64                          # pixels around a tile that are looked at with it; a multiple of GRID
PROBE = 128                       # side of a picture that shows how much smaller the maps are


@dataclass(frozen=True)
class Span:
    """A tile along one axis of the picture with its margin: its own pixels, and those that are looked at."""
    start: int
    stop: int
    outer_start: int
    outer_stop: int
    length: int

    def without_margin(self, margin):
        """(the pixels looked at that are the picture's own, a slice of it; (before, after) of the margin beside them)"""
        first, last = max(self.outer_start, margin), min(self.outer_stop, self.length - margin)
        return slice(first - margin, last - margin), (first - self.outer_start, self.outer_stop - last)

    def in_map(self, stride, size, cut):
        """Its own pixels in a map that is `stride` times smaller, has `size` pixels there, and `cut` of margin at each end.

        ->  (where they are in the tile's map, where they are in the map of the whole without its margin), two slices
        """
        first = max(self.start // stride, cut)
        last = min(size if self.stop == self.length else self.stop // stride, size - cut)
        last, before = max(first, last), self.outer_start // stride
        return slice(first - before, last - before), slice(first - cut, last - cut)


@dataclass(frozen=True)
class TileFeatures:
    """What a network computes of a tile in one layer.

    values  the tile's own pixels of the feature map, (N, h, w, C), a tensor
    place   where they are in the map of the whole picture: slices of its rows and columns
    size    of that map, (H, W)
    """
    values: object
    place: tuple
    size: tuple


def spans(length, side):
    """The tiles along an axis, `side` pixels each; None for all in one."""
    if side is None or side >= length:
        return [Span(0, length, 0, length, length)]
    side = -(-side // GRID) * GRID
    return [Span(start, min(start + side, length), max(0, start - RIM), min(start + side + RIM, length), length)
            for start in range(0, length, side)]


class Tiling:
    """How pictures are looked at through FeatureMaps: with a margin, and in tiles.

    A tile is a pair of Span, its rows and its columns.

    margin   pixels by which a picture is continued on each side
    side     of the tiles in pixels, or None: all in one
    Raises ValueError for tiles if the network's maps are not the picture's size divided by whole numbers that divide GRID,
    or the margin is wider than half a rim.
    """

    def __init__(self, feature_maps, margin, side=None):
        self.feature_maps, self.margin, self.side = feature_maps, margin, side
        self.strides = dict.fromkeys(feature_maps.layers, 1)     # how much smaller the maps are: only tiles need to know
        if side is not None:
            self.strides = {name: round(PROBE / size) for name, size in self._map_sizes(PROBE).items()}
            self._require_exact(PROBE + GRID + 5)
            if margin > RIM // 2:
                raise ValueError(f"tiles need a margin of at most {RIM // 2} pixels, not {margin}")

    def _map_sizes(self, side):
        with no_grad():
            maps = self.feature_maps(tensor(np.zeros((1, side, side, 3), np.float32)).to(self.feature_maps.model.device))
        return {name: y.shape[1] for name, y in maps.items()}

    def _require_exact(self, side):
        for name, size in self._map_sizes(side).items():
            if size != side // self.strides[name] or GRID % self.strides[name]:
                raise ValueError(f"tiles need maps that fit together, but layer {name} makes {size} pixels of {side}: look "
                                 "at the whole picture, or take another network")

    def tiles(self, size):
        """The tiles of a picture of that size (H, W)."""
        return list(itertools.product(*(spans(length + 2 * self.margin, self.side) for length in size)))

    def features(self, x, layers=None):
        """{layer: TileFeatures} of pictures x (N, H, W, 3), each in a single tile: nothing but the margin is left out."""
        tile = tuple(spans(length + 2 * self.margin, None)[0] for length in x.shape[1:3])
        return self.tile_features(x, tile, x.shape[1:3], layers)

    def crop(self, x, tile):
        """The pixels of a picture x (N, H, W, 3) that are looked at for one tile, its rim with it: a view."""
        return x[(slice(None), *(span.without_margin(self.margin)[0] for span in tile))]

    def tile_features(self, crop, tile, size, layers=None):
        """{layer: TileFeatures} of the crop for a tile, in a picture of that size; without layers with only margin there.

        layers   None, or which of them: no others are computed
        """
        mode = "reflect" if self.margin < min(size) else "replicate"      # a narrow picture cannot fill a mirror
        rows, columns = (span.without_margin(self.margin)[1] for span in tile)
        maps = self.feature_maps(pad(crop, ((0, 0), rows, columns, (0, 0)), mode), layers)
        features = {name: self._own_pixels(y, self.strides[name], tile) for name, y in maps.items()}
        return {name: here for name, here in features.items() if 0 not in here.values.shape}

    def _own_pixels(self, y, stride, tile):
        """The TileFeatures in the map y of a crop: the rim and the margin are left out."""
        inside, place, sizes = [], [], []
        for span, seen in zip(tile, y.shape[1:3]):
            alone = span.outer_stop - span.outer_start == span.length
            size = seen if alone else span.length // stride
            cut = min(round(self.margin * size / span.length), (size - 1) // 2)
            for found, slices in zip((inside, place), span.in_map(stride, size, cut)):
                found.append(slices)
            sizes.append(size - 2 * cut)
        return TileFeatures(y[:, inside[0], inside[1]], tuple(place), tuple(sizes))
