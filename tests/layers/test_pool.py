"""Pooling against its definition as loops (algorithm="naive"), and its gradients against central differences."""
import numpy as np
import pytest

from minicnn.checking.gradcheck import gradcheck
from minicnn.core import tuning
from minicnn.core.tensor import tensor
from minicnn.layers.pool import (AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d, adaptive_avg_pool2d, avg_pool2d,
                                 global_avg_pool2d, max_pool2d, windows)

# image (N, H, W, C), kernel, stride, padding, ceil_mode, dilation
CONFIGURATIONS = [
    ((2, 6, 6, 3), 2, None, 0, False, 1),
    ((1, 7, 5, 2), 2, None, 0, False, 1),                      # the stride does not tile the image
    ((1, 7, 5, 2), 2, None, 0, True, 1),                       # ... and the last window hangs over
    ((2, 7, 8, 2), 3, 2, 1, False, 1),                         # overlapping, padded
    ((2, 6, 6, 1), 3, 2, 1, True, 1),
    ((1, 5, 8, 2), (2, 3), (1, 2), (1, 0), True, 1),           # rectangular everything
    ((1, 4, 4, 2), 2, 3, 1, True, 1),                          # a last window that would start in the right padding
    ((1, 3, 3, 1), 1, 2, 0, True, 1),                          # gaps between the windows
    ((1, 1, 1, 4), 1, None, 0, False, 1),
    ((1, 1, 1, 1), 3, 1, 1, False, 1),                         # more padding than image
    ((1, 3, 3, 1), 3, 1, 2, False, 1),                         # padding beyond half the kernel
    ((1, 7, 7, 2), 2, 1, 1, False, (2, 3)),
]
SHORT = [CONFIGURATIONS[i] for i in (1, 2, 3, 5, 6, 10, 11)]


def image(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("shape, kernel, stride, padding, ceil_mode, dilation", CONFIGURATIONS)
def test_max_pool_is_its_definition(shape, kernel, stride, padding, ceil_mode, dilation):
    x = image(shape)
    y = max_pool2d(x, kernel, stride, padding, ceil_mode, dilation)
    np.testing.assert_array_equal(y.data, max_pool2d(x, kernel, stride, padding, ceil_mode, dilation, "naive").data)


@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize("shape, kernel, stride, padding, ceil_mode, dilation", CONFIGURATIONS)
def test_avg_pool_is_its_definition(shape, kernel, stride, padding, ceil_mode, dilation, count_include_pad):
    x = image(shape)
    y = avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad, dilation)
    expected = avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad, dilation, "naive").data
    np.testing.assert_allclose(y.data, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("shape, kernel, stride, padding, ceil_mode, dilation", SHORT)
def test_max_pool_gradient(shape, kernel, stride, padding, ceil_mode, dilation):
    gradcheck(lambda x: max_pool2d(x, kernel, stride, padding, ceil_mode, dilation), image(shape))


@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize("shape, kernel, stride, padding, ceil_mode, dilation", SHORT)
def test_avg_pool_gradient(shape, kernel, stride, padding, ceil_mode, dilation, count_include_pad):
    gradcheck(lambda x: avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad, dilation), image(shape))


def test_max_pool_gradient_of_more_images_than_are_worked_on_at_once():
    x = image((9, 4, 4, 1))
    gradcheck(lambda x: max_pool2d(x, 3, 1, 1), x)


FUNCTIONS_OF_WINDOWS = [max_pool2d, lambda x, *sizes: avg_pool2d(x, *sizes[:4], True, *sizes[4:])]


def value_and_gradient(function, x):
    x = tensor(x, requires_grad=True)
    y = function(x)
    y.backward(image(y.shape, x.dtype, seed=1))
    return y.data, x.grad


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("function", FUNCTIONS_OF_WINDOWS, ids=["max", "avg"])
@pytest.mark.parametrize("shape, kernel, stride, padding, ceil_mode, dilation", CONFIGURATIONS)
def test_value_and_gradient_are_those_of_the_definition(function, shape, kernel, stride, padding, ceil_mode, dilation, ties):
    x = np.round(image(shape)) if ties else image(shape)
    sizes = kernel, stride, padding, ceil_mode, dilation
    results = [value_and_gradient(lambda x: function(x, *sizes, algorithm), x) for algorithm in ("auto", "naive")]
    for quick, wanted in zip(*results):
        np.testing.assert_allclose(quick, wanted, rtol=1e-13, atol=1e-14)


def test_the_definition_by_hand():
    """The picture of lesson 03, and who gets the gradient."""
    x = np.array([[1, 3, 2, 0], [5, 2, 1, 1], [0, 1, 4, 4], [2, 9, 0, 2]], float)[None, :, :, None]
    dy = np.array([[4., 8], [12, 16]])[None, :, :, None]
    for function, value, gradient in [
            (max_pool2d, [[5, 2], [9, 4]], [[0, 0, 8, 0], [4, 0, 0, 0], [0, 0, 16, 0], [0, 12, 0, 0]]),
            (avg_pool2d, [[2.75, 1], [3, 2.5]], [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]])]:
        leaf = tensor(x, requires_grad=True)
        y = function(leaf, 2, algorithm="naive")
        y.backward(dy)
        np.testing.assert_array_equal(y.data[0, :, :, 0], value)
        np.testing.assert_array_equal(leaf.grad[0, :, :, 0], gradient)


