"""A layer in reverse: pictures that excite one of its channels, and so show what it looks for.

The loop is that of `invert`; only the objective is another: not the name of a class, but a strong answer of one unit in the
middle of the network.  (Erhan et al. 2009; Olah et al. 2017, Feature Visualization.)
"""
import numpy as np

from ..core.tensor import Tensor, no_grad
from ..inside.watching import layer_named, observe
from .inversion import InversionRecipe, draw, start_pictures
from .objectives import unit_activation

# A unit in the middle answers less strongly than a class: as smooth as those, its pictures would be flat.
FOR_UNITS = InversionRecipe(smoothness=.3)


def excite(model, layer, unit, count=8, seed=0, recipe=FOR_UNITS, start="gaussian", callback=None, size=None):
    """Pictures to which one channel of a layer answers strongly: (count, H, W, C) float32 in 0..1.

    layer   its name, as `model.named_modules()` and `minicnn summary` show it: "features.19"
    unit    the number of the channel, from 0; of a dense layer, of the neuron
    start   "gaussian" (for each picture the mean of a blurred draw of every class), "noise", or an array (H, W, C)
    Everything else is as in `invert`; in place of the cross-entropy stands the channel's mean, made large.

    A unit after a ReLU may be silent at the start, 0 everywhere: then no direction makes it louder, and the picture stays.
    Take the layer before the ReLU, or start from noise.  Of a layer that is called several times the last output counts.
    Raises ValueError for an unknown layer, with the names of some, an unknown unit or start, or a layer that is not used.
    """
    module = layer_named(model, layer)
    _require_unit(model, module, layer, unit)
    rng = np.random.default_rng(seed)
    pictures = _starts(model, count, start, rng, size)

    def objective(_, calls):
        return -unit_activation(_output(module, calls), unit)
    return draw(model, pictures, objective, recipe, rng, callback, [module], size)


def activations(model, layer, unit, pictures):
    """How strongly one channel of a layer answers to each picture: (N, H, W, C) in 0..1  ->  (N,), its mean over pixels."""
    module = layer_named(model, layer)
    with model.frozen(keep_filters=False), no_grad():
        y = _output(module, observe(model, Tensor(pictures).to(model.device), [module])[1]).numpy()
    return y[..., unit].reshape(len(pictures), -1).mean(axis=1)


def _output(module, calls):
    return [y for called, _, y in calls if called is module][-1]


def _require_unit(model, module, layer, unit):
    """One empty picture goes through the network, to see how many channels the layer has."""
    with model.frozen(keep_filters=False), no_grad():
        empty = Tensor(np.zeros((1, *model.input_shape), np.float32)).to(model.device)
        _, calls = observe(model, empty, [module])
    if not calls:
        raise ValueError(f"layer {layer} of this network is not called, so nothing can excite it: choose another")
    units = calls[-1][2].shape[-1]
    if not 0 <= unit < units:
        raise ValueError(f"layer {layer} of this network has no unit {unit}; it has 0 to {units - 1}")


def _starts(model, count, start, rng, size):
    """(count, H, W, C); from "gaussian" starts each is the mean of one draw of every class."""
    if not (isinstance(start, str) and start == "gaussian"):
        return start_pictures(model, np.zeros(count, int), start, rng, size)
    classes = len(model.class_names)
    draws = start_pictures(model, np.tile(np.arange(classes), count), start, rng)
    return draws.reshape(count, classes, *model.input_shape).mean(axis=1)                # (count, H, W, C)
