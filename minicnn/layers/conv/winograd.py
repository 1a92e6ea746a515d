"""3x3 convolution with a quarter of the multiplications: Winograd's F(4x4, 3x3).

A 3x3 filter over a tile of 6x6 pixels gives 4x4 outputs: 144 multiplications by the definition.  Winograd's algorithm
transforms tile and filter, multiplies the 36 transformed numbers one by one, and transforms back:

    y = OUTPUT [(FILTER w) * (INPUT x)]              w 9, x 36, y 16 numbers      (Lavin & Gray 2015, arXiv 1509.09308)

In one dimension, F(4, 3), the three matrices are B^T, G and A^T below; in two dimensions they act on rows and columns,
B^T x B, and written as one matrix on all 36 numbers that is the Kronecker product of the matrix with itself.

With many tiles and channels everything is a matrix product: tiles are gathered as (36, tiles * C), transformed by one
product with INPUT, then come 36 products (tiles, C) @ (C, K), and one with OUTPUT.  A block of tiles goes all the way before
the next one is begun, so that it stays in the processor's cache; blocks are spread over the threads.

The price is rounding: about 1e-5 of the largest value in float32, against 1e-6 for im2col.
"""
import functools

import numpy as np

from ...parallel import image_blocks, in_parallel, matmul, slices, workspace
from .filters import kept
from .geometry import Geometry

B_T = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], float)
G = np.array([[1/4, 0, 0], [-1/6, -1/6, -1/6], [-1/6, 1/6, -1/6],
              [1/24, 1/12, 1/6], [1/24, -1/12, 1/6], [0, 0, 1]])
A_T = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], float)
INPUT, FILTER, OUTPUT = (np.kron(matrix, matrix) for matrix in (B_T, G, A_T))          # (36, 36), (36, 9), (16, 36)

