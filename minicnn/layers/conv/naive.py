"""Convolution as its definition: loops over everything.  Slow, and right by inspection: the oracle for the other algorithms.

    y[n, r, c, k] = sum over i, j, channel of
                    x[n, r*stride + i*dilation - padding, c*stride + j*dilation - padding, channel] * w[i, j, channel, k]

(what the field calls convolution is a correlation: the kernel is not turned).  The three functions visit the same products.
A product x*w that adds to y adds dy*w to dx and dy*x to dw.
"""
from ...core.backend import array_library
from .epilogue import finish, through_relu


def suits(weight_shape, geometry):
    """It does every convolution."""
    return True


def forward(x, weight, geometry, bias=None, activation=None):
    """x (N, H, W, C), weight (kh, kw, C/groups, K), bias (K,) or None, activation "relu" or None  ->  y (N, OH, OW, K)."""
    OH, OW = geometry.output_size(x.shape[1:3], weight.shape[:2])
    y = array_library(x).zeros((x.shape[0], OH, OW, weight.shape[3]), x.dtype)
    for (n, r, c, k), (row, column, channel), (i, j, g) in _products(y, x, weight, geometry):
        y[n, r, c, k] += x[n, row, column, channel] * weight[i, j, g, k]
    finish(y, bias, activation)
    return y


def input_gradient(dy, weight, x_shape, geometry, y=None):
    """dy (N, OH, OW, K)  ->  dx of x_shape; y, the output of a ReLU that followed, lets dy through where it is positive."""
    dy = dy if y is None else through_relu(dy, y)
    dx = array_library(dy).zeros(x_shape, dy.dtype)
    for (n, r, c, k), (row, column, channel), (i, j, g) in _products(dy, dx, weight, geometry):
        dx[n, row, column, channel] += dy[n, r, c, k] * weight[i, j, g, k]       # windows overlap: += and never =
    return dx


def weight_gradient(x, dy, weight_shape, geometry):
    """x (N, H, W, C), dy (N, OH, OW, K)  ->  dw of weight_shape."""
    dw = array_library(x).zeros(weight_shape, x.dtype)
    for (n, r, c, k), (row, column, channel), (i, j, g) in _products(dy, x, dw, geometry):
        dw[i, j, g, k] += dy[n, r, c, k] * x[n, row, column, channel]
    return dw


def _products(y, x, weight, geometry):
    """The index of y, of x and of the weight for every product that lies inside the image (outside it x is zero)."""
    (N, OH, OW, K), (H, W), (kh, kw, Cg) = y.shape, x.shape[1:3], weight.shape[:3]
    (sh, sw), (ph, pw), (dh, dw) = geometry.stride, geometry.padding, geometry.dilation
    for n in range(N):
        for r in range(OH):
            for c in range(OW):
                for i in range(kh):
                    for j in range(kw):
                        row, column = r * sh + i * dh - ph, c * sw + j * dw - pw
                        if 0 <= row < H and 0 <= column < W:
                            for k in range(K):
                                first = k // (K // geometry.groups) * Cg         # first channel of this filter's group
                                for g in range(Cg):
                                    yield (n, r, c, k), (row, column, first + g), (i, j, g)
