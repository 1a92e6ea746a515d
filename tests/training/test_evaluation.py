"""What is said about a classifier: each figure on cases worked out by hand, and the pictures that show them."""
import numpy as np
import pytest

import minicnn as mc
from minicnn.models import small
from minicnn.training import evaluation
from minicnn.training.evaluation import (calibration, class_accuracy, confusion_matrix, confusion_picture, evaluate,
                                         expected_calibration_error, figures, mistakes_sheet, surest_mistakes)


def certain(predictions, confidence=1., classes=3):
    """Probabilities (N, classes) with these predictions, each with its confidence; the others share the rest."""
    confidence = np.broadcast_to(confidence, len(predictions))
    probabilities = np.repeat(((1 - confidence) / (classes - 1))[:, None], classes, axis=1)
    probabilities[np.arange(len(predictions)), predictions] = confidence
    return probabilities.astype(np.float32)


# ---- The figures ---------------------------------------------------------------------------------------------------

def test_confusion_matrix_of_five_labels():
    labels, said = np.array([0, 0, 1, 2, 0]), np.array([0, 2, 1, 1, 2])
    confusion = confusion_matrix(certain(said, .8), labels)
    assert confusion.tolist() == [[1, 0, 2], [0, 1, 0], [0, 1, 0]] and confusion.dtype == np.int64
    assert class_accuracy(confusion).tolist() == [1 / 3, 1, 0]


def test_a_class_without_pictures_has_no_accuracy():
    confusion = confusion_matrix(certain([0, 1]), np.array([0, 0]))
    assert confusion.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(class_accuracy(confusion), [.5, np.nan, np.nan])


def test_a_perfectly_calibrated_predictor_has_no_calibration_error():
    """Of the pictures it is 80 % sure of it recognises 8 in 10, of those it is 50 % sure of 1 in 2."""
    labels = np.zeros(20, int)
    said, confidence = np.array([0] * 8 + [1] * 2 + [0, 2] * 5), np.repeat([.8, .5], 10)
    pictures, accuracy, sure = calibration(certain(said, confidence), labels)
    assert pictures.tolist() == [0] * 7 + [10] + [0] * 4 + [10] + [0] * 2             # .5 * 15 = 7.5, .8 * 15 = 12 (+ 1e-7)
    np.testing.assert_allclose([accuracy[7], accuracy[12], sure[7], sure[12]], [.5, .8, .5, .8], atol=1e-6)
    assert expected_calibration_error(pictures, accuracy, sure) == pytest.approx(0, abs=1e-6)


def test_the_calibration_error_of_a_predictor_that_is_always_sure():
    """Always 100 % sure and right one time in four: they lie .75 apart, in the last bin, which holds all."""
    pictures, accuracy, sure = calibration(certain([0] * 8), np.array([0, 1, 2, 1] * 2))
    assert pictures.tolist() == [0] * 14 + [8] and accuracy[14] == .25 and sure[14] == 1
    assert expected_calibration_error(pictures, accuracy, sure) == .75


def test_the_calibration_error_weighs_bins_by_their_pictures():
    """Three pictures of confidence .9, all right (.1 apart), and one of .6, wrong (.6 apart): (3 * .1 + 1 * .6) / 4."""
    probabilities, labels = certain([0, 1, 2, 0], [.9, .9, .9, .6]), np.array([0, 1, 2, 1])
    assert expected_calibration_error(*calibration(probabilities, labels)) == pytest.approx(.225)
    assert expected_calibration_error(*calibration(probabilities, labels, bins=1)) == pytest.approx(abs(.75 - .825))


@pytest.mark.parametrize("confidence, bin_of", [(.5, 1), (.5001, 2), (.75, 2), (.7501, 3), (1., 3), (1 + 1e-6, 3)])
def test_a_bin_holds_its_upper_end(confidence, bin_of):
    assert calibration(certain([1], confidence, 2), np.array([1]), bins=4)[0].argmax() == bin_of


