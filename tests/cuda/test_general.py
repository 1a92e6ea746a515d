"""Every operation and every optimizer on the GPU against NumPy, in both precisions: those with kernels, and all others,
which are the same lines of Python on CuPy's arrays."""
import numpy as np
import pytest

import minicnn
import minicnn as mc
from minicnn.checking import samples
from minicnn.core.backend import is_gpu_array, to_numpy

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


def as_laid(array):
    """The axes in the order of their strides, and back again:  array.transpose(order) lies in C order."""
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return order, list(np.argsort(order))


def moved(xp, value, dtype):
    """Arrays, in tuples too, to the library xp, in the same memory order; floating numbers in `dtype`."""
    if isinstance(value, tuple):
        return tuple(moved(xp, part, dtype) for part in value)
    if not isinstance(value, np.ndarray):
        return value
    order, back = as_laid(value)
    laid = value.transpose(order)                          # C order: asarray keeps it
    return xp.asarray(laid.astype(dtype) if value.dtype.kind == "f" else laid).transpose(back)


def leaves(xp, tensors, dtype):
    """The inputs of a sample there: floating ones as leaves that want a gradient, others (labels, None) as they are."""
    arrays = [moved(xp, tensor, dtype) for tensor in tensors]
    return [mc.Tensor(a, requires_grad=True) if getattr(a, "dtype", np.dtype(bool)).kind == "f" else a for a in arrays]


def outcome(xp, function, sample, dtype, order):
    """[y, gradients..., arrays among the options (running statistics)] of a sample, on the library xp."""
    _, tensors, options = sample
    given = leaves(xp, tensors, dtype)
    options = {name: moved(xp, value, dtype) for name, value in options.items() if name != "algorithm" or xp is np}
    y = function(*given, **options)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    y.backward(moved(xp, np.asarray(dy, order=order), dtype))
    found = [y.data, *(leaf.grad for leaf in given if isinstance(leaf, mc.Tensor)),
             *(value for value in options.values() if getattr(value, "shape", ()))]
    assert all(is_gpu_array(array) == (xp is not np) for array in found)
    return [to_numpy(array) for array in found]


def assert_same(got, wanted, dtype, label, lost=1):
    """lost: by how much a rounding may have grown on the way."""
    assert len(got) == len(wanted)
    for g, w in zip(got, wanted):
        assert g.dtype == w.dtype and g.shape == w.shape, f"{label}: {g.dtype}{g.shape}, not {w.dtype}{w.shape}"
        size = max(1, np.abs(w).max(initial=0)) if w.dtype.kind == "f" else 1
        np.testing.assert_allclose(g, w, rtol=0, atol=TOLERANCE[dtype] * lost * size, err_msg=label)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", samples.SAMPLES)
def test_operations_as_numpy(cp, name, dtype):
    name, function, all_samples, _ = samples._from_package(name, vars(minicnn), np.random.default_rng(0))
    for sample in all_samples:
        for order in "CF":
            wanted, got = (outcome(xp, function, sample, dtype, order) for xp in (np, cp))
            assert_same(got, wanted, dtype, f"{name}, {sample[0]}, dy in {order} order")


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_numpy_numbers_among_the_options(cp, name):
    """They give the precision that they give on the CPU: a kernel takes them as float32, CuPy may not."""
    name, function, all_samples, _ = samples._from_package(name, vars(minicnn), np.random.default_rng(0))
    for label, tensors, options in all_samples:
        options = {key: np.float64(value) if isinstance(value, float) else value for key, value in options.items()}
        if any(isinstance(value, np.float64) for value in options.values()):
            wanted, got = (outcome(xp, function, (label, tensors, options), np.float32, "C") for xp in (np, cp))
            assert_same(got, wanted, np.float32, f"{name}, {label}")


# ---- optimizers ----------------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": lambda w: mc.SGD(w, .1), "momentum": lambda w: mc.SGD(w, .1, momentum=.9, weight_decay=.01),
    "Nesterov": lambda w: mc.SGD(w, .1, momentum=.9, nesterov=True), "Adam": lambda w: mc.Adam(w, .05, weight_decay=.01),
    "AdamW": lambda w: mc.AdamW(w, .05), "L-BFGS": lambda w: mc.LBFGS(w, max_iter=3),
    "L-BFGS without a search": lambda w: mc.LBFGS(w, .01, max_iter=3, line_search=None)}


def learned(xp, make, dtype, clip=None):
    """Weights, state and averages after three steps of a small regression, on the library xp."""
    rng = np.random.default_rng(0)
    x, target, *start = (xp.asarray(rng.standard_normal(shape).astype(dtype)) for shape in [(7, 5), (7, 3), (5, 3), (3,)])
    found = [mc.tensor(array, requires_grad=True) for array in start]
    optimizer, average = make(found), mc.WeightAverage(found, .9)

    def closure():
        optimizer.zero_grad()
        loss = mc.mse_loss(mc.tanh(mc.dense(x, *found)), target)
        loss.backward()
        return loss
    for _ in range(3):
        if isinstance(optimizer, mc.LBFGS):
            optimizer.step(closure)
        else:
            closure()
            if clip:
                clip(found)
            optimizer.step()
        average.update()
    return [to_numpy(a) for a in (*(w.data for w in found), *optimizer.state_dict().values(), *average.averaged())]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_as_numpy(cp, name, dtype):
    wanted, got = (learned(xp, OPTIMIZERS[name], dtype) for xp in (np, cp))
    assert_same(got, wanted, dtype, name, lost=1000 if name == "L-BFGS" else 1)     # its differences of gradients cancel


@pytest.mark.parametrize("clip", [lambda w: mc.clip_grad_norm(w, .1), lambda w: mc.clip_grad_value(w, .02)],
                         ids=["norm", "value"])
def test_clipped_gradients_as_numpy(cp, clip):
    wanted, got = (learned(xp, OPTIMIZERS["momentum"], np.float32, clip) for xp in (np, cp))
    assert_same(got, wanted, np.float32, "momentum, clipped")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_travels(cp, name):
    """What was saved on one device opens on the other."""
    shape = (5, 3)
    here = mc.tensor(np.full(shape, .5, np.float32), requires_grad=True)
    there = mc.tensor(cp.full(shape, .5, np.float32), requires_grad=True)
    one, other = OPTIMIZERS[name]([there]), OPTIMIZERS[name]([here])

    def closure():
        there.grad = None
        loss = (there * there * cp.arange(15, dtype=np.float32).reshape(shape)).sum()
        loss.backward()
        return loss
    if isinstance(one, mc.LBFGS):
        one.step(closure)
    else:
        closure()
        one.step()
    saved = one.state_dict()
    assert all(isinstance(value, np.ndarray) for value in saved.values())
    other.load_state_dict(saved)
    for key, value in other.state_dict().items():
        np.testing.assert_array_equal(value, saved[key])
