"""What the networks share: the Module that knows its classes, the first step of all of them, the dense layers of some."""
import re
from pathlib import Path

import numpy as np

from ..core.backend import array_library
from ..core.tensor import differentiable
from ..layers.activation import ReLU
from ..layers.dense import Dense
from ..layers.dropout import Dropout
from ..layers.module import Module

WORDNET_ID = re.compile(r"^n\d{8}\s+")           # before the names in ImageNet's own lists: n02123045 tabby


@differentiable
def standardize(x, mean, std, bgr=False):
    """(x - mean) / std:   x (..., C)   ->   y like x

    mean, std   a number, or one a channel
    bgr         whether the channels, red, green and blue, are put into the order blue, green, red first
    """
    xp, dtype = array_library(x), np.result_type(x.dtype, np.float32)
    scale = xp.asarray(1 / np.asarray(std, float), dtype)
    y = (x[..., ::-1] if bgr else x) - xp.asarray(mean, dtype)
    y *= scale

    def grad_x(dy):
        dx = dy * scale
        return dx[..., ::-1] if bgr else dx
    return y, (grad_x,)


class Standardize(Module):
    """`standardize` with its numbers: pictures of 0..1 to numbers around zero, so that a network takes them as they are."""

    def __init__(self, mean=.47, std=.25, bgr=False):
        super().__init__()
        self.mean, self.std, self.bgr = mean, std, bgr

    def forward(self, x):
        return standardize(x, self.mean, self.std, self.bgr)

    def __repr__(self):
        mean, std = ("/".join(f"{v:.4g}" for v in np.atleast_1d(values)) for values in (self.mean, self.std))
        return f"Standardize({mean}, {std}{', bgr' if self.bgr else ''})"


class Classifier(Module):
    """Feature maps, then class scores:  pictures (N, H, W, C) in 0..1  ->  logits (N, classes).

    class_names   one string a class
    start         None, or a ClassGaussian: where pictures of each class begin when the network is run in reverse
    input_shape   (H, W, C) of the pictures that it was built for; whether others do depends on the network
    shorter_side  None: it is shown the middle square of a photograph; else that photograph is made so small first, and the
                  middle of it, as large as input_shape, is shown
    layer_names   {what people call a layer: its path}, where there are such names (see names.py)
    """
    shorter_side = None
    layer_names = {}

    def __init__(self, features, classifier, class_names, start=None, input_shape=(32, 32, 3)):
        super().__init__()
        self.features, self.classifier, self.class_names, self.start = features, classifier, list(class_names), start
        self.input_shape = tuple(input_shape)

    def forward(self, x):
        return self.classifier(self.features(x))

    def class_index(self, name):
        """The number of a class.  Raises ValueError that lists the known ones."""
        if not self.class_names:
            raise ValueError(f"there is no {name!r} here: this network ends in feature maps and knows no classes")
        if name not in self.class_names:
            raise ValueError(f"this network knows no {name!r}; it knows {', '.join(self.class_names)}")
        return self.class_names.index(name)


def dense_layers(inputs, hidden, classes, dropout, rng):
    """Two hidden layers of `hidden` neurons, each with ReLU and dropout, then the scores: the end of AlexNet and of VGG."""
    seeds = rng.integers(2 ** 63, size=2)
    return [Dense(inputs, hidden, rng=rng), ReLU(), Dropout(dropout, seed=seeds[0]),
            Dense(hidden, hidden, rng=rng), ReLU(), Dropout(dropout, seed=seeds[1]), Dense(hidden, classes, rng=rng)]


def picture_shape(network, size, channels, least=1):
    """(size, size, channels).  Raises ValueError for pictures that are too small for the network, or have no channel."""
    if size < least or channels < 1:
        raise ValueError(f"{network}: pictures of {size}x{size} with {channels} channels; it needs at least "
                         f"{least}x{least} and 1 channel")
    return size, size, channels


def numbered_classes(count=1000):
    """["class 0", "class 1", ...]: for weights that came without names."""
    return [f"class {k}" for k in range(count)]


def read_class_names(path, count):
    """The names of `count` classes from a text file, a line each; a WordNet number in front of a name is left out.

    Raises FileNotFoundError, or ValueError for a file that is no text or has another number of lines.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path} with the names of the classes; check the name")
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error.reason}): it must hold a line for each class") from error
    names = [WORDNET_ID.sub("", line).strip() for line in lines if line.strip()]
    if len(names) != count:
        raise ValueError(f"{path} names {len(names)} classes, the network has {count}: it must hold a line for each")
    return names