def test_the_surest_mistakes_come_first_and_equal_ones_in_their_order():
    probabilities = certain([0, 1, 2, 0, 1, 2], [.5, .9, .7, .9, .99, .7])
    labels = np.array([1, 0, 2, 1, 1, 0])
    assert surest_mistakes(probabilities, labels).tolist() == [1, 3, 5, 0]
    assert surest_mistakes(probabilities, labels, 2).tolist() == [1, 3]
    assert surest_mistakes(probabilities, probabilities.argmax(axis=1)).tolist() == []


def test_all_figures_agree_with_each_other():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 300).astype(np.float32)
    labels = rng.integers(0, 4, 300)
    found = figures(probabilities, labels)
    assert found["accuracy"] == (probabilities.argmax(axis=1) == labels).mean()
    assert found["confusion"].sum() == found["calibration_bins"]["pictures"].sum() == 300
    assert found["confusion"].sum(axis=1) @ found["class_accuracy"] == pytest.approx(300 * found["accuracy"])
    bins = found["calibration_bins"]
    assert bins["pictures"] @ bins["accuracy"] == pytest.approx(300 * found["accuracy"])
    assert bins["pictures"] @ bins["confidence"] == pytest.approx(300 * found["mean_confidence"])
    assert abs(found["mean_confidence"] - found["accuracy"]) <= found["expected_calibration_error"] <= 1


@pytest.mark.parametrize("figure", [confusion_matrix, calibration, surest_mistakes, figures])
@pytest.mark.parametrize("probabilities, labels, said", [
    (np.ones((2, 3)), np.zeros(3, int), r"\(2, 3\) and \(3,\)"), (np.ones(3), np.zeros(3, int), r"\(N, classes\)"),
    (np.ones((0, 3)), np.zeros(0, int), "at least one picture"), (np.ones((2, 3)), np.array([0, 3]), r"0\.\.2.* 0\.\.3"),
    (np.ones((2, 3)), np.array([-1, 0]), r"-1\.\.0"), (np.ones((2, 3)), np.zeros(2), "whole numbers.*float64")])
def test_arrays_that_do_not_fit_together_are_refused(figure, probabilities, labels, said):
    with pytest.raises(ValueError, match=said):
        figure(probabilities, labels)


# ---- Asking the network --------------------------------------------------------------------------------------------

@pytest.fixture
def model():
    return small(["a", "b", "c"], ((4,), (6,)), rng=0)


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    return mc.data.Dataset(rng.integers(0, 256, (23, 8, 8, 3), dtype=np.uint8), rng.integers(0, 3, 23), ["a", "b", "c"])


def test_every_picture_goes_through_the_network_once(model, data, monkeypatch):
    seen = []
    monkeypatch.setattr(evaluation, "predict", lambda m, x, batch: seen.append(len(x)) or mc.predict(m, x, batch))
    said = evaluate(model, data, batch=10)
    assert seen == [10, 10, 3] and said.images is data.images
    logits = mc.predict(model, data.images_float(), 10)
    np.testing.assert_allclose(said.probabilities, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-5)
    assert said.probabilities.dtype == np.float32


def test_under_attack_the_network_sees_what_the_attack_returns(model, data):
    given = []

    def inverted(network, x, labels):
        given.append((network, labels))
        return 1 - x
    said = evaluate(model, data, inverted, batch=10)
    assert np.array_equal(said.images, 255 - data.images)
    assert all(network is model for network, _ in given)
    assert np.array_equal(np.concatenate([labels for _, labels in given]), data.labels)
    other = evaluate(model, mc.data.Dataset(255 - data.images, data.labels, data.class_names), batch=10)
    np.testing.assert_allclose(said.probabilities, other.probabilities, atol=1e-5)


def test_a_network_that_answers_nan_is_told(model, data):
    model.classifier[1].bias.data[:] = np.nan
    with pytest.raises(FloatingPointError, match="23 of 23 pictures with NaN"):
        evaluate(model, data)


# ---- Pictures of them ----------------------------------------------------------------------------------------------

def cell(picture, classes, i, j, side=44):
    """The pixels of one cell of the matrix, which ends where the margin (16) and the caption's two lines begin."""
    bottom, right = picture.shape[0] - 16 - (2 * 18 + 7), picture.shape[1] - 16
    top, left = bottom - (classes - i) * side, right - (classes - j) * side
    return picture[top:top + side - 1, left:left + side - 1].reshape(-1, 3).astype(int)


