"""What one wants to know about a classifier: what it confuses, how sure it is and may be, and where it errs surely.

    said = evaluate(model, test)                              # the only pass through the network
    figures(said.probabilities, test.labels)["accuracy"]
    write_image(confusion_picture(confusion_matrix(said.probabilities, test.labels), test.class_names), "confusion.png")

The figures are functions of two arrays: probabilities (N, classes), of which each row is the softmax of a picture's
logits, and labels (N,), whole numbers in 0..classes-1.  The class of the highest probability is the prediction, and that
probability its confidence (Hendrycks & Gimpel 2017, "A Baseline for Detecting Misclassified and Out-of-Distribution
Examples", section 2).  Each raises ValueError where the two arrays do not fit together.
"""
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from ..core.backend import to_device, to_numpy
from ..images import INK, PAPER, contact_sheet
from ..layers import softmax
from .prediction import predict

BINS = 15                                        # of the calibration error, as in the tables of Guo et al.


class Evaluated(NamedTuple):
    """What a network said of a data set.

    probabilities   (N, classes) float32
    images          (N, H, W, C) uint8: what it saw, which under an attack is not what the data set holds
    """
    probabilities: np.ndarray
    images: np.ndarray


def evaluate(model, data, attack=None, batch=250, progress=None):
    """Run a network over a data set, in portions, once: Evaluated.

    attack     None, or a function (model, x, labels) -> pictures like x, which the network then sees instead
    progress   None, or the name of a progress bar
    Raises FloatingPointError when the network answers with NaN or infinite values.
    """
    logits, images = [], data.images if attack is None else np.empty_like(data.images)
    for i in tqdm(range(0, len(data), batch), progress, leave=False, disable=None if progress else True):
        part = slice(i, i + batch)
        x = to_device(data.images_float(part), model.device)
        if attack:
            x = attack(model, x, data.labels[part])
            images[part] = np.floor(255 * to_numpy(x) + .5)
        logits.append(predict(model, x, batch))
    return Evaluated(softmax(_finite(np.concatenate(logits))).numpy(), images)


def _finite(logits):
    bad = ~np.isfinite(logits).all(axis=1)
    if bad.any():
        raise FloatingPointError(f"the network answers {bad.sum()} of {len(logits)} pictures with NaN or infinite values: "
                                 "its weights are damaged; train it again, with a lower learning rate")
    return logits


# ---- The figures ---------------------------------------------------------------------------------------------------

def confusion_matrix(probabilities, labels):
    """(classes, classes) int64: in row i, column j the number of pictures of class i that were taken for class j.

    Kohavi & Provost 1998, "Glossary of Terms", Machine Learning 30.
    """
    _require_matching(probabilities, labels)
    classes = probabilities.shape[1]
    pairs = labels * classes + probabilities.argmax(axis=1)
    return np.bincount(pairs, minlength=classes ** 2).reshape(classes, classes)     # (class, prediction)


def class_accuracy(confusion):
    """(classes,) in 0..1: the share of each class's pictures that were recognised; NaN for a class without pictures."""
    pictures = confusion.sum(axis=1)
    return np.divide(np.diag(confusion), pictures, out=np.full(len(pictures), np.nan), where=pictures > 0)


def calibration(probabilities, labels, bins=BINS):
    """The pictures in bins by confidence: (pictures, accuracy, mean confidence), each (bins,).   Guo et al. 2017, section 2

    Bin m, counted from 1, holds the confidences in ((m - 1) / bins, m / bins].  Accuracy and mean confidence are in 0..1,
    and 0 in a bin without pictures.  A network is calibrated when the two are equal in each: of the pictures that it is
    80 % sure of, it then recognises 80 %.
    """
    _require_matching(probabilities, labels)
    confidence = probabilities.max(axis=1).astype(np.float64)
    hits = probabilities.argmax(axis=1) == labels
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)       # float32 may round above 1
    pictures, right, sure = (np.bincount(bin_of, weights, bins) for weights in (None, hits, confidence))
    return pictures, right / np.maximum(pictures, 1), sure / np.maximum(pictures, 1)


def expected_calibration_error(pictures, accuracy, confidence):
    """How far accuracy and confidence lie apart on average, 0..1, of the bins of `calibration`.   Guo et al. 2017, eq. 3"""
    return float((pictures / pictures.sum() * np.abs(accuracy - confidence)).sum())


def surest_mistakes(probabilities, labels, count=None):
    """Indices of the pictures that were taken for another class, the most confident first: at most `count`, or all."""
    _require_matching(probabilities, labels)
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-probabilities.max(axis=1)[wrong], kind="stable")][:count]


