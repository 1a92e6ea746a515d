"""3x3 convolution with a quarter of the multiplications: Winograd's F(4x4, 3x3).

A 3x3 filter over a tile of 6x6 pixels gives 4x4 outputs: 144 multiplications by the definition.  Winograd's algorithm
transforms tile and filter, multiplies the 36 transformed numbers one by one, and transforms back:

    y = A^T [(G w G^T) * (B^T x B)] A                w 3x3, x 6x6, y 4x4      (Lavin & Gray 2015, arXiv 1509.09308)

Tiles lie four pixels apart, so that neighbours overlap by two.  With images as (N, H, W, C) all of it is matrix products on
views of memory as it lies, nothing is gathered or scattered:

    rows in          B^T times six rows of the image             a row is W * C numbers side by side
    columns in       B^T times six columns of the result         a column is C numbers
    products         (tiles, C) @ (C, K)                         one for each of the 36 places in a tile
    columns back     A^T times six columns of products           K numbers
    rows back        A^T times six rows of that                  W * K numbers: they *are* four rows of the output

Where a tile sticks out of the image the matrices are cut: a row that is zero needs no column of B^T, and one that nobody
wants no row of A^T.  A block of tiles goes all the way before the next one is begun, so that it stays in the processor's
cache; blocks are spread over the threads.

The price is rounding: about 1e-5 of the largest value in float32, against 1e-6 for im2col.
"""
import functools
import math
from itertools import groupby

import numpy as np

from ...parallel import SMALL_PRODUCT, image_blocks, in_parallel, slices, small_rows, workspace
from .epilogue import cut_off
from .filters import kept

B_T = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], float)
G = np.array([[1/4, 0, 0], [-1/6, -1/6, -1/6], [-1/6, 1/6, -1/6],
              [1/24, 1/12, 1/6], [1/24, -1/12, 1/6], [0, 0, 1]])
A_T = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], float)
LARGEST = 36                      # numbers in the largest of these matrices
CONSTANT = 1                      # the column of A^T that is all ones: a number added there is added to every output

