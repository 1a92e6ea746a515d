"""Convolution as matrix products: "image to columns".

Each output pixel sees a patch of the image, kh x kw x C numbers.  Written as the rows of a matrix, all patches times the
filters as columns, (kh*kw*C, K), is the whole convolution.  The patches overlap, so that matrix holds every pixel up to
kh*kw times; it is therefore made for a block of output pixels at a time, small enough to stay in cache.
(Chellapilla, Puri, Simard 2006, "High Performance Convolutional Neural Networks for Document Processing".)
"""
from ...core import tuning
from ...core.arithmetic import pad_array
from ...core.backend import array_library, is_gpu_array
from ...core.threads import image_blocks, in_parallel, matmul, slices, workspace
from .epilogue import finish, through_relu
from .geometry import Geometry



def suits(weight_shape, geometry):
    """It does every convolution."""
    return True


def pays(x_shape, weight_shape):
    """It stands last in the table, for all that no other does quicker."""
    return True


def forward(x, weight, geometry, bias=None, activation=None):
    """x (N, H, W, C), weight (kh, kw, C/groups, K), bias (K,) or None, activation "relu" or None  ->  y (N, OH, OW, K)."""
    windows = patches(x, weight.shape[:2], geometry)             # (N, OH, OW, kh, kw, C), a view
    filters = _by_group(weight, geometry.groups)                 # (groups, kh*kw*C/groups, K/groups)
    N, OH, OW = windows.shape[:3]
    y = array_library(x).empty((N, OH, OW, weight.shape[3]), x.dtype)
    blocks = _blocks(windows, y)
    if len(blocks) == 1 and geometry.groups == 1 and not is_gpu_array(x):                # the threads share one product
        y = matmul(_columns(windows, 1)[0], filters[0]).reshape(y.shape)
        finish(y, bias, activation)
        return y

    def block(where):
        columns = _columns(windows[where], geometry.groups)      # (groups, pixels, kh*kw*C/groups)
        out = y[where].reshape(columns.shape[1], geometry.groups, -1).swapaxes(0, 1)     # a view of y
        _multiply(columns, filters, out, OW)
        finish(y[where], bias, activation)
    in_parallel(block, blocks)
    return y


def input_gradient(dy, weight, x_shape, geometry, y=None):
    """dy (N, OH, OW, K)  ->  dx of x_shape; y, the output of a ReLU that followed, lets dy through where it is positive.

    With stride 1 it is a convolution again, of dy with the filters turned by 180 degrees.
    """
    span, groups = geometry.span(weight.shape[:2]), geometry.groups
    padding = tuple(e - 1 - p for e, p in zip(span, geometry.padding))
    sizes_fit = all(n + 2 * p - e + 1 == m for n, p, e, m in zip(dy.shape[1:3], padding, span, x_shape[1:3]))
    again = geometry.stride == (1, 1) and min(padding) >= 0 and sizes_fit
    if again and x_shape[3] <= tuning.IM2COL_FEW_CHANNELS and groups == 1 and geometry.dilation == (1, 1):
        return _by_planes(dy, weight, x_shape, geometry, y)
    dy = dy if y is None else through_relu(dy, y)
    if not again or dy[..., 0].size <= tuning.IM2COL_FEW_PIXELS and not is_gpu_array(dy):
        return _by_taps(dy, weight, x_shape, geometry)
    return forward(dy, turned(weight, groups), Geometry(padding=padding, dilation=geometry.dilation, groups=groups))


