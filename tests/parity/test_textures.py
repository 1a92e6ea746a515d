"""The losses of style transfer against PyTorch: values and gradients, of Gram matrices, Wasserstein distances, roughness."""
import numpy as np
import pytest

from minicnn.core.tensor import tensor
from minicnn.generate.objectives import roughness, total_variation
from minicnn.generate.style.textures import LOSSES, axes, moments, projected, sliced_loss, slices

torch = pytest.importorskip("torch")


def features(seed, shape=(7, 6, 5)):
    rng = np.random.default_rng(seed)
    return np.maximum(rng.standard_normal((1, *shape)) @ rng.standard_normal((shape[2], shape[2])) + .5, 0)


def assert_alike(ours, theirs, x, other, tolerance):
    """A loss of ours and one of theirs, of x and other, tensors: both values and both gradients."""
    ours.backward()
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=tolerance)
    expected = other.grad.numpy()
    np.testing.assert_allclose(x.grad, expected, atol=tolerance * np.abs(expected).max())


def flat(x):
    """(1, H, W, C)  ->  (pixels, C)"""
    return x.reshape(-1, x.shape[-1])


def their_gram(x, style):
    a, b = (flat(y).T @ flat(y) / len(flat(y)) for y in (x, style))
    return torch.nn.functional.mse_loss(a, b)


def root(matrix):
    """By PyTorch's eigenvalues, through which it differentiates by itself."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=1e-14).sqrt()) @ vectors.T


def their_w2(x, style):
    means, covariances = [], []
    for y in (x, style):
        means.append(flat(y).mean(0))
        covariances.append((flat(y) - means[-1]).T @ (flat(y) - means[-1]) / len(flat(y)))
    R = root(covariances[1])
    overlap = torch.trace(root(R @ covariances[0] @ R))
    widths = torch.trace(covariances[0]) + torch.trace(covariances[1])
    return ((means[0] - means[1]).square().sum() + widths - 2 * overlap) / x.shape[-1]


def their_relative(x, style):
    return their_w2(x, style) * x.shape[-1] / flat(style).square().sum(1).mean()


def their_widths(x, style):
    mse = torch.nn.functional.mse_loss
    (m, s), (n, t) = ((flat(y).mean(0), flat(y).std(0, unbiased=False)) for y in (x, style))
    return mse(m, n) + mse(s, t)


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-6), (np.float32, 1e-4)])
@pytest.mark.parametrize("name, theirs", [("gram", their_gram), ("w2", their_w2), ("relative", their_relative), ("mean-std", their_widths)])
@pytest.mark.parametrize("seed", range(4))
def test_losses_between_textures(name, theirs, seed, dtype, tolerance):
    array, style = features(seed).astype(dtype), features(seed + 20, (5, 9, 5)).astype(dtype)
    x, other = tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    make_goal, loss = LOSSES[name]
    ours = loss(moments(x), make_goal(moments(style).arrays()))
    assert_alike(ours, theirs(other, torch.tensor(style)), x, other, tolerance)


@pytest.mark.parametrize("directions", [slices(5, 9, np.random.default_rng(0)), axes(5)], ids=["sliced", "histogram"])
def test_the_sorted_losses_with_as_many_pixels(directions):
    array, style, directions = features(1), features(2), directions.astype(np.float64)
    x, other = tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    a, b = (torch.sort(flat(y) @ torch.tensor(directions), dim=0).values for y in (other, torch.tensor(style)))
    assert_alike(sliced_loss(x, directions, projected(style, directions)), (a - b).square().mean(), x, other, 1e-9)


def test_roughness_and_total_variation():
    array = np.random.default_rng(0).random((2, 6, 7, 3))
    for ours, measure in ((roughness, torch.square), (total_variation, torch.abs)):
        x, other = tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
        down, across = other[:, 1:] - other[:, :-1], other[:, :, 1:] - other[:, :, :-1]
        assert_alike(ours(x), measure(down).mean() + measure(across).mean(), x, other, 1e-12)