BLOCK_BYTES = 4800 << 10          # transformed tiles of one block, inputs and products: mostly in cache, and not many blocks
WEIGHTS_A_TILE, MANY_TILES = 1024, 128           # a block has a tile for so many weights, up to many: it reads all filters
FILTERS_AT_ONCE = 64              # that are transformed together
PARTS = 8                         # of a block that the threads share
EVEN = 4                          # blocks of an image are a multiple of this, so that no thread waits for the last one
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
    x, weight = np.ascontiguousarray(x), np.ascontiguousarray(weight)
    C, K = weight.shape[:1:-1] if turned else weight.shape[2:]
    tiling = Tiling(x.shape, K, padding)
    y, blocks = np.empty((*tiling.output_shape, K), x.dtype), tiling.blocks()
    filters_of = (_whole_filters if len(blocks) > 1 else _some_filters)(weight, turned)

    def block(where, parts, portions):
        tiles = workspace("tiles", (6, tiling.count(where), 6, C), x.dtype)
        products = workspace("products", (6, tiling.count(where), 6, K), x.dtype)

        def transform(part):
            _columns_in(_rows_in(x, behind_relu, part, tiling), tiles[:, tiling.within(where, part)])

        def multiply(k):
            _multiply(tiles, filters_of(k), products[..., k])

        def transform_back(part):
            theirs = products[:, tiling.within(where, part)]
            if bias is not None:
                theirs[CONSTANT, :, CONSTANT] += bias
            _rows_back(_columns_back(theirs), y, part, tiling, activation)
        for step, items in (transform, parts), (multiply, portions), (transform_back, parts):
            in_parallel(step, items)
    if len(blocks) > 1:
        in_parallel(lambda where: block(where, [where], [slice(0, K)]), blocks)
    else:                                        # the threads share the block, part by part and filters by filters
        block(blocks[0], tiling.parts(), slices(K, -(-K // FILTERS_AT_ONCE)))
    return y


def weight_gradient(x, dy, weight_shape, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K)  ->  dw (3, 3, C, K)  =  G^T [sum over tiles of (B^T x B) * (A dy A^T)] G.

    A thread takes some of the tiles and all filters, or, where there are so many that they would not stay in cache, some of
    the filters and all tiles.
    """
    x, (C, K) = np.ascontiguousarray(x), weight_shape[2:]
    tiling = Tiling(x.shape, K, geometry.padding)
    blocks, filter_parts = tiling.blocks(), slices(K, -(-4 * 36 * C * K // GRADIENT_BYTES))
    shares = slices(len(blocks), SHARES if len(filter_parts) == 1 else 1)

    def gradient(share_and_part):
        share, k = share_and_part
        total = workspace("gradient", (6, 6, C, k.stop - k.start), x.dtype)
        total[...] = 0
        for where in blocks[share]:
            tiles = workspace("tiles", (6, tiling.count(where), 6, C), x.dtype)
            _columns_in(_rows_in(x, None, where, tiling), tiles)
            total += _multiply_transposed(tiles, _transform_dy(dy[..., k], where, tiling))
        return _both_sides("G^T", total, np.empty((3, 3, C, k.stop - k.start), x.dtype))
    items = [(share, k) for share in shares for k in filter_parts]
    dw = np.zeros(weight_shape, x.dtype)
    for (_, k), part in zip(items, in_parallel(gradient, items)):
        dw[..., k] += part
    return dw


# ------------------------------------------------------------------------------------------------------------- filters

def transform_filters(weight, turned=False):
    """G w G^T for every pair of channels: (3, 3, C, K)  ->  (6, 6, C, K), or of the turned filters (6, 6, K, C).

    To turn a filter by 180 degrees is to read its rows and columns backwards.
    """
    inputs = weight.shape[3 if turned else 2]
    transformed = np.empty((6, 6, inputs, weight.shape[2 if turned else 3]), weight.dtype)

    def some_inputs(c):
        some = weight[::-1, ::-1, :, c].swapaxes(2, 3) if turned else weight[:, :, c]
        _both_sides("G", _in_order(some), transformed[:, :, c])
    in_parallel(some_inputs, slices(inputs, -(-inputs // FILTERS_AT_ONCE)))
    return transformed


def _whole_filters(weight, turned):
    """A function that gives the transformed filters k, (6, 6, C, filters of k), out of all of them."""
    filters = kept(weight, turned, transform_filters)
    return lambda k: filters[..., k]


def _some_filters(weight, turned):
    """The same, but transformed only now: for layers with so few tiles that each filter is used once.

    Turned filters are made with G read backwards, and their channels exchanged when they are multiplied: nothing is moved.
    """
    def transformed(k):
        some = weight[:, :, k] if turned else _in_order(weight[..., k])
        filters = workspace("filters", (6, 6, *some.shape[2:]), weight.dtype)
        return _both_sides("G turned", some, filters).swapaxes(2, 3) if turned else _both_sides("G", some, filters)
    return transformed


def _in_order(numbers):
    """A contiguous copy, valid until the next one."""
    ordered = workspace("ordered", numbers.shape, numbers.dtype)
    ordered[...] = numbers
    return ordered


def _both_sides(name, numbers, out):
    """The matrix M of this name on both sides, M numbers M^T, of (n, n, C, K)  ->  out (m, m, C, K)."""
    matrix, (n, _, C, K) = _cast(name, numbers.dtype), numbers.shape
    half = workspace("half", (len(matrix), n, C, K), numbers.dtype)
    _product(matrix, numbers.reshape(n, n * C, K), half.reshape(-1, n * C, K))
    _product(matrix, half, out)
    return out


@functools.cache
def _cast(name, dtype):
    """The matrix of this name."""
    matrix = {"B^T": B_T, "A^T": A_T, "A": A_T.T, "G": G, "G^T": G.T, "G turned": G[:, ::-1]}[name]
    return np.ascontiguousarray(matrix, dtype)


# --------------------------------------------------------------------------------------------------------------- tiles

class Tiling:
    """How the output is cut into tiles of 4x4, and the tiles into blocks: slices of images and of tile rows."""

    def __init__(self, x_shape, K, padding):
        N, H, W, C = x_shape
        self.height, self.padding, self.channels, self.filters = H, padding, C, K
        self.output_shape = N, H + 2 * padding[0] - 2, W + 2 * padding[1] - 2
        self.rows, self.columns = (-(-n // 4) for n in self.output_shape[1:])

    def blocks(self):
        """Pairs (slice of images, slice of tile rows)."""
        fitting = BLOCK_BYTES // (4 * 36 * (self.channels + self.filters))
        tiles = max(fitting, min(MANY_TILES, self.channels * self.filters // WEIGHTS_A_TILE))
        rows = max(1, tiles // self.columns)
        if rows < self.rows:
            count = EVEN * -(-self.rows // (EVEN * rows))
            rows = -(-self.rows // count)
        return image_blocks(self.output_shape[0], self.rows, rows)

    def parts(self):
        """The same for a few parts of the whole."""
        return image_blocks(self.output_shape[0], self.rows, -(-self.output_shape[0] * self.rows // PARTS))

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
        """Runs of the block's tile rows that see alike: (slice of them, first and last of their six rows in the image)."""
        return _runs(where[1], lambda t: (max(0, self.padding[0] - 4 * t), min(6, self.height + self.padding[0] - 4 * t)))

    def rows_back(self, where):
        """Runs of the block's tile rows that make as many of four rows of the output: (slice of them, how many)."""
        return _runs(where[1], lambda t: min(4, self.output_shape[1] - 4 * t))


def _runs(rows, key):
    """Consecutive rows with the same key: [(slice, counted from the first row, key), ...]"""
    runs = [(list(group), value) for value, group in groupby(range(rows.start, rows.stop), key)]
    return [(slice(group[0] - rows.start, group[-1] + 1 - rows.start), value) for group, value in runs]


def _rows_in(x, behind_relu, where, tiling):
    """B^T times the six rows of each tile row, zeros left and right: (6, n, r, 4*tw + 2, C)."""
    (images, rows), (n, r, tw), (W, C), (ph, pw) = where, tiling.shape(where), x.shape[2:], tiling.padding
    first = max(0, 4 * rows.start - ph)                          # the image row with which the block begins
    seen = x[images, first:4 * rows.stop - ph + 2]               # (n, rows of the image, W, C)
    if behind_relu is not None:
        positive = behind_relu[images, first:4 * rows.stop - ph + 2] > 0
        seen = np.multiply(seen, positive, out=workspace("behind relu", seen.shape, x.dtype))
    result = workspace("rows", (6, n, r, 4 * tw + 2, C), x.dtype)
    result[..., :pw, :], result[..., pw + W:, :] = 0, 0
    matrix, inside = _cast("B^T", x.dtype), result[..., pw:pw + W, :].transpose(1, 2, 0, 3, 4)     # (n, r, 6, W, C)
    for run, (top, bottom) in tiling.rows_in(where):
        six = seen[:, 4 * (rows.start + run.start) - ph + top - first:]
        s0, s1, s2, s3 = seen.strides
        six = np.lib.stride_tricks.as_strided(six, (n, run.stop - run.start, bottom - top, W, C), (s0, 4 * s1, s1, s2, s3))
        _product(matrix[:, top:bottom], six, inside[:, run])
    return result


def _columns_in(rows, out):
    """B^T times the six columns of each tile: (6, n, r, 4*tw + 2, C)  ->  out (6, tiles, 6, C)."""
    (six, n, r, width, C), (s0, s1, s2, s3, s4) = rows.shape, rows.strides
    columns = np.lib.stride_tricks.as_strided(rows, (6, n, r, width // 4, 6, C), (s0, s1, s2, 4 * s3, s3, s4))
    np.matmul(_cast("B^T", rows.dtype), columns, out=out.reshape(columns.shape))        # a view: an axis can be split


def _multiply(tiles, filters, out):
    """36 matrix products: (6, tiles, 6, C) and (6, 6, C, K)  ->  out (6, tiles, 6, K)."""
    (_, T, _, C), K = tiles.shape, filters.shape[3]
    some = small_rows(K, T * C)
    np.matmul(tiles.swapaxes(1, 2)[:, :, None],                                          # (6, 6, 1, tiles, C)
              filters.reshape(6, 6, C, -1, some).swapaxes(2, 3),                         # (6, 6, K/some, C, some)
              out=out.reshape(6, T, 6, -1, some).transpose(0, 2, 3, 1, 4))


def _multiply_transposed(tiles, dys):
    """(6, tiles, 6, C) and (6, tiles, 6, K)  ->  (6, 6, C, K): summed over the tiles."""
    (_, T, _, C), K = tiles.shape, dys.shape[3]
    products = workspace("products", (6, 6, C, K), dys.dtype)
    return np.matmul(tiles.transpose(0, 2, 3, 1), dys.swapaxes(1, 2), out=products)


def _columns_back(products):
    """A^T times the six columns of each tile: (6, tiles, 6, K)  ->  (6, tiles, 4, K)."""
    six, T, _, K = products.shape
    return np.matmul(_cast("A^T", products.dtype), products, out=workspace("back", (6, T, 4, K), products.dtype))


def _rows_back(columns, y, where, tiling, activation):
    """A^T times the six rows of each tile row of the block, (6, tiles, 4, K), to their place in y; then the ReLU."""
    (images, rows), (n, r, tw), (OW, K) = where, tiling.shape(where), y.shape[2:]
    lines = columns.reshape(6, n, r, 4 * tw, K)[..., :OW, :].transpose(1, 2, 0, 3, 4)    # (n, r, 6, OW, K)
    place = y[images, 4 * rows.start:4 * rows.stop]                                      # (n, up to 4r, OW, K)
    for run, count in tiling.rows_back(where):
        theirs = place[:, 4 * run.start:4 * (run.stop - 1) + count]
        theirs = theirs.reshape(n, run.stop - run.start, count, OW, K)                   # a view: an axis may be split
        _product(_cast("A^T", y.dtype)[:count], lines[:, run], theirs)
    if activation:
        cut_off(place)


def _transform_dy(dy, where, tiling):
    """A dy A^T for every tile of 4x4 in the block: (6, tiles, 6, K)."""
    (images, rows), (n, r, tw), (OW, K) = where, tiling.shape(where), dy.shape[2:]
    half, matrix = workspace("rows", (6, n, r, 4 * tw, K), dy.dtype), _cast("A", dy.dtype)
    half[..., OW:, :] = 0
    inside, seen = half[..., :OW, :].transpose(1, 2, 0, 3, 4), dy[images, 4 * rows.start:4 * rows.stop]
    for run, count in tiling.rows_back(where):
        four = seen[:, 4 * run.start:4 * (run.stop - 1) + count]
        _product(matrix[:, :count], four.reshape(n, run.stop - run.start, count, OW, K), inside[:, run])
    dys = workspace("dys", (6, n * r * tw, 6, K), dy.dtype)
    return np.matmul(matrix, half.reshape(6, n * r * tw, 4, K), out=dys)


def _product(matrix, rows, out):
    """matrix (m, l) times l rows of pixels, (..., l, W, C)  ->  out (..., m, W, C).

    Pixels that lie side by side are multiplied together, as many as make a small product.
    """
    W, C = rows.shape[-2:]
    joined = all(a.strides[-2] == C * a.itemsize and a.strides[-1] == a.itemsize for a in (rows, out))
    pieces = next(n for n in range(-(-W * C * LARGEST // SMALL_PRODUCT), W + 1) if W % n == 0) if joined and W * C else W

    def cut(a):
        return a.reshape(*a.shape[:-2], pieces, W // pieces * C).swapaxes(-2, -3)       # (..., pieces, rows, numbers)
    np.matmul(matrix, cut(rows), out=cut(out))
