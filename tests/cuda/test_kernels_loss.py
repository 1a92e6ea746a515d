"""Cross-entropy's kernel against NumPy.  Sums of a row are made in another order: to the last digits of a float32."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.core.backend import to_numpy

SHAPES = [(1, 1), (5, 3), (33, 10), (7, 33), (4, 31), (3, 32), (2, 65), (2, 1000)]


def made(N, classes, kind):
    """Labels: classes, probabilities, or weights, whose sum is not one."""
    rng = np.random.default_rng(1)
    if kind == "classes":
        return rng.integers(0, classes, N)
    return (rng.dirichlet(np.ones(classes), N) if kind == "probabilities" else rng.random((N, classes))).astype(np.float32)


def both(cp, logits, labels, smoothing=0, turn=lambda a: a):
    """[loss, gradient of the logits, of the labels where they are floating] on NumPy, and the same on the GPU."""
    results = []
    for xp in (np, cp):
        leaf, said = mc.tensor(turn(xp.asarray(logits)), requires_grad=True), turn(xp.asarray(labels))
        said = mc.tensor(said, requires_grad=True) if labels.dtype.kind == "f" else said
        loss = mc.cross_entropy(leaf, said, smoothing)
        (loss * 3).backward()
        results.append([loss.numpy(), to_numpy(leaf.grad)] + ([to_numpy(said.grad)] if labels.dtype.kind == "f" else []))
    return results


def assert_near(results):
    assert len(results[0]) == len(results[1])
    for wanted, got in zip(*results):
        assert got.dtype == np.float32 and got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def logits_of(N, classes):
    return (5 * np.random.default_rng(0).standard_normal((N, classes))).astype(np.float32)


@pytest.mark.parametrize("smoothing", [0, .1])
@pytest.mark.parametrize("N, classes", SHAPES)
@pytest.mark.parametrize("kind", ["classes", "probabilities", "weights"])
def test_as_numpy(cp, N, classes, kind, smoothing):
    assert_near(both(cp, logits_of(N, classes), made(N, classes, kind), smoothing))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")                  # 0 / 0
def test_no_rows(cp):
    assert_near(both(cp, logits_of(0, 3), made(0, 3, "classes")))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_whole_numbers_of_any_type(cp, dtype):
    assert_near(both(cp, logits_of(5, 7), made(5, 7, "classes").astype(dtype)))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")                  # inf - inf, 0 * inf
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 3, 39])
def test_what_is_not_finite_comes_through(cp, at, value):
    logits = logits_of(2, 40)
    logits[1, at] = value
    assert_near(both(cp, logits, np.array([5, 3])))


def test_it_does_not_overflow(cp):
    logits = mc.tensor(cp.asarray(np.array([[1e4, -1e4, 0]], np.float32)), requires_grad=True)
    loss = mc.cross_entropy(logits, cp.asarray([1]))
    loss.backward()
    assert float(loss) == 2e4
    np.testing.assert_allclose(to_numpy(logits.grad), [[1, -1, 0]])


@pytest.mark.parametrize("kind", ["classes", "probabilities"])
def test_arrays_in_another_order(cp, kind):
    """Logits column by column, and every second label."""
    logits, labels, results = logits_of(4, 6), made(8, 6, kind), []
    for xp in (np, cp):
        leaf = mc.Tensor(xp.asarray(logits.T.copy()).T, requires_grad=True)
        loss = mc.cross_entropy(leaf, xp.asarray(labels)[::2], .1)
        loss.backward()
        results.append([loss.numpy(), to_numpy(leaf.grad)])
    assert_near(results)


def test_more_rows_than_warps(cp, few_threads):
    assert_near(both(cp, logits_of(37, 45), made(37, 45, "weights"), .2))


@pytest.mark.parametrize("kind", ["classes", "probabilities"])
def test_without_a_graph(cp, kind):
    logits, labels = logits_of(5, 33), made(5, 33, kind)
    with mc.no_grad():
        got = mc.cross_entropy(cp.asarray(logits), cp.asarray(labels))
    np.testing.assert_allclose(got.numpy(), mc.cross_entropy(logits, labels).data, rtol=1e-6)


@pytest.mark.parametrize("labels", [[0, 6], [-1, 0]])
def test_a_class_out_of_range_is_named(cp, labels):
    with pytest.raises(ValueError, match=r"0\.\.5"):
        mc.cross_entropy(mc.tensor(cp.zeros((2, 6), np.float32)), cp.asarray(labels))
