"""Upsampling and views against PyTorch: values and gradients of randomly drawn configurations.

The quick form of upsampling and its definition, which other tests take for the truth.
"""
import numpy as np
import pytest

from minicnn.core.tensor import tensor
from minicnn.generate import Box, view
from minicnn.layers.resample import upsample

torch = pytest.importorskip("torch")
MODES = [dict(mode="nearest"), dict(mode="bilinear"), dict(mode="bilinear", align_corners=True)]
ALGORITHMS = pytest.mark.parametrize("algorithm", ["auto", "naive"])
ROUNDING = {np.float32: 2e-5, np.float64: 1e-13}               # PyTorch computes float32 weights in float32


def draw_size(rng):
    """A new size, a scale with a fraction, or a whole scale: as keywords of ours and of PyTorch's."""
    kind = rng.integers(3)
    if kind == 0:
        size = tuple(rng.integers(1, 25, 2).tolist())
        return dict(size=size), dict(size=size)
    scale = tuple(rng.uniform(.5, 3, 2).tolist()) if kind == 1 else tuple(rng.integers(1, 4, 2).astype(float).tolist())
    return dict(scale=scale), dict(scale_factor=scale)


@ALGORITHMS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", MODES)
@pytest.mark.parametrize("seed", range(8))
def test_upsample(seed, options, dtype, algorithm):
    rng = np.random.default_rng(seed)
    N, C, H, W = rng.integers(1, 4), rng.integers(1, 5), *rng.integers(2, 14, 2)
    array = rng.standard_normal((N, C, H, W)).astype(dtype)
    ours, theirs = draw_size(rng)
    x, other = tensor(array.transpose(0, 2, 3, 1), requires_grad=True), torch.tensor(array, requires_grad=True)
    y, their_y = upsample(x, **ours, **options, algorithm=algorithm), torch.nn.functional.interpolate(other, **theirs, **options)
    dy = rng.standard_normal(y.shape).astype(dtype)
    y.backward(dy)
    their_y.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    for a, b in ((y.data, their_y.detach().numpy()), (x.grad, other.grad.numpy())):
        b = b.transpose(0, 2, 3, 1)
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=ROUNDING[dtype], atol=ROUNDING[dtype] * np.abs(b).max())


@ALGORITHMS
@pytest.mark.parametrize("old", range(1, 40))
def test_nearest_rounds_as_pytorch_at_every_size(old, algorithm):
    """Where i * H / H' is nearly a whole number the last bit decides which pixel is copied."""
    pixels = np.arange(old, dtype=np.float32)
    for new in range(1, 80):
        ours = upsample(pixels.reshape(1, 1, old, 1), size=(1, new), algorithm=algorithm).data.ravel()
        theirs = torch.nn.functional.interpolate(torch.tensor(pixels.reshape(1, 1, 1, old)), size=(1, new))
        np.testing.assert_array_equal(ours, theirs.numpy().ravel(), err_msg=f"{old} -> {new}")


@ALGORITHMS
@pytest.mark.parametrize("options", MODES)
@pytest.mark.parametrize("scale", [1.01, 1.05, 1.5, 2.02, 2.1, 3.01, .99])
def test_a_scale_that_does_not_fill_the_last_pixel(scale, options, algorithm):
    array = np.random.default_rng(0).standard_normal((1, 1, 2, 40))
    y = upsample(array.transpose(0, 2, 3, 1), scale=(1., scale), **options, algorithm=algorithm)
    theirs = torch.nn.functional.interpolate(torch.tensor(array), scale_factor=(1., scale), **options)
    np.testing.assert_allclose(y.data[..., 0], theirs.numpy()[:, 0], atol=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_a_view_is_an_antialiased_resize_of_a_reflected_crop(seed):
    """At the rim of the view PyTorch sees the end of the crop, where ours looks on: compared within it."""
    rng = np.random.default_rng(seed)
    n, (top, left) = int(rng.integers(12, 40)), rng.integers(-4, 3, 2).tolist()
    side = int(rng.integers(6, n + 5 - max(top, left)))
    size, array = tuple(rng.integers(3, 9, 2).tolist()), rng.standard_normal((2, 3, n, n))
    x, other = tensor(array.transpose(0, 2, 3, 1), requires_grad=True), torch.tensor(array, requires_grad=True)
    y = view(x, Box(top / n, left / n, side / n), size)[:, 1:-1, 1:-1]
    padded = torch.nn.functional.pad(other, (8, 8, 8, 8), mode="reflect")
    crop = padded[:, :, 8 + top:8 + top + side, 8 + left:8 + left + side]
    their_y = torch.nn.functional.interpolate(crop, size=size, mode="bilinear", antialias=True)[:, :, 1:-1, 1:-1]
    dy = rng.standard_normal(y.shape)
    y.backward(dy)
    their_y.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    for ours, theirs in ((y.data, their_y.detach()), (x.grad, other.grad)):
        np.testing.assert_allclose(ours, theirs.numpy().transpose(0, 2, 3, 1), atol=1e-12)
