"""Solutions to the exercises of lesson 07, "Why a convolution is fast".

    python tutorials/solutions/07_fast_convolution.py
"""
import time
from fractions import Fraction
from math import prod

import numpy as np
from threadpoolctl import threadpool_limits

import minicnn as mc
from minicnn.core.threads import in_parallel

rng = np.random.default_rng(0)


def numbers(*shape):
    return rng.normal(size=shape).astype(np.float32)


def pad(x):
    return np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


def milliseconds(function):
    """The least of five, on one core."""
    times = []
    with threadpool_limits(1):
        for _ in range(5):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
    return 1000 * min(times)


def error(y, x, weight):
    """The largest error, as a share of the largest value; float64 is the judge."""
    exact = mc.conv2d(x.astype(float), weight.astype(float), padding=1, algorithm="im2col").data
    return abs(y - exact).max() / abs(exact).max()


# ---- 1. Nine products ------------------------------------------------------------------------------------------------

def conv_nine(x, weight):
    (N, H, W, _), K = x.shape, weight.shape[3]
    padded, y = pad(x), np.zeros((N, H, W, K), x.dtype)
    for i in range(3):
        for j in range(3):
            y += padded[:, i:i + H, j:j + W] @ weight[i, j]
    return y


def conv_one(x, weight):
    """im2col, as in the lesson."""
    (N, H, W, C), K, padded = x.shape, weight.shape[3], pad(x)
    n, h, w, c = padded.strides
    windows = np.lib.stride_tricks.as_strided(padded, (N, H, W, 3, 3, C), (n, h, w, h, w, c))
    return (windows.reshape(N * H * W, 9 * C) @ weight.reshape(9 * C, K)).reshape(N, H, W, K)


# Each product reads x (C numbers a pixel) and writes its result (K); the sum reads that again, and reads and writes y (3K).
# That is 9 * 4 * (C + 4K) bytes a pixel for 2 * 9 * C * K operations.
for C, expected in ((64, 6.4), (4, .4)):
    intensity = 2 * 9 * C * C / (9 * 4 * (C + 4 * C))
    x, weight = numbers(1, 128, 128, C), numbers(3, 3, C, C)
    nine, one = milliseconds(lambda: conv_nine(x, weight)), milliseconds(lambda: conv_one(x, weight))
    print(f"{C:2} channels, {intensity:.1f} operations a byte: nine products {nine:.1f} ms, one product {one:.1f} ms")
    assert np.isclose(intensity, expected)
    assert error(conv_nine(x, weight), x, weight) < 1e-5 and error(conv_one(x, weight), x, weight) < 1e-5

# With 64 channels nine products still stand to the right of the ridge, and nothing is copied nine times.  With 4 channels
# they stand far to the left of it.


# ---- 2. F(2x2, 3x3) --------------------------------------------------------------------------------------------------

B_T = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]], np.float32)     # the brackets with d
G = np.array([[1, 0, 0], [.5, .5, .5], [.5, -.5, .5], [0, 0, 1]], np.float32)               # the brackets with g
A_T = np.array([[1, 1, 1, 0], [0, 1, -1, 1]], np.float32)                                   # y0 and y1


def both_sides(matrix, a):
    """matrix a matrix^T, over the first two axes of a (n, n, ...)  ->  (m, m, all the rest)."""
    m, n = matrix.shape
    return matrix @ (matrix @ a.reshape(n, -1)).reshape(m, n, -1)


