"""Cross-entropy's kernel against NumPy."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.backend import to_numpy


@pytest.mark.parametrize("smoothing", [0, .1])
@pytest.mark.parametrize("N, classes", [(1, 1), (5, 3), (33, 10), (7, 33), (2, 1000)])
@pytest.mark.parametrize("kind", ["classes", "probabilities"])
def test_as_numpy(cp, N, classes, kind, smoothing):
    rng = np.random.default_rng(0)
    logits = (5 * rng.standard_normal((N, classes))).astype(np.float32)
    labels = rng.integers(0, classes, N) if kind == "classes" else rng.dirichlet(np.ones(classes), N).astype(np.float32)
    results = []
    for xp in (np, cp):
        leaf, said = mc.tensor(xp.asarray(logits), requires_grad=True), xp.asarray(labels)
        said = mc.tensor(said, requires_grad=True) if kind == "probabilities" else said
        loss = mc.cross_entropy(leaf, said, smoothing)
        (loss * 3).backward()
        grads = [leaf.grad] + ([said.grad] if kind == "probabilities" else [])
        results.append([loss.numpy(), *map(to_numpy, grads)])
    for wanted, got in zip(*results):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_it_does_not_overflow(cp):
    logits = mc.tensor(cp.asarray(np.array([[1e4, -1e4, 0]], np.float32)), requires_grad=True)
    loss = mc.cross_entropy(logits, cp.asarray([1]))
    loss.backward()
    assert float(loss) == 2e4
    np.testing.assert_allclose(to_numpy(logits.grad), [[1, -1, 0]])


def test_logits_in_another_order(cp):
    logits = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    got = mc.cross_entropy(mc.tensor(cp.asarray(logits.T.copy()).T), cp.asarray([0, 5, 2, 1]))
    np.testing.assert_allclose(got.numpy(), mc.cross_entropy(logits, np.array([0, 5, 2, 1])).data, rtol=1e-6)


@pytest.mark.parametrize("labels", [[0, 6], [-1, 0]])
def test_a_class_out_of_range_is_named(cp, labels):
    with pytest.raises(ValueError, match=r"0\.\.5"):
        mc.cross_entropy(mc.tensor(cp.zeros((2, 6), np.float32)), cp.asarray(labels))
