"""Activations against PyTorch: values and gradients, near zero, far from it, and in both dtypes."""
import numpy as np
import pytest

import minicnn as mc

torch = pytest.importorskip("torch")
F = torch.nn.functional
ROUNDING = {np.float32: 2e-6, np.float64: 1e-14}
ACTIVATIONS = {
    "relu": (mc.relu, F.relu),
    "leaky_relu": (mc.leaky_relu, F.leaky_relu),
    "leaky_relu, slope .3": (lambda x: mc.leaky_relu(x, .3), lambda x: F.leaky_relu(x, .3)),
    "sigmoid": (mc.sigmoid, torch.sigmoid),
    "tanh": (mc.tanh, torch.tanh),
    "silu": (mc.silu, F.silu),
    "gelu": (mc.gelu, F.gelu),
    "gelu by tanh": (lambda x: mc.gelu(x, approximate="tanh"), lambda x: F.gelu(x, approximate="tanh")),
    "elu": (mc.elu, F.elu),
    "elu, alpha .3": (lambda x: mc.elu(x, .3), lambda x: F.elu(x, .3)),
    "softplus": (mc.softplus, lambda x: F.softplus(x, threshold=100)),           # theirs is x itself from the threshold on
    "softmax of axis 0": (lambda x: mc.softmax(x, axis=0), lambda x: F.softmax(x, dim=0)),
    "log_softmax of axis 0": (lambda x: mc.log_softmax(x, 0), lambda x: F.log_softmax(x, 0)),
    "softmax": (mc.softmax, lambda x: F.softmax(x, dim=-1)),
    "log_softmax": (mc.log_softmax, lambda x: F.log_softmax(x, dim=-1)),
}
SHAPES = [(7,), (3, 10), (2, 4, 5, 3)]


def compare(ours, theirs, array, rng):
    x, other = mc.Tensor(array, requires_grad=True), torch.tensor(array.copy(), requires_grad=True)
    y, their_y = ours(x), theirs(other)
    dy = rng.standard_normal(y.shape).astype(array.dtype)
    y.backward(dy)
    their_y.backward(torch.tensor(dy))
    for a, b in ((y.data, their_y.detach().numpy()), (x.grad, other.grad.numpy())):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=ROUNDING[array.dtype.type], atol=ROUNDING[array.dtype.type])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_random_numbers(name, shape, dtype):
    rng = np.random.default_rng(0)
    compare(*ACTIVATIONS[name], (rng.standard_normal(shape) * 3).astype(dtype), rng)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_from_far_left_to_far_right(name, dtype):
    """-60..60 with 0 itself and -0: where exp overflows in one form and loses all digits in another."""
    line = np.concatenate([np.linspace(-60, 60, 241), [-0., 1e-30, -1e-30]]).astype(dtype)
    compare(*ACTIVATIONS[name], line, np.random.default_rng(1))


@pytest.mark.parametrize("name", ["sigmoid", "softmax", "log_softmax"])
def test_small_probabilities_keep_their_digits(name):
    """Relative, not absolute: the sigmoid of -40 is 4e-18 and not 0."""
    line = np.linspace(-300, 0, 61)
    ours, theirs = ACTIVATIONS[name]
    np.testing.assert_allclose(ours(line).data, theirs(torch.tensor(line)).numpy(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_not_contiguous(name):
    rng = np.random.default_rng(2)
    compare(*ACTIVATIONS[name], rng.standard_normal((4, 6, 3)).transpose(2, 0, 1)[:, ::2], rng)
