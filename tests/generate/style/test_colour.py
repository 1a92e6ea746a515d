"""Colours kept, and colours taken from another picture."""
import numpy as np
import pytest

from minicnn.generate.style.colour import MATCHES, YUV, chroma, histogram_matched, matched, with_chroma_of


def picture(seed, height=12, width=15, low=.2, high=.8):
    rng = np.random.default_rng(seed)
    smooth = rng.uniform(low, high, (height, width, 1)) + rng.normal(0, .05, (height, width, 3)) + rng.uniform(-.1, .1, 3)
    return np.clip(smooth, 0, 1).astype(np.float32)


def moments(x):
    pixels = x.reshape(-1, 3).astype(float)
    return pixels.mean(axis=0), np.cov(pixels.T, bias=True)


def test_grey_has_no_chroma_and_brightness_is_the_first_row():
    grey = np.repeat(np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3, 1), 3, axis=2)
    np.testing.assert_allclose(chroma(grey), 0, atol=1e-6)
    np.testing.assert_allclose(grey @ YUV[0], grey[..., 0], atol=1e-6)


def test_brightness_of_one_and_chroma_of_the_other():
    one, other = picture(0), picture(1)
    both = with_chroma_of(one, other)
    np.testing.assert_allclose(both @ YUV[0], one @ YUV[0], atol=2e-5)
    np.testing.assert_allclose(chroma(both), chroma(other), atol=2e-5)
    np.testing.assert_allclose(with_chroma_of(one, one), one, atol=2e-5)


def test_colours_that_fit_into_no_pixel_keep_brightness_and_hue():
    dark, red = np.full((1, 1, 3), .05, np.float32), np.array([[[1., 0, 0]]], np.float32)
    both = with_chroma_of(dark, red)
    assert both.min() >= 0 and both.max() <= 1 and both.dtype == np.float32
    assert (both @ YUV[0]).item() == pytest.approx(.05, abs=1e-5)
    assert both[0, 0, 0] > both[0, 0, 1] == pytest.approx(both[0, 0, 2], abs=1e-6)
    (u, v), (s, t) = chroma(both)[0, 0], chroma(red)[0, 0]
    assert u * t - v * s == pytest.approx(0, abs=1e-5)           # one hue


@pytest.mark.parametrize("how", MATCHES)
def test_mean_and_covariance_become_those_of_the_other(how):
    one, other = picture(2), picture(3, 9, 8, .4, .6)
    result = matched(one, other, how)
    for ours, wanted in zip(moments(result), moments(other)):
        np.testing.assert_allclose(ours, wanted, atol=2e-3)      # but for what was cut off at 0 and 1
    np.testing.assert_allclose(matched(one, one, how), one, atol=1e-4)


def test_the_symmetric_map_moves_colours_least():
    one, other = picture(2), picture(3, 9, 8, .4, .6)
    moved = {how: np.square(matched(one, other, how) - one).mean() for how in MATCHES}
    assert moved["symmetric"] <= min(moved.values()) + 1e-9


def test_grey_and_black_pictures_are_matched_without_nan():
    flat = np.zeros((4, 4, 3), np.float32)
    for how in MATCHES:
        for one, other in ((flat, picture(0)), (picture(0), flat), (flat, flat)):
            assert np.isfinite(matched(one, other, how)).all()
    assert np.isfinite(histogram_matched(flat, picture(0))).all()
    with pytest.raises(ValueError, match="pca, cholesky, symmetric, not 'hsv'"):
        matched(flat, flat, "hsv")


def test_histograms_become_equal_and_the_order_of_pixels_stays():
    one, other = picture(4, 40, 40), picture(5, 30, 50, .1, .5)
    result = histogram_matched(one, other)
    for c in range(3):
        ours, wanted = (np.quantile(x[..., c], np.linspace(.02, .98, 49)) for x in (result, other))
        np.testing.assert_allclose(ours, wanted, atol=5e-3)
        order = np.argsort(one[..., c], axis=None)
        assert (np.diff(result[..., c].ravel()[order]) >= -1e-6).all()
