"""Augmentation: the same picture, a little changed, so that a network cannot learn pixels by heart.

Each function takes a batch x (N, H, W, C), float32 in 0..1, and a numpy.random.Generator, and returns a batch of the same
shape and type; what happens to a picture is drawn for it alone.  `parse` makes one function of several, by their names:

    batches = Batches(train, size=128, seed=0, augment=parse("crop,flip,rotate=15,mixup=.2"))

The random numbers are drawn on the CPU, so a seed gives the same changes on every device; the pictures stay on theirs.
"""
import math
from dataclasses import dataclass, field, replace

import numpy as np

from ..core.backend import array_library
from ..layers.loss import one_hot
from . import warp
from .colour import adjust_colours, principal_colours


# ---- Amounts -------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Amount:
    """How much of an augmentation: the default, the largest that is allowed (the least is 0), and what is counted."""
    default: float
    most: float
    unit: str
    whole: bool = False


AMOUNTS = {                                      # by the names that `parse` knows; None: there is no amount
    "crop": Amount(4, 1000, "pixels that the picture moves at most", whole=True),
    "flip": None,
    "rotate": Amount(15, 180, "degrees at most"),
    "scale": Amount(.2, .9, "share that is added or taken away at most"),
    "shear": Amount(10, 80, "degrees at most"),
    "translate": Amount(4, 1000, "pixels at most"),
    "colour": Amount(.3, 1, "change of brightness, contrast, saturation and hue"),
    "pca": Amount(.1, 10, "standard deviations along the principal colours"),
    "cutout": Amount(8, 1000, "pixels, the side of the square", whole=True),
    "mixup": Amount(.2, 1000, "alpha of the shares, Beta(alpha, alpha)"),
}


def _require(name, amount, shown=None):
    """The amount, an int where it counts whole things.  Raises ValueError when `name` does not go with it."""
    allowed = AMOUNTS[name]
    if not 0 <= amount <= allowed.most or allowed.whole and amount != int(amount):         # NaN is refused as well
        kind = "a whole number" if allowed.whole else "a number"
        raise ValueError(f"augmentation {name!r} ({allowed.unit}) needs {kind} from 0 to {allowed.most:g}, "
                         f"not {shown or amount}")
    return int(amount) if allowed.whole else amount


# ---- Crop and flip -------------------------------------------------------------------------------------------------
# As in He et al., "Deep Residual Learning for Image Recognition" (2015), section 4.2.

def random_crop(x, rng, padding=4, mode="reflect"):
    """Pad each picture by `padding` pixels on all sides and cut a window of the old size at a random place.

    x (N, H, W, C) -> (N, H, W, C), each picture moved by up to `padding` pixels in height and width on its own.
    rng: numpy.random.Generator.  mode: what lies beyond the edge, 'reflect' (mirrored), 'replicate' or 'zeros'.
    Raises ValueError for another mode, a negative padding, or a reflection longer than the picture.
    """
    N, H, W, C = x.shape
    _check_crop(H, W, padding, mode)
    xp = array_library(x)
    down, right = rng.integers(-padding, padding + 1, size=(2, N, 1))
    rows, rows_inside = _window(xp, down, H, mode)              # each (N, H)
    columns, columns_inside = _window(xp, right, W, mode)       # each (N, W)
    image = xp.arange(N)[:, None, None]
    pixels = (image * H + rows[:, :, None]) * W + columns[:, None, :]       # (N, H, W), as numbered in x from 0
    y = x.reshape(N * H * W, C).take(pixels, axis=0)            # (N, H, W, C)
    if mode == "zeros":
        y *= (rows_inside[:, :, None] & columns_inside[:, None, :])[..., None]
    return y


def random_flip(x, rng):
    """Mirror each picture left to right with probability 1/2.   x (N, H, W, C) -> (N, H, W, C)"""
    xp = array_library(x)
    flipped = xp.asarray(rng.random(len(x)) < 0.5)
    y = x.copy()
    y[flipped] = x[flipped, :, ::-1]
    return y


