"""1x1 convolution: every pixel by itself, so the whole of it is one matrix product, (pixels, C) @ (C, K).

(Lin, Chen, Yan 2014, "Network in Network", section 3.1.)
"""
from ...core.threads import matmul
from .epilogue import finish, through_relu

FOR = "1x1, stride 1, no padding, one group"


def suits(weight_shape, geometry):
    """Whether this algorithm can do the convolution (1x1, stride 1, no padding, one group)."""
    return weight_shape[:2] == (1, 1) and geometry.stride == (1, 1) and geometry.padding == (0, 0) and geometry.groups == 1


def pays(x_shape, weight_shape):
    """Always: nothing is gathered and nothing multiplied in vain."""
    return True


def forward(x, weight, geometry, bias=None, activation=None):
    """x (N, H, W, C), weight (1, 1, C, K), bias (K,) or None, activation "relu" or None  ->  y (N, H, W, K)."""
    y = matmul(_pixels(x), weight[0, 0]).reshape(*x.shape[:3], -1)
    finish(y, bias, activation)
    return y


def input_gradient(dy, weight, x_shape, geometry, y=None):
    """dy (N, H, W, K)  ->  dx of x_shape; y, the output of a ReLU that followed, lets dy through where it is positive."""
    dy = dy if y is None else through_relu(dy, y)
    return matmul(_pixels(dy), weight[0, 0].T).reshape(x_shape)


def weight_gradient(x, dy, weight_shape, geometry):
    """x (N, H, W, C), dy (N, H, W, K)  ->  dw (1, 1, C, K)."""
    return matmul(_pixels(x).T, _pixels(dy)).reshape(weight_shape)


def _pixels(x):
    """(N, H, W, C)  ->  (pixels, C)."""
    return x.reshape(-1, x.shape[3])
