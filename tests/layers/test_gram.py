"""Gram matrices: their definition, their gradient, one result for any number of threads, PyTorch's numbers."""
import numpy as np
import pytest

from minicnn.checking.gradcheck import gradcheck
from minicnn.core.arithmetic import reshape
from minicnn.core.tensor import tensor
from minicnn.layers.gram import gram, mean_and_gram

SHAPES = [(1, 1, 1, 1), (2, 3, 4, 3), (1, 5, 1, 7), (3, 2, 2, 1), (0, 2, 2, 3), (1, 64, 32, 96), (2, 16, 8, 256)]


def normal(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def test_by_hand():
    """Two pixels of two channels, (1, 2) and (3, 4)."""
    x = np.array([1., 2, 3, 4]).reshape(1, 1, 2, 2)
    assert gram(x).data.tolist() == [[[5, 7], [7, 10]]]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_mean_over_the_pixels_of_channel_times_channel(shape):
    x = normal(shape)
    products = x[..., :, None] * x[..., None, :]                                      # (N, H, W, C, C)
    np.testing.assert_allclose(gram(x).data, products.mean(axis=(1, 2)), rtol=1e-12, atol=1e-14)


def test_texture_does_not_know_where_it_is():
    x = normal((1, 4, 6, 3))
    np.testing.assert_allclose(gram(np.roll(x, (1, 2), axis=(1, 2))).data, gram(x).data, rtol=1e-12)
    np.testing.assert_allclose(gram(np.tile(x, (1, 2, 3, 1))).data, gram(x).data, rtol=1e-12)     # nor how large


@pytest.mark.parametrize("x", [normal((2, 3, 4, 3)), normal((1, 1, 2, 4)), normal((3, 4, 3, 2)).T, normal((1, 3, 3, 1))],
                         ids=lambda x: str(x.shape))
def test_gradient(x):
    """Also for an upstream gradient that is not symmetric, which is what gradcheck draws."""
    gradcheck(gram, x)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_mean_stands_above_the_gram_matrix(shape):
    x = normal(shape)
    both = mean_and_gram(x).data
    np.testing.assert_allclose(both[:, 0], x.mean(axis=(1, 2)), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(both[:, 1:], gram(x).data)


@pytest.mark.parametrize("x", [normal((2, 3, 4, 3)), normal((1, 1, 2, 4)), normal((2, 6, 7, 3))[:, 1:4, 2:6],
                               normal((3, 4, 3, 2)).T], ids=lambda x: str(x.shape))
def test_gradient_of_both(x):
    gradcheck(mean_and_gram, x)


def test_a_part_of_a_larger_picture_in_slices():
    """Neither a view nor its gradient is contiguous where they are cut: the same numbers as of a copy."""
    whole, dy = normal((1, 80, 70, 64)), normal((1, 65, 64), 1)
    assert 64 * 48 * 64 * 64 > 2 * (1 << 22)
    found = []
    for x in (whole[:, 9:73, 11:59], whole[:, 9:73, 11:59].copy()):
        leaf = tensor(whole, requires_grad=True)
        leaf.data = x
        y = mean_and_gram(leaf)
        y.backward(dy)
        found.append((y.data, leaf.grad))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-12, atol=1e-14)


def test_gradient_in_slices():
    """Large enough to be cut: beside the definition, dx = X (dG + dG^T) / (H W)."""
    x, dy = tensor(normal((2, 48, 32, 128)), requires_grad=True), normal((2, 128, 128), 1)
    assert 48 * 32 * 128 * 128 > 4 * (1 << 22)
    gram(x).backward(dy)
    expected = x.data.reshape(2, -1, 128) @ (dy + dy.swapaxes(1, 2)) / (48 * 32)
    np.testing.assert_allclose(x.grad, expected.reshape(x.shape), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_keeps_the_dtype_and_modifies_nothing(dtype):
    x, dy = normal((2, 3, 4, 5), dtype=dtype), normal((2, 5, 5), 1, dtype)
    given, leaf = (x.copy(), dy.copy()), tensor(x, requires_grad=True)
    y = gram(leaf)
    y.backward(dy)
    assert (y.dtype, leaf.grad.dtype) == (dtype, dtype)
    np.testing.assert_array_equal(leaf.data, given[0])
    np.testing.assert_array_equal(dy, given[1])


@pytest.mark.parametrize("shape", SHAPES[-2:])
def test_does_not_depend_on_the_number_of_threads(shape, threads):
    x, dy = normal(shape, dtype="float32"), normal((shape[0], shape[3], shape[3]), 1, "float32")

    def both(count):
        threads(count)
        leaf = tensor(x, requires_grad=True)
        y = gram(leaf)
        y.backward(dy)
        return y.data, leaf.grad
    one = both(1)
    for count in (2, 3):
        for array, other in zip(one, both(count)):
            np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize("shape", [(1, 5, 7, 4), (1, 64, 32, 96)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pytorchs_numbers(shape, dtype):
    torch = pytest.importorskip("torch")
    x, dy = normal(shape, dtype=dtype), normal((shape[3], shape[3]), 1, dtype)
    ours, theirs = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, flat = gram(ours), theirs.reshape(-1, shape[3])
    expected = flat.T @ flat / len(flat)
    reshape(y, (shape[3], shape[3])).backward(dy)
    expected.backward(torch.tensor(dy))
    tolerance = dict(rtol=1e-4, atol=1e-5) if dtype == "float32" else dict(rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(y.data[0], expected.detach().numpy(), **tolerance)
    np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), **tolerance)


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 0, 4, 3), (2, 4, 0, 3), (2, 4, 4, 0)])
def test_what_has_no_pixels_is_refused(shape):
    with pytest.raises(ValueError, match=r"gram: x must be \(N, H, W, C\)"):
        gram(np.zeros(shape))
    with pytest.raises(ValueError, match=r"mean_and_gram: x must be \(N, H, W, C\)"):
        mean_and_gram(np.zeros(shape))


def test_bytes_are_refused():
    with pytest.raises(TypeError, match=r"gram: x \(1, 2, 2, 3\) is uint8.*convert"):
        gram(np.zeros((1, 2, 2, 3), np.uint8))
