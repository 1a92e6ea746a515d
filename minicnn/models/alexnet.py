"""AlexNet (Krizhevsky, Sutskever and Hinton 2012, ImageNet Classification with Deep Convolutional Neural Networks).

Five convolutions, the first with large filters, and three dense layers; ReLU (section 3.1); local response norm after the
first two (3.3); pooling with windows of 3x3 that overlap, as their stride is 2 (3.4); dropout in the two hidden dense layers
(4.2).  Three networks: `alexnet_2012` is that of the paper, `alexnet` the one that torchvision has weights for, and
`alexnet_small` is for small pictures.
"""
from ..core.tensor import Tensor
from ..inside.names import names_in_a_row
from ..layers import init
from ..layers.activation import ReLU
from ..layers.conv import Conv2d
from ..layers.dense import Dense
from ..layers.dropout import Dropout
from ..layers.module import Flatten, Sequential
from ..layers.norm import LocalResponseNorm
from ..layers.pool import AdaptiveAvgPool2d, MaxPool2d
from .classifier import Classifier, Standardize, dense_layers, numbered_classes, picture_shape
from .imagenet import ImageNetClassifier

LEAST = 63                                       # pixels a side, of which the poolings of the large ones leave one


def papers_norm(wanted=True):
    """[local response norm] with the constants of section 3.3, or [] where it is not wanted.

    The paper's alpha is 1e-4: it does not divide by the window's 5 channels, as LocalResponseNorm does.
    """
    return [LocalResponseNorm(5, alpha=5 * 1e-4, beta=.75, k=2)] if wanted else []


def _features(channels, widths, groups, norm, rng):
    """The convolutions of the large ones, of so many filters each, with local response norm if wanted."""
    a, b, c, d, e = widths
    return Sequential(
        Conv2d(channels, a, 11, stride=4, padding=2, rng=rng), ReLU(), *papers_norm(norm), MaxPool2d(3, stride=2),
        Conv2d(a, b, 5, padding=2, groups=groups, rng=rng), ReLU(), *papers_norm(norm), MaxPool2d(3, stride=2),
        Conv2d(b, c, 3, padding=1, rng=rng), ReLU(),
        Conv2d(c, d, 3, padding=1, groups=groups, rng=rng), ReLU(),
        Conv2d(d, e, 3, padding=1, groups=groups, rng=rng), ReLU(), MaxPool2d(3, stride=2))


def alexnet_2012(class_names=None, rng=None, channels=3, size=224, width=96, hidden=4096, dropout=.5, features_only=False,
                 preprocessing="caffe-rgb"):
    """AlexNet as it was.  With 1000 classes 60,965,224 parameters.

    class_names    None for a thousand numbers
    rng            a Generator, a seed or None (see layers/init.py), also of the dropout; start values as in section 5
    width, hidden  filters of the first convolution, a multiple of 6, by which the others are in proportion; neurons of a
                   hidden dense layer
    dropout        the share of hidden neurons that a training step leaves out
    features_only  True for the feature maps without the dense layers
    preprocessing  what is done to the pixels: see imagenet.PREPROCESSING.  The paper's were 0..255 minus their mean

    The two groups of the second, fourth and fifth convolution, halves of channels that do not see each other, lay on two
    GPUs.  The paper speaks of 224x224 pixels and of maps of 55x55 after the first convolution, which takes a border of 2.
    Pictures of any size from 63x63 on do: what is left of them is averaged to 6x6 before the dense layers, and is 6x6
    already when they are 224x224.  Raises ValueError for smaller ones, and for a width that is no multiple of 6.
    """
    input_shape = picture_shape("alexnet-2012", size, channels, LEAST)
    _require_multiple("alexnet-2012", width, 6)
    class_names, rng = numbered_classes() if class_names is None else class_names, init.generator(rng)
    wide, wider, classifier = width * 8 // 3, width * 4, None                    # 256 and 384
    with init.skipped():                                                         # _start_as_in_section_5 draws
        features = _features(channels, (width, wide, wider, wider, wide), 2, True, rng)
        if not features_only:
            classifier = Sequential(*dense_layers(6 * 6 * wide, hidden, len(class_names), dropout, rng))
    model = ImageNetClassifier(preprocessing, features, classifier, class_names, input_shape,
                               names_in_a_row(features, classifier), flattened=(wide, 6, 6))
    _start_as_in_section_5(model, rng)
    return model


