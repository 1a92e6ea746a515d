"""How Winograd's algorithm cuts an output into tiles, and the tiles into blocks that stay in cache."""
import math
from itertools import groupby

from ...core import tuning
from ...core.threads import image_blocks



class Tiling:
    """How the output is cut into tiles of m x m, and the tiles into blocks: slices of images and of tile rows."""

    def __init__(self, x_shape, K, padding, m=None):
        N, H, W, C = x_shape
        self.height, self.padding, self.channels, self.filters = H, padding, C, K
        self.output_shape = N, H + 2 * padding[0] - 2, W + 2 * padding[1] - 2
        self.m = m or self._best_side()
        self.n = self.m + 2
        self.rows, self.columns = self._tiles(self.m)

    def _tiles(self, m):
        return [-(-length // m) for length in self.output_shape[1:]]

    def _best_side(self):
        """6 where there are many tiles, and fewer multiplications with it (it often covers more than the output), else 4."""
        small, large = (self.output_shape[0] * math.prod(self._tiles(m)) for m in (4, 6))
        return 6 if large >= tuning.WINOGRAD_MANY_TILES and 64 * large < tuning.WINOGRAD_WORTH * 36 * small else 4

    def blocks(self):
        """Pairs (slice of images, slice of tile rows)."""
        fitting = tuning.WINOGRAD_BLOCK_BYTES // (4 * self.n ** 2 * (self.channels + self.filters))
        tiles = max(fitting, min(tuning.WINOGRAD_BLOCK_TILES, self.channels * self.filters // tuning.WINOGRAD_TILE_WEIGHTS))
        rows = max(1, tiles // self.columns)
        if rows < self.rows:
            count = tuning.WINOGRAD_EVEN * -(-self.rows // (tuning.WINOGRAD_EVEN * rows))
            rows = -(-self.rows // count)
        return image_blocks(self.output_shape[0], self.rows, rows)

    def parts(self):
        """The same for a few parts of the whole."""
        return image_blocks(self.output_shape[0], self.rows, -(-self.output_shape[0] * self.rows // tuning.WINOGRAD_PARTS))

    def count(self, where):
        """How many tiles a block has: they are numbered row by row, image by image."""
        return math.prod(self.shape(where))

    def within(self, where, part):
        """The numbers of a part's tiles in the block."""
        first = self._number(part) - self._number(where)
        return slice(first, first + self.count(part))

    def _number(self, where):
        images, rows = where
        return (images.start * self.rows + rows.start) * self.columns

    def shape(self, where):
        """(images, tile rows, tile columns) of one block."""
        images, rows = where
        return images.stop - images.start, rows.stop - rows.start, self.columns

    def rows_in(self, where):
        """Runs of the block's tile rows that see alike: (slice of them, first and last of their n rows in the image)."""
        m, n, before = self.m, self.n, self.padding[0]
        return runs(where[1], lambda t: (max(0, before - m * t), min(n, self.height + before - m * t)))

    def rows_back(self, where):
        """Runs of the block's tile rows that make as many of m rows of the output: (slice of them, how many)."""
        return runs(where[1], lambda t: min(self.m, self.output_shape[1] - self.m * t))


def runs(rows, key):
    """Consecutive rows with the same key: [(slice, counted from the first row, key), ...]"""
    runs = [(list(group), value) for value, group in groupby(range(rows.start, rows.stop), key)]
    return [(slice(group[0] - rows.start, group[-1] + 1 - rows.start), value) for group, value in runs]
