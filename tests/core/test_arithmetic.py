"""The operations of arithmetic.py: values, gradients against central differences, number types, errors.

Every operation stands in CASES with all the forms in which it can be called; what all of them promise is tested on all.
"""
import functools
import types
from typing import NamedTuple

import numpy as np
import pytest

from minicnn.checking.gradcheck import gradcheck
from minicnn.core import tuning
from minicnn.core import arithmetic as mc
from minicnn.core.tensor import Tensor, tensor


class Case(NamedTuple):
    """A function of tensors of these shapes, whose elements are drawn evenly from low .. high."""
    name: str
    function: callable
    shapes: tuple
    low: float = -2.0
    high: float = 2.0

    def arrays(self, dtype=np.float64):
        rng = np.random.default_rng(len(self.name) + 17 * len(self.shapes))
        return [rng.uniform(self.low, self.high, shape).astype(dtype) for shape in self.shapes]


def every_case():
    yield from two_operand_cases()
    yield from matmul_cases()
    yield from einsum_cases()
    yield from one_operand_cases()
    yield from reduction_cases()
    yield from rearranging_cases()
    yield from joining_cases()
    yield from padding_cases()


def two_operand_cases():
    pairs = [((), ()), ((3,), ()), ((), (2, 3)), ((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((1,), (2, 3)),
             ((2, 3), (1, 1)), ((1, 2, 3), (4, 1, 1, 3)), ((0, 3), (1, 3))]
    ranges = {"divide": (0.5, 2), "power": (0.5, 2)}
    for name in ("add", "subtract", "multiply", "divide", "power", "maximum", "minimum"):
        for shapes in pairs:
            yield Case(f"{name} {shapes[0]} {shapes[1]}", getattr(mc, name), shapes, *ranges.get(name, ()))
        yield Case(f"{name} tensor and number", functools.partial(call_with_number_right, name), ((2, 3),), 0.5, 2)
        yield Case(f"{name} number and tensor", functools.partial(call_with_number_left, name), ((2, 3),), 0.5, 2)
    for exponent in (2, 3, -1, 0, 0.5):
        yield Case(f"power {exponent}", functools.partial(raised, exponent), ((2, 3),), 0.5, 2)
    mask = np.arange(6).reshape(2, 3) % 2 == 0
    for shapes in [((2, 3), (2, 3)), ((3,), ()), ((), (2, 1)), ((4, 1, 1), (2, 3))]:
        yield Case(f"where {shapes[0]} {shapes[1]}", functools.partial(mc.where, mask), shapes)
    yield Case("where tensor and number", lambda x: mc.where(mask, x, 1.5), ((2, 3),))


def call_with_number_right(name, x):
    return getattr(mc, name)(x, 1.25)


def call_with_number_left(name, x):
    return getattr(mc, name)(1.25, x)


def raised(exponent, x):
    return x ** exponent


def matmul_cases():
    for a, b in [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((3,), (5, 3, 2)), ((5, 2, 3), (3,)),
                 ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((5, 1, 2, 3), (4, 3, 2)),
                 ((1, 2, 3), (5, 3, 4)), ((2, 5, 2, 3), (3, 4)),
                 ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((0, 2, 3), (3, 1))]:
        yield Case(f"matmul {a} {b}", mc.matmul, (a, b))


SUBSCRIPTS = ["ij,jk->ik", "ij,jk", "ji,jk->ki", "i,i->", "i,j->ij", "i,j->ji", "ij,ij->ij", "ij,ij->", "ij,j->i", "ij,k->k",
              "ij,kj->", "ij,ik->j", "bij,bjk->bik", "bij,bjk->ikb", "bqhd,bkhd->bhqk", "bhqk,bkhd->bqhd", "nhwc,nc->nhwc",
              "nhwc,ck->nhwk", "i->i", "ij->", "ij->ji", "ijk->ki", "ij->j", "ba", "Ab,bA", ",i->i", ",->", "ij,->ij",
              "ij,jk,kl->il", "i,i,i->i", "i,j,k->kji", "ij,ik,il->jkl", "ij,jk,ki->", "i,ij,j", "ab,bc,cd,de->ae",
              " i j , j -> i "]


def einsum_cases():
    sizes = dict(zip("ijklbqhdnwcaeA", (2, 3, 4, 5, 2, 3, 2, 4, 2, 3, 4, 3, 2, 2)))
    for text in SUBSCRIPTS:
        letters = text.replace(" ", "").partition("->")[0].split(",")
        shapes = tuple(tuple(sizes[n] for n in names) for names in letters)
        yield Case(f"einsum {text!r}", functools.partial(mc.einsum, text), shapes)
    for shapes in [((0, 3), (3, 2)), ((2, 0), (0, 2)), ((1, 3), (3, 1))]:
        yield Case(f"einsum of {shapes}", functools.partial(mc.einsum, "ij,jk->ik"), shapes)
    for shapes in [((3,), (4,)), ((0,), (2,)), ((1,), (1,))]:
        yield Case(f"outer {shapes}", mc.outer, shapes)


def one_operand_cases():
    for shape in [(), (3,), (2, 3), (0, 3), (2, 1, 3)]:
        for name in ("negative", "exp", "abs", "sin", "cos"):
            yield Case(f"{name} {shape}", getattr(mc, name), (shape,))
        for name in ("log", "sqrt"):
            yield Case(f"{name} {shape}", getattr(mc, name), (shape,), 0.5, 3)
        yield Case(f"clip {shape}", lambda x: mc.clip(x, -0.9, 0.9), (shape,))
    yield Case("clip from below", lambda x: x.clip(low=0.0), ((3, 4),))
    yield Case("clip from above", lambda x: x.clip(high=0.0), ((3, 4),))


def reduction_cases():
    for name in ("sum", "mean", "max", "min"):
        for shape, axis in [((), None), ((3,), None), ((3,), 0), ((2, 3, 4), None), ((2, 3, 4), 1), ((2, 3, 4), -1),
                            ((2, 3, 4), (0, 2)), ((2, 3, 4), (-1, 1)), ((2, 3, 4), (0, 1, 2)), ((2, 1, 4), 1)]:
            for keepdims in (False, True):
                reduced = functools.partial(getattr(mc, name), axis=axis, keepdims=keepdims)
                yield Case(f"{name} {shape} axis {axis} keepdims {keepdims}", reduced, (shape,))
    yield Case("sum of nothing", lambda x: mc.sum(x, axis=0), ((0, 3),))
    for name in ("var", "std"):
        for shape, axis in [((3,), None), ((2, 3, 4), None), ((2, 3, 4), 1), ((2, 3, 4), (0, -1)), ((0, 3), 1)]:
            for keepdims, correction in [(False, 0), (True, 1), (False, 0.5)]:
                spread = functools.partial(getattr(mc, name), axis=axis, keepdims=keepdims, correction=correction)
                yield Case(f"{name} {shape} axis {axis} keepdims {keepdims} correction {correction}", spread, (shape,))
    yield Case("var of one number", mc.var, ((),))


def rearranging_cases():
    for shape, new in [((2, 3), (3, 2)), ((2, 3), (-1,)), ((2, 3), -1), ((), (1, 1)), ((1,), ()), ((0, 3), (3, 0))]:
        yield Case(f"reshape {shape} to {new}", functools.partial(mc.reshape, shape=new), (shape,))
    for shape, axes in [((), None), ((3,), (0,)), ((2, 3), None), ((2, 3, 4), None), ((2, 3, 4), (1, 2, 0)),
                        ((2, 3, 4), (-1, 0, -2)), ((2, 3, 4, 5), (2, 0, 3, 1))]:
        yield Case(f"transpose {shape} {axes}", functools.partial(mc.transpose, axes=axes), (shape,))
    yield from new_shape_cases()
    yield from repeating_cases()
    for text, index in INDICES.items():
        yield Case(f"getitem [{text}]", functools.partial(mc.getitem, index=index), ((4, 3, 2),))
    yield Case("getitem [()] of a number", lambda x: x[()], ((),))


def new_shape_cases():
    for shape, axes in [((2, 3), (0, 1)), ((2, 3, 4), (-1, 0)), ((2, 3), (1, 1))]:
        yield Case(f"swapaxes {shape} {axes}", lambda x, axes=axes: mc.swapaxes(x, *axes), (shape,))
    for shape, axes in [((), ()), ((2, 3), ()), ((2, 3, 4), (1,)), ((2, 3, 4, 2), (1, 2)), ((2, 3, 4), (-2, -1)),
                        ((0, 3, 2), (1,)), ((2, 3), (1, 1))]:
        yield Case(f"flatten {shape} {axes}", lambda x, axes=axes: mc.flatten(x, *axes), (shape,))
    for shape, axis in [((), None), ((1, 3, 1), None), ((1, 3, 1), 0), ((1, 3, 1), -1), ((1, 1, 3, 1), (0, -1)), ((2, 1), ())]:
        yield Case(f"squeeze {shape} {axis}", functools.partial(mc.squeeze, axis=axis), (shape,))
    for shape, axis in [((), 0), ((3,), 1), ((2, 3), -1), ((2, 3), (0, 2)), ((0, 3), -3)]:
        yield Case(f"expand_dims {shape} {axis}", functools.partial(mc.expand_dims, axis=axis), (shape,))


def repeating_cases():
    for shape, new in [((), (2, 3)), ((3,), 3), ((3,), (2, 3)), ((2, 1, 3), (4, 2, 5, 3)), ((1, 3), (0, 3)), ((0, 3), (2, 0, 3))]:
        yield Case(f"broadcast_to {shape} {new}", functools.partial(mc.broadcast_to, shape=new), (shape,))
    for shape, repeats, axis in [((), 3, None), ((2, 3), 2, None), ((2, 3), 3, 0), ((2, 3, 4), 2, -2), ((2, 3), 0, 1),
                                 ((0, 3), 2, 1), ((2, 3), np.int64(2), 1), ((2, 3), 1, 0)]:
        yield Case(f"repeat {shape} {repeats!r} {axis}", functools.partial(mc.repeat, repeats=repeats, axis=axis), (shape,))
    for shape, repeats in [((), 3), ((2, 3), 2), ((3,), (2, 2)), ((2, 3), (3, 1)), ((2, 3, 2), (2, 3)), ((2, 3), (0, 2)),
                           ((2, 3), ()), ((0, 3), (2, 2))]:
        yield Case(f"tile {shape} {repeats}", functools.partial(mc.tile, repeats=repeats), (shape,))
    for shape, parts, axis in [((6,), 3, 0), ((2, 6), 2, -1), ((5, 2), [1, 3], 0), ((5, 2), (2, 2), 0), ((4,), [-1], 0), ((4,), np.array([1]), 0),
                               ((3, 0), 1, 1)]:
        yield Case(f"split {shape} {parts} axis {axis}", functools.partial(parts_joined_in_reverse, parts, axis), (shape,))


def parts_joined_in_reverse(parts, axis, x):
    return mc.concatenate(mc.split(x, parts, axis)[::-1], axis)


INDICES = {
    "1": 1, "-1": -1, "1, 2, 0": (1, 2, 0), "1:3": slice(1, 3), "::-2": slice(None, None, -2), "...": Ellipsis,
    "None": None, "..., 0": (..., 0), ":, None, 1": (slice(None), None, 1), "2:2": slice(2, 2),
    "np.int64(2)": np.int64(2), "0, :, [1, 1]": (0, slice(None), [1, 1]),
    "[0, 2, 2]": [0, 2, 2], "[]": [], "[-1, 3]": np.array([-1, 3]), "2-d": np.array([[0, 1], [1, 0]]),
    "[0, 0], [1, 1]": ([0, 0], [1, 1]), ":, [1, 1, 0]": (slice(None), np.array([1, 1, 0])),
    "[1, 1], :, [0, 0]": ([1, 1], slice(None), [0, 0]), "[2, 2], 1:": ([2, 2], slice(1, None)),
    "mask": np.arange(24).reshape(4, 3, 2) % 3 == 0, "row mask": np.array([True, False, True, True]),
    "mask, 0": (np.arange(12).reshape(4, 3) % 2 == 0, 0), "True": True,
    "mask, [0, 0]": (np.array([True, False, True, False]), [0, 0]),
}


def joining_cases():
    for shapes, axis in [(((2, 3), (1, 3), (4, 3)), 0), (((2, 3), (2, 1)), 1), (((2, 3), (2, 0), (2, 1)), -1),
                         (((3,),), 0)]:
        yield Case(f"concatenate {shapes} axis {axis}", functools.partial(join, mc.concatenate, axis), shapes)
    for count, shape, axis in [(2, (), 0), (3, (2, 3), 0), (3, (2, 3), 1), (3, (2, 3), -1), (3, (2, 3), -3),
                               (1, (2,), 1)]:
        yield Case(f"stack {count} of {shape} axis {axis}", functools.partial(join, mc.stack, axis), (shape,) * count)


def join(operation, axis, *tensors):
    return operation(list(tensors), axis=axis)


def padding_cases():
    anywhere = [((3,), ((0, 0),)), ((2, 3), ((1, 1), (2, 0))), ((3, 2), ((2, 2), (1, 1))),
                ((1, 4, 5, 2), ((0, 0), (3, 3), (4, 0), (0, 1)))]
    for mode in ("zeros", "reflect", "replicate"):
        for shape, widths in anywhere:
            yield Case(f"pad {shape} {widths} {mode}", functools.partial(mc.pad, widths=widths, mode=mode), (shape,))
    for mode in ("zeros", "replicate"):
        yield Case(f"pad (1, 2) wide {mode}", functools.partial(mc.pad, widths=((3, 2), (5, 4)), mode=mode), ((1, 2),))
    yield Case("pad nothing with zeros", lambda x: mc.pad(x, ((1, 2), (0, 0))), ((0, 3),))


CASES = {case.name: case for case in every_case()}
assert len(CASES) == len(list(every_case())), "two cases have the same name"
case_test = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


# ---- what all of them promise --------------------------------------------------------------------------------------

@case_test
def test_gradients_are_those_of_central_differences(case):
    report = gradcheck(case.function, *case.arrays())
    assert report.kinks == 0


@case_test
def test_float32_stays_float32_forward_and_back(case):
    leaves = [tensor(array, requires_grad=True) for array in case.arrays(np.float32)]
    y = case.function(*leaves)
    assert (y.dtype, isinstance(y.data, np.ndarray)) == (np.float32, True)
    y.backward(np.ones(y.shape))
    assert [x.grad.dtype for x in leaves] == [np.float32] * len(leaves)


@case_test
def test_inputs_and_upstream_gradient_are_not_modified(case):
    arrays = case.arrays()
    leaves = [Tensor(array.copy(), requires_grad=True) for array in arrays]
    y = case.function(*leaves)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    given = dy.copy()
    y.backward(given)
    assert np.array_equal(given, dy)
    for leaf, array in zip(leaves, arrays):
        assert np.array_equal(leaf.data, array)
        assert not np.shares_memory(leaf.grad, given) and not np.shares_memory(leaf.grad, leaf.data)


@case_test
def test_non_contiguous_inputs_give_the_same(case):
    arrays = case.arrays()
    plain = [Tensor(array, requires_grad=True) for array in arrays]
    views = [Tensor(_as_view(array), requires_grad=True) for array in arrays]
    y, same = case.function(*plain), case.function(*views)
    dy = np.random.default_rng(2).standard_normal(y.shape)
    y.backward(dy)
    same.backward(_as_view(dy))
    assert np.allclose(same.data, y.data, rtol=1e-13, atol=0)
    for a, b in zip(plain, views):
        assert np.allclose(b.grad, a.grad, rtol=1e-13, atol=1e-15)


def _as_view(array):
    """The same values in memory that is transposed, and where only every second element counts."""
    memory = np.full([2 * n for n in array.shape[::-1]] + [2], np.nan)
    view = memory[(slice(None, None, 2),) * array.ndim + (..., 0)].T
    view[...] = array
    return view


def test_every_operation_has_a_case():
    rooms = [room for room in vars(mc).values() if isinstance(room, types.ModuleType)]
    operations = {name.lstrip("_") for room in rooms for name, value in vars(room).items() if hasattr(value, "__wrapped__")}
    assert operations | {"split"} == {name.split()[0] for name in CASES}              # split is several getitem


# ---- large products, over the threads ------------------------------------------------------------------------------

@pytest.fixture
def many_slices(monkeypatch):
    """Small products are cut as large ones are."""
    monkeypatch.setattr(tuning, "THREAD_PRODUCT", 2)
    monkeypatch.setattr(tuning, "INLINE_PRODUCT", 0)


@pytest.mark.parametrize("case", list(matmul_cases()), ids=lambda case: case.name)
def test_matmul_in_slices(case, many_slices):
    a, b = case.arrays()
    assert np.allclose(mc.matmul(a, b).data, a @ b, rtol=1e-13, atol=1e-14)
    gradcheck(mc.matmul, a, b)


@pytest.mark.parametrize("a, b", [((9, 7), (7, 5)), ((5, 7), (7, 9)), ((6, 9, 7), (7, 5)), ((11, 4, 7), (11, 7, 5)),
                                  ((2, 9, 4, 7), (9, 7, 5)), ((1, 4, 7), (1, 7, 5)), ((4, 7), (11, 7, 5))], ids=str)
def test_matmul_does_not_depend_on_the_number_of_threads(a, b, many_slices, threads):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape, dtype=np.float32) for shape in (a, b))
    dy = rng.standard_normal((a @ b).shape, dtype=np.float32)

    def all_of_it(count):
        threads(count)
        leaves = [tensor(array, requires_grad=True) for array in (a, b)]
        y = mc.matmul(*leaves)
        y.backward(dy)
        return [y.data, *(leaf.grad for leaf in leaves)]
    once = all_of_it(1)
    assert all(array.dtype == np.float32 for array in once)
    for count in (2, 3):
        for array, other in zip(once, all_of_it(count)):
            np.testing.assert_array_equal(array, other)