def _start_as_in_section_5(model, rng):
    """Weights from a normal distribution of .01; biases 1 where that hands the first ReLUs something positive, else 0."""
    paths = dict(model.named_modules())
    for name, path in model.layer_names.items():
        if name.startswith(("conv", "fc")):
            layer = paths[path]
            layer.weight = Tensor(init.alexnet(layer.weight.shape, rng), requires_grad=True)
            if name in ("conv2", "conv4", "conv5", "fc6", "fc7"):
                layer.bias.data[...] = 1


def alexnet(class_names=None, rng=None, channels=3, size=224, width=64, hidden=4096, dropout=.5, features_only=False,
            preprocessing="torchvision"):
    """AlexNet as torchvision has it, after Krizhevsky 2014.  With 1000 classes 61,100,840 parameters.

    No groups, no response norm, other numbers of filters, and dropout stands before the dense layers instead of behind.
    (Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks)

    width      filters of the first convolution, by which the others are in proportion
    The rest is as in `alexnet_2012`; start values after He et al. 2015.
    """
    input_shape = picture_shape("alexnet", size, channels, LEAST)
    class_names, rng = numbered_classes() if class_names is None else class_names, init.generator(rng)
    last, classifier = 4 * width, None
    features = _features(channels, (width, 3 * width, 6 * width, last, last), 1, False, rng)
    if not features_only:
        seeds = rng.integers(2 ** 63, size=2)
        classifier = Sequential(Dropout(dropout, seed=seeds[0]), Dense(6 * 6 * last, hidden, rng=rng), ReLU(),
                                Dropout(dropout, seed=seeds[1]), Dense(hidden, hidden, rng=rng), ReLU(),
                                Dense(hidden, len(class_names), rng=rng))
    return ImageNetClassifier(preprocessing, features, classifier, class_names, input_shape,
                              names_in_a_row(features, classifier), flattened=(last, 6, 6))


def alexnet_small(class_names, rng=None, channels=3, size=32, response_norm=False, dropout=.5, width=48, hidden=512):
    """AlexNet for pictures of about 32x32.  With three channels and ten classes it has 1,793,610 parameters.

    Smaller: half as many filters; the first are 7x7 with stride 1, where pictures of 224x224 could afford 11x11 with stride
    4; 512 hidden neurons instead of 4096.  Left out: the groups.  Modern: start values after He et al. 2015.

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
    _require_multiple("alexnet-small", width, 3)
    rng, wide, wider = init.generator(rng), width * 8 // 3, width * 4
    features = Sequential(
        Standardize(),
        Conv2d(channels, width, 7, padding=3, rng=rng), ReLU(), *papers_norm(response_norm), MaxPool2d(3, stride=2),
        Conv2d(width, wide, 5, padding=2, rng=rng), ReLU(), *papers_norm(response_norm), MaxPool2d(3, stride=2),
        Conv2d(wide, wider, 3, padding=1, rng=rng), ReLU(),
        Conv2d(wider, wider, 3, padding=1, rng=rng), ReLU(),
        Conv2d(wider, wide, 3, padding=1, rng=rng), ReLU(), MaxPool2d(3, stride=2))
    classifier = Sequential(AdaptiveAvgPool2d(3), Flatten(),                     # (N, 3, 3, wide) -> (N, 9 wide)
                            *dense_layers(9 * wide, hidden, len(class_names), dropout, rng))
    return Classifier(features, classifier, class_names, input_shape=input_shape)


def _require_multiple(network, width, of):
    if width < of or width % of:
        raise ValueError(f"{network}: width must be a multiple of {of}, not {width}")