def standard(x, rng):
    """The usual augmentation for 32x32 pictures: a crop moved by up to four pixels, then a flip."""
    return random_flip(random_crop(x, rng), rng)


def _check_crop(H, W, padding, mode):
    if mode not in ("reflect", "replicate", "zeros"):
        raise ValueError(f"random_crop: mode must be 'reflect', 'replicate' or 'zeros', not {mode!r}")
    if padding < 0:
        raise ValueError(f"random_crop: padding must be 0 or more, not {padding}")
    if mode == "reflect" and padding >= min(H, W):
        raise ValueError(f"random_crop: cannot reflect {padding} pixels of a {H}x{W} picture: "
                         f"use padding <= {min(H, W) - 1}, or mode='replicate'")


def _window(xp, offsets, size, mode):
    """Where each place of the moved window reads from along one axis, and whether that lay inside the picture.

    offsets (N, 1) -> two arrays (N, size): indices in 0..size-1, and booleans.
    """
    wanted = xp.asarray(offsets) + xp.arange(size)              # (N, size), from -padding to size-1+padding
    inside = (wanted >= 0) & (wanted < size)
    if mode == "reflect":                                       # ... 2 1 [0 1 2 ... last] last-1 last-2 ...
        last = size - 1
        return last - abs(last - abs(wanted)), inside
    return xp.clip(wanted, 0, size - 1), inside


# ---- Affine maps ---------------------------------------------------------------------------------------------------

def random_affine(x, rng, rotate=0, scale=0, shear=0, translate=0):
    """Shear, zoom, turn and move each picture, all in one warp: to interpolate four times would blur it four times.

    rotate      the most degrees, 0..180, clockwise or counterclockwise
    scale       at most so much larger or smaller, 0 to .9: zoom by 1 - scale .. 1 + scale
    shear       the most degrees, 0..80, by which uprights lean left or right
    translate   the most pixels, down or up and right or left, fractions of one included
    Everything is drawn evenly from its range.  What lies beyond the edge is the picture mirrored.
    Raises ValueError for an amount out of its range.
    """
    for name, amount in [("rotate", rotate), ("scale", scale), ("shear", shear), ("translate", translate)]:
        _require(name, amount)
    angle, zoom, lean, down, right = rng.uniform(-1, 1, (5, len(x)))
    return warp.affine_warp(x, warp.translation(translate * down, translate * right)
                            @ warp.rotation(np.radians(rotate * angle))
                            @ warp.scaling(1 + scale * zoom)
                            @ warp.shearing(np.radians(shear * lean)))


def random_rotation(x, rng, degrees=15):
    """Turn each picture about its middle by up to `degrees` (0..180) either way."""
    return random_affine(x, rng, rotate=degrees)


def random_scale(x, rng, factor=.2):
    """Zoom each picture by 1 - factor .. 1 + factor;  factor from 0 to .9."""
    return random_affine(x, rng, scale=factor)


def random_shear(x, rng, degrees=10):
    """Lean the uprights of each picture by up to `degrees` (0..80) to the left or right."""
    return random_affine(x, rng, shear=degrees)


def random_translation(x, rng, pixels=4):
    """Move each picture by up to `pixels` in each direction, fractions of one included."""
    return random_affine(x, rng, translate=pixels)


# ---- Colours -------------------------------------------------------------------------------------------------------

def colour_jitter(x, rng, amount=.3):
    """Change brightness, contrast, saturation and hue of each picture; of grey ones (C = 1) the first two.

    amount   0..1: factors are drawn from 1 - amount .. 1 + amount, the hue turns by up to amount / 4 of a turn.  That
             ratio is from Chen et al., "A Simple Framework for Contrastive Learning" (2020), appendix A.
    Raises ValueError for another amount, or pictures with neither 1 nor 3 channels.
    """
    _require("colour", amount)
    if x.shape[3] not in (1, 3):
        raise ValueError(f"colour_jitter: pictures must have 1 or 3 channels, not {x.shape[3]}")
    draws = amount * rng.uniform(-1, 1, (4, len(x)))
    brightness, contrast, saturation = 1 + draws[:3]
    if x.shape[3] == 1:
        return adjust_colours(x, brightness, contrast)
    return adjust_colours(x, brightness, contrast, saturation, draws[3] / 4 * 2 * math.pi)


