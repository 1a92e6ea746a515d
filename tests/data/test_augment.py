"""Augmentation: warps, colours, cutout, mixup, and several of them by name.  (Crop and flip: test_data.py.)"""
import hashlib
import json
import math
import shlex
import types

import numpy as np
import pytest
from PIL import Image

import minicnn as mc
from minicnn.cli import main
from minicnn.data import Batches, augment
from minicnn.data.augment import (AMOUNTS, Augmentation, colour_jitter, cutout, mixup, parse, pca_colour, random_affine,
                                  random_crop, random_flip, random_rotation, random_scale, random_shear, random_translation,
                                  standard)
from minicnn.data.colour import adjust_colours, colour_matrices, principal_colours
from minicnn.data.dataset import Dataset
from minicnn.data.warp import affine_warp, rotation, scaling, shearing, translation

PRINCIPAL = np.array([[.2, .2, .2], [.1, 0, -.1], [-.02, .04, -.02]])
EVERY = {                                        # each takes (x, rng)
    "affine": lambda x, rng: random_affine(x, rng, 30, .3, 20, 2),
    "rotation": random_rotation, "scale": random_scale, "shear": random_shear, "translation": random_translation,
    "colour": colour_jitter, "strong colour": lambda x, rng: colour_jitter(x, rng, 1),
    "pca": lambda x, rng: pca_colour(x, rng, PRINCIPAL, .5), "cutout": cutout,
    "mixup": lambda x, rng: mixup(x, np.arange(len(x)) % 3, 3, rng, 1)[0],
    "parsed": parse("rotate,crop,scale,colour,cutout=3"),
}


def pictures(n=6, H=9, W=8, C=3, seed=0):
    return np.random.default_rng(seed).random((n, H, W, C), dtype=np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


# ---- What holds for all of them ------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", EVERY)
def test_shape_type_range_and_seed(name):
    x = pictures()
    before = x.copy()
    first, again, other = (EVERY[name](x, rng(seed)) for seed in (5, 5, 6))
    assert first.shape == x.shape and first.dtype == np.float32
    assert first.min() >= 0 and first.max() <= 1
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other) and not np.array_equal(first, x)


@pytest.mark.parametrize("name", EVERY)
def test_black_and_white_stay_in_range_to_the_last_bit(name):
    x = np.ones((40, 7, 7, 3), np.float32)
    x[:, ::2] = 0
    y = EVERY[name](x, rng())
    assert y.min() >= 0 and y.max() <= 1


@pytest.mark.parametrize("name", [name for name in EVERY if name != "mixup"])
def test_a_picture_does_not_depend_on_the_others(name):
    x = pictures()
    others = pictures(seed=1)
    others[3] = x[3]
    np.testing.assert_array_equal(EVERY[name](x, rng(2))[3], EVERY[name](others, rng(2))[3])


@pytest.mark.parametrize("name", EVERY)
def test_each_picture_is_drawn_for_itself(name):
    x = np.broadcast_to(pictures(1), (6, 9, 8, 3)).copy()
    x[:] += np.arange(6, dtype=np.float32)[:, None, None, None] * (name == "mixup")      # mixed with itself it stays
    y = EVERY[name](x, rng(1)) - x
    assert len({picture.tobytes() for picture in y}) > 3


@pytest.mark.parametrize("name", EVERY)
def test_float64_stays_float64_and_no_pictures_are_no_error(name):
    x = pictures().astype(np.float64)
    assert EVERY[name](x, rng()).dtype == np.float64
    assert EVERY[name](x[:0], rng()).shape == (0, 9, 8, 3)


