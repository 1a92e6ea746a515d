"""AlexNet's ideas for small pictures (Krizhevsky, Sutskever and Hinton 2012, ImageNet Classification with Deep CNNs).

As in the paper: five convolutions, the first with large filters, and three dense layers; ReLU (section 3.1); local response
norm after the first two, on request (3.3); pooling with windows of 3x3 that overlap, as their stride is 2 (3.4); dropout in
the two hidden dense layers (4.2).

Smaller: half as many filters; the first are 7x7 with stride 1, where pictures of 224x224 could afford 11x11 with stride 4;
512 hidden neurons instead of 4096.  Left out: the halves of some layers that did not see each other, for they lay on two
GPUs.  Modern: start values after He et al. 2015 instead of a fixed 0.01.
"""
from ..layers.activation import ReLU
from ..layers.conv import Conv2d
from ..layers.init import generator
from ..layers.module import Flatten, Sequential
from ..layers.normalize import LocalResponseNorm
from ..layers.pool import AdaptiveAvgPool2d, MaxPool2d
from .classifier import Classifier, Standardize, dense_layers, picture_shape


def alexnet_small(class_names, rng=None, channels=3, size=32, response_norm=False, dropout=.5, width=48, hidden=512):
    """AlexNet for pictures of about 32x32.  With three channels and ten classes it has 1,793,610 parameters.

    rng            a Generator, a seed or None (see layers/init.py), also of the dropout
    response_norm  True for local response norm after the first two convolutions, with the constants of the paper
    dropout        the share of hidden neurons that a training step leaves out
    width          filters of the first convolution; the others have 8/3, 4, 4 and 8/3 times as many
    hidden         neurons of each hidden dense layer

    Without batch norm it wants a lower learning rate than the other networks here: .03 rather than .15 at its peak.
    Pictures of any size from 15x15 on do: what is left of them is averaged to 3x3 before the dense layers, and is 3x3
    already when they are 32x32.  Raises ValueError for smaller ones, and for a width that is no multiple of 3.
    """
    input_shape = picture_shape("alexnet-small", size, channels, least=15)
    if width < 3 or width % 3:
        raise ValueError(f"alexnet-small: width must be a multiple of 3, not {width}")
    rng, wide, wider = generator(rng), width * 8 // 3, width * 4

    def norm():                                  # the paper's alpha is 1e-4: it does not divide by the window's 5 channels
        return [LocalResponseNorm(5, alpha=5e-4, beta=.75, k=2)] if response_norm else []
    features = Sequential(
        Standardize(),
        Conv2d(channels, width, 7, padding=3, rng=rng), ReLU(), *norm(), MaxPool2d(3, stride=2),
        Conv2d(width, wide, 5, padding=2, rng=rng), ReLU(), *norm(), MaxPool2d(3, stride=2),
        Conv2d(wide, wider, 3, padding=1, rng=rng), ReLU(),
        Conv2d(wider, wider, 3, padding=1, rng=rng), ReLU(),
        Conv2d(wider, wide, 3, padding=1, rng=rng), ReLU(), MaxPool2d(3, stride=2))
    classifier = Sequential(AdaptiveAvgPool2d(3), Flatten(),                     # (N, 3, 3, wide) -> (N, 9 wide)
                            *dense_layers(9 * wide, hidden, len(class_names), dropout, rng))
    return Classifier(features, classifier, class_names, input_shape=input_shape)
