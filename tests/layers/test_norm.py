"""Normalisation against its definition (algorithm="naive"), and the gradients of both against central differences."""
import numpy as np
import pytest

from minicnn.checking.gradcheck import gradcheck
from minicnn.core import tuning
from minicnn.core.tensor import tensor
from minicnn.layers.norm import (BatchNorm2d, GroupNorm, LayerNorm, LocalResponseNorm, batch, batch_norm, group_norm,
                                 layer_norm, local_response_norm)

ALGORITHMS = ["auto", "naive"]
SHAPES = [(3, 4, 5, 6), (1, 3, 2, 4), (2, 1, 1, 2), (5, 4)]


def arrays(*shapes, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def value_and_gradients(function, inputs, **options):
    leaves = [tensor(a, requires_grad=True) for a in inputs]
    y = function(*leaves, **options)
    y.backward(*arrays(y.shape, seed=1))
    return y.data, *(leaf.grad for leaf in leaves)


def assert_is_its_definition(function, *inputs, **options):
    """The value, and the gradient of each input."""
    (y, *gradients), (expected, *expected_gradients) = (value_and_gradients(function, inputs, algorithm=name, **options)
                                                        for name in ("auto", "naive"))
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-9, atol=1e-10)


def test_the_definition_of_a_set_of_numbers():
    """By hand: 1, 3, 5, 7 have the mean 4 and the variance 5."""
    x, ones, zeros = np.array([1., 3, 5, 7]), np.ones(4), np.zeros(4)
    expected = [-3 / 5 ** .5, -1 / 5 ** .5, 1 / 5 ** .5, 3 / 5 ** .5]
    for y in (batch_norm(x.reshape(2, 2, 1, 1), ones[:1], zeros[:1], eps=0, algorithm="naive"),
              layer_norm(x.reshape(1, 4), ones, zeros, eps=0, algorithm="naive"),
              group_norm(x.reshape(1, 1, 2, 2), ones[:2], zeros[:2], groups=1, eps=0, algorithm="naive")):
        np.testing.assert_allclose(y.data.ravel(), expected, rtol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_is_its_definition(shape):
    assert_is_its_definition(batch_norm, *arrays(shape, shape[-1:], shape[-1:]))


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_with_frozen_statistics_is_its_definition(shape):
    x, weight, bias, mean, deviation = arrays(shape, *[shape[-1:]] * 4)
    assert_is_its_definition(batch_norm, x, weight, bias, running_mean=mean, running_var=deviation ** 2, training=False)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_gradients(shape):
    x, weight, bias = arrays(shape, shape[-1:], shape[-1:])
    gradcheck(lambda x, weight, bias: batch_norm(x, weight, bias, eps=.01), x, weight, bias)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_gradients_with_frozen_statistics(shape):
    x, weight, bias, mean, deviation = arrays(shape, *[shape[-1:]] * 4)
    variance = deviation ** 2 + .1
    gradcheck(lambda x, weight, bias: batch_norm(x, weight, bias, mean, variance, training=False), x, weight, bias)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2)])
def test_batch_norm_gradients_do_not_depend_on_which_are_wanted(wanted):
    inputs = arrays((3, 4, 5, 6), (6,), (6,))
    everything = [tensor(a, requires_grad=True) for a in inputs]
    some = [tensor(a, requires_grad=i in wanted) for i, a in enumerate(inputs)]
    dy, = arrays((3, 4, 5, 6), seed=1)
    batch_norm(*everything).backward(dy)
    batch_norm(*some).backward(dy)
    for i in range(3):
        if i in wanted:
            np.testing.assert_array_equal(some[i].grad, everything[i].grad)
        else:
            assert some[i].grad is None


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_by_blocks_is_the_same_with_any_number_of_threads(monkeypatch, threads, shape, training):
    """Blocks of one row: value, all gradients and running statistics, bit for bit; and near those of a single block."""
    def run():
        inputs = [tensor(a, requires_grad=True) for a in arrays(shape, shape[-1:], shape[-1:])]
        mean, variance = (abs(a) for a in arrays(shape[-1:], shape[-1:], seed=1))
        y = batch_norm(*inputs, mean, variance, training)
        y.backward(*arrays(shape, seed=2))
        return [y.data, *(a.grad for a in inputs), mean, variance]
    at_once, results = run(), []
    monkeypatch.setattr(tuning, "NORM_BLOCK", 1)
    for count in (1, 2, 3):
        threads(count)
        results.append(run())
    for result in results:
        for a, first, whole in zip(result, results[0], at_once):
            np.testing.assert_array_equal(a, first)
            np.testing.assert_allclose(a, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_running_statistics_move_towards_those_of_the_batch_with_the_unbiased_variance(algorithm):
    x, weight, bias = arrays((3, 4, 5, 2), (2,), (2,))
    mean, variance = np.array([1., 2.]), np.array([3., 4.])
    batch_norm(x, weight, bias, mean, variance, momentum=.3, algorithm=algorithm)
    np.testing.assert_allclose(mean, .7 * np.array([1, 2]) + .3 * x.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(variance, .7 * np.array([3, 4]) + .3 * x.var((0, 1, 2), ddof=1), rtol=1e-12)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_frozen_statistics_are_used_and_left_alone(algorithm):
    x, weight, bias = arrays((3, 4, 5, 2), (2,), (2,))
    mean, variance = np.array([1., 2.]), np.array([3., 4.])
    y = batch_norm(x, weight, bias, mean, variance, training=False, algorithm=algorithm)
    expected = (x - [1, 2]) / np.sqrt(np.array([3, 4]) + 1e-5) * weight + bias
    np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-14)
    assert mean.tolist() == [1, 2] and variance.tolist() == [3, 4]


def test_float32_statistics_of_a_large_batch_keep_their_digits():
    """Added one by one in float32, 300 thousand numbers around 100 would miss the sixth digit of the sum."""
    rng = np.random.default_rng(0)
    x = (100 + rng.standard_normal((64, 68, 69, 2))).astype(np.float32)
    mean, variance = np.zeros(2, np.float32), np.zeros(2, np.float32)
    batch_norm(x, np.ones(2, np.float32), np.zeros(2, np.float32), mean, variance, momentum=1.)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean((0, 1, 2)), rtol=5e-7)
    np.testing.assert_allclose(variance, exact.var((0, 1, 2), ddof=1), rtol=5e-6)


