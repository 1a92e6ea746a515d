"""Resampling: pictures whose enlargement one can tell, the definition (algorithm="naive"), and gradients against central
differences."""
import numpy as np
import pytest

from minicnn.checking.gradcheck import gradcheck
from minicnn.core import tuning
from minicnn.core.tensor import tensor
from minicnn.layers.resample import Upsample, upsample

OPTIONS = [dict(), dict(mode="bilinear"), dict(mode="bilinear", align_corners=True)]
SIZES = [dict(scale=2), dict(scale=(1.5, 3)), dict(size=(3, 7)), dict(size=1), dict(scale=.5)]


def image(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def line(*pixels):
    return np.array(pixels, float).reshape(1, 1, -1, 1)


def value_and_gradient(x, **options):
    x = tensor(x, requires_grad=True)
    y = upsample(x, **options)
    y.backward(image(y.shape, seed=1))
    return y.data, x.grad


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("size", [*SIZES, dict(scale=(2.1, .7)), dict(size=(9, 1)), dict(scale=1)])
@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (1, 2, 2, 1), (1, 1, 7, 1)])
def test_value_and_gradient_are_those_of_the_definition(shape, size, options):
    if 1 in shape[1:3] and "scale" in size and np.min(size["scale"]) < 1:
        size = dict(size=1)                      # half of one pixel is none
    results = [value_and_gradient(image(shape), **size, **options, algorithm=name) for name in ("auto", "naive")]
    for quick, wanted in zip(*results):
        np.testing.assert_allclose(quick, wanted, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("algorithm", ["auto", "naive"])
@pytest.mark.parametrize("mode, expected", [("nearest", [4, 4, 8, 8]), ("bilinear", [4, 5, 7, 8])])
def test_two_pixels_become_four(algorithm, mode, expected):
    y = upsample(line(4, 8), scale=(1, 2), mode=mode, algorithm=algorithm)
    np.testing.assert_array_equal(y.data.ravel(), expected)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (1, 2, 2, 1)])
def test_gradient(shape, size, options):
    gradcheck(lambda x: upsample(x, **size, **options), image(shape))


def test_gradient_of_a_single_pixel():
    for options in OPTIONS:
        gradcheck(lambda x: upsample(x, size=(2, 3), **options), image((2, 1, 1, 2)))


def test_nearest_by_a_whole_number_repeats_pixels():
    x = image((2, 3, 4, 5))
    np.testing.assert_array_equal(upsample(x, scale=(2, 3)).data, x.repeat(2, axis=1).repeat(3, axis=2))


def test_nearest_copies_bit_for_bit():
    x = line(1e30, 1e-30, np.inf, 3)
    np.testing.assert_array_equal(upsample(x, scale=(1, 2)).data, x.repeat(2, axis=2))


def test_bilinear_has_its_centres_at_half_pixels():
    y = upsample(line(0, 4), scale=(1, 2), mode="bilinear")
    np.testing.assert_allclose(y.data.ravel(), [0, 1, 3, 4])


def test_bilinear_with_aligned_corners():
    y = upsample(line(0, 3), size=(1, 4), mode="bilinear", align_corners=True)
    np.testing.assert_allclose(y.data.ravel(), [0, 1, 2, 3])


def test_bilinear_keeps_a_ramp_a_ramp():
    x = (np.arange(5.)[:, None] + 10 * np.arange(6.))[None, :, :, None]
    y = upsample(x, size=(9, 11), mode="bilinear", align_corners=True).data[0, :, :, 0]
    np.testing.assert_allclose(y, .5 * np.arange(9)[:, None] + 5 * np.arange(11), atol=1e-12)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("size", SIZES)
def test_blocks_and_threads_change_nothing(monkeypatch, threads, size, options):
    """Blocks of a row, and bands of two: the same as in one, and bit for bit with any number of threads."""
    def run():
        x = tensor(image((2, 4, 5, 3)), requires_grad=True)
        y = upsample(x, **size, **options)
        y.backward(image(y.shape, seed=1))
        return y.data, x.grad
    at_once, results = run(), []
    monkeypatch.setattr(tuning, "RESAMPLE_BLOCK", 1)
    monkeypatch.setattr(tuning, "RESAMPLE_BAND", 2)
    for count in (1, 2, 3):
        threads(count)
        results.append(run())
    for result in results:
        for a, first, whole in zip(result, results[0], at_once):
            np.testing.assert_array_equal(a, first)
            np.testing.assert_allclose(a, whole, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("options", OPTIONS)
def test_an_infinite_pixel_reaches_its_neighbours_only(options):
    """Far away its weight is zero, and zero times infinity would be NaN."""
    x = image((1, 200, 1, 1))
    x[0, 0] = np.inf
    assert np.isfinite(upsample(x, scale=(2, 1), **options).data[0, 100:]).all()


def test_pixels_that_nobody_copied_have_no_gradient():
    """Shrunk a hundred times, whole bands of the weights are zero."""
    x = tensor(image((1, 200, 1, 1)), requires_grad=True)
    upsample(x, size=(2, 1)).backward(np.ones((1, 2, 1, 1)))
    assert np.flatnonzero(x.grad).tolist() == [0, 100]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_same_size_changes_nothing(options):
    x = image((1, 4, 5, 2))
    np.testing.assert_array_equal(upsample(x, scale=1, **options).data, x)


@pytest.mark.parametrize("options", [*OPTIONS, *(dict(algorithm="naive", **options) for options in OPTIONS)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_stays(options, dtype):
    x = tensor(image((2, 3, 4, 2), dtype), requires_grad=True)
    y = upsample(x, scale=(1.5, 2), **options)
    y.backward(image(y.shape, dtype))
    assert y.dtype == x.grad.dtype == dtype


@pytest.mark.parametrize("options", OPTIONS)
def test_non_contiguous_input_and_upstream_gradient(options):
    results = []
    for arrange in (np.asarray, np.ascontiguousarray):
        x = tensor(image((2, 3, 4, 5)), requires_grad=True)
        x.data = arrange(image((5, 4, 3, 2)).T)
        y = upsample(x, scale=2, **options)
        y.backward(arrange(image(y.shape[::-1], seed=1).T))
        results.append((y.data, x.grad))
    for strided, contiguous in zip(*results):
        np.testing.assert_allclose(strided, contiguous, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("arguments, told", [
    (dict(), "either scale or size"),
    (dict(scale=2, size=4), "either scale or size"),
    (dict(scale=.1), "at least 1"),
    (dict(scale=-1), "at least 1"),
    (dict(size=0), "at least 1"),
    (dict(size=(1, 2, 3)), "pair"),
    (dict(size=2.5), "whole number"),
    (dict(scale=(1, 2, 3)), "pair"),
    (dict(scale=2, mode="cubic"), "mode"),
    (dict(scale=2, align_corners=True), "align_corners"),
    (dict(scale=2, algorithm="winograd"), "upsample: algorithm.*'auto', 'naive'.*'winograd'"),
])
def test_wrong_options_are_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        upsample(image((1, 4, 5, 2)), **arguments)


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match=r"\(N, H, W, C\).*\(4, 5, 2\)"):
        upsample(image((4, 5, 2)), scale=2)


def test_module():
    x = image((1, 4, 5, 2))
    for options in OPTIONS:
        np.testing.assert_array_equal(Upsample(2, **options)(x).data, upsample(x, 2, **options).data)
    np.testing.assert_array_equal(Upsample(size=(3, 3))(x).data, upsample(x, size=3).data)
