"""3x3 convolution with a quarter of the multiplications, or a fifth: Winograd's F(4x4, 3x3) and F(6x6, 3x3).

A 3x3 filter over a tile of 6x6 pixels gives 4x4 outputs: 144 multiplications by the definition.  Winograd's algorithm
transforms tile and filter, multiplies the 36 transformed numbers one by one, and transforms back:

    y = A^T [(G w G^T) * (B^T x B)] A                w 3x3, x 6x6, y 4x4      (Lavin & Gray 2015, arXiv 1509.09308)

With tiles of 8x8 it is 64 instead of 324 for 6x6 outputs.  In general n = m + 2, tiles of n x n, outputs of m x m.  The
matrices come from polynomials: from their values at 0, 1, -1, 2, -2 (and 1/2, -1/2), and from how they end at infinity.

Tiles lie m pixels apart, so that neighbours overlap by two.  With images as (N, H, W, C) all of it is matrix products on
views of memory as it lies, nothing is gathered or scattered:

    rows in          B^T times n rows of the image               a row is W * C numbers side by side
    columns in       B^T times n columns of the result           a column is C numbers
    products         (tiles, C) @ (C, K)                         one for each of the n*n places in a tile
    columns back     A^T times n columns of products             K numbers
    rows back        A^T times n rows of that                    W * K numbers: they *are* m rows of the output

Where a tile sticks out of the image the matrices are cut: a row that is zero needs no column of B^T, and one that nobody
wants no row of A^T.  A block of tiles goes all the way before the next one is begun, so that it stays in the processor's
cache; blocks are spread over the threads.

The price is rounding: about 1e-5 of the largest value in float32, against 1e-6 for im2col.
"""
import functools

import numpy as np

from ...core import tuning
from ...core.blas import rows_per_small_product
from ...core.threads import in_parallel, slices, workspace
from .epilogue import cut_off
from .filters import is_frozen, transformed
from .tiling import Tiling

B_T = {4: np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                    [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], float),
       6: np.array([[1, 0, -21/4, 0, 21/4, 0, -1, 0], [0, 1, 1, -17/4, -17/4, 1, 1, 0], [0, -1, 1, 17/4, -17/4, -1, 1, 0],
                    [0, 1/2, 1/4, -5/2, -5/4, 2, 1, 0], [0, -1/2, 1/4, 5/2, -5/4, -2, 1, 0],
                    [0, 2, 4, -5/2, -5, 1/2, 1, 0], [0, -2, 4, 5/2, -5, -1/2, 1, 0], [0, -1, 0, 21/4, 0, -21/4, 0, 1]])}
G = {4: np.array([[1/4, 0, 0], [-1/6, -1/6, -1/6], [-1/6, 1/6, -1/6],
                  [1/24, 1/12, 1/6], [1/24, -1/12, 1/6], [0, 0, 1]]),
     6: np.array([[1, 0, 0], [-2/9, -2/9, -2/9], [-2/9, 2/9, -2/9], [1/90, 1/45, 2/45], [1/90, -1/45, 2/45],
                  [32/45, 16/45, 8/45], [32/45, -16/45, 8/45], [0, 0, 1]])}
POINTS = 1, -1, 2, -2, 1/2, -1/2
A_T = {m: np.hstack([np.eye(m, 1),                                                       # 0: only its power 0 is not 0
                     [[point ** power for point in POINTS[:m]] for power in range(m)],
                     np.eye(m, 1, 1 - m)]) for m in (4, 6)}                              # infinity: only the last one counts
