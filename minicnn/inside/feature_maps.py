"""Feature maps of a picture: a trained network without its end, for pixels that are optimised."""
import functools

from ..core.arithmetic import sqrt
from ..layers.module import Module
from ..layers.pool import AvgPool2d, MaxPool2d, avg_pool2d
from .watching import feature_maps, layer_named

POOLINGS = ("max", "average", "l2")


class FeatureMaps:
    """Some layers of a network, by name:   maps(x)  ->  {name: feature map (N, h, w, C), ...}, x (N, H, W, 3) in 0..1

    model         a Module, used in its frozen form, as it was when this was made
    layers        names or paths as `minicnn summary` shows them, "relu4_2" or "features.21"
    pooling       in place of the network's maximum: "max", as it was trained; "average", which gives pictures smoother
                  gradients (Gatys et al. 2015); "l2", the root of the mean square, between both
    keep_filters  as in `Module.frozen`: for VGG some hundred megabytes

    Raises ValueError for an unknown layer or pooling; in use, for a layer without rows and columns or one that is not used.
    """

    def __init__(self, model, layers, pooling="max", keep_filters=True):
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, not {pooling!r}")
        self.model, self.layers = model, {name: layer_named(model, name) for name in layers}
        self.frozen = model.frozen(keep_filters, None if pooling == "max" else functools.partial(pooled, pooling))

    def __call__(self, x, layers=None):
        """layers: some of them only, and nothing is computed beyond the last one of these"""
        wanted = {name: layer for name, layer in self.layers.items() if layers is None or name in layers}
        with self.frozen:
            maps = feature_maps(self.model, x, wanted)
        for name, y in maps.items():
            if y.ndim != 4:
                raise ValueError(f"layer {name} makes no feature maps, with rows and columns, but {y.shape}: take an "
                                 "earlier one")
        return maps


def pooled(pooling, module):
    """What stands in place of a MaxPool2d, with another mean over its windows; None for other Modules."""
    if not isinstance(module, MaxPool2d):
        return None
    options = {name: value for name, value in module.options.items() if name != "dilation"}
    return AvgPool2d(**options) if pooling == "average" else RootMeanSquarePool2d(options)


class RootMeanSquarePool2d(Module):
    """The root of the mean square of each window:   (N, H, W, C) -> (N, H', W', C); options as of AvgPool2d"""

    def __init__(self, options):
        super().__init__()
        self.options = options

    def forward(self, x):
        return sqrt(avg_pool2d(x * x, **self.options) + 1e-8)
