"""Convolution with 3 rows in half of the multiplications: Winograd's F(4, 3) down the columns of the image.

Six rows of the image give four rows of the output.  In one dimension Winograd's algorithm needs 6 multiplications for these
instead of 12:

    y = A^T [(G w) * (B^T x)]                        w 3, x 6, y 4 rows           (Winograd 1980; Lavin & Gray 2015)

Along the row the convolution stays what it is: each output pixel sees kw pixels, kw * C numbers that lie side by side in
memory.  Every kw-th pixel has such a window that begins where the last one ends, and these windows together *are* a matrix,
(pixels / kw, kw * C), without a copy.  So the work is 6 * kw products, and next to nothing is moved: half as many
multiplications as the definition has, where `winograd` has a quarter, but moves each number many times.  With few channels,
where moving is what takes the time, this is the quicker one.
"""
import numpy as np

from ...parallel import image_blocks, in_parallel, slices, workspace
from .epilogue import in_a_row
from .winograd import A_T, B_T, G

BLOCK_BYTES = 2 << 20             # transformed rows of one block, inputs and products together: they stay in cache
SHARES = 4                        # partial sums of a weight gradient: fixed, so that thread numbers do not change the result
FOR = "3 rows, stride 1, dilation 1, padding less than the kernel, one group"


def suits(weight_shape, geometry):
    """Whether this algorithm can do the convolution (3 rows, stride 1, padding less than the kernel, one group)."""
    return (weight_shape[0] == 3 and geometry.stride == geometry.dilation == (1, 1)
            and geometry.groups == 1 and geometry.padding[0] <= 2 and geometry.padding[1] < weight_shape[1])


def pays(x_shape, weight_shape):
    """Whether it is likely to be quicker than the others: from 8 channels and filters on, and as long as they are few."""
    return min(weight_shape[2:]) >= 8 and weight_shape[2] * weight_shape[3] <= 64 * 64 and min(x_shape[1:3]) >= 8


def forward(x, weight, geometry, bias=None, activation=None):
    """x (N, H, W, C), weight (3, kw, C, K), bias (K,) or None, activation "relu" or None  ->  y (N, OH, OW, K)."""
    return _convolve(x, weight, geometry.padding, bias, activation)


def input_gradient(dy, weight, x_shape, geometry, y=None):
    """dy (N, OH, OW, K)  ->  dx of x_shape: the same convolution, the filters turned by 180 degrees, C and K exchanged.

    y, the output of a ReLU that followed, lets dy through only where it is positive.
    """
    kw, (ph, pw) = weight.shape[1], geometry.padding
    return _convolve(dy, weight[::-1, ::-1].swapaxes(2, 3), (2 - ph, kw - 1 - pw), behind_relu=y)


def _convolve(x, weight, padding, bias=None, activation=None, behind_relu=None):
    strips = Strips(x.shape, weight.shape, padding)
    filters = transform_filters(weight)                          # (6, kw*C, K)
    y = np.empty((*strips.output_shape, weight.shape[3]), x.dtype)

    def block(where):
        windows = _windows(_transform_rows(x, behind_relu, where, strips), strips)       # (6, kw, pixels/kw, kw*C)
        products = workspace("products", (6, *strips.size(where), y.shape[3]), x.dtype)
        np.matmul(windows, filters[:, None], out=_every(strips.kw, products))
        _place(products, y, where, bias, activation)
    in_parallel(block, strips.blocks())
    return y


