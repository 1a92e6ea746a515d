"""Convolution against PyTorch: values and all gradients of 340 randomly drawn configurations.

The name of a failing test holds its seed, and its message the configuration that was drawn.
"""
import numpy as np
import pytest

import minicnn as mc

torch = pytest.importorskip("torch")
F = torch.nn.functional
torch.set_num_threads(1)                                 # pictures this small: threads would cost more than they bring
ROUNDING = {np.float32: 3e-5, np.float64: 1e-12}         # of the largest value; Winograd's algorithm is among those drawn
IMAGE_TO_TORCH, IMAGE_TO_OURS = (0, 3, 1, 2), (0, 2, 3, 1)       # (N, H, W, C) and (N, C, H, W)
FILTER_TO_TORCH, FILTER_TO_OURS = (3, 2, 0, 1), (2, 3, 1, 0)     # (kh, kw, in/groups, out) and (out, in/groups, kh, kw)


def compare(ours, theirs, x, weight, bias, rng, configuration):
    """The same value and gradients under one random dy.  bias may be None; the arrays go in as they are, also views."""
    mine = [mc.Tensor(a, requires_grad=True) for a in (x, weight, bias) if a is not None]
    layouts = [(IMAGE_TO_TORCH, IMAGE_TO_OURS), (FILTER_TO_TORCH, FILTER_TO_OURS), ((0,), (0,))]
    others = [torch.tensor(t.data.transpose(to_torch).copy(), requires_grad=True)
              for t, (to_torch, _) in zip(mine, layouts)]
    y, their_y = ours(*mine), theirs(*others)
    dy = rng.standard_normal(y.shape).astype(x.dtype)
    y.backward(dy)
    their_y.backward(torch.tensor(dy.transpose(IMAGE_TO_TORCH)))
    results = [(y.data, their_y.detach(), IMAGE_TO_OURS)]
    results += [(a.grad, b.grad, to_ours) for a, b, (_, to_ours) in zip(mine, others, layouts)]
    for name, (a, b, to_ours) in zip(("y", "dx", "dweight", "dbias"), results):
        b = b.numpy().transpose(to_ours)
        assert a.dtype == b.dtype and a.shape == b.shape, f"{name} of {configuration}"
        np.testing.assert_allclose(a, b, rtol=0, atol=ROUNDING[x.dtype.type] * max(1, np.abs(b).max()),
                                   err_msg=f"{name} of {configuration}")


def draw_array(rng, shape, dtype):
    """Random numbers, every third array a view: rows and columns exchanged, or every second pixel of a larger one."""
    kind = rng.integers(6)
    if kind == 0:
        return rng.standard_normal((shape[0], shape[2], shape[1], shape[3])).astype(dtype).swapaxes(1, 2)
    if kind == 1:
        return rng.standard_normal((shape[0], 2 * shape[1], shape[2], shape[3] + 1)).astype(dtype)[:, ::-2, :, 1:]
    return rng.standard_normal(shape).astype(dtype)


def draw_pair(rng, low, high):
    """(rows, columns), each in low..high; every second one the same number twice, as a plain number."""
    values = rng.integers(low, high + 1, 2).tolist()
    return tuple(values) if rng.integers(2) else values[0]


def both(value):
    return np.array(value) * np.ones(2, int)


