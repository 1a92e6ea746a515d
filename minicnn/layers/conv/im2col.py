"""Convolution as matrix products: "image to columns".

Each output pixel sees a patch of the image, kh x kw x C numbers.  Written as the rows of a matrix, all patches times the
filters as columns, (kh*kw*C, K), is the whole convolution.  The patches overlap, so that matrix holds every pixel up to
kh*kw times; it is therefore made for a block of output pixels at a time, small enough to stay in cache.
(Chellapilla, Puri, Simard 2006, "High Performance Convolutional Neural Networks for Document Processing".)
"""
from ...arithmetic import pad_array
from ...backend import array_library
from ...parallel import in_parallel, slices, workspace

BLOCK_BYTES = 2 << 20             # one patch matrix: it stays in the processor's cache until it is multiplied
SHARES = 4                        # partial sums of a weight gradient: fixed, so that thread numbers do not change the result


def forward(x, weight, geometry):
    """x (N, H, W, C), weight (kh, kw, C/groups, K)  ->  y (N, OH, OW, K)."""
    windows = patches(x, weight.shape[:2], geometry)             # (N, OH, OW, kh, kw, C), a view
    filters = _by_group(weight, geometry.groups)                 # (groups, kh*kw*C/groups, K/groups)
    N, OH, OW = windows.shape[:3]
    y = array_library(x).empty((N, OH, OW, weight.shape[3]), x.dtype)

    def block(where):
        columns = _columns(windows[where], geometry.groups)      # (groups, pixels, kh*kw*C/groups)
        out = y[where].reshape(columns.shape[1], geometry.groups, -1).swapaxes(0, 1)
        array_library(x).matmul(columns, filters, out=out)       # (groups, pixels, K/groups), a view of y
    in_parallel(block, _blocks(windows, x.itemsize))
    return y


def input_gradient(dy, weight, x_shape, geometry):
    """dy (N, OH, OW, K)  ->  dx of x_shape.  "Columns to image": each tap of the kernel returns its share.

    The windows of neighbouring outputs overlap in x, so shares add up: `+=`.  (With `=` the last tap wins, and a test that
    only looks at windows side by side never notices.)  Images are independent, so they are the blocks.
    """
    xp = array_library(dy)
    (ph, pw), (N, H, W, C) = geometry.padding, x_shape
    padded = xp.zeros((N, H + 2 * ph, W + 2 * pw, C), dy.dtype)

    def block(images):
        for i in range(weight.shape[0]):
            for j in range(weight.shape[1]):
                tap = patches_of_tap(padded[images], i, j, dy.shape[1:3], geometry)
                tap += _times_transposed(dy[images], weight[i, j], geometry.groups)
    in_parallel(block, slices(N, max(2, dy.nbytes // BLOCK_BYTES)))
    return padded[:, ph:ph + H, pw:pw + W]


def weight_gradient(x, dy, weight_shape, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K)  ->  dw of weight_shape: patches transposed times dy, summed over the blocks."""
    windows = patches(x, weight_shape[:2], geometry)             # (N, OH, OW, kh, kw, C), a view
    blocks = _blocks(windows, x.itemsize)

    def share(part):
        return sum(_block_gradient(windows[where], dy[where], geometry.groups) for where in blocks[part])
    total = sum(in_parallel(share, slices(len(blocks), SHARES)))  # (groups, kh*kw*C/groups, K/groups)
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


def _blocks(windows, itemsize):
    """Indices of blocks of output pixels, whole images or rows of one image, whose patches fill BLOCK_BYTES."""
    N, OH, OW, kh, kw, C = windows.shape
    rows = max(1, BLOCK_BYTES // (OW * kh * kw * C * itemsize))
    if rows >= OH:
        images = rows // OH
        return [(slice(n, n + images),) for n in range(0, N, images)]
    return [(slice(n, n + 1), slice(r, r + rows)) for n in range(N) for r in range(0, OH, rows)]


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
        return dy @ tap.T
    dy = dy.reshape(*dy.shape[:3], groups, 1, K // groups)       # (n, OH, OW, groups, 1, K/groups)
    tap = tap.reshape(Cg, groups, K // groups).transpose(1, 2, 0)  # (groups, K/groups, C/groups)
    return (dy @ tap).reshape(*dy.shape[:3], groups * Cg)
