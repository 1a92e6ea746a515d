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
from minicnn.core import threads as core_threads
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


def one_operand_cases():
    for shape in [(), (3,), (2, 3), (0, 3), (2, 1, 3)]:
        for name in ("negative", "exp", "abs"):
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


def rearranging_cases():
    for shape, new in [((2, 3), (3, 2)), ((2, 3), (-1,)), ((2, 3), -1), ((), (1, 1)), ((1,), ()), ((0, 3), (3, 0))]:
        yield Case(f"reshape {shape} to {new}", functools.partial(mc.reshape, shape=new), (shape,))
    for shape, axes in [((), None), ((3,), (0,)), ((2, 3), None), ((2, 3, 4), None), ((2, 3, 4), (1, 2, 0)),
                        ((2, 3, 4), (-1, 0, -2)), ((2, 3, 4, 5), (2, 0, 3, 1))]:
        yield Case(f"transpose {shape} {axes}", functools.partial(mc.transpose, axes=axes), (shape,))
    for text, index in INDICES.items():
        yield Case(f"getitem [{text}]", functools.partial(mc.getitem, index=index), ((4, 3, 2),))
    yield Case("getitem [()] of a number", lambda x: x[()], ((),))


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
    assert operations == {name.split()[0] for name in CASES}


# ---- large products, over the threads ------------------------------------------------------------------------------

@pytest.fixture
def many_slices(monkeypatch):
    """Small products are cut as large ones are."""
    monkeypatch.setattr(tuning, "THREAD_PRODUCT", 2)
    monkeypatch.setattr(tuning, "INLINE_PRODUCT", 0)


@pytest.fixture
def threads():
    before = core_threads.threads()
    yield core_threads.threads
    core_threads.threads(before)


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
])
def test_operators_and_methods_give_numpys_values(ours, numpys):
    y = ours(tensor(X, requires_grad=True))
    assert isinstance(y, Tensor) and y.requires_grad
    assert np.array_equal(y.data, numpys)


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
])
def test_errors_name_the_operation_and_the_sizes(call, message):
    with pytest.raises(ValueError, match=message):
        call()