BLOCK_BYTES = 4 << 20             # transformed tiles of one block, inputs and products together: they stay in cache
FEWEST_TILES = 64                 # in a block, if there are so many: with fewer the products mostly read filters
FILTERS_AT_ONCE = 64              # of wide layers with so few tiles that each transformed filter is used only once
GRADIENT_BYTES = 8 << 20          # transformed weight gradients of one part
SHARES = 4                        # partial sums of a weight gradient: fixed, so that thread numbers do not change the result
FOR = "3x3, stride 1, dilation 1, padding up to 2, one group"


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
    return min(weight_shape[2:]) >= 16 and N * -(-H // 4) * -(-W // 4) >= 16


def forward(x, weight, geometry, bias=None, activation=None):
    """x (N, H, W, C), weight (3, 3, C, K), bias (K,) or None, activation "relu" or None  ->  y (N, OH, OW, K)."""
    return _convolve(x, weight, geometry.padding, bias, activation)


def input_gradient(dy, weight, x_shape, geometry, y=None):
    """dy (N, OH, OW, K)  ->  dx of x_shape: the same convolution, the filters turned by 180 degrees, C and K exchanged.

    y, the output of a ReLU that followed, lets dy through only where it is positive.
    """
    return _convolve(dy, weight, tuple(2 - p for p in geometry.padding), behind_relu=y, turned=True)


def _convolve(x, weight, padding, bias=None, activation=None, behind_relu=None, turned=False):
    tiling = Tiling(x.shape, weight.shape[2 if turned else 3], padding)
    blocks, parts, filters_of = tiling.blocks(), [[slice(0, tiling.filters)]], _whole_filters
    if len(blocks) == 1:                         # every filter is needed once: it is transformed when its turn comes
        portions = slices(tiling.filters, -(-tiling.filters // FILTERS_AT_ONCE))
        parts, filters_of = [portions[half] for half in slices(len(portions), 2)], _some_filters
    filters = filters_of(weight, turned)
    y = np.empty((*tiling.output_shape, tiling.filters), x.dtype)

    def block(where_and_part):
        where, part = where_and_part
        tiles = _transform_tiles(x, behind_relu, where, tiling)  # (36, tiles, C)
        for k in part:
            back = _transform_back(_multiply(tiles, filters(k)))  # (16, tiles, filters of k)
            _place(back, y[..., k], where, tiling, bias if bias is None else bias[k], activation)
    in_parallel(block, [(where, part) for where in blocks for part in parts])
    return y


def weight_gradient(x, dy, weight_shape, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K)  ->  dw (3, 3, C, K)  =  FILTER^T [sum over tiles of (INPUT x)^T (OUTPUT^T dy)].

    A thread takes some of the tiles and all filters, or, where there are so many that they would not stay in cache, some of
    the filters and all tiles.
    """
    C, K = weight_shape[2:]
    tiling = Tiling(x.shape, K, geometry.padding)
    blocks, filter_parts = tiling.blocks(), slices(K, -(-4 * 36 * C * K // GRADIENT_BYTES))
    shares = slices(len(blocks), SHARES if len(filter_parts) == 1 else 1)

    def gradient(share_and_part):
        share, k = share_and_part
        total = workspace("gradient", (36, C, k.stop - k.start), x.dtype)
        total[...] = 0
        for where in blocks[share]:
            tiles = _transform_tiles(x, None, where, tiling)     # (36, tiles, C)
            total += _multiply(tiles.swapaxes(1, 2), _transform_dy(dy[..., k], where, tiling))
        return (_cast("FILTER^T", x.dtype) @ total.reshape(36, -1)).reshape(3, 3, C, -1)
    items = [(share, k) for share in shares for k in filter_parts]
    dw = np.zeros(weight_shape, x.dtype)
    for (_, k), part in zip(items, in_parallel(gradient, items)):
        dw[..., k] += part
    return dw


def transform_filters(weight, turned=False):
    """FILTER w for every pair of channels: (3, 3, C, K)  ->  (36, C, K), or of the turned filters (36, K, C).

    To turn a filter by 180 degrees is to read its nine numbers backwards, so FILTER is read backwards instead.
    """
    matrix, (C, K) = _cast("FILTER", weight.dtype), weight.shape[2:]
    transformed = matmul(matrix[:, ::-1] if turned else matrix, weight.reshape(9, C * K)).reshape(36, C, K)
    return transformed.swapaxes(1, 2) if turned else transformed


def _whole_filters(weight, turned):
    """A function that gives the transformed filters k, (36, C, filters of k), out of all of them."""
    filters = kept(weight, turned, transform_filters)
    return lambda k: filters[:, :, k]


def _some_filters(weight, turned):
    """The same, but transformed only now."""
    def transformed(k):
        some = weight[:, :, k] if turned else weight[..., k]
        matrix, numbers = _cast("FILTER", weight.dtype), workspace("filters", (36, *some.shape[2:]), weight.dtype)
        np.matmul(matrix[:, ::-1] if turned else matrix, some.reshape(9, -1), out=numbers.reshape(36, -1))
        return numbers.swapaxes(1, 2) if turned else numbers
    return transformed


@functools.cache
def _cast(name, dtype):
    matrix = {"INPUT": INPUT, "FILTER": FILTER, "OUTPUT": OUTPUT}[name.removesuffix("^T")]
    return (matrix.T if name.endswith("^T") else matrix).astype(dtype)


class Tiling:
    """How the output is cut into tiles of 4x4, and the tiles into blocks: slices of images and of tile rows."""

    def __init__(self, x_shape, K, padding):
        N, H, W, C = x_shape
        self.padding, self.channels, self.filters = padding, C, K
        self.output_shape = N, H + 2 * padding[0] - 2, W + 2 * padding[1] - 2
        self.rows, self.columns = (-(-n // 4) for n in self.output_shape[1:])

    def blocks(self):
        """Pairs (slice of images, slice of tile rows)."""
        tiles = max(FEWEST_TILES, BLOCK_BYTES // (4 * 36 * (self.channels + self.filters)))
        return image_blocks(self.output_shape[0], self.rows, tiles // self.columns)

    def shape(self, where):
        """(tile rows, images, tile columns) of one block: the order of its tiles."""
        images, rows = where
        return rows.stop - rows.start, images.stop - images.start, self.columns


def _transform_tiles(x, behind_relu, where, tiling):
    """INPUT x for every tile of 6x6 in the block: (36, tiles, C)."""
    (r, n, tw), C = tiling.shape(where), tiling.channels
    padded = _padded_block(x, behind_relu, where, tiling)        # (n, 4r+2, 4tw+2, C)
    s0, s1, s2, s3 = padded.strides
    tiles = np.lib.stride_tricks.as_strided(padded, (6, 6, r, n, tw, C), (s1, s2, 4 * s1, s0, 4 * s2, s3))
    gathered = workspace("gathered", tiles.shape, x.dtype)
    gathered[...] = tiles
    return _product("INPUT", gathered.reshape(36, r * n * tw, C), "tiles")


def _padded_block(x, behind_relu, where, tiling):
    """The pixels that the block's tiles see, zeros around the image: (n, 4r+2, 4tw+2, C)."""
    images, tile_rows = where
    (r, n, tw), (ph, pw), (H, W) = tiling.shape(where), tiling.padding, x.shape[1:3]
    padded = workspace("padded", (n, 4 * r + 2, 4 * tw + 2, x.shape[3]), x.dtype)
    first = 4 * tile_rows.start - ph                             # the image row that the block's first row shows
    top, bottom = max(0, -first), min(padded.shape[1], H - first)
    padded[:, :top], padded[:, bottom:], padded[:, :, :pw], padded[:, :, pw + W:] = 0, 0, 0, 0
    image, inside = (images, slice(first + top, first + bottom)), padded[:, top:bottom, pw:pw + W]
    if behind_relu is None:
        inside[...] = x[image]
    else:
        np.multiply(x[image], behind_relu[image] > 0, out=inside)
    return padded


def _multiply(tiles, filters):
    """36 matrix products: (36, tiles, C) @ (36, C, K)  ->  (36, tiles, K)."""
    products = workspace("products", (36, tiles.shape[1], filters.shape[2]), tiles.dtype)
    return np.matmul(tiles, filters, out=products)


def _transform_back(products):
    """OUTPUT applied to (36, tiles, K)  ->  (16, tiles, K)."""
    return _product("OUTPUT", products, "back")


def _product(name, numbers, result):
    """The matrix of this name times numbers (n, tiles, C)  ->  (m, tiles, C), in the workspace `result`."""
    matrix, (n, tiles, C) = _cast(name, numbers.dtype), numbers.shape
    transformed = workspace(result, (len(matrix), tiles, C), numbers.dtype)
    np.matmul(matrix, numbers.reshape(n, tiles * C), out=transformed.reshape(-1, tiles * C))
    return transformed


def _place(back, y, where, tiling, bias, activation):
    """Tiles of the block (16, tiles, K) to their pixels of y (N, OH, OW, K), with bias and ReLU while they are in cache."""
    (r, n, tw), K = tiling.shape(where), y.shape[3]
    tiles = back.reshape(4, 4, r, n, tw, K).transpose(3, 2, 0, 4, 1, 5)                  # (n, r, 4, tw, 4, K)
    place = y[where[0], 4 * where[1].start:4 * where[1].stop]
    whole = place.shape[1:3] == (4 * r, 4 * tw)                  # else the last tiles stick out
    target = place if whole else workspace("whole", (n, 4 * r, 4 * tw, K), y.dtype)
    pixels = target.reshape(n, r, 4, tw, 4, K)                   # a view: an axis can always be split
    np.add(tiles, 0 if bias is None else bias, out=pixels)
    if activation:
        np.maximum(pixels, 0, out=pixels)
    if not whole:
        place[...] = target[:, :place.shape[1], :place.shape[2]]


def _transform_dy(dy, where, tiling):
    """OUTPUT^T dy for every tile of 4x4 in the block: (36, tiles, K)."""
    (r, n, tw), K = tiling.shape(where), dy.shape[3]
    place = dy[where[0], 4 * where[1].start:4 * where[1].stop]
    if place.shape[1:3] != (4 * r, 4 * tw):                      # the last tiles stick out: zeros there
        place = np.pad(place, ((0, 0), (0, 4 * r - place.shape[1]), (0, 4 * tw - place.shape[2]), (0, 0)))
    gathered = workspace("gathered", (4, 4, r, n, tw, K), dy.dtype)
    gathered[...] = place.reshape(n, r, 4, tw, 4, K).transpose(2, 4, 1, 0, 3, 5)
    return _product("OUTPUT^T", gathered.reshape(16, r * n * tw, K), "dy tiles")