# ---- values --------------------------------------------------------------------------------------------------------

X = np.array([[0.5, 2.0, 3.0], [1.0, 4.0, 0.25]])


@pytest.mark.parametrize("ours, numpys", [
    (lambda x: x + 2, X + 2), (lambda x: 2 + x, X + 2), (lambda x: x - 2, X - 2), (lambda x: 2 - x, 2 - X),
    (lambda x: x * 3, X * 3), (lambda x: 3 * x, X * 3), (lambda x: x / 2, X / 2), (lambda x: 2 / x, 2 / X),
    (lambda x: x ** 2, X ** 2), (lambda x: 2 ** x, 2 ** X), (lambda x: x ** x, X ** X), (lambda x: -x, -X),
    (lambda x: abs(x - 1), abs(X - 1)), (lambda x: x @ x.T, X @ X.T), (lambda x: X.T @ x, X.T @ X),
    (lambda x: x @ X.T, X @ X.T), (lambda x: x.exp(), np.exp(X)), (lambda x: x.log(), np.log(X)),
    (lambda x: x.sqrt(), np.sqrt(X)), (lambda x: (-x).abs(), X), (lambda x: x.clip(1, 3), X.clip(1, 3)),
    (lambda x: x.sum(), X.sum()), (lambda x: x.sum(axis=1), X.sum(1)), (lambda x: x.mean(0), X.mean(0)),
    (lambda x: x.max(axis=(0, 1), keepdims=True), [[4]]), (lambda x: x.min(0), X.min(0)),
    (lambda x: x.reshape(3, 2), X.reshape(3, 2)), (lambda x: x.reshape((3, -1)), X.reshape(3, 2)),
    (lambda x: x.reshape(-1), X.ravel()), (lambda x: x.reshape([6, 1]), X.reshape(6, 1)),
    (lambda x: x.transpose(), X.T), (lambda x: x.transpose(1, 0), X.T), (lambda x: x.transpose((0, 1)), X),
    (lambda x: x.T, X.T), (lambda x: x[0].transpose(0), X[0]), (lambda x: x[x > 1], X[X > 1]),
    (lambda x: x[0, -1], 3.0), (lambda x: x[:, ::-1], X[:, ::-1]),
    (lambda x: mc.where(x > 1, x, 0.0), np.where(X > 1, X, 0)), (lambda x: mc.maximum(x, 1), np.maximum(X, 1)),
    (lambda x: mc.minimum(1, x), np.minimum(X, 1)),
    (lambda x: x.sin(), np.sin(X)), (lambda x: x.cos(), np.cos(X)), (lambda x: x.var(axis=0), X.var(0)),
    (lambda x: x.std(1, True), X.std(1, keepdims=True)), (lambda x: x.var(correction=1), X.var(ddof=1)),
    (lambda x: x.swapaxes(0, 1), X.T), (lambda x: x.flatten(), X.ravel()), (lambda x: x[:1].squeeze(0), X[0]),
    (lambda x: mc.expand_dims(x, 1), X[:, None]), (lambda x: x.repeat(2, axis=0), np.repeat(X, 2, 0)),
    (lambda x: x.repeat(2), np.repeat(X, 2)), (lambda x: mc.tile(x, (1, 2)), np.tile(X, (1, 2))),
    (lambda x: mc.broadcast_to(x[0], (2, 3)), X[[0, 0]]), (lambda x: mc.outer(x[0], X[1]), np.outer(X[0], X[1])),
    (lambda x: x.split(3, axis=1)[1], X[:, 1:2]), (lambda x: mc.split(x, [1])[1], X[1:]),
    (lambda x: mc.flatten(tensor(np.ones((2, 3, 4)), requires_grad=True), 1), np.ones((2, 12))),
])
def test_operators_and_methods_give_numpys_values(ours, numpys):
    y = ours(tensor(X, requires_grad=True))
    assert isinstance(y, Tensor) and y.requires_grad
    assert np.array_equal(y.data, numpys)


