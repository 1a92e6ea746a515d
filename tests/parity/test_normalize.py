"""Normalisation against PyTorch: values, all gradients and running statistics of randomly drawn configurations.

The quick forms and the definitions, which other tests take for the truth.
"""
import numpy as np
import pytest

from minicnn.core.tensor import tensor
from minicnn.layers.norm import batch_norm, group_norm, layer_norm, local_response_norm

torch = pytest.importorskip("torch")
F = torch.nn.functional
ROUNDING = {np.float32: 1e-5, np.float64: 1e-12}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
ALGORITHMS = pytest.mark.parametrize("algorithm", ["auto", "naive"])


def channels_first(a):
    return np.moveaxis(a, -1, 1)


def channels_last(a):
    return np.moveaxis(a.detach().numpy(), 1, -1)


def same(a, b):
    """Equal up to the rounding of their dtype."""
    assert a.dtype == b.dtype and a.shape == b.shape
    rounding = ROUNDING[a.dtype.type]
    np.testing.assert_allclose(a, b, rtol=rounding, atol=rounding * np.abs(b).max())


def compare(ours, theirs, arrays, rng):
    """The same value and gradients.  The first array is (N, H, W, C) for us and (N, C, H, W) for PyTorch."""
    mine = [tensor(a, requires_grad=True) for a in arrays]
    mine[0].data = arrays[0]                                   # the very array, contiguous or not
    others = [torch.tensor(a, requires_grad=True) for a in (channels_first(arrays[0]), *arrays[1:])]
    y, their_y = ours(*mine), theirs(*others)
    dy = rng.standard_normal(y.shape).astype(y.dtype)
    y.backward(dy)
    their_y.backward(torch.tensor(channels_first(dy)))
    same(y.data, channels_last(their_y))
    same(mine[0].grad, channels_last(others[0].grad))
    for a, b in zip(mine[1:], others[1:]):
        same(a.grad, b.grad.numpy())


def draw(rng, dtype, C=None):
    """x (N, H, W, C) (every second one not contiguous), weight (C,), bias (C,)."""
    N, H, W, C = *rng.integers(1, 6, 2), rng.integers(2, 7), C or rng.integers(1, 9)
    x = rng.normal(rng.normal(), rng.uniform(.5, 3), (N, C, H, W)).astype(dtype).transpose(0, 2, 3, 1)
    x = x if rng.integers(2) else np.ascontiguousarray(x)
    return x, rng.standard_normal(C).astype(dtype), rng.standard_normal(C).astype(dtype)


@ALGORITHMS
@DTYPES
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_batch_norm(seed, training, dtype, algorithm):
    rng = np.random.default_rng(seed)
    x, weight, bias = draw(rng, dtype)
    mean, variance = rng.standard_normal(len(bias)).astype(dtype), rng.uniform(.5, 2, len(bias)).astype(dtype)
    their_mean, their_variance = torch.tensor(mean), torch.tensor(variance)
    momentum, eps = rng.uniform(0, 1), 10 ** rng.uniform(-5, -1)
    compare(lambda x, w, b: batch_norm(x, w, b, mean, variance, training, momentum, eps, algorithm),
            lambda x, w, b: F.batch_norm(x, their_mean, their_variance, w, b, training, momentum, eps),
            (x, weight, bias), rng)
    same(mean, their_mean.numpy())
    same(variance, their_variance.numpy())


@ALGORITHMS
@DTYPES
@pytest.mark.parametrize("seed", range(3))
def test_batch_norm_of_vectors(seed, dtype, algorithm):
    rng = np.random.default_rng(50 + seed)
    x, weight, bias = (rng.standard_normal(shape).astype(dtype) for shape in ((7, 5), 5, 5))
    compare(lambda x, w, b: batch_norm(x, w, b, algorithm=algorithm),
            lambda x, w, b: F.batch_norm(x, None, None, w, b, True), (x, weight, bias), rng)


@ALGORITHMS
@DTYPES
@pytest.mark.parametrize("seed", range(6))
def test_group_norm(seed, dtype, algorithm):
    rng = np.random.default_rng(100 + seed)
    groups, eps = int(rng.integers(1, 5)), 10 ** rng.uniform(-5, -1)
    compare(lambda x, w, b: group_norm(x, w, b, groups, eps, algorithm), lambda x, w, b: F.group_norm(x, groups, w, b, eps),
            draw(rng, dtype, C=groups * rng.integers(1, 5)), rng)


@ALGORITHMS
@DTYPES
@pytest.mark.parametrize("seed", range(5))
def test_layer_norm(seed, dtype, algorithm):
    rng = np.random.default_rng(200 + seed)
    x, weight, bias = draw(rng, dtype, C=rng.integers(2, 9))
    eps = 10 ** rng.uniform(-5, -1)
    compare(lambda x, w, b: layer_norm(x, w, b, eps, algorithm),
            lambda x, w, b: F.layer_norm(x.movedim(1, -1), x.shape[1:2], w, b, eps).movedim(-1, 1),
            (x, weight, bias), rng)


@ALGORITHMS
@DTYPES
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8])
def test_local_response_norm(size, dtype, algorithm):
    rng = np.random.default_rng(300 + size)
    alpha, beta, k = rng.uniform(.1, 2), rng.uniform(.2, 1), rng.uniform(.5, 2)
    compare(lambda x: local_response_norm(x, size, alpha, beta, k, algorithm),
            lambda x: F.local_response_norm(x, size, alpha, beta, k), draw(rng, dtype)[:1], rng)