def shade(pixels):
    """The commonest colour."""
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    return tuple(colours[counts.argmax()].tolist())


def test_the_confusion_picture_shows_each_share_as_a_shade_and_a_number():
    confusion = np.zeros((10, 10), int)
    confusion[0, 0], confusion[0, 3], confusion[1, 1], confusion[2, 4] = 75, 25, 7, 3
    picture = confusion_picture(confusion, ["airplane"] * 10)
    assert picture.dtype == np.uint8 and shade(cell(picture, 10, 1, 1)) == evaluation.RIGHT
    assert shade(cell(picture, 10, 2, 4)) == evaluation.WRONG
    halfway = tuple((np.array(evaluation.PAPER) + evaluation.WRONG) // 2)                # the root of 1/4 is 1/2
    np.testing.assert_allclose(shade(cell(picture, 10, 0, 3)), halfway, atol=1)
    assert len(np.unique(cell(picture, 10, 0, 3), axis=0)) > 2                           # a number is written in
    assert len(np.unique(cell(picture, 10, 3, 0), axis=0)) == 1                          # nothing where nothing is
    assert shade(cell(picture, 10, 3, 0)) == evaluation.PAPER


def test_a_matrix_of_another_size_than_the_names_is_refused():
    with pytest.raises(ValueError, match=r"2 class names .* not \(3, 3\)"):
        confusion_picture(np.eye(3, dtype=int), ["cat", "dog"])


def test_many_classes_get_small_cells_without_numbers():
    picture = confusion_picture(np.eye(100, dtype=int) * 5, [f"class {k}" for k in range(100)])
    assert 1200 < picture.shape[1] < 1400 and 1200 < picture.shape[0] < 1450
    for k in (0, 50, 99):
        assert np.unique(cell(picture, 100, k, k, 12), axis=0).tolist() == [list(evaluation.RIGHT)]


def test_names_and_titles_widen_the_confusion_picture():
    short = confusion_picture(np.eye(12, dtype=int), ["a"] * 12)
    long = confusion_picture(np.eye(12, dtype=int), ["a name of 24 characters!"] * 12)
    longer = confusion_picture(np.eye(12, dtype=int), ["a name of 24 characters! and many more"] * 12)
    titled = confusion_picture(np.eye(12, dtype=int), ["a"] * 12, title="what is taken for what")
    assert long.shape[1] > short.shape[1] + 100 and long.shape[0] > short.shape[0] + 100
    assert abs(longer.shape[1] - long.shape[1]) < 30
    assert titled.shape[0] > short.shape[0] and titled.shape[1] == short.shape[1]
    one = confusion_picture(np.array([[4]]), ["only"], title="a title wider than its picture of one class only")
    assert one.shape[1] > 400


def test_the_mistakes_sheet_holds_the_chosen_pictures_and_what_was_said(monkeypatch):
    images = np.arange(4, dtype=np.uint8).repeat(48).reshape(4, 4, 4, 3) * 50
    given = {}
    monkeypatch.setattr(evaluation, "contact_sheet", lambda pictures, captions, **more: given.update(
        pictures=pictures, captions=captions, **more))
    mistakes_sheet(images, np.array([0, 1, 2, 0]), certain([0, 0, 2, 1], [.5, .994, 1, .87]), ["cat", "dog", "x" * 30],
                   np.array([1, 3]), "two")
    assert np.array_equal(given["pictures"], images[[1, 3]]) and given["scale"] == 32 and given["title"] == "two"
    assert given["captions"] == ["cat? 99 %\nno, dog", "dog? 87 %\nno, cat"]


def test_the_mistakes_sheet_is_a_picture():
    images = np.full((2, 32, 32, 3), 90, np.uint8)
    sheet = mistakes_sheet(images, np.array([0, 1]), certain([1, 0], .9), ["cat", "dog", "cow"], np.array([0, 1]))
    assert sheet.shape == (128 + 7 + 2 * 18 + 2 * 16, 2 * 128 + 3 * 16, 3)
    assert (sheet[16:144, 16:144] == 90).all() and (sheet[16:144, 160:288] == 90).all()