@pytest.mark.parametrize("text", SUBSCRIPTS)
def test_einsum_gives_numpys_values(text):
    case = CASES[f"einsum {text!r}"]
    np.testing.assert_allclose(case.function(*case.arrays()).data, np.einsum(text, *case.arrays()), rtol=1e-12, atol=1e-13)


def test_a_large_einsum_is_cut_like_a_matrix_product(many_slices):
    case = CASES["einsum 'bqhd,bkhd->bhqk'"]
    np.testing.assert_allclose(case.function(*case.arrays()).data, np.einsum("bqhd,bkhd->bhqk", *case.arrays()), rtol=1e-12)
    gradcheck(case.function, *case.arrays())


def test_the_parts_of_split():
    assert [part.data.tolist() for part in mc.split(np.arange(6.), 3)] == [[0, 1], [2, 3], [4, 5]]
    assert [part.data.tolist() for part in mc.split(np.arange(6.), [1, 5])] == [[0], [1, 2, 3, 4], [5]]
    assert [part.shape for part in mc.split(tensor(np.zeros((2, 6))), np.int64(2), axis=-1)] == [(2, 3), (2, 3)]


def test_augmented_assignment_makes_a_new_tensor():
    x = y = tensor([1.0, 2.0], requires_grad=True)
    y += 1
    y *= 2
    assert y.data.tolist() == [4, 6] and x.data.tolist() == [1, 2] and y is not x


