"""The convolution's kernels against NumPy: outputs and all gradients, on shapes that divide no tile."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.core import tuning
from minicnn.core.backend import to_numpy
from minicnn.layers.conv import implicit
from minicnn.layers.conv.geometry import Geometry

CASES = [  # x, weight, options
    ((2, 7, 9, 5), (3, 3, 5, 6), dict(padding=1)),
    ((2, 7, 9, 20), (3, 3, 20, 36), dict(padding=1)),
    ((1, 8, 8, 16), (3, 3, 16, 72), dict(padding=1, activation="relu")),
    ((2, 11, 8, 3), (5, 4, 3, 40), dict(stride=2, padding=2)),
    ((1, 12, 13, 24), (3, 3, 24, 10), dict(stride=(2, 3), padding=1)),
    ((1, 9, 9, 24), (3, 3, 8, 36), dict(groups=3, dilation=2, padding=2)),
    ((1, 6, 7, 4), (3, 2, 2, 6), dict(groups=2, stride=3, dilation=(1, 2))),
    ((2, 7, 9, 5), (3, 3, 1, 5), dict(groups=5, padding=1, activation="relu")),
    ((3, 17, 13, 35), (3, 2, 1, 35), dict(groups=35, stride=(2, 3), padding=2, dilation=(2, 1))),
    ((3, 5, 5, 17), (1, 1, 17, 9), {}),
    ((1, 5, 6, 36), (1, 1, 36, 40), dict(stride=2)),
]


def both(cp, shapes, options, order="C"):
    """Outputs and gradients on NumPy, and on the GPU."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    arrays.append(rng.standard_normal(shapes[1][3]).astype(np.float32))
    results, dy = [], None
    for xp in (np, cp):
        tensors = [mc.tensor(xp.asarray(a), requires_grad=True) for a in arrays]
        y = mc.conv2d(*tensors, **options)
        dy = rng.standard_normal(y.shape).astype(np.float32) if dy is None else dy
        y.backward(xp.asarray(dy))
        results.append([y.numpy(), *(to_numpy(t.grad) for t in tensors)])
    return results


@pytest.mark.parametrize("blocks", ["few", "many"])
@pytest.mark.parametrize("x, weight, options", CASES)
def test_as_numpy(cp, x, weight, options, blocks, monkeypatch):
    """Few blocks make large tiles and one share of a weight gradient; many small ones, and shares of 16 pixels or 7."""
    monkeypatch.setattr(tuning, "CONV_ENOUGH_BLOCKS", 0 if blocks == "few" else 256)
    monkeypatch.setattr(tuning, "CONV_FEWEST_SLICES", 1)
    monkeypatch.setattr(tuning, "DEPTHWISE_FEWEST_PIXELS", 1000 if blocks == "few" else 7)
    assert_close(both(cp, (x, weight), options))


def assert_close(results):
    for wanted, got in zip(*results):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4 * max(1, np.abs(wanted).max(initial=0)))


@pytest.mark.parametrize("x, weight, options", [CASES[1], CASES[4], CASES[6]])
def test_in_every_order_of_threads(cp, thread_order, x, weight, options):
    assert_close(both(cp, (x, weight), options))


def test_arrays_in_another_order(cp):
    """x, its gradient and the weight as views of others, and one that lies across the 16 bytes of a float4."""
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(shape).astype(np.float32) for shape in ((20, 7, 6, 2), (8, 20, 3, 3)))
    results = []
    for xp in (np, cp):
        a = mc.tensor(xp.asarray(x).transpose(3, 2, 1, 0), requires_grad=True)
        w = mc.tensor(xp.asarray(weight).transpose(2, 3, 1, 0), requires_grad=True)
        y = mc.conv2d(a, w, padding=1)
        dy = xp.asarray(np.arange(y.size + 1, dtype=np.float32) / y.size)[1:].reshape(y.shape)
        y.backward(dy)
        results.append([y.numpy(), to_numpy(a.grad), to_numpy(w.grad)])
    assert_close(results)


def test_a_bias_that_lies_across_the_bytes_of_a_float4(cp):
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(shape).astype(np.float32) for shape in ((1, 5, 5, 4), (3, 3, 4, 8), (9,)))
    y = mc.conv2d(cp.asarray(x), cp.asarray(weight), cp.asarray(bias)[1:])
    np.testing.assert_allclose(y.numpy(), mc.conv2d(x, weight, bias[1:]).data, rtol=1e-5, atol=1e-5)


def test_the_transposed_layer(cp):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in ((2, 5, 4, 6), (3, 4, 8, 6), (8,))]
    results = []
    for xp in (np, cp):
        leaves = [mc.tensor(xp.asarray(a), requires_grad=True) for a in arrays]
        y = mc.conv_transpose2d(*leaves, stride=2, padding=1, output_padding=1)
        (y * y).sum().backward()
        results.append([y.numpy(), *(to_numpy(leaf.grad) for leaf in leaves)])
    assert_close(results)


def test_of_float64_the_general_way(cp):
    x, w = np.random.default_rng(0).standard_normal((1, 5, 5, 3)), np.random.default_rng(1).standard_normal((3, 3, 3, 4))
    y = mc.conv2d(cp.asarray(x), cp.asarray(w))
    assert y.dtype == np.float64
    np.testing.assert_allclose(y.numpy(), mc.conv2d(x, w).data, rtol=1e-12)


@pytest.mark.parametrize("algorithm, dtype", [("winograd", "float32"), ("implicit", "float64"), ("depthwise", "float64")])
def test_an_algorithm_that_is_not_for_this_device(cp, algorithm, dtype):
    x, w = cp.ones((1, 5, 5, 16), dtype), cp.ones((3, 3, 16, 16), dtype)
    with pytest.raises(ValueError, match=f"{algorithm} cannot do {dtype} arrays on this device, cuda"):
        mc.conv2d(x, w, algorithm=algorithm)


def test_no_bank_of_shared_memory_is_waited_for(cp, monkeypatch):
    """Nor does a warp touch more sectors than it must: counted in the emulator, for the tile that all the speed is in."""
    if not hasattr(implicit.kernels.module, "compiled"):
        pytest.skip("only the emulator counts")
    import standin
    monkeypatch.setattr(tuning, "CONV_ENOUGH_BLOCKS", 0)
    monkeypatch.setattr(standin, "MODE", "profile")
    rng = np.random.default_rng(0)
    x, w = (cp.asarray(rng.standard_normal(shape).astype(np.float32)) for shape in ((1, 16, 16, 32), (3, 3, 32, 128)))
    geometry = Geometry(padding=(1, 1))
    y = implicit.forward(x, w, geometry)
    implicit.weight_gradient(x, y, w.shape, geometry)
    rows = implicit.kernels.module.compiled().profile()
    assert rows and [row for row in rows if row["units"] != row["ideal"]] == []
