"""A plain network for small pictures: 3x3 convolutions with batch norm and ReLU, maximum pooling between groups of them."""
from ..inside.names import names_in_blocks
from ..layers.activation import ReLU
from ..layers.conv import Conv2d
from ..layers.dense import Dense
from ..layers.init import generator
from ..layers.module import Sequential
from ..layers.norm import BatchNorm2d
from ..layers.pool import GlobalAvgPool2d, MaxPool2d
from .classifier import Classifier, Standardize, picture_shape

SMALL_WIDTHS = ((24, 32), (64, 64), (128, 128), (128,))


def small(class_names, widths=SMALL_WIDTHS, rng=None, channels=3, size=32):
    """Groups of 3x3 convolutions with `widths` filters, halved in size between groups, global average, one dense layer.

    With ten classes the default has 433,922 parameters.  rng is a Generator, a seed or None (see layers/init.py).  It takes
    pictures of every size that can be halved between the groups.
    """
    input_shape = picture_shape("small", size, channels, least=2 ** (len(widths) - 1))
    rng = generator(rng)
    layers = [Standardize()]
    for group in widths:
        for width in group:
            layers += [Conv2d(channels, width, 3, padding=1, bias=False, rng=rng), BatchNorm2d(width), ReLU()]
            channels = width
        layers.append(MaxPool2d(2))
    features = Sequential(*layers[:-1])                          # no pooling after the last group: the average does it
    classifier = Sequential(GlobalAvgPool2d(), Dense(channels, len(class_names), rng=rng))
    model = Classifier(features, classifier, class_names, input_shape=input_shape)
    model.layer_names = names_in_blocks(features, classifier)
    return model
