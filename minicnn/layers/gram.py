"""The Gram matrix: which channels of a feature map are strong at the same places, wherever these are."""
from ..core import tuning
from ..core.backend import array_library, is_gpu_array
from ..core.blas import rows_per_small_product
from ..core.tensor import differentiable
from ..core.threads import in_parallel, slices, workspace



@differentiable
def gram(x):
    """The Gram matrices of feature maps:   x (N, H, W, C)   ->   y (N, C, C)

        y[n] = X^T X / (H W)       X (H W, C): the pixels of image n, one a row

    y[n, i, j] is the mean over the pixels of channel i times channel j: positions are averaged away, and what is left is
    what painters call texture.  (Gatys, Ecker and Bethge 2015, A Neural Algorithm of Artistic Style, arXiv:1508.06576)

    Gatys et al. do not divide G = X^T X; their loss of a layer does, by 4 C^2 (H W)^2.  So their loss, between pictures of
    one size, is mean((gram(a) - gram(b))^2) / 4; with the division here, pictures of unlike sizes can be compared as well.

    Raises ValueError unless x has four axes, at least one pixel and one channel, TypeError when it is not floating.
    """
    _check("gram", x)
    return _sums_over_pixels(x)[:, 1:], (lambda dy: _pixels_times(x, dy),)


@differentiable
def mean_and_gram(x):
    """The mean of each channel and below it the Gram matrix, in one reading of x (N, H, W, C)   ->   y (N, 1 + C, C)

    Raises as `gram` does.
    """
    _check("mean_and_gram", x)
    return _sums_over_pixels(x), (lambda dy: _pixels_times(x, dy[:, 1:], dy[:, :1]),)


def _check(operation, x):
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ValueError(f"{operation}: x must be (N, H, W, C) with at least one pixel and channel, not {x.shape}")
    if x.dtype.kind != "f":
        raise TypeError(f"{operation}: x {x.shape} is {x.dtype}, whose products overflow: convert it first, for example "
                        "x.astype('float32')")


def _sums_over_pixels(x):
    """1^T X and X^T X of each image, over its pixels' number, (N, 1 + C, C): shares of its rows, added in their order.

    One array transposed times itself is a product that BLAS knows: it computes one half and mirrors it.
    """
    xp, (N, H, W, C) = array_library(x), x.shape
    parts = _parts(x, min(tuning.GRAM_SHARES, H * W // C))            # with fewer pixels the mirroring would count
    partial = xp.empty((N, len(parts), 1 + C, C), x.dtype)

    def share(where):
        n, i = where
        pixels, out = _pixels(x[n, parts[i]]), partial[n, i]          # (pixels of the share, C)
        pixels.sum(axis=0, out=out[0])
        xp.matmul(pixels.T, pixels, out=out[1:])
    in_parallel(share, [(n, i) for n in range(N) for i in range(len(parts))])
    return partial.sum(axis=1) * (1 / (H * W))


def _pixels_times(x, products, means=None):
    """The gradient of x from that of its Gram matrices, (N, C, C), and, if there is one, of its means, (N, 1, C).

    X (D + D^T) + 1 d:  y[i, j] and y[j, i] are one number.
    """
    xp, (N, H, W, C) = array_library(x), x.shape
    matrices, dx = products + products.swapaxes(1, 2), xp.empty(x.shape, x.dtype)
    matrices *= 1 / (H * W)
    shifts = None if means is None else means * (1 / (H * W))

    def block(where):
        n, part = where
        pixels, out = _pixels(x[n, part]), dx[n, part].reshape(-1, C)
        rows = rows_per_small_product(len(pixels), C * C)
        xp.matmul(pixels.reshape(-1, rows, C), matrices[n], out=out.reshape(-1, rows, C))
        if shifts is not None:
            out += shifts[n]
    in_parallel(block, [(n, part) for n in range(N) for part in _parts(x, tuning.GRAM_SLICES)])
    return dx


def _pixels(x):
    """(rows, W, C)  ->  (rows*W, C): a view, or, where others lie between them, a copy that lasts until the next one."""
    if not (is_gpu_array(x) or x.flags.c_contiguous):
        copy = workspace("pixels", x.shape, x.dtype)
        copy[...] = x
        x = copy
    return x.reshape(-1, x.shape[-1])


def _parts(x, most):
    """Slices of the rows of one image: by its size alone, so that results do not depend on the number of threads."""
    H, W, C = x.shape[1:]
    return slices(H, 1 if is_gpu_array(x) else min(most, H * W * C * C // tuning.GRAM_THREAD_PRODUCT))