def draw_filter(rng, dtype):
    """(options, weight, bias or None): groups, many strides that do not tile, padding from none to beyond the kernel."""
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    inputs, outputs = (groups * int(rng.integers(1, 5)) for _ in range(2))
    kernel = both(draw_pair(rng, 1, 5))
    options = dict(stride=draw_pair(rng, 1, 4), padding=draw_pair(rng, 0, 4), dilation=draw_pair(rng, 1, 3), groups=groups)
    weight = rng.standard_normal((*kernel, inputs // groups, outputs)).astype(dtype)
    bias = rng.standard_normal(outputs).astype(dtype) if rng.integers(4) else None
    return options, weight, bias


def draw_image(rng, options, weight, dtype, smallest=1):
    """1 to 3 images, some just large enough for the kernel."""
    span = both(options["dilation"]) * (np.array(weight.shape[:2]) - 1) + 1
    size = np.maximum(smallest, span - 2 * both(options["padding"])) + rng.integers(0, 9, 2) * rng.integers(0, 2)
    return draw_array(rng, (int(rng.integers(1, 4)), *size.tolist(), weight.shape[2] * options["groups"]), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(70))
def test_conv2d(seed, dtype):
    rng = np.random.default_rng(seed)
    options, weight, bias = draw_filter(rng, dtype)
    x = draw_image(rng, options, weight, dtype)
    compare(lambda *inputs: mc.conv2d(*inputs, **options), lambda *inputs: F.conv2d(*inputs, **options),
            x, weight, bias, rng, (x.shape, weight.shape, options))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(25))
def test_conv2d_3x3_with_many_channels(seed, dtype):
    """Where `auto` leaves im2col for Winograd's algorithm."""
    rng = np.random.default_rng(1000 + seed)
    C, K = rng.integers(16, 40, 2).tolist()
    options = dict(stride=1, padding=draw_pair(rng, 0, 2), dilation=1, groups=1)
    weight = rng.standard_normal((3, 3, C, K)).astype(dtype) / dtype((9 * C) ** .5)
    x, bias = draw_image(rng, options, weight, dtype, smallest=3), rng.standard_normal(K).astype(dtype)
    compare(lambda *inputs: mc.conv2d(*inputs, **options), lambda *inputs: F.conv2d(*inputs, **options),
            x, weight, bias, rng, (x.shape, weight.shape, options))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["reflect", "replicate"])
@pytest.mark.parametrize("seed", range(15))
def test_padding_modes(seed, mode, dtype):
    """PyTorch has them in its Conv2d only, which pads first and convolves then."""
    rng = np.random.default_rng(2000 + seed)
    options, weight, bias = draw_filter(rng, dtype)
    x = draw_image(rng, options, weight, dtype, smallest=5)              # reflect needs more pixels than padding
    rows, columns = both(options["padding"]).tolist()
    unpadded = {**options, "padding": 0}

    def theirs(x, *inputs):
        return F.conv2d(F.pad(x, (columns, columns, rows, rows), mode=mode), *inputs, **unpadded)
    compare(lambda *inputs: mc.conv2d(*inputs, padding_mode=mode, **options), theirs,
            x, weight, bias, rng, (x.shape, weight.shape, mode, options))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(45))
def test_conv_transpose2d(seed, dtype):
    """The weight is that of the convolution it transposes: (in, out/groups, kh, kw) in PyTorch."""
    rng = np.random.default_rng(3000 + seed)
    options, weight, _ = draw_filter(rng, dtype)
    largest = np.maximum(both(options["stride"]), both(options["dilation"])) - 1
    options["output_padding"] = tuple(rng.integers(0, largest + 1).tolist())
    N, H, W = rng.integers(1, 4), *rng.integers(1, 8, 2)
    x = draw_array(rng, (N, H + 8, W + 8, weight.shape[3]), dtype)[:, :H, :W]
    options["padding"] = _padding_that_leaves_something(x, weight, options)
    bias = rng.standard_normal(weight.shape[2] * options["groups"]).astype(dtype)
    compare(lambda *inputs: mc.conv_transpose2d(*inputs, **options), lambda *inputs: F.conv_transpose2d(*inputs, **options),
            x, weight, bias, rng, (x.shape, weight.shape, options))


def _padding_that_leaves_something(x, weight, options):
    """The padding drawn, or as much as leaves one row and one column of the output."""
    span = both(options["dilation"]) * (np.array(weight.shape[:2]) - 1) + 1
    whole = (np.array(x.shape[1:3]) - 1) * both(options["stride"]) + span + options["output_padding"]
    return tuple(np.minimum(both(options["padding"]), (whole - 1) // 2).tolist())