def test_batch_norm_refuses_one_value_per_channel():
    x, weight, bias = arrays((1, 1, 1, 3), (3,), (3,))
    with pytest.raises(ValueError, match=r"one value per channel.*\(1, 1, 1, 3\)"):
        batch_norm(x, weight, bias)
    batch_norm(x, weight, bias, np.zeros(3), np.ones(3), training=False)


def test_batch_norm_without_statistics_cannot_evaluate():
    with pytest.raises(ValueError, match="running_mean"):
        batch_norm(*arrays((2, 2, 2, 3), (3,), (3,)), training=False)


@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm(shape):
    x, weight, bias = arrays(shape, shape[-1:], shape[-1:])
    assert_is_its_definition(layer_norm, x, weight, bias)
    gradcheck(lambda x, weight, bias: layer_norm(x, weight, bias, eps=.01), x, weight, bias)


@pytest.mark.parametrize("shape, groups", [((3, 4, 5, 6), 1), ((3, 4, 5, 6), 2), ((2, 3, 2, 6), 6), ((1, 3, 2, 4), 2),
                                           ((5, 4), 2)])
def test_group_norm(shape, groups):
    x, weight, bias = arrays(shape, shape[-1:], shape[-1:])
    assert_is_its_definition(group_norm, x, weight, bias, groups=groups, eps=.01)
    gradcheck(lambda x, weight, bias: group_norm(x, weight, bias, groups, eps=.01), x, weight, bias)


@pytest.mark.parametrize("groups", [0, 4])
def test_groups_that_do_not_divide_the_channels_are_refused(groups):
    with pytest.raises(ValueError, match=f"6 channels.*{groups} groups"):
        group_norm(*arrays((2, 3, 3, 6), (6,), (6,)), groups)


@pytest.mark.parametrize("function", [batch_norm, layer_norm, lambda x, w, b: group_norm(x, w, b, 3)])
@pytest.mark.parametrize("weight, bias, told", [((3,), (6,), "weight"), ((6,), (1,), "bias")])
def test_weights_of_another_size_are_refused(function, weight, bias, told):
    with pytest.raises(ValueError, match=rf"{told} has shape.*\(2, 3, 3, 6\).*must be \(6,\)"):
        function(*arrays((2, 3, 3, 6), weight, bias))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 20])
def test_local_response_norm(size):
    x, = arrays((2, 3, 2, 7))
    constants = .7, .6, 1.5
    expected = local_response_norm(x, size, *constants, algorithm="naive").data
    np.testing.assert_allclose(local_response_norm(x, size, *constants).data, expected, rtol=1e-12)
    assert_is_its_definition(local_response_norm, x, size=size, alpha=.7, beta=.6, k=1.5)
    gradcheck(lambda x: local_response_norm(x, size, *constants), x)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_local_response_norm_of_the_alexnet_paper(algorithm):
    """b = a / (k + alpha sum a^2)^beta over n = 5 maps, k = 2, alpha = 1e-4, beta = .75: here with alpha times 5."""
    a = 100 * arrays((1, 1, 1, 9))[0]
    b = local_response_norm(a, 5, alpha=5 * 1e-4, beta=.75, k=2, algorithm=algorithm).data
    expected = a[..., 4] / (2 + 1e-4 * (a[..., 2:7] ** 2).sum(-1)) ** .75
    np.testing.assert_allclose(b[..., 4], expected, rtol=1e-12)


def test_local_response_norm_refuses_an_empty_window():
    with pytest.raises(ValueError, match="size"):
        local_response_norm(arrays((1, 2, 2, 3))[0], 0)


@pytest.mark.parametrize("function, options", [(batch_norm, {}), (batch_norm, dict(training=False)), (layer_norm, {}),
                                               (group_norm, dict(groups=2))])