@pytest.mark.parametrize("options", [dict(stride=2), dict(stride=1, padding=1)])
@pytest.mark.parametrize("where", range(9))
def test_a_nan_goes_where_the_definition_says(where, options):
    """Also where the last pixel of the window, which then gets the gradient, lies in the padding."""
    x = image((1, 5, 5, 2))
    x[0, where // 3 + 1, where % 3 + 1, 0] = np.nan
    results = [value_and_gradient(lambda x: max_pool2d(x, 3, **options, algorithm=algorithm), x)
               for algorithm in ("auto", "naive")]
    for quick, wanted in zip(*results):
        np.testing.assert_allclose(quick, wanted, rtol=1e-14)


@pytest.mark.parametrize("function", [max_pool2d, avg_pool2d])
def test_an_unknown_algorithm_is_refused_and_the_known_ones_named(function):
    with pytest.raises(ValueError, match=f"{function.__name__}: algorithm.*'auto', 'naive'.*'winograd'"):
        function(image((1, 6, 6, 1)), 2, algorithm="winograd")


@pytest.mark.parametrize("function", FUNCTIONS_OF_WINDOWS, ids=["max", "avg"])
@pytest.mark.parametrize("shape, kernel, stride, padding, ceil_mode, dilation",
                         [*CONFIGURATIONS, ((2, 12, 3, 1), (7, 2), 1, (3, 0), False, 1)])
def test_blocks_and_threads_change_nothing(monkeypatch, threads, function, shape, kernel, stride, padding, ceil_mode, dilation):
    """Blocks of a row each, where a window reaches over many of them: the same as in one, and bit for bit with any threads."""
    def run():
        return value_and_gradient(lambda x: function(x, kernel, stride, padding, ceil_mode, dilation), image(shape))
    at_once, results = run(), []
    monkeypatch.setattr(tuning, "POOL_BLOCK_BYTES", 1)
    for count in (1, 2, 3):
        threads(count)
        results.append(run())
    for y, dx in results:
        np.testing.assert_array_equal(y, at_once[0])
        np.testing.assert_allclose(dx, at_once[1], rtol=1e-13, atol=1e-13)
        np.testing.assert_array_equal(dx, results[0][1])


def test_neighbouring_blocks_that_share_pixels_are_never_at_work_together(monkeypatch):
    """Windows of 5 rows, one row apart, in blocks of one row: blocks 0, 5, 10 ... may go together, 0 and 4 may not."""
    together = []
    monkeypatch.setattr(tuning, "POOL_BLOCK_BYTES", 1)
    monkeypatch.setattr(windows, "in_parallel", lambda block, blocks: together.append([rows.start for _, rows in blocks]))
    tall = windows.Windows.of("pool", image((1, 16, 1, 1)), (5, 1), 1, 0, 1, False)
    tall.by_blocks(None, image((1, 12, 1, 1)))
    assert together == [[0, 5, 10], [1, 6, 11], [2, 7], [3, 8], [4, 9]]


def test_pixels_in_no_window_have_no_gradient():
    """Windows that do not overlap write their gradient: what lies between and behind them must be zero all the same."""
    for kernel, stride, size in (1, 2, 4), (2, 2, 5), (2, 3, 8):
        for function in max_pool2d, avg_pool2d:
            x = tensor(image((1, size, size, 2)), requires_grad=True)
            function(x, kernel, stride).backward(np.ones(function(x, kernel, stride).shape))
            covered = [position for position in range(size) if position % stride < kernel
                       and position // stride * stride + kernel <= size]
            outside = np.delete(x.grad, covered, axis=1), np.delete(x.grad, covered, axis=2)
            assert x.grad.any() and not any(part.any() for part in outside)


def test_padding_never_wins_against_negative_pixels():
    x = -1 - np.abs(image((2, 5, 5, 3)))
    y = max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)
    assert y.data.max() <= -1
    assert np.isfinite(y.data).all()


def test_of_equal_maxima_the_first_gets_the_gradient():
    x = tensor(np.zeros((1, 2, 4, 1)), requires_grad=True)
    max_pool2d(x, 2).backward(np.array([3., 5.]).reshape(1, 1, 2, 1))
    np.testing.assert_array_equal(x.grad[0, :, :, 0], [[3, 0, 5, 0], [0, 0, 0, 0]])


def test_equal_maxima_in_overlapping_windows():
    x = tensor(np.ones((1, 1, 3, 1)), requires_grad=True)
    max_pool2d(x, (1, 2), stride=1).backward(np.array([3., 5.]).reshape(1, 1, 2, 1))
    np.testing.assert_array_equal(x.grad.ravel(), [3, 5, 0])


def test_a_nan_reaches_every_window_that_holds_it_and_no_other():
    x = image((1, 4, 4, 2))
    x[0, 1, 1, 0] = np.nan
    isnan = np.isnan(max_pool2d(x, 2).data)
    assert isnan[0, 0, 0, 0] and isnan.sum() == 1


@pytest.mark.parametrize("shape, size", [((2, 6, 6, 2), 3), ((1, 7, 5, 2), (3, 2)), ((1, 3, 2, 1), (5, 4)),
                                         ((1, 4, 4, 1), 1)])
def test_adaptive_pool_gradient(shape, size):
    gradcheck(lambda x: adaptive_avg_pool2d(x, size), image(shape))


def test_adaptive_pool_bins_overlap_where_they_do_not_divide():
    x = np.arange(5.).reshape(1, 1, 5, 1)
    y = adaptive_avg_pool2d(x, (1, 3))                         # columns 0-1, 1-3, 3-4
    np.testing.assert_array_equal(y.data.ravel(), [.5, 2, 3.5])


def test_adaptive_pool_to_the_same_size_changes_nothing():
    x = image((2, 7, 7, 3))
    np.testing.assert_array_equal(adaptive_avg_pool2d(x, 7).data, x)


def test_global_pool():
    x = image((3, 4, 5, 2))
    np.testing.assert_allclose(global_avg_pool2d(x).data, x.mean(axis=(1, 2)), rtol=1e-13, atol=1e-15)
    gradcheck(global_avg_pool2d, x)


FUNCTIONS = [lambda x: max_pool2d(x, 3, 2, 1), lambda x: avg_pool2d(x, 3, 2, 1, True, False),
             lambda x: avg_pool2d(x, 2), global_avg_pool2d, lambda x: adaptive_avg_pool2d(x, (3, 2)),
             lambda x: max_pool2d(x, 3, 2, 1, algorithm="naive"), lambda x: avg_pool2d(x, 3, 2, 1, algorithm="naive")]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_stays(function, dtype):
    x = tensor(image((2, 6, 7, 3), dtype), requires_grad=True)
    y = function(x)
    y.backward(image(y.shape, dtype, seed=1))
    assert y.dtype == x.grad.dtype == dtype


@pytest.mark.parametrize("function", FUNCTIONS)
def test_non_contiguous_input_and_upstream_gradient(function):
    seen = image((2, 3, 7, 6)).transpose(0, 3, 2, 1)           # (2, 6, 7, 3), not contiguous
    assert not seen.flags.c_contiguous
    x, view = tensor(np.ascontiguousarray(seen), requires_grad=True), tensor(seen, requires_grad=True)
    view.data = seen
    y, y_of_view = function(x), function(view)
    np.testing.assert_array_equal(y.data, y_of_view.data)
    dy = image(y.shape[::-1], seed=1).T
    y.backward(np.ascontiguousarray(dy))
    y_of_view.backward(dy)
    np.testing.assert_array_equal(x.grad, view.grad)


@pytest.mark.parametrize("arguments, told", [
    (dict(kernel=0), "kernel 0"),
    (dict(kernel=2, stride=0), "stride 0"),
    (dict(kernel=2, padding=2), "padding 2"),
    (dict(kernel=(2, 7)), "columns.*window of 7.*image of 6"),
    (dict(kernel=3, dilation=3), "window of 7"),
    (dict(kernel=(2, 2, 2)), "kernel"),
    (dict(kernel=2.5), "kernel"),
])
@pytest.mark.parametrize("function", [max_pool2d, avg_pool2d])
def test_wrong_sizes_are_refused(function, arguments, told):
    with pytest.raises(ValueError, match=told):
        function(image((1, 6, 6, 1)), **arguments)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_is_no_image_is_refused(function):
    with pytest.raises(ValueError, match=r"\(N, H, W, C\).*\(6, 7, 3\)"):
        function(image((6, 7, 3)))


def test_adaptive_pool_to_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        adaptive_avg_pool2d(image((1, 4, 4, 1)), (0, 2))


@pytest.mark.parametrize("module, function", [
    (MaxPool2d(3, 2, 1, ceil_mode=True), lambda x: max_pool2d(x, 3, 2, 1, True)),
    (AvgPool2d((2, 3), padding=1, count_include_pad=False), lambda x: avg_pool2d(x, (2, 3), None, 1, False, False)),
    (GlobalAvgPool2d(), global_avg_pool2d),
    (AdaptiveAvgPool2d((2, 3)), lambda x: adaptive_avg_pool2d(x, (2, 3))),
])
def test_modules_call_their_function(module, function):
    x = image((2, 6, 8, 3))
    np.testing.assert_array_equal(module(x).data, function(x).data)
    assert not module.parameters()


def test_window_of_a_module():
    assert MaxPool2d(3, 2, 1).window() == (3, 2, 1)
    assert AvgPool2d((2, 3), padding=(0, 1), dilation=2).window() == (3, 2, 0)
