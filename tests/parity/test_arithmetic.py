"""Values and gradients of the arithmetic against PyTorch, on shapes and numbers drawn at random."""
import numpy as np
import pytest

from minicnn.core import arithmetic as mc
from minicnn.core.tensor import tensor

torch = pytest.importorskip("torch")
draws = pytest.mark.parametrize("seed", range(6))


def compare(ours, theirs, arrays, seed):
    """Both functions on the same arrays: equal values, and equal gradients for a random upstream gradient."""
    x = [tensor(array, requires_grad=True) for array in arrays]
    t = [torch.tensor(array, requires_grad=True) for array in arrays]
    y, expected = ours(*x), theirs(*t)
    dy = np.random.default_rng(seed).standard_normal(expected.shape)
    assert y.shape == tuple(expected.shape)
    assert np.allclose(y.data, expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    y.backward(dy)
    expected.backward(torch.tensor(dy))
    for a, b in zip(x, t):
        assert np.allclose(a.grad, b.grad.numpy(), rtol=1e-11, atol=1e-11)


def random_shape(rng, ndim=None):
    """Up to four axes of one to five elements."""
    return tuple(int(n) for n in rng.integers(1, 6, rng.integers(0, 5) if ndim is None else ndim))


def random_pair_of_shapes(rng):
    """Two shapes that broadcast: some axes of one shape shrunk to 1, and leading axes left away, in each."""
    full = random_shape(rng)

    def shrunk():
        sizes = [1 if rng.random() < 0.3 else n for n in full]
        return tuple(sizes[rng.integers(0, len(full) + 1) if rng.random() < 0.3 else 0:])
    return shrunk(), shrunk()


def draw(rng, shape, low=-2.0, high=2.0):
    return rng.uniform(low, high, shape)


# ---- two operands --------------------------------------------------------------------------------------------------

@draws
@pytest.mark.parametrize("name, theirs, low", [
    ("add", lambda a, b: a + b, -2), ("subtract", lambda a, b: a - b, -2), ("multiply", lambda a, b: a * b, -2),
    ("divide", lambda a, b: a / b, 0.3), ("power", lambda a, b: a ** b, 0.1),
    ("maximum", torch.maximum, -2), ("minimum", torch.minimum, -2)])
def test_two_operands(name, theirs, low, seed):
    rng = np.random.default_rng(seed)
    shapes = random_pair_of_shapes(rng)
    compare(getattr(mc, name), theirs, [draw(rng, shape, low) for shape in shapes], seed)


@draws
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_two_operands_with_ties(name, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(0, 3, shape).astype(np.float64) for shape in random_pair_of_shapes(rng)]
    compare(getattr(mc, name), getattr(torch, name), arrays, seed)


@draws
@pytest.mark.parametrize("base", [0.0, 1.0, 2.5])
def test_a_number_to_a_tensor(base, seed):
    rng = np.random.default_rng(seed)
    compare(lambda x: base ** x, lambda t: base ** t, [draw(rng, random_shape(rng), 0.1)], seed)


@draws
@pytest.mark.parametrize("exponent", [2, 3, 1, 0, -1, 0.5, -1.5])
def test_a_tensor_to_a_number(exponent, seed):
    rng = np.random.default_rng(seed)
    low = -2 if exponent in (0, 1, 2, 3) else 0.2
    compare(lambda x: x ** exponent, lambda t: t ** exponent, [draw(rng, random_shape(rng), low)], seed)


@pytest.mark.parametrize("exponents", [[0.0, 1.0, 2.0, 0.5], [0.0, 3.0, 0.0, 1.0]])
def test_powers_of_zero(exponents):
    with np.errstate(divide="ignore"):
        compare(mc.power, torch.pow, [np.array([0.0, 0.0, 0.0, 1.0]), np.array(exponents)], 0)


@draws
def test_where(seed):
    rng = np.random.default_rng(seed)
    a, b = random_pair_of_shapes(rng)
    mask = rng.random(np.broadcast_shapes(a, b)) < 0.5
    compare(lambda x, y: mc.where(mask, x, y), lambda s, t: torch.where(torch.tensor(mask), s, t),
            [draw(rng, a), draw(rng, b)], seed)


@draws
@pytest.mark.parametrize("ndims", [
    (1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (1, 3), (3, 2), (2, 3), (3, 3), (4, 2), (4, 4)])
def test_matmul(ndims, seed):
    rng = np.random.default_rng(seed)
    m, k, n = (int(size) for size in rng.integers(1, 5, 3))
    batch = random_shape(rng, ndim=2)
    a = batch[len(batch) - max(ndims[0] - 2, 0):] + (m, k)[-ndims[0]:]
    b = tuple(1 if rng.random() < 0.3 else size for size in batch[len(batch) - max(ndims[1] - 2, 0):])
    b += (k, n) if ndims[1] > 1 else (k,)
    compare(mc.matmul, torch.matmul, [draw(rng, a), draw(rng, b)], seed)


@draws
@pytest.mark.parametrize("text", [
    "ij,jk->ik", "ij,jk", "ij,ij->i", "bqhd,bkhd->bhqk", "bhqk,bkhd->bqhd", "nhwc,nc->nhwc", "nhwc,ck->nkhw", "ijk->ki",
    "ij,k->k", "ij,jk,kl->il", "ij,ik,il->jkl", "i,j,k->kji", "ij,kj->"])
def test_einsum(text, seed):
    rng = np.random.default_rng(seed)
    sizes = {n: int(rng.integers(1, 5)) for n in text if n.isalpha()}
    arrays = [draw(rng, tuple(sizes[n] for n in letters)) for letters in text.partition("->")[0].split(",")]
    compare(lambda *x: mc.einsum(text, *x), lambda *t: torch.einsum(text, *t), arrays, seed)


@draws
def test_outer(seed):
    rng = np.random.default_rng(seed)
    compare(mc.outer, torch.outer, [draw(rng, random_shape(rng, ndim=1)) for _ in range(2)], seed)


# ---- one operand ---------------------------------------------------------------------------------------------------

@draws
@pytest.mark.parametrize("name, low", [
    ("negative", -2), ("exp", -2), ("log", 0.1), ("sqrt", 0.1), ("abs", -2), ("sin", -9), ("cos", -9)])
def test_one_operand(name, low, seed):
    rng = np.random.default_rng(seed)
    compare(getattr(mc, name), getattr(torch, name), [draw(rng, random_shape(rng), low)], seed)


def test_kinks():
    with np.errstate(divide="ignore"):
        compare(mc.sqrt, torch.sqrt, [np.array([0.0, 4.0])], 0)
    compare(mc.abs, torch.abs, [np.array([-1.0, 0.0, 1.0])], 0)
    compare(lambda x: mc.clip(x, -1, 1), lambda t: t.clip(-1, 1), [np.array([-2.0, -1.0, 0.0, 1.0, 2.0])], 0)


@draws
@pytest.mark.parametrize("low, high", [(-0.5, 0.7), (None, 0.2), (0.1, None)])
def test_clip(low, high, seed):
    rng = np.random.default_rng(seed)
    compare(lambda x: mc.clip(x, low, high), lambda t: torch.clip(t, low, high), [draw(rng, random_shape(rng))], seed)


# ---- reductions ----------------------------------------------------------------------------------------------------

def random_axis(rng, ndim):
    """None, one axis or several, counted from either end."""
    if rng.random() < 0.25:
        return None
    axes = tuple(int(i) for i in rng.permutation(ndim)[:rng.integers(1, ndim + 1)])
    axes = tuple(i - ndim if rng.random() < 0.5 else i for i in axes)
    return axes[0] if len(axes) == 1 else axes


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name, theirs", [
    ("sum", torch.sum), ("mean", torch.mean), ("max", torch.amax), ("min", torch.amin)])