def conv_f2(x, weight):
    """3x3, stride 1, padding 1.   x (N, H, W, C), weight (3, 3, C, K)  ->  (N, H, W, K), float32."""
    (N, H, W, C), K = x.shape, weight.shape[3]
    down, right = -(-H // 2), -(-W // 2)                                        # tiles; the last ones may stick out
    padded = np.pad(x, ((0, 0), (1, 2 * down - H + 1), (1, 2 * right - W + 1), (0, 0)))
    tiles = np.empty((4, 4, N, down, right, C), x.dtype)
    for i in range(4):
        for j in range(4):
            tiles[i, j] = padded[:, i:i + 2 * down:2, j:j + 2 * right:2]        # pixel (i, j) of all tiles at once
    v = both_sides(B_T, tiles).reshape(4, 4, -1, C)                             # (4, 4, tiles, C)
    filters = both_sides(G, weight).reshape(4, 4, C, K)
    y = both_sides(A_T, v @ filters).reshape(2, 2, N, down, right, K)           # 16 products between
    return y.transpose(2, 3, 0, 4, 1, 5).reshape(N, 2 * down, 2 * right, K)[:, :H, :W]


for shape, K in (((2, 7, 8, 3), 4), ((1, 1, 1, 5), 2), ((3, 2, 9, 1), 1), ((1, 32, 31, 64), 16)):
    x, weight = numbers(*shape), numbers(3, 3, shape[3], K)
    assert conv_f2(x, weight).dtype == np.float32
    assert np.allclose(conv_f2(x, weight), mc.conv2d(x, weight, padding=1, algorithm="im2col"), rtol=1e-4, atol=1e-3)

# It wins in accuracy: nothing is multiplied with more than 1 on the way, and nothing large has to cancel.
x, weight = numbers(1, 64, 64, 64), numbers(3, 3, 64, 64)
f2, f4 = conv_f2(x, weight), mc.conv2d(x, weight, padding=1, algorithm="winograd").data
print(f"largest error: F(2x2, 3x3) {error(f2, x, weight):.0e}, F(4x4, 3x3) {error(f4, x, weight):.0e}")
assert error(f2, x, weight) < error(f4, x, weight) / 2


def costs(m, side):
    """Tiles, multiplications for a channel and a filter, and numbers of transformed filters for the same."""
    tiles = (-(-side // m)) ** 2
    return tiles, tiles * (m + 2) ** 2, (m + 2) ** 2


for side in (2, 4, 6, 64):
    print(f"{side} x {side}: (tiles, multiplications, filter numbers) F(2x2) {costs(2, side)}, F(4x4) {costs(4, side)}")
assert [costs(m, 2)[1] for m in (2, 4)] == [16, 36] and [costs(m, 6)[1] for m in (2, 4)] == [144, 144]
assert [costs(m, 64)[1] for m in (2, 4)] == [16384, 9216]

# And with few tiles.  At 2x2 three quarters of a 4x4 tile stick out of the picture.  And the fewer tiles there are, the more
# the filters count: each of their transformed numbers, 36 or 16, is made and fetched for a few multiplications only.  That
# is one small picture and hundreds of channels, in the last layers of a network.
for m, n in ((2, 4), (4, 6)):
    weight, v = numbers(3, 3, 256, 256), numbers(n * n, costs(m, 8)[0], 256)
    matrix = numbers(n, 3)                                                      # in place of G: the time is the same
    filters = both_sides(matrix, weight).reshape(-1, 256, 256)
    made, used = milliseconds(lambda: both_sides(matrix, weight)), milliseconds(lambda: v @ filters)
    print(f"8 x 8 with 256 channels, F({m}x{m}): transforming the filters {made:.1f} ms, the products {used:.1f} ms")


# ---- 3. Five taps ----------------------------------------------------------------------------------------------------

def coefficients(roots, length):
    found = [Fraction(1)]
    for root in roots:
        found = [a - root * b for a, b in zip([0] + found, found + [0])]
    return found + [Fraction(0)] * (length - len(found))


def winograd(points, m, r=3):
    """As in the lesson."""
    n, points = m + r - 1, [Fraction(p) for p in points]
    a, g, b_t = [], [], []
    for p in points:
        others = [q for q in points if q != p]
        b_t.append(coefficients(others, n))
        g.append([p ** k / prod(p - q for q in others) for k in range(r)])
        a.append([p ** k for k in range(m)])
    b_t.append(coefficients(points, n))
    g.append([0] * (r - 1) + [1])
    a.append([0] * (m - 1) + [1])
    return np.array(a).T + Fraction(0), np.array(g) + Fraction(0), np.array(b_t)


points = [0, 1, -1, 2, -2]
a_t, g, b_t = winograd(points, m=2, r=5)
d, w = (np.vectorize(Fraction)(rng.integers(-9, 10, size)) for size in ((6, 6), (5, 5)))
by_definition = np.tensordot(np.lib.stride_tricks.sliding_window_view(d, (5, 5)), w, 2)
assert (a_t @ ((g @ w @ g.T) * (b_t @ d @ b_t.T)) @ a_t.T == by_definition).all()
print(f"F(2x2, 5x5): {6 * 6} multiplications in place of {2 * 2 * 5 * 5}")

# B^T is made of the polynomials through the points, and they do not know how the m + r - 1 values are shared out between
# outputs and taps.  The six points of F(4, 3) are those of F(2, 5).
assert (b_t == winograd(points, m=4, r=3)[2]).all()


# ---- 4. A bug to plant -----------------------------------------------------------------------------------------------

A4, G4, B4 = (matrix.astype(np.float32) for matrix in winograd(points, m=4))


def make_conv(block_of=lambda x, r, rows: pad(x)[:, r:r + rows + 2], multiply=np.matmul, new=np.empty):
    """The lesson's conv_f4; `block_of`, `multiply` and `new` are where the bugs are planted."""
    def winograd_rows(padded, filters, y):
        (N, H, W, K), C = y.shape, padded.shape[3]
        tiles = new((6, 6, N, H // 4, W // 4, C), y.dtype)
        for i in range(6):
            for j in range(6):
                tiles[i, j] = padded[:, i:i + H:4, j:j + W:4]
        products = multiply(both_sides(B4, tiles).reshape(6, 6, -1, C), filters)
        outputs = both_sides(A4, products).reshape(4, 4, N, H // 4, W // 4, K)
        y.reshape(N, H // 4, 4, W // 4, 4, K)[...] = outputs.transpose(2, 3, 0, 4, 1, 5)

    def conv(x, weight, rows):
        (N, H, W, C), K = x.shape, weight.shape[3]
        filters, y = both_sides(G4, weight).reshape(6, 6, C, K), np.empty((N, H, W, K), x.dtype)
        in_parallel(lambda r: winograd_rows(block_of(x, r, rows), filters, y[:, r:r + rows]), range(0, H, rows))
        return y
    return conv


x, weight = numbers(1, 64, 64, 16), numbers(3, 3, 16, 16)
right = make_conv()(x, weight, rows=16)
assert error(right, x, weight) < 1e-4

# (c) One array for the tiles of all blocks.  With one thread or one block it is right.  With two of both, now and then, one
# thread writes its pixels while the other is multiplying.  No size is sure to fail, so a test may pass for weeks: it takes
# many runs and a comparison bit for bit.  (It can be done properly: `minicnn.core.threads.workspace` gives each thread an
# array of its own.)
shared = {}
race = make_conv(new=lambda shape, dtype: shared.setdefault(shape, np.empty(shape, dtype)))
wrong = sum(not np.array_equal(race(x, weight, rows=16), right) for _ in range(50))
print(f"tiles shared by all blocks: {wrong} of 50 results were wrong, on {mc.threads()} threads")

# (a) Blocks that pad themselves see zeros where the rows of their neighbours are.  Right as long as there is one block, so a
# test with small pictures passes.  Otherwise only the rows at the seams are wrong, 6 of 64, and a comparison of means might
# miss even that.
seams = make_conv(block_of=lambda x, r, rows: pad(x[:, r:r + rows]))
assert error(seams(x, weight, rows=64), x, weight) < 1e-4
wrong_rows = np.flatnonzero(abs(seams(x, weight, rows=16) - right).max(axis=(0, 2, 3)) > 1e-2)
print("blocks that pad themselves: wrong rows", wrong_rows.tolist())
assert wrong_rows.tolist() == [15, 16, 31, 32, 47, 48]

# (b) A sum of products is no product of sums, unless there is one channel.  (The sum may change places with the way back.)
early = make_conv(multiply=lambda v, u: v.sum(axis=3, keepdims=True) * u.sum(axis=2, keepdims=True))
one_x, one_weight = numbers(1, 64, 64, 1), numbers(3, 3, 1, 16)
assert error(early(one_x, one_weight, rows=16), one_x, one_weight) < 1e-4
assert error(early(x, weight, rows=16), x, weight) > .1
