"""LeNet-5, the network that read cheques (LeCun, Bottou, Bengio and Haffner 1998, section II.B).

As in the paper: two 5x5 convolutions with 6 and 16 filters, each followed by subsampling 2x2; a third with 120 filters,
which sees all that is left of a picture of 32x32 (layer C5); 84 hidden neurons (F6); pictures of 28x28 get a border of 2
pixels.

Modern: ReLU and maximum pooling, unless asked otherwise; softmax on plain scores instead of the distances to 84 drawn pixels
of each character (RBF).  Simpler: the second convolution sees all 6 maps, where the paper's table 1 leaves some out;
`pooling="average"` has no trainable coefficient and offset a map, as the paper's subsampling has; tanh is plain, not
1.7159 tanh(2x/3).
"""
from ..layers.activation import ReLU, Tanh
from ..layers.conv import Conv2d
from ..layers.dense import Dense
from ..layers.init import generator
from ..layers.module import Sequential
from ..layers.pool import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from .classifier import Classifier, Standardize, picture_shape

ACTIVATIONS = {"relu": ReLU, "tanh": Tanh}
POOLINGS = {"max": MaxPool2d, "average": AvgPool2d}


def lenet5(class_names, rng=None, channels=3, size=32, activation="relu", pooling="max"):
    """LeNet-5.  With one channel and ten classes it has 61,706 parameters.

    rng          a Generator, a seed or None (see layers/init.py); start values after He et al. 2015 in any case
    channels     of the pictures: the paper's had 1
    size         of the pictures: 28 (to 31) makes a border of 2 pixels, from 32 on there is none
    activation   "relu", or "tanh" as in the paper
    pooling      "max", or "average", nearer to the paper

    Without batch norm it wants a lower learning rate than the other networks here: .05 rather than .15 at its peak.
    C5 is a convolution, so larger pictures than `size` do as well: its answers at all places are averaged.
    Raises ValueError for sizes below 28 and for unknown activations and poolings.
    """
    input_shape = picture_shape("lenet5", size, channels, least=28)
    Activation, Pool = _chosen("activation", activation, ACTIVATIONS), _chosen("pooling", pooling, POOLINGS)
    rng, border = generator(rng), 2 if size < 32 else 0
    features = Sequential(
        Standardize(),
        Conv2d(channels, 6, 5, padding=border, padding_mode="replicate", rng=rng), Activation(), Pool(2),    # C1, S2
        Conv2d(6, 16, 5, rng=rng), Activation(), Pool(2),                                                    # C3, S4
        Conv2d(16, 120, 5, rng=rng), Activation())                                                           # C5
    classifier = Sequential(GlobalAvgPool2d(), Dense(120, 84, rng=rng), Activation(),                        # F6
                            Dense(84, len(class_names), rng=rng))
    return Classifier(features, classifier, class_names, input_shape=input_shape)


def _chosen(what, name, table):
    if name not in table:
        raise ValueError(f"lenet5: there is no {what} {name!r}; there are {', '.join(table)}")
    return table[name]
