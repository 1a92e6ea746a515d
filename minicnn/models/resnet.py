"""A residual network for small pictures (He, Zhang, Ren and Sun 2015, Deep Residual Learning, section 4.2).

A block of layers does not have to find its output anew: it adds a change to what came in,   y = relu(change(x) + x).
The gradient of the sum hands dy on to x as it is, so that it reaches the first layers of a deep network undiminished.
"""
from ..core.arithmetic import pad
from ..layers.activation import ReLU
from ..layers.conv import Conv2d
from ..layers.dense import Dense
from ..layers.init import generator
from ..layers.module import Module, Sequential
from ..layers.norm import BatchNorm2d
from ..layers.pool import GlobalAvgPool2d
from .classifier import Classifier, Standardize, picture_shape


class Shortcut(Module):
    """The way past a block, without parameters: x itself, or x made to fit what the block does to its shape.

    (N, H, W, channels)  ->  (N, ceil(H/stride), ceil(W/stride), width):  of each stride x stride pixels the first, and
    the new channels are zeros.  Option A of the paper (section 3.3).
    """

    def __init__(self, channels, width, stride=1):
        super().__init__()
        self.channels, self.width, self.stride = channels, width, stride

    def forward(self, x):
        """(N, H, W, channels)  ->  (N, ceil(H/stride), ceil(W/stride), width)"""
        if self.stride > 1:
            x = x[:, ::self.stride, ::self.stride]
        if self.width > self.channels:
            x = pad(x, ((0, 0), (0, 0), (0, 0), (0, self.width - self.channels)))
        return x

    def window(self):
        """(span, stride) in rows."""
        return 1, self.stride

    def __repr__(self):
        return f"Shortcut({self.channels}, {self.width}, stride={self.stride})"


class ResidualBlock(Module):
    """y = relu(change(x) + shortcut(x)):   (N, H, W, channels)  ->  (N, ceil(H/stride), ceil(W/stride), width)"""

    def __init__(self, channels, width, stride=1, rng=None):
        super().__init__()
        rng = generator(rng)
        self.change = Sequential(
            Conv2d(channels, width, 3, stride=stride, padding=1, bias=False, rng=rng), BatchNorm2d(width), ReLU(),
            Conv2d(width, width, 3, padding=1, bias=False, rng=rng), BatchNorm2d(width))
        self.shortcut = Shortcut(channels, width, stride)
        self.relu = ReLU()

    def forward(self, x):
        return self.relu(self.change(x) + self.shortcut(x))


def resnet20(class_names, rng=None, channels=3, size=32, blocks=3, width=16):
    """ResNet-20: a convolution, three stages of three blocks with 16, 32 and 64 channels, global average, a dense layer.

    rng      a Generator, a seed or None (see layers/init.py)
    blocks   of each stage; the network is 6 blocks + 2 layers deep, and the paper also tries 5, 7, 9 and 18
    width    channels of the first stage; each further one has twice as many, and halves the picture

    With three channels and ten classes it has 269,722 parameters, the paper's 0.27 million (table 6).  Pictures of any
    size do.
    """
    input_shape = picture_shape("resnet20", size, channels)
    rng = generator(rng)
    layers = [Standardize(), Conv2d(channels, width, 3, padding=1, bias=False, rng=rng), BatchNorm2d(width), ReLU()]
    channels = width
    for stage in range(3):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(ResidualBlock(channels, width * 2 ** stage, stride, rng))
            channels = width * 2 ** stage
    classifier = Sequential(GlobalAvgPool2d(), Dense(channels, len(class_names), rng=rng))
    return Classifier(Sequential(*layers), classifier, class_names, input_shape=input_shape)
