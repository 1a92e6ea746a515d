"""Pooling against PyTorch: values and gradients of randomly drawn configurations.

The quick forms and the definitions, which other tests take for the truth.
"""
import numpy as np
import pytest

from minicnn.core.tensor import tensor
from minicnn.layers.pool import adaptive_avg_pool2d, avg_pool2d, global_avg_pool2d, max_pool2d

torch = pytest.importorskip("torch")
F = torch.nn.functional
ROUNDING = {np.float32: 2e-6, np.float64: 1e-14}
ALGORITHMS = pytest.mark.parametrize("algorithm", ["auto", "naive"])


def compare(ours, theirs, x, dy_rng):
    """The same value and gradient, x and y being (N, H, W, C) for us and (N, C, H, W) for PyTorch."""
    mine, other = tensor(x, requires_grad=True), torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    mine.data = x                                              # the very array, contiguous or not
    y, their_y = ours(mine), theirs(other)
    dy = dy_rng.standard_normal(y.shape).astype(x.dtype)
    y.backward(dy)
    their_y.backward(torch.tensor(dy if dy.ndim == 2 else dy.transpose(0, 3, 1, 2)))
    rounding = ROUNDING[x.dtype.type]
    for a, b in ((y.data, their_y.detach().numpy()), (mine.grad, other.grad.numpy())):
        b = b if b.ndim == 2 else b.transpose(0, 2, 3, 1)
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=rounding, atol=rounding * np.abs(b).max())


def draw_image(rng, dtype, smallest=1):
    """A batch of 1 to 3 images, every third one not contiguous, every third one with many ties."""
    N, H, W, C = rng.integers(1, 4), *rng.integers(smallest, 12, 2), rng.integers(1, 6)
    kind = rng.integers(3)
    x = rng.standard_normal((N, W, H, C)).astype(dtype).transpose(0, 2, 1, 3)
    if kind == 0:
        return x
    return np.ascontiguousarray(x if kind == 1 else np.round(x))


def draw_windows(rng, H, W):
    """Kernel, stride, padding (at most half the kernel, as PyTorch demands) that fit into H x W, and ceil_mode."""
    kernel = tuple(int(rng.integers(1, min(5, size) + 1)) for size in (H, W))
    stride = None if rng.integers(4) == 0 else tuple(map(int, rng.integers(1, 4, 2)))
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    return kernel, stride, padding, bool(rng.integers(2))


@ALGORITHMS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(20))
def test_max_pool(seed, dtype, algorithm):
    rng = np.random.default_rng(seed)
    x = draw_image(rng, dtype)
    kernel, stride, padding, ceil_mode = draw_windows(rng, *x.shape[1:3])
    compare(lambda x: max_pool2d(x, kernel, stride, padding, ceil_mode, algorithm=algorithm),
            lambda x: F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil_mode), x, rng)


@ALGORITHMS
@pytest.mark.parametrize("seed", range(6))
def test_max_pool_with_dilation(seed, algorithm):
    rng = np.random.default_rng(100 + seed)
    x = draw_image(rng, np.float64, smallest=7)
    kernel, stride, padding, ceil_mode = (2, 3), tuple(rng.integers(1, 4, 2).tolist()), (1, 1), bool(rng.integers(2))
    compare(lambda x: max_pool2d(x, kernel, stride, padding, ceil_mode, (3, 2), algorithm),
            lambda x: F.max_pool2d(x, kernel, stride, padding, (3, 2), ceil_mode), x, rng)


@ALGORITHMS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(20))
def test_avg_pool(seed, dtype, algorithm):
    rng = np.random.default_rng(200 + seed)
    x = draw_image(rng, dtype)
    kernel, stride, padding, ceil_mode = draw_windows(rng, *x.shape[1:3])
    include = bool(rng.integers(2))
    compare(lambda x: avg_pool2d(x, kernel, stride, padding, ceil_mode, include, algorithm=algorithm),
            lambda x: F.avg_pool2d(x, kernel, stride, padding, ceil_mode, include), x, rng)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(6))
def test_adaptive_avg_pool(seed, dtype):
    rng = np.random.default_rng(300 + seed)
    x, size = draw_image(rng, dtype), tuple(rng.integers(1, 9, 2).tolist())
    compare(lambda x: adaptive_avg_pool2d(x, size), lambda x: F.adaptive_avg_pool2d(x, size), x, rng)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_global_avg_pool(dtype):
    rng = np.random.default_rng(400)
    compare(global_avg_pool2d, lambda x: x.mean(dim=(2, 3)), draw_image(rng, dtype), rng)


@ALGORITHMS
def test_the_last_window_may_not_start_in_the_right_padding(algorithm):
    """4 + 2 pixels, kernel 2, stride 3, rounded up would be 3 windows; the third would see nothing but padding."""
    x = np.random.default_rng(0).standard_normal((1, 4, 4, 1))
    compare(lambda x: max_pool2d(x, 2, 3, 1, True, algorithm=algorithm), lambda x: F.max_pool2d(x, 2, 3, 1, ceil_mode=True), x,
            np.random.default_rng(1))
