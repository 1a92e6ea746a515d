"""Losses against PyTorch: values and the gradients of both inputs."""
import numpy as np
import pytest

import minicnn as mc

torch = pytest.importorskip("torch")
F = torch.nn.functional
ROUNDING = {np.float32: 3e-6, np.float64: 1e-13}
SHAPES = [(1, 2), (5, 10), (33, 3), (4, 100)]


def compare(ours, theirs, arrays, dtype):
    """The same number and gradients, with an upstream gradient that is not 1."""
    mine = [mc.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    others = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    loss, their_loss = ours(*mine), theirs(*others)
    assert loss.shape == () and loss.dtype == dtype
    np.testing.assert_allclose(loss.data, their_loss.item(), rtol=ROUNDING[dtype])
    loss.backward(dtype(-1.7))
    their_loss.backward(torch.tensor(-1.7, dtype=their_loss.dtype))
    for a, b in zip(mine, others):
        if b.requires_grad:
            assert a.grad.dtype == dtype
            np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=0, atol=ROUNDING[dtype] * max(1, b.grad.abs().max()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0., .1, .5])
@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy_with_class_numbers(shape, smoothing, dtype):
    rng = np.random.default_rng(0)
    logits, labels = (rng.standard_normal(shape) * 5).astype(dtype), rng.integers(shape[1], size=shape[0])
    compare(lambda x, labels: mc.cross_entropy(x, labels, smoothing),
            lambda x, labels: F.cross_entropy(x, labels, label_smoothing=smoothing), [logits, labels], dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0., .1, .5])
@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy_with_probabilities(shape, smoothing, dtype):
    """Soft labels may want gradients themselves, and need not sum to 1."""
    rng = np.random.default_rng(1)
    logits, labels = (rng.standard_normal(shape) * 5).astype(dtype), rng.random(shape).astype(dtype)
    compare(lambda x, labels: mc.cross_entropy(x, labels, smoothing),
            lambda x, labels: F.cross_entropy(x, labels, label_smoothing=smoothing), [logits, labels], dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0., .1])
def test_cross_entropy_of_a_network_that_is_sure(smoothing, dtype):
    """Logits of +-500: exp would overflow, and the probability of the true class is 0."""
    logits = np.array([[500., -500, 0], [-500, 500, 0], [0, 0, 0]]).astype(dtype)
    compare(lambda x, labels: mc.cross_entropy(x, labels, smoothing),
            lambda x, labels: F.cross_entropy(x, labels, label_smoothing=smoothing), [logits, np.array([1, 1, 2])], dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4, 3)])
@pytest.mark.parametrize("ours, theirs", [(mc.mse_loss, F.mse_loss), (mc.l1_loss, F.l1_loss)])
def test_distances(ours, theirs, shape, dtype):
    """Some elements are equal: there the gradient of |x| is 0."""
    rng = np.random.default_rng(2)
    x, target = rng.standard_normal((2, *shape)).astype(dtype)
    x.flat[::3] = target.flat[::3]
    compare(ours, theirs, [x, target], dtype)
