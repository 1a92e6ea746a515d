"""Normalisation's kernels against NumPy: outputs, all gradients, running statistics.

The shapes fill no tile, row or share: channels above a warp (33), a row of threads (130), a block (300), and 515, which
three tiles of one width do not make.
"""
import numpy as np
import pytest

import minicnn as mc
from minicnn.core import processes, tuning
from minicnn.core.backend import to_numpy
from minicnn.layers.norm import group

SHAPES = [(2, 3, 5, 1), (4, 7, 5, 3), (1, 5, 3, 5), (2, 5, 6, 33), (3, 5), (2, 17, 19, 130), (3, 2, 2, 300), (5, 3, 2, 515)]
GROUPED = [((2, 5, 7, 6), 1), ((2, 5, 7, 6), 3), ((2, 5, 7, 6), 6), ((3, 12), 3), ((1, 17, 19, 18), 18), ((5, 3, 1, 66), 2),
           ((2, 3, 3, 130), 1), ((2, 2, 3, 300), 100), ((0, 3, 4, 6), 2), ((4, 1, 1, 5), 1), ((1, 40, 1, 33), 33)]
ROWS = [*SHAPES, (5, 1030), (0, 4, 4, 3), (2, 1, 1, 1), (9, 31), (300, 2)]


def both(cp, operation, shape, mean=0., turn=lambda a: a, **options):
    """[outputs, gradients of x, weight and bias, arrays of the options] on NumPy, and the same on the GPU."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(shape) + mean).astype(np.float32)
    dy, weight, bias = (rng.standard_normal(form).astype(np.float32) for form in (shape, shape[-1:], shape[-1:]))
    results = []
    for xp in (np, cp):
        leaves = [mc.Tensor(turn(xp.asarray(a)) if a is x else xp.asarray(a), requires_grad=True) for a in (x, weight, bias)]
        given = {name: xp.array(value) if isinstance(value, np.ndarray) else value for name, value in options.items()}
        y = operation(*leaves, **given)
        y.backward(turn(xp.asarray(dy)))
        results.append([y.numpy(), *(to_numpy(leaf.grad) for leaf in leaves),
                        *(to_numpy(value) for value in given.values() if hasattr(value, "shape"))])
    return results


def assert_same(results, rtol=2e-5):
    for wanted, got in zip(*results):
        assert got.dtype == np.float32 and got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=rtol, atol=rtol * max(1, np.abs(wanted).max(initial=0)))


def running(channels):
    rng = np.random.default_rng(5)
    return dict(running_mean=rng.standard_normal(channels).astype(np.float32),
                running_var=rng.uniform(.5, 2, channels).astype(np.float32))


# ---- batch norm ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("steps, most", [(32, 1024), (1, 1024), (1, 3)], ids=["few shares", "many shares", "three shares"])
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_as_numpy(cp, shape, steps, most, monkeypatch):
    monkeypatch.setattr(tuning, "NORM_STEPS", steps)
    monkeypatch.setattr(tuning, "NORM_MOST_SHARES", most)
    assert_same(both(cp, mc.batch_norm, shape, **running(shape[-1]), momentum=.3))


@pytest.mark.parametrize("shape", [*SHAPES, (0, 3, 4, 5), (1, 1, 1, 3)])
def test_batch_norm_of_constants_as_numpy(cp, shape):
    assert_same(both(cp, mc.batch_norm, shape, training=False, **running(shape[-1])))


@pytest.mark.parametrize("given", [[], ["running_mean"], ["running_var"]])
def test_running_statistics_may_be_left_out(cp, given):
    assert_same(both(cp, mc.batch_norm, (4, 7, 5, 3), **{name: running(3)[name] for name in given}))


def test_running_statistics_in_another_order(cp):
    """Every second number of an array: no kernel writes there, and the numbers between stay what they are."""
    results = []
    for xp in (np, cp):
        mean, var = xp.zeros((2, 6), np.float32)
        x = xp.asarray(np.random.default_rng(0).standard_normal((4, 5, 5, 3)).astype(np.float32))
        y = mc.batch_norm(x, xp.ones(3, np.float32), xp.zeros(3, np.float32), mean[::2], var[::2])
        results.append([y.numpy(), to_numpy(mean), to_numpy(var)])
    assert_same(results)


@pytest.mark.parametrize("steps", [32, 1], ids=["long walks", "short walks"])
def test_a_large_mean_costs_no_digits(cp, steps, monkeypatch):
    monkeypatch.setattr(tuning, "NORM_STEPS", steps)
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((8, 16, 16, 3)) + 1e4).astype(np.float32)
    ones, zeros, var = cp.ones(3, np.float32), cp.zeros(3, np.float32), cp.zeros(3, np.float32)
    y = mc.batch_norm(cp.asarray(x), ones, zeros, None, var, momentum=1.).numpy()
    exact = (x.astype(float) - x.mean((0, 1, 2), dtype=float)) / x.std((0, 1, 2), dtype=float)
    np.testing.assert_allclose(y, exact, atol=3e-3)              # x itself is rounded to .001
    np.testing.assert_allclose(to_numpy(var), x.var((0, 1, 2), dtype=float, ddof=1), rtol=1e-5)


def test_an_outlier_at_the_first_pixel_costs_no_digits(cp):
    x = np.random.default_rng(0).standard_normal((3, 30, 30, 2)).astype(np.float32)
    x[0, 0, 0] = 1e4
    ones, zeros, var = cp.ones(2, np.float32), cp.zeros(2, np.float32), cp.zeros(2, np.float32)
    mc.batch_norm(cp.asarray(x), ones, zeros, None, var, momentum=1.)
    np.testing.assert_allclose(to_numpy(var), x.var((0, 1, 2), dtype=float, ddof=1), rtol=1e-5)


class Twins:
    """A communicator of two processes that do the same."""
    size, rank = 2, 0

    def Allreduce(self, ours, result):
        result[...] = 2 * ours


def test_batch_norm_of_two_processes_as_numpy(cp, monkeypatch):
    """Sums pass through processes.all_reduce, which gets arrays of the GPU."""
    monkeypatch.setattr(processes, "_world", Twins)
    assert_same(both(cp, mc.batch_norm, (3, 7, 5, 3), **running(3)))


def test_a_group_norm_is_no_matter_of_other_processes(cp, monkeypatch):
    monkeypatch.setattr(processes, "_world", Twins)
    assert_same(both(cp, mc.group_norm, (1, 7, 5, 3), groups=3))


# ---- group norm and layer norm -------------------------------------------------------------------------------------

@pytest.mark.parametrize("steps", [32, 1], ids=["long walks", "short walks"])
@pytest.mark.parametrize("shape, groups", GROUPED)
def test_group_norm_as_numpy(cp, shape, groups, steps, monkeypatch):
    monkeypatch.setattr(tuning, "NORM_STEPS", steps)
    assert_same(both(cp, mc.group_norm, shape, groups=groups))


@pytest.mark.parametrize("short", [1024, 0], ids=["a warp a row", "a block a row"])
@pytest.mark.parametrize("shape", ROWS)
def test_layer_norm_as_numpy(cp, shape, short, monkeypatch):
    monkeypatch.setattr(tuning, "NORM_WARP_CHANNELS", short)
    assert_same(both(cp, mc.layer_norm, shape))


@pytest.mark.parametrize("short", [1024, 0], ids=["a warp a row", "a block a row"])
def test_more_rows_than_blocks(cp, short, monkeypatch):
    """A block takes one row after the other."""
    monkeypatch.setattr(tuning, "NORM_WARP_CHANNELS", short)
    monkeypatch.setattr(group, "MOST_BLOCKS", 2)
    assert_same(both(cp, mc.layer_norm, (45, 37)))


@pytest.mark.parametrize("operation", [mc.layer_norm, lambda *a: mc.group_norm(*a, groups=2)], ids=["layer", "group"])
def test_a_large_mean_costs_few_digits_of_the_others(cp, operation):
    """x is rounded to .001 there, and so are the mean and what is left of x without it."""
    assert_same(both(cp, operation, (3, 5, 4, 40), mean=1e4), rtol=4e-3)


# ---- local response norm -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [1, 2, 5, 40])
@pytest.mark.parametrize("shape", [(2, 3, 4, 7), (5, 33), (1, 1), (0, 2, 2, 3), (3, 130)])
def test_local_response_norm_as_numpy(cp, shape, size):
    def alone(x, weight, bias):
        return mc.local_response_norm(x, size, alpha=.5, beta=.6, k=2.) * weight + bias
    assert_same(both(cp, alone, shape))


# ---- the definitions -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("operation, options", [
    (mc.batch_norm, running(5)), (mc.batch_norm, dict(training=False, **running(5))), (mc.layer_norm, {}),
    (mc.group_norm, dict(groups=5)), (lambda x, w, b, **options: mc.local_response_norm(x, 3, **options) * w + b, {})],
    ids=["batch", "batch, frozen", "layer", "group", "response"])
def test_kernels_and_definition_agree(cp, operation, options):
    """The definition on NumPy, and on the arrays of the GPU."""
    (exact, on_device), (_, by_kernels) = (both(cp, operation, (2, 3, 2, 5), **options, algorithm=name)
                                           for name in ("naive", "auto"))
    assert_same((exact, on_device))
    assert_same((exact, by_kernels))


# ---- memory and threads in another order ---------------------------------------------------------------------------

OPERATIONS = {"batch": mc.batch_norm, "layer": mc.layer_norm, "group": lambda *a: mc.group_norm(*a, groups=2),
              "instance": lambda *a: mc.group_norm(*a, groups=4),
              "response": lambda x, w, b: mc.local_response_norm(x, 3, alpha=.5) * w + b}


@pytest.mark.parametrize("name", OPERATIONS)
def test_arrays_in_another_order(cp, name):
    assert_same(both(cp, OPERATIONS[name], (4, 5, 6, 4), turn=lambda a: a.swapaxes(0, 3).copy().swapaxes(0, 3)))


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_window_on_a_larger_array(cp, name):
    """Neither does the memory begin where a float4 could, nor do the rows follow one another."""
    def turn(a):
        larger = np.pad(to_numpy(a), ((0, 0), (1, 1), (1, 2), (0, 0)))
        return (larger if isinstance(a, np.ndarray) else cp.asarray(larger))[:, 1:-1, 1:-2]
    assert_same(both(cp, OPERATIONS[name], (3, 5, 7, 4), turn=turn))


@pytest.mark.parametrize("name", OPERATIONS)
def test_threads_in_any_order(cp, name, thread_order, monkeypatch):
    monkeypatch.setattr(tuning, "NORM_STEPS", 2)
    monkeypatch.setattr(tuning, "NORM_WARP_CHANNELS", 20)
    assert_same(both(cp, OPERATIONS[name], (3, 7, 9, 20)))
    assert_same(both(cp, OPERATIONS[name], (2, 5, 9, 44)))


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_same_numbers_each_time(cp, name):
    first, second = (both(cp, OPERATIONS[name], (2, 17, 19, 12))[1] for _ in range(2))
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a, b)
