"""Feature maps of a picture: a trained network without its end, arranged for pixels that are optimised.

Its weights never change here.  So what comes after a convolution can be done within it: a batch norm is then a factor and a
shift of each channel, which its filters take over, and a ReLU is applied while the convolution's blocks are in the cache.
And nothing is computed beyond the last layer that somebody wants to see.
"""

import numpy as np

from ..core.arithmetic import sqrt
from ..core.locks import arrays_of
from ..layers.activation import ReLU, relu
from ..layers.conv import Conv2d, conv2d
from ..layers.conv.filters import Frozen
from ..layers.dropout import Dropout
from ..layers.norm import BatchNorm2d
from ..layers.pool import AvgPool2d, MaxPool2d, avg_pool2d
from .watching import layer_named

POOLINGS = ("max", "average", "l2")


class Extractor:
    """Some layers of a network, by name:   extractor(x)  ->  {name: feature map (N, h, w, C), ...}, x (N, H, W, 3) in 0..1

    model     a Classifier whose features are a Sequential; it is used as it is in evaluation
    layers    names or paths as `minicnn summary` shows them, "relu4_2" or "features.21", all within model.features
    pooling   in place of the network's maximum: "max", as it was trained; "average", which gives pictures smoother gradients
              (Gatys et al. 2015); "l2", the root of the mean square, between both

    Raises ValueError for an unknown layer or pooling, or a layer that is not among the features.
    """

    def __init__(self, model, layers, pooling="max"):
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, not {pooling!r}")
        self.model, self.layers = model, list(layers)
        places = {name: _place(model, name) for name in self.layers}
        self.steps = _steps(list(model.features), set(places.values()), pooling)
        if getattr(model, "preprocess", None) is not None:
            self.steps.insert(0, (-1, _in_evaluation(model.preprocess)))
        self.names = {place: name for name, place in places.items()}
        self.frozen = None

    def freeze(self):
        """Weights are read-only as long as this lives: quicker, at the price of some hundred megabytes for VGG."""
        self.frozen = Frozen(arrays_of(step for _, step in self.steps))

    def __call__(self, x, layers=None):
        """layers: some of them only, and nothing is computed beyond the last one of these"""
        wanted, seen = set(self.layers if layers is None else layers), {}
        for place, step in self.steps:
            if len(seen) == len(wanted):
                break
            x = step(x)
            if self.names.get(place) in wanted:
                seen[self.names[place]] = x
        return {name: seen[name] for name in self.layers if name in wanted}


def _place(model, name):
    """The position of a layer in model.features."""
    module = layer_named(model, name)
    for place, layer in enumerate(model.features):
        if layer is module:
            return place
    raise ValueError(f"layer {name} is not one of the steps of this network's features: take features.0 to "
                     f"features.{len(model.features) - 1}")


def _steps(layers, wanted, pooling):
    """[(place of the last layer in it, function of a tensor), ...]: what is to be computed, one after the other."""
    steps, i = [], 0
    while i <= max(wanted):
        count, step = _step(layers[i:], [place - i for place in wanted], pooling)
        steps.append((i + count - 1, step))
        i += count
    return steps


def _step(layers, wanted, pooling):
    """(how many layers it takes over, function): the first of `layers`, and what can be done in passing."""
    first = layers[0]
    if isinstance(first, Conv2d):
        return _convolution(layers, wanted, pooling)
    if _can_wait(layers, 0, wanted, pooling):
        return 2, lambda x: relu(layers[1](x))
    if isinstance(first, MaxPool2d):
        return 1, _pool(first, pooling)
    if isinstance(first, Dropout):
        return 1, lambda x: x
    return 1, _in_evaluation(first)


def _in_evaluation(module):
    def step(x):
        with module.frozen():
            return module(x)
    return step


def _can_wait(layers, place, wanted, pooling):
    """Whether a ReLU is there that may come behind a maximum pooling: the same result, with a quarter of the numbers."""
    return isinstance(layers[place], ReLU) and pooling == "max" and _follows(layers, place + 1, MaxPool2d, wanted)


def _convolution(layers, wanted, pooling):
    """A Conv2d, with the batch norm and the ReLU behind it unless a feature map before them is wanted."""
    conv, count = layers[0], 1
    weight, bias = conv.weight.data, None if conv.bias is None else conv.bias.data
    options = dict(conv.options)
    if _follows(layers, count, BatchNorm2d, wanted) and options["activation"] is None:
        weight, bias = folded(weight, bias, layers[count])
        count += 1
    if _follows(layers, count, ReLU, wanted) and not _can_wait(layers, count, wanted, pooling):
        options["activation"] = "relu"
        count += 1
    return count, lambda x: conv2d(x, weight, bias, **options)


def _follows(layers, count, kind, wanted):
    """Whether layer number `count` is of that kind, and what comes before it is not wanted by itself."""
    return count < len(layers) and isinstance(layers[count], kind) and count - 1 not in wanted


def folded(weight, bias, norm):
    """Filters (kh, kw, C, K) and biases (K,) of a convolution that includes the batch norm behind it, in evaluation:

        gamma (w x + b - mean) / sqrt(var + eps) + beta  =  (s w) x + s (b - mean) + beta       s = gamma / sqrt(var + eps)
    """
    scale = norm.weight.data / np.sqrt(norm.running_var + norm.eps)
    before = -norm.running_mean if bias is None else bias - norm.running_mean
    return weight * scale, before * scale + norm.bias.data


def _pool(layer, pooling):
    """The pooling of a MaxPool2d, with another mean over its window."""
    if pooling == "max":
        return layer
    options = {name: value for name, value in layer.options.items() if name != "dilation"}
    if pooling == "average":
        return AvgPool2d(**options)
    return lambda x: sqrt(avg_pool2d(x * x, **options) + 1e-8)