def test_comparisons_and_positions_are_plain_arrays():
    x, other = tensor(X), np.ones((2, 3))
    for answer, expected in [(x < 1, X < 1), (x <= other, X <= 1), (x > 1, X > 1), (x >= tensor(other), X >= 1),
                             (x == 1, X == 1), (x != 1, X != 1), (1 < x, X > 1), (other == x, X == 1)]:
        assert type(answer) is np.ndarray and np.array_equal(answer, expected)
    assert x.argmax() == mc.argmax(X) == 4 and x.argmin() == mc.argmin(x) == 5
    assert x.argmax(axis=1).tolist() == [2, 1] and type(x.argmin(axis=0)) is np.ndarray


def test_an_index_may_be_a_tensor():
    x, index = tensor(X), tensor(np.array([1, 0]))
    assert np.array_equal(x[index].data, X[[1, 0]])
    assert np.array_equal(x[index, tensor(np.array([2, 2]))].data, X[[1, 0], [2, 2]])


def test_an_element_picked_three_times_gets_three_gradients():
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    x[[0, 2, 2, 2]].backward([1, 10, 100, 1000])
    assert x.grad.tolist() == [1, 0, 1110]


def test_reflected_edges_add_up_where_both_sides_meet():
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = mc.pad(x, ((2, 2),), mode="reflect")
    assert y.data.tolist() == [3, 2, 1, 2, 3, 2, 1]
    y.backward([1, 10, 100, 1000, 10_000, 100_000, 1_000_000])
    assert x.grad.tolist() == [1_000_100, 101_010, 10_001]