def figures(probabilities, labels):
    """All of them by name: a dict of numbers and arrays.   accuracy and mean_confidence are over all pictures, in 0..1."""
    confusion, bins = confusion_matrix(probabilities, labels), calibration(probabilities, labels)
    return {"accuracy": float(np.trace(confusion) / len(labels)), "class_accuracy": class_accuracy(confusion),
            "confusion": confusion, "mean_confidence": float(probabilities.max(axis=1).mean(dtype=np.float64)),
            "expected_calibration_error": expected_calibration_error(*bins),
            "calibration_bins": dict(zip(("pictures", "accuracy", "confidence"), bins))}


def _require_matching(probabilities, labels):
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or 0 in probabilities.shape:
        raise ValueError(f"probabilities must be (N, classes) and labels (N,), with at least one picture; "
                         f"they are {probabilities.shape} and {labels.shape}")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ValueError(f"labels must be whole numbers in 0..{probabilities.shape[1] - 1}, one of the classes; they are "
                         f"{labels.dtype}, {labels.min()}..{labels.max()}")


# ---- Pictures of them ----------------------------------------------------------------------------------------------

RIGHT, WRONG, LINE = (38, 102, 168), (200, 76, 32), (225, 225, 222)     # blue and orange: the colour-blind see them too
MOST_NUMBERED = 25                               # classes; of more, numbers would make a poster
LONGEST_NAME = 24                                # letters of a class name


def confusion_picture(confusion, class_names, title=None):
    """A confusion matrix as a picture, uint8 (height, width, 3): a row for each class, a column for each prediction.

    A cell is the darker the larger its share of the row (as the square root, or rare mistakes would not be seen).  Up to
    25 classes the share is written in, in per cent; a cell without pictures stays empty.
    Raises ValueError when the matrix is not (classes, classes) for these class names.
    """
    if confusion.shape != (len(class_names), len(class_names)):
        raise ValueError(f"confusion_picture: {len(class_names)} class names need a square matrix of that size, "
                         f"not {confusion.shape}")
    numbered = len(class_names) <= MOST_NUMBERED
    side, font = (44, ImageFont.load_default(14)) if numbered else (12, ImageFont.load_default(10))
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    cells = Image.fromarray(_shades(shares, side))
    if numbered:
        _write_shares(ImageDraw.Draw(cells), shares, side, font)
    names = [_shortened(name) for name in class_names]
    rows, columns = _names(names, side, font, "r"), _names(names, side, font, "l").transpose(Image.Transpose.ROTATE_90)
    paper = Image.new("RGB", (rows.width + cells.width, columns.height + cells.height), PAPER)
    for image, place in [(columns, (rows.width, 0)), (rows, (0, columns.height)), (cells, (rows.width, columns.height))]:
        paper.paste(image, place)
    scale = "in per cent of the row" if numbered else "the darker, the larger the share of the row"
    return contact_sheet([np.asarray(paper)], [f"rows: what it is; columns: what the network said\n"
                                               f"{scale}; blue is right, orange wrong"], title=title)


def _shades(shares, side):
    """(classes, classes) in 0..1  ->  uint8 (classes * side, classes * side, 3): squares with a thin line after each."""
    ink = np.where(np.eye(len(shares), dtype=bool)[..., None], RIGHT, WRONG)        # (classes, classes, 3)
    colours = PAPER + np.sqrt(shares)[..., None] * (ink - PAPER)
    shades = colours.round().astype(np.uint8).repeat(side, axis=0).repeat(side, axis=1)
    shades[side - 1::side] = shades[:, side - 1::side] = LINE
    return shades


def _write_shares(draw, shares, side, font):
    for i, j in np.argwhere(shares > 0):
        text = f"{100 * shares[i, j]:.0f}" if shares[i, j] > .005 else "<1"
        colour = PAPER if shares[i, j] > (.5 if i == j else .7) else INK        # on a dark cell; blue is the darker ink
        draw.text(((j + .5) * side, (i + .5) * side), text, colour, font, anchor="mm")


def _names(names, side, font, align):
    """The names one below the other, `side` pixels each, aligned "l" or "r"."""
    gap = 8
    width = gap + int(np.ceil(max(map(font.getlength, names)))) + gap
    image = Image.new("RGB", (width, len(names) * side), PAPER)
    for i, name in enumerate(names):
        ImageDraw.Draw(image).text((gap if align == "l" else width - gap, (i + .5) * side), name, INK, font,
                                   anchor=f"{align}m")
    return image


def _shortened(name):
    return name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME - 3] + "..."


def mistakes_sheet(images, labels, probabilities, class_names, chosen, title=None, side=128):
    """A contact sheet of the pictures at the indices `chosen`: under each what was said, how surely, and what it is.

    images (N, H, W, C) uint8 or float 0..1;  side: pixels of a picture's longer side on the sheet.
    """
    said = probabilities[chosen].argmax(axis=1)
    captions = [f"{_shortened(class_names[j])}? {100 * probabilities[i, j]:.0f} %\nno, {_shortened(class_names[labels[i]])}"
                for i, j in zip(chosen, said)]
    return contact_sheet(images[chosen], captions, scale=side / max(images.shape[1:3]), title=title)
