"""3x3 convolution with a quarter of the multiplications: Winograd's F(4x4, 3x3).

A 3x3 filter over a tile of 6x6 pixels gives 4x4 outputs: 144 multiplications by the definition.  Winograd's algorithm
transforms tile and filter, multiplies the 36 transformed numbers one by one, and transforms back:

    y = A^T [ (G w G^T) * (B^T x B) ] A              w 3x3, x 6x6, y 4x4          (Lavin & Gray 2015, arXiv 1509.09308)

With many channels the 36 products become 36 matrix products (tiles x C) @ (C x K), and there the time goes.  The transforms
need no gathering of tiles: with images as (N, H, W, C), six rows of a tile row are six runs of contiguous memory, so that
B^T x over all tiles of the row is one product with a strided view, and the same again for columns.

The price is rounding: about 1e-5 of the largest value in float32, against 1e-6 for im2col.
"""
import functools

import numpy as np

from ...parallel import in_parallel, slices, workspace
from .geometry import Geometry

B_T = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], float)
G = np.array([[1/4, 0, 0], [-1/6, -1/6, -1/6], [-1/6, 1/6, -1/6],
              [1/24, 1/12, 1/6], [1/24, -1/12, 1/6], [0, 0, 1]])
A_T = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], float)

BLOCK_BYTES = 3 << 20             # transformed tiles of one block, inputs and products together: they stay in cache
GROUP = 128                       # channels times tiles that one transforming product takes
SHARES = 4                        # partial sums of a weight gradient: fixed, so that thread numbers do not change the result


def suits(weight_shape, geometry):
    """Whether this algorithm can do the convolution (3x3, stride 1, padding up to 2, one group)."""
    return (weight_shape[:2] == (3, 3) and geometry.stride == geometry.dilation == (1, 1)
            and geometry.groups == 1 and max(geometry.padding) <= 2)