def turned(weight, groups):
    """The filters turned by 180 degrees, input and output exchanged: (kh, kw, C/groups, K)  ->  (kh, kw, K/groups, C)."""
    kh, kw, Cg, K = weight.shape
    by_group = weight[::-1, ::-1].reshape(kh, kw, Cg, groups, K // groups)
    return by_group.transpose(0, 1, 4, 3, 2).reshape(kh, kw, K // groups, groups * Cg)


def _by_taps(dy, weight, x_shape, geometry):
    """"Columns to image": each tap of the kernel returns its share of dy to the pixels that it saw.

    The windows of neighbouring outputs overlap in x, so shares add up: `+=`.  (With `=` the last tap wins, and a test that
    only looks at windows side by side never notices.)  Images are independent, and channels, so they are the blocks.
    """
    xp = array_library(dy)
    (ph, pw), (N, H, W, C) = geometry.padding, x_shape
    padded = xp.zeros((N, H + 2 * ph, W + 2 * pw, C), dy.dtype)

    def block(where):
        images, channels = where
        for i in range(weight.shape[0]):
            for j in range(weight.shape[1]):
                tap = patches_of_tap(padded[images, ..., channels], i, j, dy.shape[1:3], geometry)
                tap += _times_transposed(dy[images], weight[i, j, channels], geometry.groups)
    worth = dy[..., 0].size * weight.size // tuning.THREAD_PRODUCT                       # how many threads
    parts = tuning.IM2COL_PARTS if N == geometry.groups == 1 and worth >= tuning.IM2COL_PARTS else 1
    in_parallel(block, [(images, channels) for channels in slices(C, parts)
                        for images in slices(N, max(2, dy.nbytes // tuning.IM2COL_BLOCK_BYTES))])
    return padded[:, ph:ph + H, pw:pw + W]


def _by_planes(dy, weight, x_shape, geometry, y):
    """The same for the first layer of a network: one product gives the shares of all taps, (kh*kw*C, pixels).

    In it the pixels lie side by side, one plane of them for each tap and channel, so that they add up in long rows.
    """
    xp, (kh, kw, C, K) = array_library(dy), weight.shape
    (N, H, W, _), (OH, OW), (ph, pw) = x_shape, dy.shape[1:3], geometry.padding
    filters, dx = weight.reshape(kh * kw * C, K), xp.empty(x_shape, dy.dtype)

    def block(where):
        images, rows = where
        first, last = max(0, rows.start + ph - kh + 1), min(OH, rows.stop + ph)          # the rows of dy that see these
        seen = dy[images, first:last] if y is None else dy[images, first:last] * (y[images, first:last] > 0)
        shares = filters @ seen.reshape(-1, K).T                                         # (kh*kw*C, pixels)
        shares = shares.reshape(kh, kw, C, -1, last - first, OW)
        planes = xp.zeros((C, shares.shape[3], rows.stop - rows.start, W + 2 * pw), dy.dtype)
        for i in range(kh):
            a, b = max(rows.start, first + i - ph), min(rows.stop, last + i - ph)        # tap i of row r is row r + ph - i
            in_dy, in_planes = slice(a + ph - i - first, b + ph - i - first), slice(a - rows.start, b - rows.start)
            for j in range(kw):
                planes[:, :, in_planes, j:j + OW] += shares[i, j, :, :, in_dy]
        dx[where] = planes[..., pw:pw + W].transpose(1, 2, 3, 0)
    in_parallel(block, image_blocks(N, H, tuning.IM2COL_BLOCK_BYTES // ((len(filters) + K) * OW * dy.itemsize)))
    return dx


def weight_gradient(x, dy, weight_shape, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K)  ->  dw of weight_shape: patches transposed times dy, summed over the blocks."""
    windows = patches(x, weight_shape[:2], geometry)             # (N, OH, OW, kh, kw, C), a view
    blocks = _blocks(windows, dy)

    def share(part):
        return sum(_block_gradient(windows[where], dy[where], geometry.groups) for where in blocks[part])
    total = sum(in_parallel(share, slices(len(blocks), tuning.IM2COL_SHARES)))  # (groups, kh*kw*C/groups, K/groups)
    kh, kw, Cg, K = weight_shape
    return total.reshape(geometry.groups, kh, kw, Cg, -1).transpose(1, 2, 3, 0, 4).reshape(weight_shape)


def patches(x, kernel, geometry):
    """The patch that each output pixel sees, as a view of the padded image: (N, OH, OW, kh, kw, C), nothing copied."""
    (ph, pw), (sh, sw), (dh, dw) = geometry.padding, geometry.stride, geometry.dilation
    OH, OW = geometry.output_size(x.shape[1:3], kernel)
    x = pad_array(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)), "zeros")
    n, h, w, c = x.strides
    as_strided = array_library(x).lib.stride_tricks.as_strided
    return as_strided(x, (x.shape[0], OH, OW, *kernel, x.shape[3]), (n, sh * h, sw * w, dh * h, dw * w, c))


def patches_of_tap(x, i, j, size, geometry):
    """The pixels of the padded image that meet tap (i, j) of the kernel: (N, OH, OW, C), one an output pixel, a view."""
    (sh, sw), (dh, dw), (OH, OW) = geometry.stride, geometry.dilation, size
    return x[:, i * dh:i * dh + sh * (OH - 1) + 1:sh, j * dw:j * dw + sw * (OW - 1) + 1:sw]


def _blocks(windows, y):
    """Blocks of output pixels, whole images or rows of one image, whose patches and products fit in cache."""
    N, OH, OW, kh, kw, C = windows.shape
    return image_blocks(N, OH, tuning.IM2COL_BLOCK_BYTES // (OW * (kh * kw * C + y.shape[3]) * y.itemsize))


def _multiply(columns, filters, out, width):
    """columns (groups, pixels, numbers) @ filters (groups, numbers, K/groups)  ->  out; row by row where that is small."""
    groups, pixels, numbers = columns.shape
    if width * numbers * filters.shape[2] <= tuning.BLAS_SMALL_PRODUCT:
        columns, filters = columns.reshape(groups, -1, width, numbers), filters[:, None]
        out = out.reshape(groups, -1, width, filters.shape[3])   # a view: an axis can always be split
    array_library(out).matmul(columns, filters, out=out)


def _columns(windows, groups):
    """Patches (n, rows, OW, kh, kw, C) copied into a matrix for each group: (groups, pixels, kh*kw*C/groups)."""
    n, rows, OW, kh, kw, C = windows.shape
    shape = (groups, n, rows, OW, kh, kw, C // groups)
    columns = workspace("columns", shape, windows.dtype) if array_library(windows).__name__ == "numpy" \
        else array_library(windows).empty(shape, windows.dtype)
    columns[...] = windows.reshape(n, rows, OW, kh, kw, groups, C // groups).transpose(5, 0, 1, 2, 3, 4, 6)
    return columns.reshape(groups, n * rows * OW, -1)


def _by_group(weight, groups):
    """(kh, kw, C/groups, K)  ->  (groups, kh*kw*C/groups, K/groups)."""
    return weight.reshape(-1, groups, weight.shape[3] // groups).swapaxes(0, 1)


def _block_gradient(windows, dy, groups):
    columns = _columns(windows, groups)                          # (groups, pixels, kh*kw*C/groups)
    dy = dy.reshape(columns.shape[1], groups, -1).swapaxes(0, 1)  # (groups, pixels, K/groups)
    return columns.swapaxes(1, 2) @ dy                           # (groups, kh*kw*C/groups, K/groups)


def _times_transposed(dy, tap, groups):
    """dy (n, OH, OW, K) times one tap's filters (C/groups, K), transposed, group by group  ->  (n, OH, OW, C)."""
    Cg, K = tap.shape
    if groups == 1:
        return (dy.reshape(-1, K) @ tap.T).reshape(*dy.shape[:3], Cg)            # one product, not one for each row
    dy = dy.reshape(*dy.shape[:3], groups, 1, K // groups)       # (n, OH, OW, groups, 1, K/groups)
    tap = tap.reshape(Cg, groups, K // groups).transpose(1, 2, 0)  # (groups, K/groups, C/groups)
    return (dy @ tap).reshape(*dy.shape[:3], groups * Cg)