def test_an_unknown_algorithm_is_refused_and_the_known_ones_named(function, options):
    with pytest.raises(ValueError, match=f"{function.__name__}: algorithm.*'auto', 'naive'.*'winograd'"):
        function(*arrays((2, 2, 2, 4), (4,), (4,)), algorithm="winograd", **options)


def test_an_unknown_algorithm_of_local_response_norm_is_refused():
    with pytest.raises(ValueError, match="local_response_norm: algorithm.*'auto', 'naive'.*'winograd'"):
        local_response_norm(arrays((1, 2, 2, 3))[0], 3, algorithm="winograd")


def test_the_definition_of_batch_norm_is_for_one_process(monkeypatch):
    monkeypatch.setattr(batch, "processes", lambda: 2)
    with pytest.raises(ValueError, match="one process"):
        batch_norm(*arrays((2, 2, 2, 3), (3,), (3,)), algorithm="naive")


TENTH = np.float64(.1)                       # a NumPy scalar, which promotes float32 arrays where it is let
FUNCTIONS = [lambda x, w, b: batch_norm(x, w, b, 0 * b.data, 0 * b.data, momentum=TENTH, eps=TENTH),
             lambda x, w, b: batch_norm(x, w, b, b.data, 1 + b.data ** 2, training=False, eps=TENTH),
             lambda x, w, b: layer_norm(x, w, b, TENTH),
             lambda x, w, b: group_norm(x, w, b, 2, TENTH),
             lambda x: local_response_norm(x, 3, TENTH, TENTH, TENTH),
             lambda x, w, b: batch_norm(x, w, b, 0 * b.data, 0 * b.data, momentum=TENTH, eps=TENTH, algorithm="naive"),
             lambda x, w, b: batch_norm(x, w, b, b.data, 1 + b.data ** 2, training=False, eps=TENTH, algorithm="naive"),
             lambda x, w, b: layer_norm(x, w, b, TENTH, algorithm="naive"),
             lambda x, w, b: group_norm(x, w, b, 2, TENTH, algorithm="naive"),
             lambda x: local_response_norm(x, 3, TENTH, TENTH, TENTH, algorithm="naive")]


def inputs_of(function, *arrays):
    """As many of the arrays as the function takes, as tensors that want gradients."""
    return [tensor(a, requires_grad=True) for a in arrays[:function.__code__.co_argcount]]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_stays(function, dtype):
    inputs = inputs_of(function, *arrays((3, 4, 5, 6), (6,), (6,), dtype=dtype))
    y = function(*inputs)
    y.backward(*arrays(y.shape, dtype=dtype, seed=1))
    assert {y.dtype, *(a.grad.dtype for a in inputs)} == {np.dtype(dtype)}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_non_contiguous_input_and_upstream_gradient(function):
    x, dy = arrays((6, 4, 5, 3), (6, 4, 5, 3))
    weight, bias = arrays((6,), (6,), seed=1)
    results = []
    for arrange in (np.asarray, np.ascontiguousarray):
        inputs = inputs_of(function, x.T, weight, bias)
        inputs[0].data = arrange(x.T)
        y = function(*inputs)
        y.backward(arrange(dy.T))
        results.append([y.data] + [a.grad for a in inputs])
    for strided, contiguous in zip(*results):
        np.testing.assert_allclose(strided, contiguous, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("module, function", [
    (BatchNorm2d(6), lambda x, w, b: batch_norm(x, w, b)),
    (LayerNorm(6, eps=.1), lambda x, w, b: layer_norm(x, w, b, eps=.1)),
    (GroupNorm(3, 6, eps=.1), lambda x, w, b: group_norm(x, w, b, 3, eps=.1)),
])
def test_modules_call_their_function(module, function):
    weight, bias = arrays((6,), (6,), dtype=np.float32, seed=1)
    module.weight.data, module.bias.data = weight, bias
    x, = arrays((2, 4, 5, 6), dtype=np.float32)
    np.testing.assert_array_equal(module(x).data, function(x, weight, bias).data)
    assert list(dict(module.named_parameters())) == ["weight", "bias"]


def test_local_response_norm_module():
    x, = arrays((2, 4, 5, 6))
    expected = local_response_norm(x, 3, .1, .5, 2.)
    np.testing.assert_array_equal(LocalResponseNorm(3, .1, .5, 2.)(x).data, expected.data)


def test_batch_norm_module_learns_its_statistics_in_training_only():
    module, (x,) = BatchNorm2d(6, momentum=1.), arrays((8, 4, 5, 6), dtype=np.float32)
    assert set(module.state_dict()) == {"weight", "bias", "running_mean", "running_var"}
    module.eval()(x + 3)
    assert not module.running_mean.any() and (module.running_var == 1).all()
    in_training = module.train()(x).data
    np.testing.assert_allclose(module.running_mean, x.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    in_evaluation = module.eval()(x).data
    np.testing.assert_allclose(in_evaluation, in_training, atol=.02)       # the variance is the unbiased one
    assert module.running_mean.dtype == np.float32