def weight_gradient(x, dy, weight_shape, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K)  ->  dw (3, kw, C, K)  =  G^T [sum of (B^T x)^T (A dy) over windows]."""
    strips = Strips(x.shape, weight_shape, geometry.padding)
    blocks, K = strips.blocks(), weight_shape[3]

    def share(part):
        return sum(block_gradient(where) for where in blocks[part])

    def block_gradient(where):
        windows = _windows(_transform_rows(x, None, where, strips), strips)
        dys = _every(strips.kw, _transform_dy(dy, where, strips))                        # (6, kw, pixels/kw, K)
        return (windows.swapaxes(2, 3) @ dys).sum(axis=1)                                # (6, kw*C, K)
    total = sum(in_parallel(share, slices(len(blocks), SHARES)))
    return (G.T.astype(x.dtype) @ total.reshape(6, -1)).reshape(weight_shape)


def transform_filters(weight):
    """G w:  (3, kw, C, K)  ->  (6, kw*C, K)."""
    kw, C, K = weight.shape[1:]
    return (G.astype(weight.dtype) @ weight.reshape(3, kw * C * K)).reshape(6, kw * C, K)


class Strips:
    """How the output is cut into strips of four rows, and these into blocks.

    In a block the pixels of a row are followed by zeros, `width` pixels in all, a multiple of kw: so the windows of one row
    run on into the next, and the zeros behind a row are also the padding before the next one.
    """

    def __init__(self, x_shape, weight_shape, padding):
        (N, H, W, C), (_, self.kw, _, K) = x_shape, weight_shape
        self.padding, self.channels, self.filters = padding, C, K
        self.output_shape = N, H + 2 * padding[0] - 2, W + 2 * padding[1] - self.kw + 1
        self.rows = -(-self.output_shape[1] // 4)
        self.width = -(-max(W + padding[1], self.output_shape[2]) // self.kw) * self.kw

    def blocks(self):
        """Pairs (slice of images, slice of strips)."""
        at_once = BLOCK_BYTES // (4 * 6 * self.width * (self.channels + self.filters))
        return image_blocks(self.output_shape[0], self.rows, at_once)

    def size(self, where):
        """(strips, images, pixels in a row) of one block."""
        images, rows = where
        return rows.stop - rows.start, images.stop - images.start, self.width


def _transform_rows(x, behind_relu, where, strips):
    """B^T x for every strip of the block: (6 * strips * images * width + kw, C), all pixels one after the other."""
    (r, n, width), C = strips.size(where), strips.channels
    padded = _padded_block(x, behind_relu, where, strips)        # (4r+2, n, width, C)
    length = n * width * C
    six = np.lib.stride_tricks.as_strided(padded, (r, 6, length), np.array((4 * length, length, 1)) * x.itemsize)
    result = workspace("rows", (6 * r * n * width + strips.kw, C), x.dtype)
    result[-strips.kw:] = 0                                      # the last windows reach beyond the last row
    np.matmul(B_T.astype(x.dtype), six, out=result[:-strips.kw].reshape(6, r, length).swapaxes(0, 1))
    return result


def _padded_block(x, behind_relu, where, strips):
    """The pixels that the block's strips see, zeros above, below and between: (4r+2, n, width, C), `pw` zeros first."""
    images, rows = where
    (r, n, width), (ph, pw), (N, H, W, C) = strips.size(where), strips.padding, x.shape
    height = 4 * r + 2
    padded = workspace("padded", (height * n * width + pw, C), x.dtype)
    padded[:pw] = 0
    lines = padded[pw:].reshape(height, n, width, C)
    first = 4 * rows.start - ph                                  # the image row that the block's first row shows
    top, bottom = max(0, -first), min(height, H - first)
    lines[:top], lines[bottom:], lines[:, :, W:] = 0, 0, 0
    image, inside = (images, slice(first + top, first + bottom)), lines[top:bottom, :, :W].swapaxes(0, 1)
    if behind_relu is None:
        inside[...] = x[image]
    else:
        np.multiply(x[image], behind_relu[image] > 0, out=inside)
    return padded[:height * n * width].reshape(height, n, width, C)


def _windows(rows, strips):
    """The windows of kw pixels as matrices, for the pixels 0, kw, 2kw ..., then 1, kw+1, ...: (6, kw, pixels/kw, kw*C)."""
    kw, C = strips.kw, strips.channels
    pixels = (len(rows) - kw) // 6
    strides = np.array((pixels * C, C, kw * C, 1)) * rows.itemsize
    return np.lib.stride_tricks.as_strided(rows, (6, kw, pixels // kw, kw * C), strides)


def _every(kw, numbers):
    """(6, strips, images, width, K)  ->  a view (6, kw, pixels/kw, K): every kw-th pixel, from the first, the second, ..."""
    return numbers.reshape(6, -1, kw, numbers.shape[4]).swapaxes(1, 2)


def _place(products, y, where, bias, activation):
    """A^T products, the block's rows, to their place in y, with bias and ReLU while they are in cache."""
    _, r, n, width, K = products.shape
    rows = workspace("back", (4, r, n, width, K), y.dtype)
    np.matmul(A_T.astype(y.dtype), products.reshape(6, -1), out=rows.reshape(4, -1))
    place = y[where[0], 4 * where[1].start:4 * where[1].stop]    # (n, up to 4r, OW, K)
    whole = place.shape[1] == 4 * r                              # else the last strip sticks out
    target = place if whole else workspace("whole", (n, 4 * r, *y.shape[2:]), y.dtype)
    lines = target.reshape(n, r, 4, *y.shape[2:])                # a view: an axis can always be split
    np.add(rows[:, :, :, :y.shape[2]].transpose(2, 1, 0, 3, 4), 0 if bias is None else in_a_row(bias, y.shape[2]), out=lines)
    if activation:
        np.maximum(lines, 0, out=lines)
    if not whole:
        place[...] = target[:, :place.shape[1]]


def _transform_dy(dy, where, strips):
    """A dy for every strip of the block, zeros behind each row: (6, strips, images, width, K)."""
    (r, n, width), (N, OH, OW, K) = strips.size(where), dy.shape
    place = dy[where[0], 4 * where[1].start:4 * where[1].stop]   # (n, up to 4r, OW, K)
    lines = workspace("padded", (n, 4 * r, width, K), dy.dtype)
    lines[:, place.shape[1]:], lines[:, :, OW:] = 0, 0
    lines[:, :place.shape[1], :OW] = place
    result = workspace("dys", (6, r, n, width, K), dy.dtype)
    four = lines.reshape(n, r, 4, width * K)
    np.matmul(A_T.T.astype(dy.dtype), four, out=result.reshape(6, r, n, width * K).transpose(2, 1, 0, 3))
    return result