LARGEST = 64                      # numbers in the largest of these matrices
CONSTANT = 1                      # the column of A^T that is all ones: a number added there is added to every output
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
    return min(weight_shape[2:]) >= tuning.WINOGRAD_FEW_CHANNELS and N * -(-H // 4) * -(-W // 4) >= tuning.WINOGRAD_FEW_TILES


def forward(x, weight, geometry, bias=None, activation=None):
    """x (N, H, W, C), weight (3, 3, C, K), bias (K,) or None, activation "relu" or None  ->  y (N, OH, OW, K)."""
    return _convolve(x, weight, geometry.padding, bias, activation)


def input_gradient(dy, weight, x_shape, geometry, y=None):
    """dy (N, OH, OW, K)  ->  dx of x_shape: the same convolution, the filters turned by 180 degrees, C and K exchanged.

    y, the output of a ReLU that followed, lets dy through only where it is positive.
    """
    return _convolve(dy, weight, tuple(2 - p for p in geometry.padding), behind_relu=y, turned=True)


def _convolve(x, weight, padding, bias=None, activation=None, behind_relu=None, turned=False):
    x = np.ascontiguousarray(x)
    weight = weight if is_frozen(weight) else np.ascontiguousarray(weight)               # the frozen ones are
    C, K = weight.shape[:1:-1] if turned else weight.shape[2:]
    tiling = Tiling(x.shape, K, padding)
    y, blocks, n = np.empty((*tiling.output_shape, K), x.dtype), tiling.blocks(), tiling.n
    filters_of = (_whole_filters if len(blocks) > 1 or is_frozen(weight) else _some_filters)(weight, tiling.m, turned)

    def block(where, parts, portions):
        tiles = workspace("tiles", (n, tiling.count(where), n, C), x.dtype)
        products = workspace("products", (n, tiling.count(where), n, K), x.dtype)

        def transform(part):
            _columns_in(_rows_in(x, behind_relu, part, tiling), tiling, tiles[:, tiling.within(where, part)])

        def multiply(k):
            _multiply(tiles, filters_of(k), products[..., k])

        def transform_back(part):
            of_part = products[:, tiling.within(where, part)]
            if bias is not None:
                of_part[CONSTANT, :, CONSTANT] += bias
            _rows_back(_columns_back(of_part, tiling), y, part, tiling, activation)
        for step, items in (transform, parts), (multiply, portions), (transform_back, parts):
            in_parallel(step, items)
    if len(blocks) > 1:
        in_parallel(lambda where: block(where, [where], [slice(0, K)]), blocks)
    else:                                        # the threads share the block, part by part and filters by filters
        block(blocks[0], tiling.parts(), _portions(K))
    return y


def weight_gradient(x, dy, weight_shape, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K)  ->  dw (3, 3, C, K)  =  G^T [sum over tiles of (B^T x B) * (A dy A^T)] G.

    A thread takes some of the tiles and all filters, or, where there are so many that they would not stay in cache, some of
    the filters and all tiles.  With m = 4: A has a 32 for m = 6, and this sum is long, so rounding would grow.
    """
    x, (C, K) = np.ascontiguousarray(x), weight_shape[2:]
    tiling = Tiling(x.shape, K, geometry.padding, m=4)
    n, blocks = tiling.n, tiling.blocks()
    filter_parts = slices(K, -(-4 * n ** 2 * C * K // tuning.WINOGRAD_GRADIENT_BYTES))
    shares = slices(len(blocks), tuning.WINOGRAD_SHARES if len(filter_parts) == 1 else 1)

    def gradient(share_and_part):
        share, k = share_and_part
        total = workspace("gradient", (n, n, C, k.stop - k.start), x.dtype)
        total[...] = 0
        for where in blocks[share]:
            tiles = workspace("tiles", (n, tiling.count(where), n, C), x.dtype)
            _columns_in(_rows_in(x, None, where, tiling), tiling, tiles)
            total += _multiply_transposed(tiles, _transform_dy(dy[..., k], where, tiling))
        return _both_sides("G^T", 4, total, np.empty((3, 3, C, k.stop - k.start), x.dtype))
    items = [(share, k) for share in shares for k in filter_parts]
    dw = np.zeros(weight_shape, x.dtype)
    for (_, k), part in zip(items, in_parallel(gradient, items)):
        dw[..., k] += part
    return dw


def transform_filters(weight, m, turned=False):
    """G w G^T for every pair of channels, portion by portion: (3, 3, C, K)  ->  (n, n, portions, C, filters in each).

    turned: of the filters turned by 180 degrees, their rows and columns backwards, with C and K exchanged.
    """
    C, K = weight.shape[:1:-1] if turned else weight.shape[2:]
    portions = _portions(K)
    transformed = np.empty((m + 2, m + 2, len(portions), C, K // len(portions)), weight.dtype)

    def portion(p):
        some = weight[::-1, ::-1, portions[p]].swapaxes(2, 3) if turned else weight[..., portions[p]]
        _both_sides("G", m, _in_order(some), transformed[:, :, p])
    in_parallel(portion, range(len(portions)))
    return transformed


def _portions(K):
    """K filters in slices of one size: the largest that divides K, or all of them where that is too small to be worth it."""
    size = next((n for n in range(min(K, tuning.WINOGRAD_PORTION), tuning.WINOGRAD_PORTION // 4, -1) if K % n == 0), K)
    return [slice(k, k + size) for k in range(0, K, size)]


def _whole_filters(weight, m, turned):
    """A function that gives the transformed filters k, whole portions (n, n, p, C, size), out of all of them."""
    filters = transformed(weight, (m, turned), transform_filters)
    size = filters.shape[4]
    return lambda k: filters[:, :, k.start // size:k.stop // size]


def _some_filters(weight, m, turned):
    """The same, but transformed only now: for layers with so few tiles that each filter is used once.

    Turned filters are made with G read backwards, and their channels exchanged when they are multiplied: nothing is moved.
    """
    def transformed(k):
        some = weight[:, :, k] if turned else _in_order(weight[..., k])
        filters = workspace("filters", (m + 2, m + 2, 1, *some.shape[2:]), weight.dtype)
        _both_sides("G turned" if turned else "G", m, some, filters[:, :, 0])
        return filters.swapaxes(3, 4) if turned else filters
    return transformed


def _in_order(numbers):
    """A contiguous copy, valid until the next one."""
    ordered = workspace("ordered", numbers.shape, numbers.dtype)
    ordered[...] = numbers
    return ordered


def _both_sides(name, m, numbers, out):
    """The matrix M of this name on both sides, M numbers M^T, of (a, a, C, K)  ->  out (b, b, C, K)."""
    matrix, (a, _, C, K) = _matrix(name, m, numbers.dtype), numbers.shape
    half = workspace("half", (len(matrix), a, C, K), numbers.dtype)
    _product(matrix, numbers.reshape(a, a * C, K), half.reshape(-1, a * C, K))
    _product(matrix, half, out)
    return out


@functools.cache
def _matrix(name, m, dtype):
    """The matrix of this name for outputs of m x m."""
    matrix = {"B^T": B_T[m], "A^T": A_T[m], "A": A_T[m].T, "G": G[m], "G^T": G[m].T, "G turned": G[m][:, ::-1]}[name]
    return np.ascontiguousarray(matrix, dtype)


def _rows_in(x, behind_relu, where, tiling):
    """B^T times the n rows of each tile row, zeros left and right: (n, images, r, m*tw + 2, C)."""
    (images, rows), (N, r, tw), (W, C), (ph, pw) = where, tiling.shape(where), x.shape[2:], tiling.padding
    m, n = tiling.m, tiling.n
    first = max(0, m * rows.start - ph)                          # the image row with which the block begins
    seen = x[images, first:m * rows.stop - ph + 2]               # (images, rows of the image, W, C)
    if behind_relu is not None:
        positive = behind_relu[images, first:m * rows.stop - ph + 2] > 0
        seen = np.multiply(seen, positive, out=workspace("behind relu", seen.shape, x.dtype))
    result = workspace("rows", (n, N, r, m * tw + 2, C), x.dtype)
    result[..., :pw, :], result[..., pw + W:, :] = 0, 0
    matrix, inside = _matrix("B^T", m, x.dtype), result[..., pw:pw + W, :].transpose(1, 2, 0, 3, 4)    # (images, r, n, W, C)
    for run, (top, bottom) in tiling.rows_in(where):
        windows = seen[:, m * (rows.start + run.start) - ph + top - first:]
        s0, s1, s2, s3 = seen.strides
        windows = np.lib.stride_tricks.as_strided(windows, (N, run.stop - run.start, bottom - top, W, C),
                                                  (s0, m * s1, s1, s2, s3))
        _product(matrix[:, top:bottom], windows, inside[:, run])
    return result


def _columns_in(rows, tiling, out):
    """B^T times the n columns of each tile: (n, images, r, m*tw + 2, C)  ->  out (n, tiles, n, C)."""
    (n, N, r, width, C), (s0, s1, s2, s3, s4), m = rows.shape, rows.strides, tiling.m
    columns = np.lib.stride_tricks.as_strided(rows, (n, N, r, width // m, n, C), (s0, s1, s2, m * s3, s3, s4))
    np.matmul(_matrix("B^T", m, rows.dtype), columns, out=out.reshape(columns.shape))   # a view: an axis can be split


def _multiply(tiles, filters, out):
    """n*n matrix products for each portion of filters: (n, tiles, n, C) and (n, n, p, C, size)  ->  out (n, tiles, n, K)."""
    (n, T, _, C), (p, _, size) = tiles.shape, filters.shape[2:]
    some = rows_per_small_product(size, T * C)
    np.matmul(tiles.swapaxes(1, 2)[:, :, None, None],                                    # (n, n, 1, 1, tiles, C)
              filters.reshape(n, n, p, C, -1, some).swapaxes(3, 4),                      # (n, n, p, size/some, C, some)
              out=out.reshape(n, T, n, p, -1, some).transpose(0, 2, 3, 4, 1, 5))


def _multiply_transposed(tiles, dys):
    """(n, tiles, n, C) and (n, tiles, n, K)  ->  (n, n, C, K): summed over the tiles."""
    (n, _, _, C), K = tiles.shape, dys.shape[3]
    products = workspace("products", (n, n, C, K), dys.dtype)
    return np.matmul(tiles.transpose(0, 2, 3, 1), dys.swapaxes(1, 2), out=products)


def _columns_back(products, tiling):
    """A^T times the n columns of each tile: (n, tiles, n, K)  ->  (n, tiles, m, K)."""
    (n, T, _, K), m = products.shape, tiling.m
    return np.matmul(_matrix("A^T", m, products.dtype), products, out=workspace("back", (n, T, m, K), products.dtype))


def _rows_back(columns, y, where, tiling, activation):
    """A^T times the n rows of each tile row of the block, (n, tiles, m, K), to their place in y; then the ReLU."""
    (images, rows), (N, r, tw), (OW, K), m = where, tiling.shape(where), y.shape[2:], tiling.m
    lines = columns.reshape(tiling.n, N, r, m * tw, K)[..., :OW, :].transpose(1, 2, 0, 3, 4)     # (images, r, n, OW, K)
    place = y[images, m * rows.start:m * rows.stop]                                      # (images, up to m*r, OW, K)
    for run, count in tiling.rows_back(where):
        target = place[:, m * run.start:m * (run.stop - 1) + count]
        target = target.reshape(N, run.stop - run.start, count, OW, K)                   # a view: an axis may be split
        _product(_matrix("A^T", m, y.dtype)[:count], lines[:, run], target)
    if activation:
        cut_off(place)


def _transform_dy(dy, where, tiling):
    """A dy A^T for every tile of m x m in the block: (n, tiles, n, K)."""
    (images, rows), (N, r, tw), (OW, K), m, n = where, tiling.shape(where), dy.shape[2:], tiling.m, tiling.n
    half, matrix = workspace("rows", (n, N, r, m * tw, K), dy.dtype), _matrix("A", m, dy.dtype)
    half[..., OW:, :] = 0
    inside, seen = half[..., :OW, :].transpose(1, 2, 0, 3, 4), dy[images, m * rows.start:m * rows.stop]
    for run, count in tiling.rows_back(where):
        tiles = seen[:, m * run.start:m * (run.stop - 1) + count]
        _product(matrix[:, :count], tiles.reshape(N, run.stop - run.start, count, OW, K), inside[:, run])
    dys = workspace("dys", (n, N * r * tw, n, K), dy.dtype)
    return np.matmul(matrix, half.reshape(n, N * r * tw, m, K), out=dys)


def _product(matrix, rows, out):
    """matrix (m, l) times l rows of pixels, (..., l, W, C)  ->  out (..., m, W, C).

    Pixels that lie side by side are multiplied together, as many as make a small product.
    """
    W, C = rows.shape[-2:]
    joined = all(a.strides[-2] == C * a.itemsize and a.strides[-1] == a.itemsize for a in (rows, out))
    fewest = -(-W * C * LARGEST // tuning.BLAS_SMALL_PRODUCT)
    pieces = next(n for n in range(fewest, W + 1) if W % n == 0) if joined and W * C else W

    def cut(a):
        return a.reshape(*a.shape[:-2], pieces, W // pieces * C).swapaxes(-2, -3)       # (..., pieces, rows, numbers)
    np.matmul(matrix, cut(rows), out=cut(out))