def pca_colour(x, rng, principal, amount=.1):
    """Add one colour to all pixels of each picture: a random mix of the directions in which the data set's colours differ.

    principal   (C, C), from `principal_colours` of the training pictures
    amount      the standard deviation of each direction's share
    Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks" (2012), section 4.1.  A share
    counts here in standard deviations of the pixels, as in the authors' program; the paper speaks of eigenvalues, their
    squares, which would weigh otherwise for pixels in 0..255.  Values that leave 0..1 are clipped.
    Raises ValueError for a negative amount, or principal colours of another number of channels.
    """
    _require("pca", amount)
    C = x.shape[3]
    if principal.shape != (C, C):
        raise ValueError(f"pca_colour: pictures with {C} channels need principal colours ({C}, {C}), "
                         f"not {principal.shape}")
    xp = array_library(x)
    added = amount * rng.standard_normal((len(x), C)) @ principal           # (N, C)
    return xp.clip(x + xp.asarray(added[:, None, None, :], dtype=x.dtype), 0, 1)


# ---- Hiding and mixing ---------------------------------------------------------------------------------------------

def cutout(x, rng, size=8, fill=.5):
    """Cover a square of size x size pixels of each picture with the value `fill`.

    Its middle is anywhere in the picture, so part of it may lie outside.  The paper fills with zeros pictures whose mean
    was made zero before; with pictures in 0..1 that is a middle grey.  DeVries & Taylor, "Improved Regularization of
    Convolutional Neural Networks with Cutout" (2017), section 3.  Raises ValueError for a size that is no whole number.
    """
    N, H, W, _ = x.shape
    xp, size = array_library(x), _require("cutout", size)
    rows = _covered(xp, rng.integers(0, H, (N, 1)), size, H)                # (N, H)
    columns = _covered(xp, rng.integers(0, W, (N, 1)), size, W)             # (N, W)
    y = x.copy()
    y[rows[:, :, None] & columns[:, None, :]] = fill
    return y


def _covered(xp, middle, size, length):
    """Which of `length` places lie within `size` around the middle, (N, 1)  ->  booleans (N, length)"""
    place = xp.arange(length) - xp.asarray(middle) + size // 2
    return (place >= 0) & (place < size)


def mixup(x, labels, classes, rng, alpha=.2):
    """Mix each picture with the next one of the batch, the last with the first, and their labels in the same proportion.

    x (N, H, W, C), labels (N,) in 0..classes-1   ->   x (N, H, W, C), probabilities (N, classes) of the type of x
    alpha   the picture's own share is drawn from Beta(alpha, alpha): small, near 0 or 1; 1, evenly; large, near 1/2
    Batches are in random order already, so the next picture is any picture.  Zhang et al., "mixup: Beyond Empirical Risk
    Minimization" (2018).  Raises ValueError for a negative alpha (0 mixes nothing), or labels out of range.
    """
    _require("mixup", alpha)
    xp, N = array_library(x), len(x)
    targets = one_hot(xp.asarray(labels), classes, x.dtype)                 # (N, classes)
    share = xp.asarray(rng.beta(alpha, alpha, N) if alpha else np.ones(N), dtype=x.dtype)
    return _mixed_with_next(xp, x, share[:, None, None, None]), _mixed_with_next(xp, targets, share[:, None])


def _mixed_with_next(xp, values, share):
    return share * values + (1 - share) * xp.roll(values, -1, axis=0)


# ---- By name -------------------------------------------------------------------------------------------------------