def test_replicated_edges_add_up():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = mc.pad(x, ((2, 1),), mode="replicate")
    assert y.data.tolist() == [1, 1, 1, 2, 2]
    y.backward([1, 10, 100, 1000, 10_000])
    assert x.grad.tolist() == [111, 11_000]


def test_padding_plain_arrays_and_folding_back():
    x = np.arange(6.0).reshape(2, 3)
    y = mc.pad_array(x, [(0, 1), (1, 0)], "replicate")
    assert y.tolist() == [[0, 0, 1, 2], [3, 3, 4, 5], [3, 3, 4, 5]]
    assert mc.pad_gradient(np.ones((3, 4)), [(0, 1), (1, 0)], "replicate").tolist() == [[2, 1, 1], [4, 2, 2]]


@pytest.mark.parametrize("shape, repeats", [
    ((), 24), ((4,), 6), ((3, 1), 8), ((2, 3, 4), 1), ((1, 1, 1), 24), ((2, 1, 4), 3)])
def test_unbroadcast_sums_over_the_repeats(shape, repeats):
    dx = mc.unbroadcast(np.ones((2, 3, 4)), shape)
    assert dx.shape == shape and np.array_equal(dx, np.full(shape, repeats))


# ---- kinks and edges -----------------------------------------------------------------------------------------------

