"""The autograd core: what `Tensor` and `@differentiable` promise, whatever the operation."""
import functools
import gc
import threading
import weakref

import numpy as np
import pytest

from minicnn.core import arithmetic
from minicnn.core.tensor import Tensor, backward_order, check_finite, differentiable, no_grad, tensor


def leaf(*shape, seed=0, dtype=np.float64):
    """A random leaf that wants gradients."""
    return tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True, dtype=dtype)


@pytest.fixture
def counted():
    """A product of two arguments, and the list of the gradient rules that were called."""
    calls = []

    @differentiable
    def product(a, b):
        def grad_a(dy):
            calls.append("a")
            return dy * b

        def grad_b(dy):
            calls.append("b")
            return dy * a
        return a * b, (grad_a, grad_b)
    product.calls = calls
    return product


@pytest.fixture
def without_gc():
    """The garbage collector is off: what dies, dies because its last name went."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# ---- only wanted rules are called ----------------------------------------------------------------------------------

@pytest.mark.parametrize("a_wanted, b_wanted", [(True, False), (False, True), (True, True)])
def test_only_the_rules_of_wanted_gradients_are_called(counted, a_wanted, b_wanted):
    a, b = tensor([1., 2.], requires_grad=a_wanted), tensor([3., 4.], requires_grad=b_wanted)
    counted(a, b).backward(np.ones(2))
    assert counted.calls == ["a"] * a_wanted + ["b"] * b_wanted
    assert (a.grad is not None, b.grad is not None) == (a_wanted, b_wanted)


def test_a_branch_without_wanted_leaves_is_not_walked(counted):
    x, frozen = leaf(3), tensor(np.ones(3))
    counted(x, counted(frozen, frozen)).backward(np.ones(3))
    assert counted.calls == ["a"]


def test_arrays_and_numbers_may_stand_for_tensors(counted):
    x = leaf(3)
    counted(x, np.full(3, 2.)).backward(np.ones(3))
    counted(5., x).backward(np.ones(3))
    assert counted.calls == ["a", "b"]
    assert x.grad.tolist() == [7, 7, 7]


def test_tensors_may_be_passed_by_name():
    a, b = leaf(3, seed=1), leaf(3, seed=2)
    arithmetic.multiply(b=b, a=a).backward(np.ones(3))
    assert np.array_equal(a.grad, b.data) and np.array_equal(b.grad, a.data)
    a.zero_grad()
    arithmetic.multiply(a, b=b).backward(np.ones(3))
    assert np.array_equal(a.grad, b.data)


def test_options_reach_the_operation_by_place_and_by_name():
    @differentiable
    def scaled(x, factor=1.0):
        return x * factor, (lambda dy: dy * factor,)
    x = leaf(2)
    for call in (lambda: scaled(x, 3.0), lambda: scaled(x, factor=3.0), lambda: scaled(factor=3.0, x=x)):
        x.zero_grad()
        call().backward(np.ones(2))
        assert x.grad.tolist() == [3, 3]


# ---- what arrives in the leaves ------------------------------------------------------------------------------------

def test_gradients_accumulate_until_zero_grad():
    x = leaf(3)
    (x * 2.0).backward(np.ones(3))
    (x * 5.0).backward(np.ones(3))
    assert x.grad.tolist() == [7, 7, 7]
    x.zero_grad()
    assert x.grad is None
    (x * 2.0).backward(np.ones(3))
    assert x.grad.tolist() == [2, 2, 2]


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0, 2)])
def test_a_gradient_is_an_array_like_its_leaf_also_when_accumulated(shape):
    x = leaf(*shape, dtype=np.float32)
    for _ in range(3):
        (x * x + x).backward(np.ones(shape))
        assert isinstance(x.grad, np.ndarray)
        assert (x.grad.shape, x.grad.dtype) == (shape, np.float32)


def test_a_leaf_is_its_own_gradient():
    x = tensor(2.0, requires_grad=True)
    x.backward()
    assert x.grad == 1


def test_a_tensor_used_in_several_places_gets_the_sum():
    x = leaf(4)
    y = x * x                                             # used at three depths
    z = y.exp()
    (y + z * y + x).backward(np.ones(4))
    square = x.data ** 2
    expected = 2 * x.data * (1 + np.exp(square) * (1 + square)) + 1
    assert np.allclose(x.grad, expected, rtol=1e-12)


def test_gradients_of_two_leaves_are_separate_arrays_and_dy_stays_as_it_was():
    a, b, dy = leaf(3, seed=1), leaf(3, seed=2), np.array([1., 2., 3.])
    (a + b).backward(dy)
    assert not np.shares_memory(a.grad, b.grad) and not np.shares_memory(a.grad, dy)
    a.grad += 10
    assert b.grad.tolist() == dy.tolist() == [1, 2, 3]


def test_a_gradient_that_two_arguments_share_is_not_added_into():
    """Addition hands the same dy to both arguments; the second use of `a` must not change what `b` is given."""
    a, b, dy = leaf(3, seed=1), leaf(3, seed=2), np.array([1., 2., 3.])
    left, right = a * 1.0, b * 1.0
    ((left + right) + (left + left)).backward(dy)
    assert a.grad.tolist() == [3, 6, 9] and b.grad.tolist() == [1, 2, 3] and dy.tolist() == [1, 2, 3]


def test_intermediate_tensors_keep_no_gradient():
    x = leaf(3)
    y = x * 2.0
    y.sum().backward()
    assert y.grad is None and x.grad is not None


def test_an_upstream_gradient_may_be_a_tensor_a_list_or_another_floating_type():
    for dy in (tensor([1., 2.]), [1, 2], np.array([1, 2], np.float32)):
        x = leaf(2)
        (x * 3.0).backward(dy)
        assert x.grad.tolist() == [3, 6] and x.grad.dtype == np.float64


# ---- errors of backward --------------------------------------------------------------------------------------------

def test_backward_of_several_numbers_needs_dy():
    with pytest.raises(ValueError, match=r"shape \(3,\) needs dy"):
        (leaf(3) * 2.0).backward()


def test_backward_refuses_a_dy_of_another_shape():
    with pytest.raises(ValueError, match=r"dy has shape \(2,\), the tensor \(3,\)"):
        (leaf(3) * 2.0).backward(np.ones(2))


def test_backward_without_a_graph_says_why():
    with pytest.raises(RuntimeError, match="no input had requires_grad=True"):
        (tensor([1., 2.]) * 2.0).sum().backward()


def test_a_second_backward_explains_itself():
    x = leaf(3)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"came to sum, whose graph an earlier backward\(\) has released: run the"):
        y.backward()


def test_a_second_loss_over_a_released_trunk_leaves_the_gradients_alone():
    x, w = leaf(3, seed=1), leaf(3, seed=2)
    trunk = x * x
    first, second = trunk.sum(), (trunk * w).sum()
    first.backward()
    before = x.grad.copy()
    with pytest.raises(RuntimeError, match="came to multiply"):
        second.backward()
    assert np.array_equal(x.grad, before) and w.grad is None


def test_a_gradient_of_the_wrong_shape_names_the_operation_and_the_rule():
    @differentiable
    def careless_add(a, b):
        return a + b, (lambda dy: dy, lambda dy: dy)      # b was broadcast: its rule forgets the sum
    with pytest.raises(ValueError, match=r"rule 1 of careless_add returned shape \(2, 3\) for an input of shape \(3,"):
        careless_add(leaf(2, 3), leaf(3)).backward(np.ones((2, 3)))


# ---- size of the graph ---------------------------------------------------------------------------------------------

def test_a_chain_of_ten_thousand_operations_runs_and_is_freed(without_gc):
    x = tensor([1.0], requires_grad=True, dtype=np.float64)
    y = first = x * 1.0
    for _ in range(9_999):
        y = y * 1.0001
    traces = [weakref.ref(first.data), weakref.ref(y.data)]
    y.backward([1.0])
    assert np.isclose(x.grad[0], 1.0001 ** 9_999, rtol=1e-10)
    del y, first
    assert [trace() for trace in traces] == [None, None]


def test_a_chain_of_a_hundred_thousand_may_be_dropped_without_backward(without_gc):
    y = first = leaf(1) * 1.0
    for _ in range(100_000):
        y = y * 1.0
    trace = weakref.ref(first.data)
    del y, first
    assert trace() is None


def test_a_ladder_of_sixty_diamonds_visits_every_rung_once(counted):
    """There are 2^60 paths from the top to the bottom."""
    x = tensor([1.0], requires_grad=True, dtype=np.float64)
    y = x
    for _ in range(60):
        y = counted(y, np.ones(1))
        y = y + y
    y.backward([1.0])
    assert x.grad[0] == 2.0 ** 60
    assert len(counted.calls) == 60


def test_a_ladder_with_rungs_of_unequal_depth():
    x = tensor([1.0], requires_grad=True, dtype=np.float64)
    y = x
    for _ in range(60):
        y = y + (y * 1.0) * 1.0                           # one side of the diamond is longer
    assert len(backward_order(y.node)) == 3 * 60 + 1
    y.backward([1.0])
    assert x.grad[0] == 2.0 ** 60


# ---- memory --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("build", [
    lambda x: (x.exp() * x).sum(),
    lambda x: arithmetic.concatenate([x.sqrt(), x / 2.0]) @ x.T,
    lambda x: (x.max(axis=1, keepdims=True) - x[[0, 1]]) ** 2,
], ids=["elementwise", "matmul", "indexed"])
def test_a_graph_has_no_reference_cycles(without_gc, build):
    x = tensor(np.ones((2, 2)), requires_grad=True)
    y = build(x)
    array, trace = weakref.ref(y.data), weakref.ref(y)
    held = [weakref.ref(rule) for node in backward_order(y.node) if node is not x for rule in node.rules if rule]
    assert held and all(rule() is not None for rule in held)
    del y
    assert array() is None and trace() is None
    assert [rule for rule in held if rule() is not None] == []


def test_backward_releases_what_the_rules_kept(without_gc):
    x = leaf(5)
    y = x.exp()
    loss = (y * y).sum()
    kept = weakref.ref(y.data)
    del y
    assert kept() is not None                             # the rules of exp and of the product need it
    loss.backward()
    assert kept() is None                                 # though the loss is still here


def test_without_recording_nothing_is_kept(without_gc):
    x = leaf(5)
    with no_grad():
        y = x.exp()
        kept = weakref.ref(y.data)
        z = y * y
        del y
    assert kept() is None and z.shape == (5,)


# ---- no_grad -------------------------------------------------------------------------------------------------------

def test_no_grad_as_a_context_and_its_end():
    x = leaf(2)
    with no_grad():
        with no_grad():
            assert not (x * x).requires_grad
        assert not (x * x).requires_grad                  # the outer one still holds
    assert (x * x).requires_grad
    with pytest.raises(KeyError):
        with no_grad():
            raise KeyError
    assert (x * x).requires_grad


def test_no_grad_as_a_decorator():
    @no_grad()
    def square(x):
        """The square."""
        return x * x
    x = leaf(2)
    assert not square(x).requires_grad and not square(x).requires_grad
    assert (x * x).requires_grad and square.__doc__ == "The square."


def test_no_grad_holds_for_its_own_thread_only():
    x, recorded = leaf(2), []
    with no_grad():
        thread = threading.Thread(target=lambda: recorded.append((x * x).requires_grad))
        thread.start()
        thread.join()
        assert not (x * x).requires_grad
    assert recorded == [True]


# ---- check_finite --------------------------------------------------------------------------------------------------

def test_check_finite_names_the_first_operation_that_went_wrong():
    x = tensor([[1.0, 0.0]], requires_grad=True)
    with check_finite(), np.errstate(divide="ignore"):
        with pytest.raises(FloatingPointError, match=r"log: NaN or infinity in its output of shape \(1, 2\)"):
            (x.log() * 0.0).sum()


def test_check_finite_is_off_outside_and_lets_good_numbers_and_integers_pass():
    x = tensor([1.0, 0.0])
    with np.errstate(divide="ignore"):
        assert np.isinf(x.log().data[1])
    with check_finite():
        assert float(x.sum()) == 1
        assert float(arithmetic.sum(np.array([1, 2]))) == 3


# ---- making tensors ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("data, dtype", [
    (3, np.float32), ([1, 2], np.float32), ([1.5], np.float32), ([True], np.float32),
    (np.float64(2), np.float64), (np.ones(2, np.float32), np.float32), (np.ones(2, np.float64), np.float64),
    (np.ones(2, np.uint8), np.uint8), (tensor([1.0]), np.float32)])
def test_numbers_become_float32_and_arrays_keep_their_type(data, dtype):
    assert tensor(data).dtype == dtype
    assert tensor(data, dtype=np.float64).dtype == np.float64


def test_a_leaf_holds_a_copy():
    array = np.zeros(3)
    x = tensor(array)
    array += 1
    assert x.data.tolist() == [0, 0, 0]
    y = tensor(x)
    x.data += 1
    assert y.data.tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_only_floating_tensors_have_gradients(dtype):
    with pytest.raises(TypeError, match=f"this one is {np.dtype(dtype)}: convert it first"):
        tensor(np.ones(3, dtype), requires_grad=True)


def test_detach_shares_the_data_and_forgets_the_history():
    y = leaf(3) * 2.0
    z = y.detach()
    assert z.data is y.data and not z.requires_grad and z.node is None


def test_to_the_same_device_is_a_leaf_with_the_same_data():
    x = leaf(3)
    y = (x * 2.0).to("cpu")
    assert y.node is None and y.requires_grad and y.device == "cpu"
    with pytest.raises(ValueError, match="'cpu' or 'cuda', not 'gpu'"):
        x.to("gpu")


# ---- a tensor among Python's own -----------------------------------------------------------------------------------

def test_numpy_reads_a_tensor():
    x = leaf(2, 3)
    assert np.asarray(x) is x.data
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    copy = np.array(x)
    assert np.array_equal(copy, x.data) and not np.shares_memory(copy, x.data)
    assert np.stack([x, x]).shape == (2, 2, 3)


def test_repr_tells_values_shape_type_and_origin():
    assert repr(tensor([1.0, 2.5])) == "Tensor([1. , 2.5], shape (2,), float32)"
    assert repr(tensor([1.0], requires_grad=True)).endswith("shape (1,), float32, requires_grad)")
    assert repr(tensor([1.0], requires_grad=True).exp()).endswith("shape (1,), float32, from exp)")
    assert len(repr(leaf(100, 100))) < 1000


def test_length_iteration_and_size():
    x = tensor([[1., 2.], [3., 4.], [5., 6.]], requires_grad=True)
    assert (len(x), x.shape, x.ndim, x.size) == (3, (3, 2), 2, 6)
    rows = list(x)
    assert [row.data.tolist() for row in rows] == [[1, 2], [3, 4], [5, 6]]
    rows[1].sum().backward()
    assert x.grad.tolist() == [[0, 0], [1, 1], [0, 0]]
    with pytest.raises(TypeError):
        len(tensor(1.0))


def test_one_element_is_a_number():
    x = tensor([[2.5]])
    assert (float(x), int(x), bool(x), x.item()) == (2.5, 2, True, 2.5)
    assert isinstance(x.item(), float)
    for convert in (float, int, bool):
        with pytest.raises(ValueError):
            convert(tensor([1.0, 2.0]))


def test_an_array_on_the_left_leaves_the_operation_to_the_tensor():
    x, array = tensor([1.0, 2.0], requires_grad=True), np.array([3.0, 4.0], np.float32)
    for y, expected in [(array * x, [3, 8]), (array + x, [4, 6]), (array - x, [2, 2]), (array / x, [3, 2]),
                        (array ** x, [3, 16]), (array @ x, 11), (np.float32(2) * x, [2, 4])]:
        assert isinstance(y, Tensor) and y.requires_grad
        assert y.data.tolist() == expected
    assert isinstance(array < x, np.ndarray)


def test_a_tensor_may_be_a_key():
    x, y = tensor([1.0]), tensor([1.0])
    assert {x: "x", y: "y"}[x] == "x" and len({x, y, x}) == 2


def test_dlpack_both_ways_shares_memory():
    x = leaf(2, 3)
    exported = np.from_dlpack(x)
    assert np.shares_memory(exported, x.data) and np.array_equal(exported, x.data)
    assert tensor(np.from_dlpack(x)).data.tolist() == x.data.tolist()
    torch = pytest.importorskip("torch")
    assert torch.from_dlpack(x).data_ptr() == x.data.ctypes.data
    assert tensor(np.from_dlpack(torch.arange(3.0))).data.tolist() == [0, 1, 2]


@pytest.mark.parametrize("shape, size, mode", [((4, 6, 3), (6, 4), "RGB"), ((1, 4, 6, 3), (6, 4), "RGB"),
                                               ((4, 6, 1), (6, 4), "L")])
def test_a_picture_shows_itself(shape, size, mode):
    from io import BytesIO
    from PIL import Image
    values = np.full(shape, 0.5, np.float32)
    values[..., 0, 0, :], values[..., 0, 1, :], values[..., 0, 2, :] = -1, 2, np.nan
    picture = Image.open(BytesIO(tensor(values)._repr_png_()))
    assert (picture.size, picture.mode) == (size, mode)
    channel = np.asarray(picture.convert("L"))
    assert channel[0, :4].tolist() == [0, 255, 0, 128]


@pytest.mark.parametrize("shape", [(3,), (4, 6), (4, 6, 2), (2, 4, 6, 3)])
def test_what_is_no_picture_does_not_show_itself_as_one(shape):
    assert tensor(np.zeros(shape))._repr_png_() is None


def test_an_operation_keeps_its_name_and_docstring():
    assert arithmetic.add.__name__ == "add" and "broadcasting" in arithmetic.add.__doc__
    assert (leaf(2) + leaf(2)).node.operation == "add"


def test_a_rule_may_be_a_callable_of_any_kind():
    @differentiable
    def doubled(x):
        return 2 * x, (functools.partial(np.multiply, 2),)
    x = leaf(2)
    doubled(x).backward([1., 1.])
    assert x.grad.tolist() == [2, 2]


# ---- what an operation must return ---------------------------------------------------------------------------------

def rule(dy):
    return 2 * dy


@pytest.mark.parametrize("returned, words", [
    (lambda x: x * 2, "it must return its output and a tuple of gradient rules, not an array of shape (2, 3): end it with "
                      "`return y, (lambda dy: ...,)`"),
    (lambda x: None, "not one NoneType"), (lambda x: (x * 2,), "not a tuple of 1"), (lambda x: (x, rule, rule), "a tuple of 3"),
    (lambda x: [x, (rule,)], "not one list"), (lambda x: rule, "not a function"),
    (lambda x: (x * 2, rule), "must be a tuple of functions, not a function: one rule makes a tuple with a comma, (rule,)"),
    (lambda x: (x * 2, x), "its gradient rules must be a tuple of functions, not an array of shape (2, 3): end it with"),
    (lambda x: (x * 2, None), "must be a tuple of functions, not one NoneType"),
    (lambda x: ([x], (rule,)), "its output must be an array, not one list: end it with"),
    (lambda x: (x * 2, (2 * x,)), "its gradient rule 0 must be a function of dy, not an array of shape (2, 3)"),
    (lambda x: (x * 2, (rule, rule)), "it returns 2 gradient rules for 1 parameters (x): return no more than one for each")])
@pytest.mark.parametrize("wanted", [False, True])
def test_what_an_operation_returns_is_checked(returned, words, wanted):
    """With a gradient or without, in one line, with its name and the place where it was written."""
    def double(x):
        return returned(x)
    with pytest.raises(TypeError) as caught:
        differentiable(double)(Tensor(np.ones((2, 3)), requires_grad=wanted))
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"double ({__file__}, line {double.__code__.co_firstlineno}): it")


@pytest.mark.parametrize("rules", [0, 1, 3])
def test_of_many_arrays_each_has_its_rule(rules):
    @differentiable
    def total(*arrays):
        return sum(arrays), (rule,) * rules
    with pytest.raises(TypeError, match=f"it returns {rules} gradient rules for 2 arrays: return one for each, None for"):
        total(leaf(3), leaf(3))


def test_a_parameter_without_a_gradient_may_have_none_for_a_rule():
    @differentiable
    def chosen(x, index, factor):
        return x * factor, (lambda dy: dy * factor, None, lambda dy: dy * x)
    x, index, factor = leaf(3), leaf(3, seed=1), leaf(3, seed=2)
    chosen(x, index, factor).backward(np.ones(3))
    assert index.grad is None and np.array_equal(x.grad, factor.data) and np.array_equal(factor.grad, x.data)
    assert not chosen(x.data, index, factor.data).requires_grad


def test_numbers_and_lists_of_rules_are_fine():
    @differentiable
    def total(x):
        return x.sum(), [lambda dy: np.full(3, dy)]

    @differentiable
    def count(x):
        return float(x.size), ()
    x = leaf(3)
    total(x).backward()
    assert x.grad.tolist() == [1, 1, 1] and count(x).item() == 3 and not count(x).requires_grad