def test_reductions_with_ties(name, theirs, seed):
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 4, random_shape(rng, ndim=rng.integers(1, 5))).astype(np.float64)
    axis, keepdims = random_axis(rng, array.ndim), bool(rng.random() < 0.5)
    dim = tuple(range(array.ndim)) if axis is None else axis
    compare(lambda x: getattr(mc, name)(x, axis, keepdims), lambda t: theirs(t, dim=dim, keepdim=keepdims),
            [array], seed)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["var", "std"])
def test_spread(name, seed):
    rng = np.random.default_rng(seed)
    array = draw(rng, tuple(n + 1 for n in random_shape(rng, ndim=rng.integers(1, 5))))
    axis, keepdims, correction = random_axis(rng, array.ndim), bool(rng.random() < 0.5), int(rng.integers(0, 2))
    compare(lambda x: getattr(mc, name)(x, axis, keepdims, correction),
            lambda t: getattr(torch, name)(t, dim=axis, keepdim=keepdims, correction=correction), [array], seed)


def test_std_of_equal_numbers():
    rows = np.array([[2.0, 2.0, 2.0], [1.0, 2.0, 4.0]])
    compare(lambda x: mc.std(x, axis=1), lambda t: torch.std(t, dim=1, correction=0), [rows], 0)


@draws
def test_positions_of_the_extremes(seed):
    rng = np.random.default_rng(seed)
    array = draw(rng, random_shape(rng, ndim=3))
    for axis in (None, 0, 1, -1):
        assert np.array_equal(mc.argmax(array, axis), torch.argmax(torch.tensor(array), dim=axis).numpy())
        assert np.array_equal(mc.argmin(array, axis), torch.argmin(torch.tensor(array), dim=axis).numpy())


# ---- shape, order, joining -----------------------------------------------------------------------------------------

@draws
def test_reshape_and_transpose(seed):
    rng = np.random.default_rng(seed)
    array = draw(rng, random_shape(rng, ndim=4))
    axes = tuple(int(i) for i in rng.permutation(4))
    a, b, c, d = array.shape
    compare(lambda x: x.transpose(axes), lambda t: t.permute(axes), [array], seed)
    compare(lambda x: x.T, lambda t: t.permute(3, 2, 1, 0), [array], seed)
    compare(lambda x: x.reshape(a * b, -1, d), lambda t: t.reshape(a * b, -1, d), [array], seed)
    compare(lambda x: x.transpose(axes).reshape(-1), lambda t: t.permute(axes).reshape(-1), [array], seed)


