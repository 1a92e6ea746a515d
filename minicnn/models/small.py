"""A plain network for small pictures: 3x3 convolutions with batch norm and ReLU, maximum pooling between groups of them."""
from ..layers.activation import ReLU
from ..layers.conv import Conv2d
from ..layers.dense import Dense
from ..layers.init import generator
from ..layers.module import Module, Sequential
from ..layers.normalize import BatchNorm2d
from ..layers.pool import GlobalAvgPool2d, MaxPool2d

SMALL_WIDTHS = ((24, 32), (64, 64), (128, 128), (128,))


class Standardize(Module):
    """(x - mean) / std: pictures of 0..1 to numbers around zero, so that the network takes pictures as they are."""

    def __init__(self, mean, std):
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x):
        return (x - self.mean) * (1 / self.std)

    def __repr__(self):
        return f"Standardize({self.mean}, {self.std})"


class Classifier(Module):
    """Feature maps, then class scores:  pictures (N, H, W, 3) in 0..1  ->  logits (N, classes).

    class_names   one string a class
    start         None, or a ClassGaussian: where pictures of each class begin when the network is run in reverse
    """

    def __init__(self, features, classifier, class_names, start=None):
        super().__init__()
        self.features, self.classifier, self.class_names, self.start = features, classifier, list(class_names), start

    def forward(self, x):
        return self.classifier(self.features(x))

    def class_index(self, name):
        """The number of a class.  Raises ValueError that lists the known ones."""
        if name not in self.class_names:
            raise ValueError(f"this network knows no {name!r}; it knows {', '.join(self.class_names)}")
        return self.class_names.index(name)


def small(class_names, widths=SMALL_WIDTHS, rng=None):
    """Groups of 3x3 convolutions with `widths` filters, halved in size between groups, global average, one dense layer.

    With ten classes the default has 433,922 parameters.  rng is a Generator, a seed or None (see layers/init.py).
    """
    rng = generator(rng)
    layers, channels = [Standardize(.47, .25)], 3
    for group in widths:
        for width in group:
            layers += [Conv2d(channels, width, 3, padding=1, bias=False, rng=rng), BatchNorm2d(width), ReLU()]
            channels = width
        layers.append(MaxPool2d(2))
    features = Sequential(*layers[:-1])                          # no pooling after the last group: the average does it
    return Classifier(features, Sequential(GlobalAvgPool2d(), Dense(channels, len(class_names), rng=rng)), class_names)