def pays(x_shape, weight_shape):
    """Whether it is likely to be quicker than im2col.

    A tile is transformed once for each channel and then multiplied with every filter: that needs channels and filters.  The
    filters are transformed once and then multiplied with every tile: that needs tiles.
    """
    N, H, W, _ = x_shape
    return min(weight_shape[2:]) >= 16 and N * -(-H // 4) * -(-W // 4) >= 32


def forward(x, weight, geometry):
    """x (N, H, W, C), weight (3, 3, C, K)  ->  y (N, OH, OW, K)."""
    tiling = Tiling(x.shape, weight.shape[3], geometry.padding)
    filters = transform_filters(weight)                          # (6, 6, C, K)
    y = np.empty((*tiling.output_shape, weight.shape[3]), x.dtype)

    def block(where):
        products = _multiply(_transform_tiles(x, where, tiling), filters)
        _transform_back(products, where, tiling, y)
    in_parallel(block, tiling.blocks())
    return y


def input_gradient(dy, weight, x_shape, geometry):
    """dy (N, OH, OW, K)  ->  dx of x_shape: the same convolution, the filters turned by 180 degrees, C and K exchanged."""
    turned = weight[::-1, ::-1].swapaxes(2, 3)                   # (3, 3, K, C)
    return forward(dy, turned, Geometry(padding=tuple(2 - p for p in geometry.padding)))


def weight_gradient(x, dy, weight_shape, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K)  ->  dw (3, 3, C, K)  =  G^T [ sum over tiles of (B^T x B)^T (A dy A^T) ] G."""
    tiling = Tiling(x.shape, weight_shape[3], geometry.padding)
    blocks = tiling.blocks()

    def share(part):
        total = np.zeros((6, 6, *weight_shape[2:]), x.dtype)
        for where in blocks[part]:
            tiles = _transform_tiles(x, where, tiling)           # (6, tiles, 6, C)
            dys = _transform_dy(dy, where, tiling)               # (6, tiles, 6, K)
            total += tiles.transpose(0, 2, 3, 1) @ dys.swapaxes(1, 2)
        return total
    total = sum(in_parallel(share, slices(len(blocks), SHARES)))
    return _on_both_sides(G.T, total)                            # (3, 3, C, K)


def transform_filters(weight):
    """G w G^T for every pair of channels: (3, 3, C, K)  ->  (6, 6, C, K)."""
    return _on_both_sides(G, weight)


def _on_both_sides(matrix, w):
    """matrix w matrix^T over the first two axes of w (n, n, C, K)  ->  (m, m, C, K)."""
    (m, n), (C, K), matrix = matrix.shape, w.shape[2:], matrix.astype(w.dtype)
    rows = matrix @ w.reshape(n, n * C * K)                      # (m, n*C*K)
    return (matrix @ rows.reshape(m, n, C * K)).reshape(m, m, C, K)


class Tiling:
    """How the output is cut into tiles of 4x4, and the tiles into blocks: slices of images and of tile rows."""

    def __init__(self, x_shape, K, padding):
        N, H, W, C = x_shape
        self.padding, self.channels, self.filters = padding, C, K
        self.output_shape = N, H + 2 * padding[0] - 2, W + 2 * padding[1] - 2
        self.rows, self.columns = (-(-n // 4) for n in self.output_shape[1:])

    def blocks(self):
        """Pairs (slice of images, slice of tile rows)."""
        N, rows = self.output_shape[0], self.rows
        at_once = max(1, BLOCK_BYTES // (4 * 36 * self.columns * (self.channels + self.filters)))
        if at_once >= rows:
            images = at_once // rows
            return [(slice(n, min(N, n + images)), slice(0, rows)) for n in range(0, N, images)]
        return [(slice(n, n + 1), slice(r, min(rows, r + at_once))) for n in range(N) for r in range(0, rows, at_once)]

    def count(self, where):
        """Images and tile rows of one block."""
        return tuple(s.stop - s.start for s in where)


def _transform_tiles(x, where, tiling):
    """B^T x B of every tile of 6x6 in the block: (6, tiles, 6, C), tiles = images * tile rows * tile columns."""
    (n, r), tw, C = tiling.count(where), tiling.columns, tiling.channels
    padded = _padded_block(x, where, tiling)                     # (n, 4r+2, 4tw+2, C)
    width, (s0, s1, s2, s3), b_t = 4 * tw + 2, padded.strides, B_T.astype(x.dtype)
    as_strided = np.lib.stride_tricks.as_strided
    rows = as_strided(padded, (n, r, 6, width * C), (s0, 4 * s1, s1, s3))
    half = workspace("half", (6, n, r, width * C), x.dtype)      # B^T x, the tile's row index first
    np.matmul(b_t, rows, out=half.transpose(1, 2, 0, 3))
    g = _at_once(tw, C)
    columns = as_strided(half, (6 * n * r, tw // g, 4 * g + 2, C), (width * C * s3, 4 * g * s2, s2, s3))
    tiles = workspace("tiles", (6 * n * r, tw // g, 6 * g, C), x.dtype)
    np.matmul(_repeated("B_T", 4, g, x.dtype), columns, out=tiles)
    return tiles.reshape(6, n * r * tw, 6, C)


def _padded_block(x, where, tiling):
    """The pixels that the block's tiles see, zeros around the image: (n, 4r+2, 4tw+2, C)."""
    images, tile_rows = where
    (n, r), (ph, pw), (H, W) = tiling.count(where), tiling.padding, x.shape[1:3]
    padded = workspace("padded", (n, 4 * r + 2, 4 * tiling.columns + 2, x.shape[3]), x.dtype)
    first = 4 * tile_rows.start - ph                             # the image row that the block's first row shows
    top, bottom = max(0, -first), min(padded.shape[1], H - first)
    padded[:, :top], padded[:, bottom:], padded[:, :, :pw], padded[:, :, pw + W:] = 0, 0, 0, 0
    padded[:, top:bottom, pw:pw + W] = x[images, first + top:first + bottom]
    return padded


def _multiply(tiles, filters):
    """36 matrix products (tiles, C) @ (C, K): (6, tiles, 6, C)  ->  (6, tiles, 6, K)."""
    products = workspace("products", (*tiles.shape[:3], filters.shape[3]), tiles.dtype)
    np.matmul(tiles.swapaxes(1, 2), filters, out=products.swapaxes(1, 2))
    return products


def _transform_back(products, where, tiling, y):
    """A^T products A: (6, tiles, 6, K) into the block's place in y (N, OH, OW, K)."""
    (n, r), tw, K = tiling.count(where), tiling.columns, tiling.filters
    a_t, T = A_T.astype(y.dtype), products.shape[1]
    g = _at_once(tw, K)
    half = workspace("half", (6 * T // g, 4 * g, K), y.dtype)
    np.matmul(_repeated("A_T", 6, g, y.dtype), products.reshape(6 * T // g, 6 * g, K), out=half)
    half = half.reshape(6, n, r, 4 * tw * K).transpose(1, 2, 0, 3)      # (n, r, 6, 4*tw*K)
    place = y[where[0], 4 * where[1].start:4 * where[1].stop]
    if place.shape[1:3] == (4 * r, 4 * tw):
        np.matmul(a_t, half, out=place.reshape(n, r, 4, 4 * tw * K))
    else:                                                        # the last tiles stick out: crop
        whole = (a_t @ half).reshape(n, 4 * r, 4 * tw, K)
        place[...] = whole[:, :place.shape[1], :place.shape[2]]


def _transform_dy(dy, where, tiling):
    """A dy A^T of every tile of 4x4: (6, tiles, 6, K)."""
    (n, r), tw, K = tiling.count(where), tiling.columns, tiling.filters
    a = A_T.T.astype(dy.dtype)
    place = dy[where[0], 4 * where[1].start:4 * where[1].stop]
    if place.shape[1:3] != (4 * r, 4 * tw):                      # the last tiles stick out: zeros there
        place = np.pad(place, ((0, 0), (0, 4 * r - place.shape[1]), (0, 4 * tw - place.shape[2]), (0, 0)))
    half = workspace("half", (6, n, r, 4 * tw * K), dy.dtype)
    np.matmul(a, place.reshape(n, r, 4, 4 * tw * K), out=half.transpose(1, 2, 0, 3))
    g = _at_once(tw, K)
    result = workspace("dy tiles", (6 * n * r * tw // g, 6 * g, K), dy.dtype)
    np.matmul(_repeated("A", 4, g, dy.dtype), half.reshape(6 * n * r * tw // g, 4 * g, K), out=result)
    return result.reshape(6, n * r * tw, 6, K)


def _at_once(tiles, channels):
    """How many neighbouring tiles one product transforms: a divisor of `tiles`.

    A product of 6x6 with 6 x channels is over before BLAS has started; several tiles in one, by a matrix with B^T repeated
    along its diagonal, multiply many zeros and are still quicker while the channels are few.
    """
    return max(g for g in range(1, tiles + 1) if tiles % g == 0 and g * channels <= max(channels, GROUP))


@functools.cache
def _repeated(name, step, g, dtype):
    """The matrix `name` g times along the diagonal, each `step` columns further right."""
    matrix = {"B_T": B_T, "A_T": A_T, "A": A_T.T}[name]
    m, n = matrix.shape
    result = np.zeros((g * m, step * (g - 1) + n), dtype)
    for t in range(g):
        result[t * m:t * m + m, t * step:t * step + n] = matrix
    return result