@draws
def test_new_shapes(seed):
    rng = np.random.default_rng(seed)
    array = draw(rng, random_shape(rng, ndim=3))
    first, second = (int(i) for i in rng.integers(-3, 3, 2))
    start, end = sorted(int(i) for i in rng.integers(0, 3, 2))
    compare(lambda x: x.swapaxes(first, second), lambda t: t.swapaxes(first, second), [array], seed)
    compare(lambda x: mc.flatten(x, start, end - 3), lambda t: torch.flatten(t, start, end), [array], seed)
    compare(lambda x: mc.expand_dims(x, first), lambda t: t.unsqueeze(first), [array], seed)
    compare(mc.squeeze, torch.squeeze, [array], seed)
    compare(lambda x: mc.squeeze(x, first), lambda t: t.squeeze(first), [array[tuple(
        slice(0, 1) if i == first % 3 else slice(None) for i in range(3))]], seed)


@draws
def test_repetition(seed):
    rng = np.random.default_rng(seed)
    array = draw(rng, random_shape(rng, ndim=3))
    axis, count = int(rng.integers(-3, 3)), int(rng.integers(1, 4))
    counts = tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 5)))
    longer = tuple(4 if n == 1 else n for n in array.shape)
    compare(lambda x: mc.repeat(x, count, axis), lambda t: t.repeat_interleave(count, axis), [array], seed)
    compare(lambda x: mc.repeat(x, count), lambda t: t.repeat_interleave(count), [array], seed)
    compare(lambda x: mc.tile(x, counts), lambda t: torch.tile(t, counts), [array], seed)
    compare(lambda x: mc.broadcast_to(x, (2, *longer)), lambda t: t.broadcast_to((2, *longer)), [array], seed)


@draws
def test_split(seed):
    rng = np.random.default_rng(seed)
    array, axis = draw(rng, (12, 6, 4)), int(rng.integers(-3, 3))
    cuts = sorted(int(i) for i in rng.integers(0, 4, 2))
    for parts in (2, cuts):
        theirs = (lambda t: torch.tensor_split(t, parts, axis))
        compare(lambda x: mc.split(x, parts, axis)[1], lambda t: theirs(t)[1], [array], seed)
        compare(lambda x: mc.concatenate(mc.split(x, parts, axis)[::-1], axis), lambda t: torch.cat(theirs(t)[::-1], axis),
                [array], seed)


@pytest.mark.parametrize("index", [
    2, (-1, 0), (slice(1, 3), 1), (Ellipsis, 0), (None, slice(None), 1), slice(2, 2),
    np.array([3, 0, 0, -1]), (slice(None), np.array([[1, 1], [0, 2]])), (np.array([1, 1, 3]), np.array([0, 0, 2])),
    (np.array([1, 1]), slice(None), np.array([0, 0])),
    np.arange(24).reshape(4, 3, 2) % 5 < 2, np.array([True, False, False, True]),
    (slice(None), np.array([True, False, True]), 1)], ids=str)
def test_getitem(index):
    """Indices that mean the same to both (an integer beside an array, with a slice between them, does not)."""
    theirs = tuple(map(as_torch_index, index)) if isinstance(index, tuple) else as_torch_index(index)
    array = np.random.default_rng(0).standard_normal((4, 3, 2))
    compare(lambda x: x[index], lambda t: t[theirs], [array], 1)


def as_torch_index(part):
    return torch.tensor(part) if isinstance(part, np.ndarray) else part


@draws
def test_concatenate_and_stack(seed):
    rng = np.random.default_rng(seed)
    shape = random_shape(rng, ndim=3)
    axis, count = int(rng.integers(-3, 3)), int(rng.integers(1, 5))
    same = [draw(rng, shape) for _ in range(count)]
    longer = [np.repeat(array, rng.integers(0, 4), axis=axis) for array in same]
    compare(lambda *x: mc.concatenate(x, axis), lambda *t: torch.cat(t, axis), longer, seed)
    compare(lambda *x: mc.stack(list(x), axis), lambda *t: torch.stack(t, axis), same, seed)


# ---- padding -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("mode, torchs", [("zeros", "constant"), ("reflect", "reflect"), ("replicate", "replicate")])
def test_pad_pictures(mode, torchs, seed):
    """PyTorch pads the last two axes of N C H W; ours are axes 1 and 2 of N H W C."""
    rng = np.random.default_rng(seed)
    array = draw(rng, random_shape(rng, ndim=4))                                      # (N, H, W, C)
    H, W = array.shape[1:3]
    limit = (H, H, W, W) if mode == "reflect" else (5, 5, 5, 5)
    top, bottom, left, right = (int(rng.integers(0, n)) for n in limit)

    def theirs(t):
        padded = torch.nn.functional.pad(t.permute(0, 3, 1, 2), (left, right, top, bottom), mode=torchs)
        return padded.permute(0, 2, 3, 1)
    compare(lambda x: mc.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), mode), theirs, [array], seed)
