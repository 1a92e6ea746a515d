"""Average pooling without windows: the mean over the whole image, or over as many bins as are asked for.

Both are written as their definition: there is no quicker form to compare with it.
"""
from ...core.backend import array_library
from ...core.tensor import differentiable
from ..conv.geometry import pair
from ..module import Module
from .windows import image_shape


@differentiable
def global_avg_pool2d(x):
    """The mean over the whole image:   x (N, H, W, C)   ->   y (N, C)      (Lin et al. 2014, Network in Network, 3.2)

    Raises ValueError when x has not four axes.
    """
    N, H, W, C = image_shape("global_avg_pool2d", x)
    y = x.sum(axis=1).sum(axis=1) / (H * W)

    def grad_x(dy):
        dx = array_library(x).empty_like(x)
        dx[...] = (dy / (H * W))[:, None, None, :]
        return dx

    return y, (grad_x,)


@differentiable
def adaptive_avg_pool2d(x, size):
    """The mean over bins that cover the image, as many as asked:   x (N, H, W, C)   ->   y (N, size[0], size[1], C)

    size is a whole number or a pair (rows, columns).  Bin i of H' goes from row floor(i H / H') up to, and without, row
    ceil((i + 1) H / H'), so that bins overlap where H' does not divide H (PyTorch's rule).  VGG uses it to accept
    pictures of any size.
    Raises ValueError when x has not four axes or a size is below 1.
    """
    N, H, W, C = image_shape("adaptive_avg_pool2d", x)
    rows, columns = (_bins(length, count) for length, count in zip((H, W), pair(size, "size")))
    xp = array_library(x)
    y = xp.empty((N, len(rows), len(columns), C), x.dtype)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            y[:, i, j] = x[:, row, column].mean(axis=1).mean(axis=1)

    def grad_x(dy):
        dx = xp.zeros_like(x)
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                pixels = (row.stop - row.start) * (column.stop - column.start)
                dx[:, row, column] += (dy[:, i, j] / pixels)[:, None, None, :]
        return dx

    return y, (grad_x,)


def _bins(length, count):
    if count < 1:
        raise ValueError(f"adaptive_avg_pool2d: an output size must be at least 1, not {count}")
    return [slice(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


class GlobalAvgPool2d(Module):
    """global_avg_pool2d:   (N, H, W, C) -> (N, C)"""

    def forward(self, x):
        return global_avg_pool2d(x)


class AdaptiveAvgPool2d(Module):
    """adaptive_avg_pool2d to a fixed size, a number or (rows, columns):   (N, H, W, C) -> (N, rows, columns, C)"""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return adaptive_avg_pool2d(x, self.size)

    def __repr__(self):
        return f"AdaptiveAvgPool2d({self.size})"
