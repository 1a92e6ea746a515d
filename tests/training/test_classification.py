"""What a network is shown of a photograph, and whose probabilities are averaged."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.models import fully_convolutional
from minicnn.training.classification import middle, ten_crops

FIVE = ["a", "b", "c", "d", "e"]


@pytest.fixture(scope="module")
def vgg():
    return mc.models.build("vgg11", FIVE, rng=0, width=4, hidden=6).eval()


def places(height, width):
    """A picture that says at each pixel where it is: (row, column, 0) / 1000."""
    rows, columns = np.mgrid[:height, :width] / 1000
    return np.stack([rows, columns, np.zeros((height, width))], axis=2).astype(np.float32)


def corner(crop):
    """(row, column) of its first pixel, where its picture was not resized."""
    return tuple(np.round(1000 * crop[0, 0, :2]).astype(int).tolist())


def shares(model, x):
    return mc.softmax(model(np.ascontiguousarray(x))).numpy()


@pytest.mark.parametrize("height, width, first", [(256, 256, (16, 16)), (256, 400, (16, 88)), (413, 256, (94, 16))])
def test_the_middle_is_cut_as_torchvision_cuts_it(vgg, height, width, first):
    """Shorter side 256, then 224x224 from round((side - 224) / 2) on: here nothing is resized."""
    crop = middle(vgg, places(height, width))
    assert crop.shape == (224, 224, 3) and corner(crop) == first


def test_a_photograph_is_resized_in_its_proportions(vgg):
    crop = middle(vgg, places(512, 900))                         # halved: a pixel is the mean of two, and the step is 2
    assert np.diff(1000 * crop[:, 0, 0]) == pytest.approx(2, abs=.01)
    assert np.diff(1000 * crop[0, :, 1]) == pytest.approx(2, abs=.01)
    assert 1000 * crop[0, 0, 0] == pytest.approx(2 * 16 + .5, abs=.01)
    assert 1000 * crop[0, 0, 1] == pytest.approx(2 * round((450 - 224) / 2) + .5, abs=.01)


def test_small_networks_see_the_middle_square():
    model = mc.models.build("small", FIVE, rng=0, widths=((4,),))
    picture = places(40, 60)
    np.testing.assert_array_equal(middle(model, picture), np.clip(mc.resize(picture[:, 10:50], (32, 32), "lanczos"), 0, 1))


def test_ten_crops_are_corners_and_middle_and_mirrored():
    crops = ten_crops(places(256, 300), (224, 224, 3))
    assert crops.shape == (10, 224, 224, 3) and crops.dtype == np.float32
    assert [corner(crop) for crop in crops[:5]] == [(0, 22), (0, 54), (32, 22), (32, 54), (16, 38)]
    np.testing.assert_array_equal(crops[5:], crops[:5, :, ::-1])


def test_ten_crops_for_a_small_network():
    assert ten_crops(places(50, 60), (32, 32, 3)).shape == (10, 32, 32, 3)


def test_one_crop_is_what_the_network_says_of_it(vgg):
    picture = places(300, 280)
    np.testing.assert_allclose(mc.classify(vgg, picture), shares(vgg, middle(vgg, picture)[None])[0], rtol=1e-6)


def test_the_probabilities_of_ten_crops_are_averaged(vgg):
    picture = mc.resize(np.random.default_rng(0).random((20, 30, 3)), (260, 300))
    each = shares(vgg, ten_crops(picture, vgg.input_shape))
    found = mc.classify(vgg, picture, crops=10)
    np.testing.assert_allclose(found, each.mean(axis=0), rtol=1e-5)
    assert found.shape == (5,) and found.sum() == pytest.approx(1, abs=1e-5)


def test_whole_pictures_of_several_sizes_are_averaged_with_their_mirror_images(vgg):
    picture = mc.resize(np.random.default_rng(0).random((20, 30, 3)), (240, 270))
    whole, each = fully_convolutional(vgg), []
    for size in [(224, 252), (256, 288)]:
        x = mc.resize(picture, size)[None]
        each += [shares(whole, x), shares(whole, x[:, :, ::-1])]
    np.testing.assert_allclose(mc.classify(vgg, picture, scales=[224, 256]), np.mean(each, axis=0)[0], rtol=1e-4)


def test_a_square_of_224_in_one_size_is_the_network_and_its_mirror_image(vgg):
    x = places(224, 224)
    expected = (shares(vgg, x[None]) + shares(vgg, x[None, :, ::-1]))[0] / 2
    np.testing.assert_allclose(mc.classify(vgg, x, scales=[224]), expected, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, dict(crops=10), dict(scales=[28, 40])])
def test_colour_is_made_grey_for_a_network_that_knows_only_grey(options):
    model = mc.models.build("lenet5", FIVE, rng=0, channels=1, size=28)
    picture = .3 + .4 * np.random.default_rng(0).random((30, 45, 3), dtype=np.float32)       # so that nothing is clipped
    grey = picture @ np.array([[.299], [.587], [.114]], np.float32)
    np.testing.assert_allclose(mc.classify(model, picture, **options), mc.classify(model, grey, **options), atol=1e-4)


def test_bytes_are_as_good_as_numbers_from_0_to_1(vgg):
    picture = np.random.default_rng(0).integers(0, 256, (60, 50, 3), dtype=np.uint8)
    np.testing.assert_allclose(mc.classify(vgg, picture), mc.classify(vgg, picture / np.float32(255)), rtol=1e-5)


def test_what_cannot_be_asked(vgg):
    with pytest.raises(ValueError, match="crops must be 1 or 10, not 5"):
        mc.classify(vgg, places(9, 9), crops=5)
    with pytest.raises(ValueError, match="scale 223 is smaller .*: use 224 or more"):
        mc.classify(vgg, places(9, 9), scales=[256, 223])
    features = mc.models.build("vgg11", features_only=True, rng=0, width=4)
    with pytest.raises(ValueError, match="ends in feature maps and knows no classes"):
        mc.classify(features, places(9, 9))
