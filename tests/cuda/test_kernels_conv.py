"""The convolution's kernels against NumPy: outputs and all gradients, on shapes that divide no tile."""
import numpy as np
import pytest

import minicnn as mc

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
        results.append([y.numpy(), *(mc.backend.to_numpy(t.grad) for t in tensors)])
    return results


@pytest.mark.parametrize("enough_blocks", [0, 256], ids=["large tiles", "small tiles"])
@pytest.mark.parametrize("x, weight, options", CASES)
def test_as_numpy(cp, x, weight, options, enough_blocks, monkeypatch):
    monkeypatch.setattr(mc.layers.conv.implicit, "ENOUGH_BLOCKS", enough_blocks)
    for wanted, got in zip(*both(cp, (x, weight), options)):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4 * max(1, np.abs(wanted).max(initial=0)))