AFFINE = ("rotate", "scale", "shear", "translate")
SEVERAL = {"standard": ["crop", "flip"]}         # a name for several


@dataclass(frozen=True)
class Augmentation:
    """Several augmentations, one after the other:   augmentation(x, rng) -> array like x.   `parse` makes them.

    amounts     {name: amount} in their order.  The affine ones are one warp, done where the first of them stands
    principal   None, or the principal colours of the training pictures, which `pca` needs: see `fit`

    Mixup changes the labels too, so a call leaves it out, and `Batches` does it in the end with alpha = .mixup.
    """
    amounts: dict
    principal: np.ndarray = field(default=None, compare=False)

    def __call__(self, x, rng):
        """x (N, H, W, C) in 0..1  ->  (N, H, W, C).  Raises ValueError when `pca` is in it and `fit` was not called."""
        affine = {name: self.amounts[name] for name in AFFINE if name in self.amounts}
        for name, amount in self.amounts.items():
            if name not in AFFINE:
                x = self._step(name, amount, x, rng)
            elif affine:
                x, affine = random_affine(x, rng, **affine), {}
        return x

    def _step(self, name, amount, x, rng):
        if name == "mixup":
            return x
        if name == "flip":
            return random_flip(x, rng)
        if name == "pca":
            return pca_colour(x, rng, self._principal(), amount)
        return {"crop": random_crop, "colour": colour_jitter, "cutout": cutout}[name](x, rng, amount)

    def _principal(self):
        if self.principal is None:
            raise ValueError("augmentation 'pca': the colours of the training pictures are not known; use what "
                             "augmentation.fit(dataset) returns")
        return self.principal

    def fit(self, dataset):
        """The augmentation with what it has to know of the training pictures.  `Batches` calls this."""
        return replace(self, principal=principal_colours(dataset.images)) if "pca" in self.amounts else self

    @property
    def mixup(self):
        """alpha of mixup, 0 for none."""
        return self.amounts.get("mixup", 0)

    def __str__(self):
        """As `parse` reads it, with every amount: 'crop=4,flip'."""
        return ",".join(_word(name, amount) for name, amount in self.amounts.items()) or "none"


def parse(text):
    """The Augmentation that a text names:   parse("crop,flip,rotate=15,mixup=.2")

    The names are those of AMOUNTS, in the order in which they are to be done; an amount may follow after "=".  "standard"
    is "crop,flip", and "none" alone changes nothing.  Raises ValueError, with a list of what there is, for anything else.
    """
    amounts = {}
    for word in [] if text.strip() == "none" else text.split(","):
        name, equals, value = map(str.strip, word.partition("="))
        for single in [name] if equals else SEVERAL.get(name, [name]):
            if single in amounts:
                raise ValueError(f"augmentation {single!r} is named twice in {text!r}; leave one out")
            amounts[single] = _amount(single, value if equals else None)
    return Augmentation(amounts)


def _amount(name, value):
    """The amount that the text `value` says; the default for None."""
    if name not in AMOUNTS:
        raise ValueError(f"there is no augmentation {name!r}; {_offer()}")
    allowed = AMOUNTS[name]
    if allowed is None and value is not None:
        raise ValueError(f"augmentation {name!r} takes no amount, not {value!r}; {_offer()}")
    if value is None:
        return allowed and allowed.default
    try:
        return _require(name, _number(value), shown=repr(value))
    except ValueError as error:
        raise ValueError(f"{error}; {_offer()}") from None


def _number(text):
    try:
        return float(text)
    except ValueError:
        return math.nan                          # which no amount may be


def _offer():
    defaults = (_word(name, allowed and allowed.default) for name, allowed in AMOUNTS.items())
    return f"choose from {', '.join(defaults)} (the numbers are the defaults), or standard (crop,flip), or none alone"


def _word(name, amount):
    return name if amount is None else f"{name}={str(amount).removesuffix('.0')}"
