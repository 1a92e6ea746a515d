"""What the networks share: the Module that knows its classes, the first step of all of them, the dense layers of some."""
from ..layers.activation import ReLU
from ..layers.dense import Dense
from ..layers.dropout import Dropout
from ..layers.module import Module, Sequential


class Standardize(Module):
    """(x - mean) / std: pictures of 0..1 to numbers around zero, so that the network takes pictures as they are."""

    def __init__(self, mean=.47, std=.25):
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x):
        return (x - self.mean) * (1 / self.std)

    def __repr__(self):
        return f"Standardize({self.mean}, {self.std})"


class Classifier(Module):
    """Feature maps, then class scores:  pictures (N, H, W, C) in 0..1  ->  logits (N, classes).

    class_names   one string a class
    start         None, or a ClassGaussian: where pictures of each class begin when the network is run in reverse
    input_shape   (H, W, C) of the pictures that it was built for; whether others do depends on the network
    """

    def __init__(self, features, classifier, class_names, start=None, input_shape=(32, 32, 3)):
        super().__init__()
        self.features, self.classifier, self.class_names, self.start = features, classifier, list(class_names), start
        self.input_shape = tuple(input_shape)

    def forward(self, x):
        return self.classifier(self.features(x))

    def class_index(self, name):
        """The number of a class.  Raises ValueError that lists the known ones."""
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