class OnDevice(np.ndarray):
    """Stands for an array on the GPU: refuses to meet an array of NumPy, as CuPy's do."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        self._refuse_others(inputs)
        inputs = [np.asarray(each) if isinstance(each, np.ndarray) else each for each in inputs]
        if out is None:
            return _on_device(getattr(ufunc, method)(*inputs, **options))
        getattr(ufunc, method)(*inputs, out=tuple(map(np.asarray, out)), **options)
        return out[0]

    def __getitem__(self, key):
        self._refuse_others(key if isinstance(key, tuple) else (key,))
        return super().__getitem__(key)

    def __setitem__(self, key, value):
        self._refuse_others((*(key if isinstance(key, tuple) else (key,)), value))
        super().__setitem__(key, value)

    def take(self, indices, axis=None):
        self._refuse_others([indices])
        return super().take(indices, axis)

    @staticmethod
    def _refuse_others(values):
        if any(type(value) is np.ndarray and value.ndim for value in values):
            raise TypeError("an array of NumPy meets one of the device")


def _on_device(value):
    return value.view(OnDevice) if isinstance(value, np.ndarray) else value


class DeviceLibrary(types.ModuleType):
    """NumPy's functions, with results on the device; only asarray takes arrays from elsewhere."""

    def __getattr__(self, name):
        def function(*arguments, **options):
            if name != "asarray":
                OnDevice._refuse_others(arguments)
            plain = [np.asarray(each) if isinstance(each, np.ndarray) else each for each in arguments]
            return _on_device(getattr(np, name)(*plain, **options))
        return function


@pytest.mark.parametrize("name", EVERY)
def test_pictures_on_another_device_stay_there(name, monkeypatch):
    library = DeviceLibrary("device")
    for module in ("minicnn.data.augment", "minicnn.data.warp", "minicnn.data.colour", "minicnn.layers.loss"):
        monkeypatch.setattr(f"{module}.array_library", lambda *_: library)
    x = pictures()
    y = EVERY[name](x.view(OnDevice), rng(3))
    assert type(y) is OnDevice
    monkeypatch.undo()
    np.testing.assert_array_equal(np.asarray(y), EVERY[name](x, rng(3)))


# ---- Affine warps --------------------------------------------------------------------------------------------------

ONE = np.ones(1)


@pytest.mark.parametrize("size", [(5, 5), (4, 4), (7, 4), (1, 6), (1, 1)])
def test_the_identity_copies_exactly(size):
    x = pictures(3, *size)
    np.testing.assert_array_equal(affine_warp(x, np.tile(np.eye(3), (3, 1, 1))), x)
    np.testing.assert_array_equal(random_affine(x, rng()), x)


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
@pytest.mark.parametrize("side", [5, 6])
def test_quarter_turns_are_those_of_numpy(side, turns):
    x = pictures(2, side, side)
    y = affine_warp(x, rotation(np.full(2, turns * math.pi / 2)))
    np.testing.assert_allclose(y, np.rot90(x, turns, axes=(1, 2)), atol=1e-6)


