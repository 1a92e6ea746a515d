"""VGG: nothing but 3x3 convolutions, and many of them (Simonyan and Zisserman 2014, Very Deep Convolutional Networks).

Two convolutions of 3x3 see as much as one of 5x5, three as much as one of 7x7, with fewer weights and a ReLU more between
them.  `vgg` builds the networks of the paper, for photographs; `vgg11_small` is the first of them for small pictures.
"""
import functools

from ..inside.names import names_in_blocks
from ..layers.activation import ReLU
from ..layers.conv import Conv2d
from ..layers.init import generator
from ..layers.module import Sequential
from ..layers.norm import BatchNorm2d
from ..layers.pool import GlobalAvgPool2d, MaxPool2d
from .alexnet import papers_norm
from .classifier import Classifier, Standardize, dense_layers, numbered_classes, picture_shape
from .imagenet import ImageNetClassifier

# The columns of the paper's table 1: filters of each convolution of 3x3, those marked /1 of 1x1; L response norm, M pooling.
CONFIGURATIONS = {
    "A":     "64 M     128 M      256 256 M            512 512 M            512 512 M",
    "A-LRN": "64 L M   128 M      256 256 M            512 512 M            512 512 M",
    "B":     "64 64 M  128 128 M  256 256 M            512 512 M            512 512 M",
    "C":     "64 64 M  128 128 M  256 256 256/1 M      512 512 512/1 M      512 512 512/1 M",
    "D":     "64 64 M  128 128 M  256 256 256 M        512 512 512 M        512 512 512 M",
    "E":     "64 64 M  128 128 M  256 256 256 256 M    512 512 512 512 M    512 512 512 512 M",
}


def vgg(configuration, class_names=None, rng=None, channels=3, size=224, batch_norm=False, width=64, hidden=4096, dropout=.5,
        features_only=False, preprocessing="torchvision"):
    """A network of the paper.  With 1000 classes 133 (A) to 144 (E) million parameters, most of them in one dense layer.

    configuration  a column of the paper's table 1, see CONFIGURATIONS; D is VGG-16, E is VGG-19
    class_names    None for a thousand numbers
    rng            a Generator, a seed or None (see layers/init.py), also of the dropout; start values after He et al. 2015,
                   with which the deep ones learn from the start, where the paper began with those of A
    batch_norm     True for batch norm after each convolution (Ioffe and Szegedy 2015), which the paper did not have yet
    width, hidden  filters of the first convolution, by which the others are in proportion; neurons of a hidden dense layer
    dropout        the share of hidden neurons that a training step leaves out
    features_only  True for the feature maps without the dense layers: of VGG-19 20 of 144 million parameters
    preprocessing  what was done to the pixels that the weights were trained with: see imagenet.PREPROCESSING

    Pictures of any size from 32x32 on do: what is left of them is averaged to 7x7 before the dense layers, and is 7x7
    already when they are 224x224.  Raises ValueError for smaller ones and unknown names.
    """
    if configuration not in CONFIGURATIONS:
        raise ValueError(f"vgg: there is no configuration {configuration!r}; there are {', '.join(CONFIGURATIONS)}")
    input_shape = picture_shape(f"VGG {configuration}", size, channels, least=32)
    class_names, rng = numbered_classes() if class_names is None else class_names, generator(rng)
    features = Sequential(*_convolutions(CONFIGURATIONS[configuration], channels, width, batch_norm, rng))
    last, classifier = 8 * width, None
    if not features_only:
        classifier = Sequential(*dense_layers(7 * 7 * last, hidden, len(class_names), dropout, rng))
    return ImageNetClassifier(preprocessing, features, classifier, class_names, input_shape,
                              names_in_blocks(features, classifier), flattened=(last, 7, 7))


def _convolutions(configuration, channels, width, batch_norm, rng):
    """The layers of one column of the table."""
    for word in configuration.split():
        if word == "M":
            yield MaxPool2d(2)
        elif word == "L":
            yield from papers_norm()
        else:
            filters, _, one = word.partition("/")
            filters, kernel = int(filters) * width // 64, 1 if one else 3
            yield Conv2d(channels, filters, kernel, padding=kernel // 2, rng=rng)
            yield from [BatchNorm2d(filters)] * batch_norm
            yield ReLU()
            channels = filters


vgg11, vgg11_lrn, vgg13, vgg16_c, vgg16, vgg19 = (functools.partial(vgg, name) for name in CONFIGURATIONS)
vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn = (functools.partial(vgg, name, batch_norm=True) for name in "ABDE")


# ---- for small pictures --------------------------------------------------------------------------------------------

CONFIGURATION_A = ((1,), (2,), (4, 4), (8, 8), (8, 8))           # filters between poolings, in multiples of the first's


def vgg11_small(class_names, rng=None, channels=3, size=32, width=64, dropout=.5):
    """VGG-11 for pictures of about 32x32.  With three channels and ten classes it has 9,753,674 parameters.

    As in the paper: the eight convolutions of configuration A (table 1), with pooling 2x2 after the first, the second and
    then each second one, and three dense layers, with dropout in the hidden ones.
    Smaller: the hidden dense layers have 512 neurons instead of 4096, for of 32x32 pixels the five poolings leave a single
    one of 512 channels.
    Modern: batch norm after each convolution (Ioffe and Szegedy 2015); start values after He et al. 2015 instead of a fixed
    0.1.

    rng       a Generator, a seed or None (see layers/init.py), also of the dropout
    width     filters of the first convolution; the paper's 64, or fewer for a quicker network
    dropout   the share of hidden neurons that a training step leaves out

    Pictures of any size from 17x17 on do: poolings round up, so that something is left for the last of them, and where more
    than one pixel is left in the end, their mean counts.  Raises ValueError for smaller ones.
    """
    input_shape = picture_shape("vgg11-small", size, channels, least=17)
    rng = generator(rng)
    layers = [Standardize()]
    for group in CONFIGURATION_A:
        for multiple in group:
            filters = multiple * width
            layers += [Conv2d(channels, filters, 3, padding=1, bias=False, rng=rng), BatchNorm2d(filters), ReLU()]
            channels = filters
        layers.append(MaxPool2d(2, ceil_mode=True))
    classifier = Sequential(GlobalAvgPool2d(), *dense_layers(channels, channels, len(class_names), dropout, rng))
    return Classifier(Sequential(*layers), classifier, class_names, input_shape=input_shape)