def gradient(function, *values, dy=1.0):
    leaves = [tensor(np.array(value), requires_grad=True) for value in values]
    y = function(*leaves)
    y.backward(np.full(y.shape, dy))
    return [x.grad.tolist() for x in leaves]


def test_the_gradient_of_abs_at_zero_is_zero():
    assert gradient(mc.abs, [-2.0, 0.0, 2.0]) == [[-1, 0, 1]]


def test_equal_operands_of_maximum_and_minimum_get_half_each():
    assert gradient(mc.maximum, [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == [[0, .5, 1], [1, .5, 0]]
    assert gradient(mc.minimum, [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == [[1, .5, 0], [0, .5, 1]]


def test_equal_largest_elements_share_evenly():
    assert gradient(mc.max, [3.0, 1.0, 3.0, 3.0], dy=6.0) == [[2, 0, 2, 2]]
    assert gradient(mc.min, [3.0, 1.0, 1.0], dy=6.0) == [[0, 3, 3]]
    rows = [[5.0, 5.0], [1.0, 5.0]]
    assert gradient(lambda x: x.max(axis=1), rows) == [[[.5, .5], [0, 1]]]
    assert gradient(lambda x: x.max(), rows, dy=3.0) == [[[1, 1], [0, 1]]]


def test_the_gradient_of_clip_passes_at_its_ends():
    assert gradient(lambda x: mc.clip(x, -1, 1), [-2.0, -1.0, 0.0, 1.0, 2.0]) == [[0, 1, 1, 1, 0]]
    assert gradient(lambda x: mc.clip(x, low=0), [-1.0, 0.0, 9.0]) == [[0, 1, 1]]
    assert gradient(lambda x: mc.clip(x), [-1.0, 9.0]) == [[1, 1]]


def test_the_gradient_of_sqrt_at_zero_is_infinite():
    with np.errstate(divide="ignore"):
        assert gradient(mc.sqrt, [0.0, 4.0]) == [[np.inf, 0.25]]


def test_the_gradient_of_std_at_zero_is_zero():
    assert gradient(mc.std, [3.0, 3.0, 3.0]) == [[0, 0, 0]]
    assert gradient(lambda x: x.std(axis=1), [[3.0, 3.0], [-1.0, 1.0]]) == [[[0, 0], [-.5, .5]]]


def test_powers_of_zero_and_to_zero():
    assert gradient(lambda x: x ** 0, [0.0, 3.0]) == [[0, 0]]
    assert gradient(lambda x: x ** 1, [0.0, 3.0]) == [[1, 1]]
    assert gradient(lambda x: x ** 2, [0.0, -3.0]) == [[0, -6]]
    assert gradient(lambda x: 0 ** x, [0.0, 2.0]) == [[0, 0]]
    assert gradient(mc.power, [0.0, 0.0], [0.0, 2.0]) == [[0, 0], [0, 0]]


@pytest.mark.parametrize("function", [
    lambda x: x + 2, lambda x: 2 - x, lambda x: x * 0.1, lambda x: x / 3, lambda x: x ** 2, lambda x: x ** 0.5,
    lambda x: 2 ** x, lambda x: 2.5 ** x, lambda x: mc.maximum(x, 0.5), lambda x: mc.where(x > 1, x, 0.1),
    lambda x: mc.clip(x, 0.1, 0.9), lambda x: x.mean()])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_python_numbers_do_not_turn_float32_into_float64(function, shape):
    x = tensor(np.full(shape, 0.7, np.float32), requires_grad=True)
    y = function(x)
    y.backward(np.ones(y.shape))
    assert y.dtype == x.grad.dtype == np.float32


def test_gradients_flow_into_both_operands_when_they_are_one_tensor():
    assert gradient(lambda x: x * x, [3.0]) == [[6]]
    assert gradient(lambda x: x - x, [3.0]) == [[0]]
    assert gradient(lambda x: mc.concatenate([x, x, x]), [3.0]) == [[3]]
    assert np.allclose(gradient(lambda x: x ** x, [2.0]), 4 * (1 + np.log(2)))


# ---- errors --------------------------------------------------------------------------------------------------------

ONES = tensor(np.ones((2, 3)))


@pytest.mark.parametrize("call, message", [
    (lambda: ONES + np.ones(2), r"add: shapes \(2, 3\) and \(2,\) do not broadcast"),
    (lambda: np.ones((4, 3)) * ONES, r"multiply: shapes \(4, 3\) and \(2, 3\) do not broadcast"),
    (lambda: mc.maximum(ONES, np.ones((3, 2))), r"maximum: shapes \(2, 3\) and \(3, 2\)"),
    (lambda: mc.where(np.ones(2, bool), ONES, 0.0), r"where \(condition and a\): shapes \(2,\) and \(2, 3\)"),
    (lambda: mc.where(True, ONES, np.ones(2)), r"where: shapes \(2, 3\) and \(2,\)"),
    (lambda: ONES @ ONES, r"matmul: shapes \(2, 3\) and \(2, 3\): the last axis of a has size 3, .* summed with 2"),
    (lambda: ONES @ np.ones(2), r"matmul: shapes \(2, 3\) and \(2,\)"),
    (lambda: ONES @ np.array(2.0), "a single number is no matrix"),
    (lambda: np.ones((4, 2, 2)) @ tensor(np.ones((3, 2, 2))), r"the leading axes \(4,\) and \(3,\) do not broadcast"),
    (lambda: ONES.clip(1, 0), r"clip: low \(1\) is larger than high \(0\)"),
    (lambda: ONES.sum(axis=2), "axis 2 is out of bounds for array of dimension 2"),
    (lambda: ONES.mean(axis=(0, -3)), "axis -3 is out of bounds for array of dimension 2"),
    (lambda: ONES.reshape(4, 2), r"cannot reshape array of size 6 into shape \(4,2\)"),
    (lambda: ONES.transpose(0, 0), "repeated axis"),
    (lambda: mc.concatenate([]), "concatenate: the list of tensors is empty"),
    (lambda: mc.concatenate([ONES, np.ones((2, 4))]), r"shapes \(2, 3\), \(2, 4\) must be equal but for axis 0"),
    (lambda: mc.concatenate([ONES, np.ones(3)]), r"shapes \(2, 3\), \(3,\) must be equal but for axis 0"),
    (lambda: mc.concatenate([ONES, ONES], axis=2), r"axis 2 does not exist in a tensor of shape \(2, 3\)"),
    (lambda: mc.stack([]), "stack: the list of tensors is empty"),
    (lambda: mc.stack([ONES, np.ones((2, 4))]), r"stack: shapes \(2, 3\), \(2, 4\) must be equal$"),
    (lambda: mc.pad(ONES, ((1, 1), (1, 1)), "mirror"), "mode must be one of zeros, reflect, replicate, not 'mirror'"),
    (lambda: mc.pad(ONES, ((1, 1),)), r"one pair \(before, after\) for each of the 2 axes .* not \(\(1, 1\),\)"),
    (lambda: mc.pad(ONES, 1), "one pair"),
    (lambda: mc.pad(ONES, (1, 1)), "one pair"),
    (lambda: mc.pad(ONES, ((0, -1), (0, 0))), r"negative width \(0, -1\) on axis 0"),
    (lambda: mc.pad(ONES, ((0, 0), (3, 0)), "reflect"),
     r"reflect by \(3, 0\) on axis 1 of shape \(2, 3\): .* at most 2"),
    (lambda: mc.pad(np.ones((0, 3)), ((1, 0), (0, 0)), mode="replicate"), "axis 0 .* is empty"),
    (lambda: mc.outer(ONES, np.ones(2)), r"outer: shapes \(2, 3\) and \(2,\): both must be vectors"),
    (lambda: ONES.var(axis=0, correction=2), r"axis 0 of shape \(2, 3\), 2 elements with correction 2, needs more"),
    (lambda: mc.std(np.ones((0, 3)), axis=0), r"shape \(0, 3\), 0 elements with correction 0, needs more"),
    (lambda: ONES.var(axis=2), "axis 2 is out of bounds for array of dimension 2"),
    (lambda: ONES.flatten(2), r"flatten: axes 2 to -1 of shape \(2, 3\): there are axes 0 to 1"),
    (lambda: ONES.flatten(1, 0), "the start comes before the end"),
    (lambda: ONES.squeeze(1), r"squeeze: axis 1 of shape \(2, 3\) has size 3: only axes of size 1 can go"),
    (lambda: ONES.squeeze(2), "axis 2 is out of bounds for array of dimension 2"),
    (lambda: mc.expand_dims(ONES, 4), "axis 4 is out of bounds for array of dimension 3"),
    (lambda: ONES.swapaxes(0, 2), "axis2: axis 2 is out of bounds for array of dimension 2"),
    (lambda: mc.broadcast_to(ONES, (3, 2)), r"broadcast_to: shape \(2, 3\) does not broadcast to \(3, 2\)"),
    (lambda: mc.broadcast_to(ONES, 3), r"broadcast_to: shape \(2, 3\) does not broadcast to \(3,\)"),
    (lambda: ONES.repeat(-1), "repeat: how often must be a whole number, 0 or more, not -1"),
    (lambda: ONES.repeat([1, 2], axis=0), r"repeat: how often must be a whole number, 0 or more, not \[1, 2\]"),
    (lambda: ONES.repeat(2, axis=2), r"repeat: axis 2 does not exist in a tensor of shape \(2, 3\)"),
    (lambda: ONES.sum().repeat(2, axis=0), r"repeat: axis 0 does not exist in a tensor of shape \(\)"),
    (lambda: mc.tile(ONES, (2, 1.5)), "tile: how often must be a whole number, 0 or more, not 1.5"),
    (lambda: mc.split(ONES, 2, axis=1), r"split: axis 1 of shape \(2, 3\) has no 2 equal parts: give a list of positions"),
    (lambda: ONES.split(0), "has no 0 equal parts"), (lambda: ONES.split(1.5), "has no 1.5 equal parts"),
    (lambda: mc.split(ONES, 2, axis=2), r"split: axis 2 does not exist in a tensor of shape \(2, 3\)"),
    (lambda: mc.einsum("ij", ONES, ONES), "einsum 'ij': subscripts for 1 tensors, but 2 were given"),
    (lambda: mc.einsum("ijk->i", ONES), r"einsum 'ijk->i': 'ijk' names 3 axes of a tensor of shape \(2, 3\)"),
    (lambda: mc.einsum("ii->i", np.ones((2, 2))), "einsum 'ii->i': a letter twice in 'ii' asks for a diagonal"),
    (lambda: mc.einsum("...i->...", ONES), "only letters name axes; write out what ... stands for"),
    (lambda: mc.einsum("ij->k", ONES), "the result's letters must be letters of the tensors, each at most once, not 'k'"),
    (lambda: mc.einsum("ij->ii", ONES), "each at most once, not 'ii'"),
    (lambda: mc.einsum("ij,jk->ik", ONES, ONES), "the axes called j have sizes 3 and 2: they must be equal"),
    (lambda: mc.einsum(ONES, "ij->ji"), 'the subscripts, a text like "ij,jk->ik", come first, not Tensor'),
    (lambda: mc.einsum("i,->i", np.ones(2), 2.0), "operand 1 is no tensor and no array"),
])
def test_errors_name_the_operation_and_the_sizes(call, message):
    with pytest.raises(ValueError, match=message):
        call()