@pytest.mark.parametrize("down, right", [(2, 0), (0, -3), (-1, 4), (5, -5), (-8, 9)])
def test_whole_pixels_of_translation_are_exact_and_mirror_beyond_the_edge(down, right):
    x = pictures(2, 6, 7)
    y = affine_warp(x, translation(np.full(2, down), np.full(2, right)))
    padded = np.pad(x, ((0, 0), (9, 9), (9, 9), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(y, padded[:, 9 - down:15 - down, 9 - right:16 - right])


def test_half_a_pixel_is_the_mean_of_two():
    x = np.array([0, .4, 1, .2], np.float32).reshape(1, 1, 4, 1)
    y = affine_warp(x, translation(0 * ONE, .5 * ONE))
    np.testing.assert_allclose(y.ravel(), [.2, .2, .7, .6], atol=1e-7)      # the first is between 0 and its mirror, .4


def test_zoom_by_hand():
    x = np.arange(5, dtype=np.float32).reshape(1, 1, 5, 1)
    np.testing.assert_allclose(affine_warp(x, scaling(2 * ONE)).ravel(), [1, 1.5, 2, 2.5, 3])
    np.testing.assert_allclose(affine_warp(x, scaling(.5 * ONE)).ravel(), [2, 0, 2, 4, 2])   # half as large: mirrored


def test_shear_by_hand():
    x = pictures(1, 5, 9)
    y = affine_warp(x, shearing(np.full(1, math.pi / 4)))                   # a row further down, a pixel further right
    for row in range(5):
        moved = row - 2
        inside = slice(max(0, moved), 9 + min(0, moved))
        origin = slice(max(0, -moved), 9 - max(0, moved))
        np.testing.assert_allclose(y[0, row, inside], x[0, row, origin], atol=1e-6)


def test_one_map_after_another_is_the_product_of_their_matrices():
    x = pictures(1, 7, 7)
    turned = affine_warp(x, rotation(np.full(1, math.pi / 2)))
    both = affine_warp(x, translation(2 * ONE, 0 * ONE) @ rotation(np.full(1, math.pi / 2)))
    np.testing.assert_allclose(both, affine_warp(turned, translation(2 * ONE, 0 * ONE)), atol=1e-6)


def test_a_linear_picture_is_interpolated_exactly():
    """Bilinear interpolation of a plane is that plane: compare with the inverse map worked out by hand, inside."""
    H, W, angle = 21, 25, math.radians(10)
    rows, columns = np.mgrid[0:H, 0:W].astype(np.float64)
    x = (.01 * rows + .02 * columns)[None, :, :, None]
    y = affine_warp(x, rotation(np.full(1, angle)))[0, :, :, 0]
    down, right = rows - 10, columns - 12
    from_row = math.cos(angle) * down + math.sin(angle) * right + 10
    from_column = -math.sin(angle) * down + math.cos(angle) * right + 12
    inside = (from_row > 0) & (from_row < H - 1) & (from_column > 0) & (from_column < W - 1)
    assert inside.mean() > .7
    np.testing.assert_allclose(y[inside], (.01 * from_row + .02 * from_column)[inside], atol=1e-12)


def test_maps_far_outside_still_read_the_picture():
    x = pictures(2)
    y = affine_warp(x, translation(np.array([1e6 + .3, -1e6]), np.array([-12345.6, 3])) @ scaling(np.array([.01, .3])))
    assert np.isfinite(y).all() and y.min() >= x.min() and y.max() <= x.max()


def test_a_map_without_inverse_is_refused():
    with pytest.raises(np.linalg.LinAlgError):
        affine_warp(pictures(1), scaling(0 * ONE))


def test_amounts_are_the_farthest_that_is_drawn():
    """A bright spot on dark ground: where it lands tells angle, zoom and lean."""
    x = np.zeros((400, 41, 41, 1))
    x[:, 11:14, 19:22] = 1                                      # 8 pixels above the middle
    places = np.mgrid[-20:21, -20:21]

    def centres(y):
        return np.stack([(y[..., 0] * place).sum(axis=(1, 2)) / y[..., 0].sum(axis=(1, 2)) for place in places])
    row, column = centres(random_rotation(x, rng(), 40))
    angles = np.degrees(np.arctan2(-column, -row))
    assert 38 < angles.max() < 41 and -41 < angles.min() < -38 and abs(angles.mean()) < 3
    row, column = centres(random_scale(x, rng(), .3))
    assert 1.27 < (-row / 8).max() < 1.32 and .68 < (-row / 8).min() < .73 and abs(column).max() < .01
    row, column = centres(random_shear(x, rng(), 30))
    assert 28 < np.degrees(np.arctan(abs(column) / 8)).max() < 31 and abs(row + 8).max() < .2
    row, column = centres(random_translation(x, rng(), 5))
    assert 4.8 < abs(row + 8).max() < 5.01 and 4.8 < abs(column).max() < 5.01 and abs(column).min() < .1


# ---- Colours -------------------------------------------------------------------------------------------------------

def test_colours_by_hand():
    x = np.array([[[.2, .4, .6], [.1, .1, .1]]])[None]                      # (1, 1, 2, 3), mean .25
    same = np.ones(1)
    np.testing.assert_allclose(adjust_colours(x, 2 * same, same), [[[[.4, .8, 1], [.2, .2, .2]]]])       # 1.2 is clipped
    np.testing.assert_allclose(adjust_colours(x, same, .5 * same),
                               [[[[.225, .325, .425], [.175, .175, .175]]]])
    np.testing.assert_allclose(adjust_colours(x, same, same, 0 * same, 0 * same), [[[[.4] * 3, [.1] * 3]]])
    np.testing.assert_allclose(adjust_colours(x, same, same, same, same * 2 * math.pi / 3),
                               [[[[.6, .2, .4], [.1] * 3]]], atol=1e-12)    # red is where blue was: a third of a turn


def test_factor_one_and_angle_zero_change_nothing():
    x = pictures()
    ones = np.ones(6)
    np.testing.assert_array_equal(adjust_colours(x, ones, ones, ones, 0 * ones), x)
    np.testing.assert_array_equal(colour_jitter(x, rng(), 0), x)
    np.testing.assert_array_equal(pca_colour(x, rng(), PRINCIPAL, 0), x)


def test_grey_stays_grey_and_hue_keeps_the_mean_of_the_three():
    matrices = colour_matrices(np.array([.3, 1, 2]), np.array([1, -2, .5]))
    np.testing.assert_allclose(matrices.sum(axis=1), np.ones((3, 3)), atol=1e-12)
    np.testing.assert_allclose(matrices.sum(axis=2), np.ones((3, 3)), atol=1e-12)


def test_grey_pictures_get_brightness_and_contrast():
    x = pictures(C=1)
    y = colour_jitter(x, rng(3), .4)
    draws = .4 * rng(3).uniform(-1, 1, (4, 6))
    np.testing.assert_array_equal(y, adjust_colours(x, 1 + draws[0], 1 + draws[1]))
    assert y.shape == x.shape and not np.array_equal(x, y)
    with pytest.raises(ValueError, match="1 or 3 channels, not 2"):
        colour_jitter(pictures(C=2), rng())


def test_principal_colours_are_those_of_the_covariance():
    images = rng().integers(0, 256, (1203, 4, 5, 3), dtype=np.uint8)
    images[..., 1] = images[..., 0] // 2 + images[..., 1] // 4
    principal = principal_colours(images)
    pixels = images.reshape(-1, 3) / 255
    np.testing.assert_allclose(principal.T @ principal, np.cov(pixels.T, bias=True), atol=1e-12)
    lengths = np.linalg.norm(principal, axis=1)
    np.testing.assert_allclose(principal @ principal.T, np.diag(lengths ** 2), atol=1e-12)      # at right angles
    assert lengths[0] > lengths[1] > lengths[2]


def test_principal_colours_of_a_data_set_in_one_colour_and_of_no_data():
    one = np.full((3, 4, 4, 3), (10, 200, 33), np.uint8)
    np.testing.assert_array_equal(principal_colours(one), np.zeros((3, 3)))
    assert principal_colours(one[..., :1]).shape == (1, 1)
    for wrong in (one[:0], one[0], one.astype(np.float32)):
        with pytest.raises(ValueError, match=r"must be \(N, H, W, C\) uint8"):
            principal_colours(wrong)


def test_pca_adds_one_colour_a_picture_with_the_spread_of_the_data():
    x = np.full((4000, 2, 2, 3), .5)
    added = pca_colour(x, rng(), PRINCIPAL, .1) - x
    assert np.ptp(added, axis=(1, 2)).max() == 0
    np.testing.assert_allclose(np.cov(added[:, 0, 0].T), .01 * PRINCIPAL.T @ PRINCIPAL, atol=5e-5)
    with pytest.raises(ValueError, match=r"1 channels need principal colours \(1, 1\), not \(3, 3\)"):
        pca_colour(pictures(C=1), rng(), PRINCIPAL)


# ---- Cutout and mixup ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_cutout_covers_one_square_with_its_middle_in_the_picture(size):
    x = pictures(200, 7, 9)
    covered = cutout(x, rng(), size, fill=2) == 2
    assert (covered.all(axis=3) == covered.any(axis=3)).all()
    covered = covered[..., 0]
    rows, columns = covered.any(axis=2), covered.any(axis=1)
    np.testing.assert_array_equal(covered, rows[:, :, None] & columns[:, None, :])
    for lines in (rows, columns):
        assert (np.abs(np.diff(np.pad(lines, ((0, 0), (1, 1))).astype(int))).sum(axis=1) == 2).all()     # one piece
        assert lines.sum(axis=1).max() == size and lines.any(axis=0).all()
    assert (covered.sum(axis=(1, 2)) >= (size // 2 or 1) ** 2).all()


def test_cutout_leaves_the_rest_alone_and_may_cover_nothing_or_everything():
    x = pictures()
    y = cutout(x, rng(), 3)
    np.testing.assert_array_equal(y[y != .5], x[y != .5])
    np.testing.assert_array_equal(cutout(x, rng(), 0), x)
    assert (cutout(x, rng(), 100) == .5).all()


def test_mixup_mixes_pictures_and_labels_alike():
    x, labels = pictures(), np.array([0, 3, 1, 1, 2, 0])
    y, p = mixup(x, labels, 4, rng(), 1)
    share = rng().beta(1, 1, 6).astype(np.float32)
    after = [1, 2, 3, 4, 5, 0]
    for i, j in enumerate(after):
        np.testing.assert_allclose(y[i], share[i] * x[i] + (1 - share[i]) * x[j], atol=1e-6)
        expected = np.zeros(4)
        expected[labels[i]] += share[i]
        expected[labels[j]] += 1 - share[i]
        np.testing.assert_allclose(p[i], expected, atol=1e-6)
    assert p.shape == (6, 4) and p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)


def test_the_loss_of_a_mixture_is_the_mixture_of_the_losses():
    """Zhang et al., section 2, by the labels of both pictures."""
    labels, logits = np.array([0, 3, 1, 2, 2, 0]), rng(1).standard_normal((6, 4))
    p = mixup(pictures().astype(np.float64), labels, 4, rng(), 1)[1]
    share = rng().beta(1, 1, 6)
    one = np.array([mc.cross_entropy(logits[i:i + 1], labels[i:i + 1]).item() for i in range(6)])
    other = np.array([mc.cross_entropy(logits[i:i + 1], labels[[(i + 1) % 6]]).item() for i in range(6)])
    assert mc.cross_entropy(logits, p).item() == pytest.approx((share * one + (1 - share) * other).mean())


def test_alpha_shapes_the_shares_and_zero_mixes_nothing():
    x, labels = np.zeros((3000, 1, 1, 1), np.float32), np.arange(3000) % 2
    middle = {alpha: (abs(mixup(x, labels, 2, rng(), alpha)[1][:, 0] - .5) < .25).mean() for alpha in (.1, 1, 20)}
    assert middle[.1] < .2 and .45 < middle[1] < .55 and middle[20] > .95
    y, p = mixup(pictures(), np.arange(6), 6, rng(), 0)
    np.testing.assert_array_equal(y, pictures())
    np.testing.assert_array_equal(p, np.eye(6))


def test_mixup_refuses_labels_that_are_none():
    with pytest.raises(ValueError, match="in 0..2"):
        mixup(pictures(), np.arange(6), 3, rng())
    with pytest.raises(ValueError, match="whole numbers"):
        mixup(pictures(), np.arange(6) / 2, 3, rng())


# ---- Amounts -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("call, said", [
    (lambda x: random_rotation(x, rng(), 181), "'rotate'.* a number from 0 to 180, not 181"),
    (lambda x: random_rotation(x, rng(), -1), "'rotate'.*not -1"),
    (lambda x: random_scale(x, rng(), 1), "'scale'.*from 0 to 0.9, not 1"),
    (lambda x: random_shear(x, rng(), 90), "'shear'.*from 0 to 80, not 90"),
    (lambda x: random_translation(x, rng(), math.inf), "'translate'.*from 0 to 1000, not inf"),
    (lambda x: random_translation(x, rng(), math.nan), "'translate'.*not nan"),
    (lambda x: colour_jitter(x, rng(), 1.1), "'colour'.*from 0 to 1, not 1.1"),
    (lambda x: pca_colour(x, rng(), PRINCIPAL, -.1), "'pca'.*not -0.1"),
    (lambda x: cutout(x, rng(), 2.5), "'cutout'.*a whole number from 0 to 1000, not 2.5"),
    (lambda x: cutout(x, rng(), -2), "'cutout'.*not -2"),
    (lambda x: mixup(x, np.arange(6), 6, rng(), -.2), "'mixup'.*not -0.2")])
def test_amounts_out_of_range(call, said):
    with pytest.raises(ValueError, match=said):
        call(pictures())


# ---- By name -------------------------------------------------------------------------------------------------------

def test_standard_has_not_changed():
    """A shipped network was trained with these very numbers."""
    x = (np.arange(5 * 32 * 32 * 3) % 251).astype(np.float32).reshape(5, 32, 32, 3) / np.float32(256)
    digest = hashlib.sha256(standard(x, rng(7)).tobytes()).hexdigest()
    assert digest == "f0822d89b7d6b6747db6a14876894a3221aede35b1784472bbe6bce724def806"


@pytest.mark.parametrize("text", ["standard", "crop,flip", " crop=4 , flip", "crop=4.0,flip"])
def test_standard_by_name_is_standard_bit_for_bit(text):
    x = pictures(30, 32, 32)
    np.testing.assert_array_equal(parse(text)(x, rng(4)), standard(x, rng(4)))
    assert str(parse(text)) == "crop=4,flip" and parse(text).mixup == 0


def test_none_changes_nothing_and_draws_nothing():
    x, generator = pictures(), rng()
    assert parse("none")(x, generator) is x and generator.random() == rng().random()
    assert str(parse("none")) == "none" and parse("none") == Augmentation({})


def test_a_crop_alone_for_pictures_that_must_not_be_mirrored():
    x = pictures(C=1)
    np.testing.assert_array_equal(parse("crop=2")(x, rng(1)), random_crop(x, rng(1), 2))


def test_names_and_amounts():
    augmentation = parse("crop,flip,rotate=15,scale=.2,shear=10,colour=.3,pca=.1,cutout=8,mixup=.2")
    assert augmentation.amounts == {"crop": 4, "flip": None, "rotate": 15, "scale": .2, "shear": 10, "colour": .3,
                                    "pca": .1, "cutout": 8, "mixup": .2}
    assert list(augmentation.amounts)[:3] == ["crop", "flip", "rotate"] and augmentation.mixup == .2
    assert parse(",".join(AMOUNTS)).amounts == {name: each and each.default for name, each in AMOUNTS.items()}
    assert parse("standard,cutout=3").amounts == {"crop": 4, "flip": None, "cutout": 3}


@pytest.mark.parametrize("text", [",".join(AMOUNTS), "none", "scale=.123456789,rotate=1e-7,crop=0", "translate=2.5"])
def test_what_an_augmentation_says_of_itself_makes_it_again(text):
    assert parse(str(parse(text))) == parse(text)


def test_several_are_done_in_their_order():
    x = pictures(20)
    one = rng(3)
    expected = cutout(random_flip(colour_jitter(x, one, .2), one), one, 4)
    np.testing.assert_array_equal(parse("colour=.2,flip,cutout=4")(x, rng(3)), expected)
    one = rng(3)
    expected = pca_colour(random_flip(x, one), one, PRINCIPAL, .3)
    np.testing.assert_array_equal(Augmentation({"flip": None, "pca": .3}, PRINCIPAL)(x, rng(3)), expected)


def test_affine_ones_are_a_single_warp_where_the_first_stands():
    x, one = pictures(), rng(3)
    expected = random_flip(random_affine(x, one, rotate=20, scale=.1, shear=5, translate=2), one)
    np.testing.assert_array_equal(parse("shear=5,flip,rotate=20,translate=2,scale=.1")(x, rng(3)), expected)
    np.testing.assert_array_equal(parse("rotate=20")(x, rng(3)), random_rotation(x, rng(3), 20))
    np.testing.assert_array_equal(parse("scale=.3")(x, rng(3)), random_scale(x, rng(3), .3))


@pytest.mark.parametrize("text, said", [
    ("spin", "no augmentation 'spin'"), ("", "no augmentation ''"), ("crop,,flip", "no augmentation ''"),
    ("Crop", "no augmentation 'Crop'"), ("=3", "no augmentation ''"), ("none,crop", "no augmentation 'none'"),
    ("standard=3", "no augmentation 'standard'"), ("flip=.5", "'flip' takes no amount, not '.5'"),
    ("flip=", "'flip' takes no amount"), ("rotate=", "'rotate'.*not ''"), ("rotate=much", "from 0 to 180, not 'much'"),
    ("rotate=-5", "from 0 to 180, not '-5'"), ("scale=1", "from 0 to 0.9, not '1'"), ("shear=nan", "not 'nan'"),
    ("crop=1.5", "a whole number from 0 to 1000, not '1.5'"), ("cutout=inf", "not 'inf'"), ("cutout=1e400", "not '1e400'"),
    ("cutout=1e300", "not '1e300'"), ("mixup=1e9", "not '1e9'"), ("rotate=1=2", "not '1=2'"), ("colour=2", "from 0 to 1, not '2'"), ("mixup=-1", "not '-1'")])
def test_a_text_that_is_wrong_gets_a_list_of_what_there_is(text, said):
    with pytest.raises(ValueError, match=said) as error:
        parse(text)
    for offered in ("crop=4, flip, rotate=15, scale=0.2,", "mixup=0.2", "standard", "none"):
        assert offered in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 450


@pytest.mark.parametrize("text", ["crop,crop=2", "standard,flip", "flip,flip"])
def test_a_name_twice(text):
    with pytest.raises(ValueError, match="named twice.*leave one out"):
        parse(text)


def test_pca_needs_to_know_the_training_pictures():
    with pytest.raises(ValueError, match="'pca'.*augmentation.fit"):
        parse("pca")(pictures(), rng())


# ---- In batches ----------------------------------------------------------------------------------------------------

@pytest.fixture
def dataset():
    images = rng().integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    return Dataset(images, np.arange(20) % 4, list("abcd"))


def test_batches_fit_the_augmentation_and_mix_the_labels(dataset):
    wanted = parse("crop=2,pca=.5,mixup=1")
    batches = Batches(dataset, 8, seed=3, augment=wanted)
    (x, p), _ = batches.epoch(1)
    order = np.random.default_rng([3, 1]).permutation(20)[:8]
    one = np.random.default_rng([3, 1, 1])
    expected = pca_colour(random_crop(dataset.images_float(order), one, 2), one, principal_colours(dataset.images), .5)
    expected, probabilities = mixup(expected, dataset.labels[order], 4, one, 1)
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(p, probabilities)
    assert wanted.principal is None                              # it can serve another data set too


def test_batches_without_mixup_keep_their_labels(dataset):
    for text in ("none", "standard", "rotate", "mixup=0"):
        for x, labels in Batches(dataset, 8, seed=3, augment=parse(text)).epoch(0):
            assert labels.dtype == np.int64 and labels.shape == (8,) and x.dtype == np.float32
    plain, standard_ = ([x for x, _ in Batches(dataset, 8, augment=function).epoch(2)] for function in (None, standard))
    for text, expected in [("none", plain), ("standard", standard_), ("crop,flip", standard_)]:
        np.testing.assert_array_equal([x for x, _ in Batches(dataset, 8, augment=parse(text)).epoch(2)], expected)


def test_a_start_in_the_middle_sees_the_same_mixture(dataset):
    augmentation = augment.parse("rotate,colour,pca,cutout=2,mixup")
    whole = list(Batches(dataset, 4, seed=2, augment=augmentation).epoch(6))
    rest = list(Batches(dataset, 4, seed=2, augment=augmentation).epoch(6, start=3))
    assert len(rest) == 2
    for (x, p), (x_again, p_again) in zip(whole[3:], rest):
        np.testing.assert_array_equal(x, x_again)
        np.testing.assert_array_equal(p, p_again)


# ---- minicnn augment -----------------------------------------------------------------------------------------------

@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """run("augment photo.png ...")  ->  (exit code, stdout, stderr), in a folder with a photo.png."""
    monkeypatch.chdir(tmp_path)
    rows, columns = np.mgrid[0:40, 0:60]
    Image.fromarray(np.stack([rows * 6, columns * 4, 255 - rows * 3], axis=2).astype(np.uint8)).save("photo.png")

    def call(words):
        code = main(shlex.split(words))
        return code, *capsys.readouterr()
    return call


def tiles(path, side, rows):
    """The pictures on a sheet of one column of labels' width, (rows, 7, side, side, 3), found by the paper between them."""
    sheet = mc.read_image(path)
    paper = np.abs(sheet - sheet[0, 0]).max(axis=2) < 1e-6
    tops = [i for i in range(1, len(sheet)) if (~paper[i]).mean() > .5 and (~paper[i - 1]).mean() <= .5]
    assert len(tops) == rows
    left = [j for j in range(1, sheet.shape[1]) if not paper[tops[0], j] and paper[tops[0], j - 1]]
    assert len(left) == 7
    return np.stack([[sheet[i:i + side, j:j + side] for j in left] for i in tops])


def test_the_sheet_shows_the_original_and_six_draws_of_each(run, tmp_path):
    code, out, err = run("augment photo.png -o sheet.png --size 96 --seed 4 --with flip,cutout=20")
    assert code == 0 and not err and "wrote sheet.png: flip,cutout=20, 6 draws each" in out
    original = np.clip(mc.resize(mc.square(mc.read_image("photo.png")), (96, 96), "lanczos"), 0, 1)
    shown = tiles("sheet.png", 96, rows=3)
    assert np.abs(shown[:, 0] - original).max() < .003           # as 8 bits
    assert all(min(np.abs(tile - original).max(), np.abs(tile - original[:, ::-1]).max()) < .003 for tile in shown[0])
    grey = np.abs(shown - .5).max(axis=4) < .003                 # (rows, 7, 96, 96)
    covered = grey.sum(axis=(2, 3))
    assert (covered[0] < 50).all() and (covered[1:, 1:] >= 100).all() and (covered <= 450).all()
    assert len({tile.tobytes() for tile in shown[1]}) == 7


def test_the_same_seed_gives_the_same_sheet_and_its_settings_make_it_again(run, tmp_path):
    for name, seed in [("one", 1), ("again", 1), ("two", 2)]:
        assert run(f"augment photo.png --seed {seed} -o {name}.png")[0] == 0
    one, again, two = ((tmp_path / f"{name}.png").read_bytes() for name in ("one", "again", "two"))
    assert one == again and one != two
    settings = json.loads(run("show-settings one.png")[1])
    assert settings["seed"] == 1 and settings["version"] == mc.__version__
    assert settings["picture"] == hashlib.sha256((tmp_path / "photo.png").read_bytes()).hexdigest()[:12]
    assert run(settings["command"].removeprefix("minicnn ") + " -o made.png")[0] == 0
    assert (tmp_path / "made.png").read_bytes() == one


def test_a_row_does_not_depend_on_the_other_rows(run):
    run("augment photo.png -o both.png --size 96 --with rotate=30,colour")
    run("augment photo.png -o one.png --size 96 --with colour")
    np.testing.assert_array_equal(tiles("both.png", 96, rows=3)[1], tiles("one.png", 96, rows=1)[0])


@pytest.mark.parametrize("words, said", [
    ("augment photo.png --with spin", "no augmentation 'spin'"), ("augment nix.png", "no picture nix.png"),
    ("augment photo.png -o sheet.bmp", "sheet.bmp"), ("augment photo.png -o no/sheet.png", "no folder no"),
    ("augment photo.png --size 4", "cannot reflect 4 pixels of a 4x4 picture"),
    ("augment photo.png --with rotate=200", "from 0 to 180, not '200'")])
def test_what_the_command_cannot_do(run, tmp_path, words, said):
    code, out, err = run(words)
    assert code == 1 and not out and said in err and err.count("\n") == 1 and err.startswith("minicnn: error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]
