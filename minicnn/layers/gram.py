"""The Gram matrix: which channels of a feature map are strong at the same places, wherever these are."""
from ..backend import array_library, is_gpu_array
from ..parallel import in_parallel, slices, small_rows
from ..tensor import differentiable

WORTH = 1 << 22                   # multiply-adds that are worth a thread
SHARES, SLICES = 4, 8             # at most so many partial sums, and slices of a gradient, of one image


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
    _check(x)
    N, H, W, C = x.shape
    scale = 1 / (H * W)

    def grad_x(dy):
        symmetric = dy + dy.swapaxes(1, 2)                           # (N, C, C): y[i, j] and y[j, i] are one number
        symmetric *= scale
        return _pixels_times(x, symmetric)
    y = _products_of_pixels(x)
    y *= scale
    return y, (grad_x,)


def _check(x):
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ValueError(f"gram: x must be (N, H, W, C) with at least one pixel and channel, not {x.shape}")
    if x.dtype.kind != "f":
        raise TypeError(f"gram: x {x.shape} is {x.dtype}, whose products overflow: convert it first, for example "
                        "x.astype('float32')")


def _products_of_pixels(x):
    """X^T X of each image, (N, C, C): the sums over shares of its pixels, added in their order.

    One array transposed times itself is a product that BLAS knows: it computes one half and mirrors it.
    """
    xp, (N, H, W, C) = array_library(x), x.shape
    pixels = x.reshape(N, H * W, C)
    parts = _parts(x, min(SHARES, H * W // C))                        # with fewer rows the mirroring would count
    partial = xp.empty((N, len(parts), C, C), x.dtype)

    def share(where):
        n, i = where
        rows = pixels[n, parts[i]]                                    # (pixels of the share, C)
        xp.matmul(rows.T, rows, out=partial[n, i])
    in_parallel(share, [(n, i) for n in range(N) for i in range(len(parts))])
    return partial.sum(axis=1)


def _pixels_times(x, matrices):
    """X of each image times its matrix (C, C)   ->   like x."""
    xp, (N, H, W, C) = array_library(x), x.shape
    pixels, dx = x.reshape(N, H * W, C), xp.empty((N, H * W, C), x.dtype)
    parts = _parts(x, SLICES)

    def block(where):
        n, part = where
        rows = small_rows(part.stop - part.start, C * C)
        xp.matmul(pixels[n, part].reshape(-1, rows, C), matrices[n], out=dx[n, part].reshape(-1, rows, C))
    in_parallel(block, [(n, part) for n in range(N) for part in parts])
    return dx.reshape(x.shape)


def _parts(x, most):
    """Slices of the pixels of one image: by its size alone, so that results do not depend on the number of threads."""
    H, W, C = x.shape[1:]
    return slices(H * W, 1 if is_gpu_array(x) else min(most, H * W * C * C // WORTH))
