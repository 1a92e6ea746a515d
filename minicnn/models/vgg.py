"""VGG-11 for small pictures: nothing but 3x3 convolutions (Simonyan and Zisserman 2014, Very Deep Convolutional Networks).

As in the paper: the eight convolutions of configuration A (table 1), with pooling 2x2 after the first, the second and then
each second one, and three dense layers, with dropout in the hidden ones.

Smaller: the hidden dense layers have 512 neurons instead of 4096, for of 32x32 pixels the five poolings leave a single one
of 512 channels.
Modern: batch norm after each convolution (Ioffe and Szegedy 2015); start values after He et al. 2015 instead of a fixed 0.1.
"""
from ..layers.activation import ReLU
from ..layers.conv import Conv2d
from ..layers.init import generator
from ..layers.module import Sequential
from ..layers.normalize import BatchNorm2d
from ..layers.pool import GlobalAvgPool2d, MaxPool2d
from .classifier import Classifier, Standardize, dense_layers, picture_shape

CONFIGURATION_A = ((1,), (2,), (4, 4), (8, 8), (8, 8))           # filters between poolings, in multiples of the first's


def vgg11_small(class_names, rng=None, channels=3, size=32, width=64, dropout=.5):
    """VGG-11 for pictures of about 32x32.  With three channels and ten classes it has 9,753,674 parameters.

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
