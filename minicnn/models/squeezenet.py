"""SqueezeNet: as good as AlexNet with a fiftieth of its weights (Iandola et al. 2016).

A fire module first makes few channels of many, with filters of 1x1, so that the expensive filters of 3x3 have little to see:
that is "squeeze".  Then it "expands", half with filters of 1x1, half of 3x3, and lays the two results side by side.  There
are no dense layers: the last convolution has a channel for each class, whose mean over the picture is the score.
"""
from ..core.arithmetic import concatenate
from ..inside.names import names_in_a_row
from ..layers.activation import ReLU
from ..layers.conv import Conv2d
from ..layers.dropout import Dropout
from ..layers.init import generator
from ..layers.module import Module, Sequential
from ..layers.pool import GlobalAvgPool2d, MaxPool2d
from .classifier import numbered_classes, picture_shape
from .imagenet import ImageNetClassifier

# Of version 1.1, from fire2 to fire9 with the poolings between: channels that are squeezed to, and half of those after
FIRES = ((16, 64), (16, 64), "pool", (32, 128), (32, 128), "pool", (48, 192), (48, 192), (64, 256), (64, 256))


class Fire(Module):
    """(N, H, W, channels)  ->  (N, H, W, 2 * expanded): the paper's figure 2."""

    def __init__(self, channels, squeezed, expanded, rng=None):
        super().__init__()
        rng = generator(rng)
        self.squeeze, self.squeeze_activation = Conv2d(channels, squeezed, 1, rng=rng), ReLU()
        self.expand1x1, self.expand1x1_activation = Conv2d(squeezed, expanded, 1, rng=rng), ReLU()
        self.expand3x3, self.expand3x3_activation = Conv2d(squeezed, expanded, 3, padding=1, rng=rng), ReLU()

    def forward(self, x):
        x = self.squeeze_activation(self.squeeze(x))
        ones, threes = self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))
        return concatenate([ones, threes], axis=3)


def squeezenet1_1(class_names=None, rng=None, channels=3, size=224, width=64, dropout=.5, features_only=False,
                  preprocessing="torchvision"):
    """SqueezeNet 1.1, its authors' second version, of less than half the work.  With 1000 classes 1,235,496 parameters.

    class_names    None for a thousand numbers
    rng            a Generator, a seed or None (see layers/init.py), also of the dropout; start values after He et al. 2015
    width          filters of the first convolution, a multiple of 4, by which the others are in proportion
    dropout        the share of numbers before the last convolution that a training step leaves out
    features_only  True for the feature maps without the last convolution
    preprocessing  what was done to the pixels that the weights were trained with: see imagenet.PREPROCESSING

    Pictures of any size from 25x25 on do.  Raises ValueError for smaller ones, and for a width that is no multiple of 4.
    """
    input_shape = picture_shape("squeezenet1-1", size, channels, least=25)
    if width < 4 or width % 4:
        raise ValueError(f"squeezenet1-1: width must be a multiple of 4, not {width}")
    class_names, rng = numbered_classes() if class_names is None else class_names, generator(rng)
    layers, wide = [Conv2d(channels, width, 3, stride=2, rng=rng), ReLU(), _pool()], width
    for fire in FIRES:
        if fire == "pool":
            layers.append(_pool())
            continue
        squeezed, expanded = (number * width // 64 for number in fire)
        layers.append(Fire(wide, squeezed, expanded, rng))
        wide = 2 * expanded
    features, classifier = Sequential(*layers), None
    if not features_only:
        seed = rng.integers(2 ** 63)
        classifier = Sequential(Dropout(dropout, seed=seed), Conv2d(wide, len(class_names), 1, rng=rng), ReLU(),
                                GlobalAvgPool2d())
    return ImageNetClassifier(preprocessing, features, classifier, class_names, input_shape,
                              names_in_a_row(features, classifier))


def _pool():
    return MaxPool2d(3, stride=2, ceil_mode=True)
