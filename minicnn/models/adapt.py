"""From the names and layouts of other people's weights to those of a network here.

Names.  Networks here call their weights as torchvision does, features.0.weight, so that most files need no other names.
Some do: they are tried in the order below, and a name counts only if the network has an array of it.

Layouts.  Others keep filters as (out, in, kh, kw) and dense weights as (out, in), and flatten feature maps channel by
channel.  Here filters are (kh, kw, in, out), dense weights (in, out), and feature maps are flattened pixel by pixel:

    filters               weight.transpose(2, 3, 1, 0)
    dense                 weight.T
    the first dense one   weight.reshape(out, C, H, W).transpose(2, 3, 1, 0).reshape(H W C, out)
"""
import math
import re
from typing import NamedTuple

import numpy as np

from ..files.weights import require_same
from ..layers.conv import Conv2d, ConvTranspose2d
from ..layers.dense import Dense
from ..layers.module import Flatten

# Layers that others call otherwise, {theirs: ours}.
TIMM = {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3", "head.fc": "classifier.6"}     # its VGGs
JCJOHNSON = {"classifier.1": "classifier.0", "classifier.4": "classifier.3"}     # vgg19-d01eb7cb.pth, converted from Caffe
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")               # of wrappers around the network
OWN = "network"                                                                  # in which one of one's own lies here
ENDINGS = {"weight": "weight", "bias": "bias", "w": "weight", "b": "bias"}       # conv1_1.weight and conv1_1/w
# What nothing here needs: how many batches a batch norm saw, and the heads of LPIPS that lie beside its VGG-16.
NEEDLESS = re.compile(r"(.*\.)?num_batches_tracked|lpips_lin\d/w")


def adapt(state, model, source="the file", only=""):
    """{name: array} for `model.load_state_dict`, from {name: array or StoredArray} of a file in its names and layouts.

    model    any network.  Where it flattens feature maps before a dense layer, an attribute `flattened` of it, or of a part
             of it, is their (C, H, W); `model.layer_names`, if it has some, is {"conv1_1": "features.0", ...}
    source   the name of the file, for the error
    only     how the names of the arrays that are wanted begin, in the network: "features."
    Raises ValueError, with a table of what is missing, unexpected or of another shape, the file's beside the network's.
    """
    theirs = {name: key for name, key in renamed(state, model).items() if name.startswith(only)}
    layouts = {name: layout for name, layout in _layouts(model).items() if name.startswith(only)}
    require_same({name: _as_expected(tuple(state[key].shape), layouts.get(name)) for name, key in theirs.items()},
                 {name: layout.shape for name, layout in layouts.items()}, source)
    return {name: _turned(np.asarray(state[theirs[name]]), layout) for name, layout in layouts.items()}


# ---- names ---------------------------------------------------------------------------------------------------------

def renamed(state, model):
    """{name in the network, or the file's where it has none: name in the file}, without what nothing needs."""
    ours, layer_names = set(model.state_dict()), getattr(model, "layer_names", {})
    names = [name for name in state if name in ours or not NEEDLESS.fullmatch(name)]
    prefix = next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in names)), "")
    if not ours.isdisjoint(names):
        prefix = ""                              # it is the network's own
    found = {}
    for name in names:
        found.setdefault(_our_name(name.removeprefix(prefix), ours, layer_names), name)
    return found if len(found) == len(names) else {name: name for name in names}     # two arrays of one name: show both


def _our_name(name, ours, layer_names):
    """The network's name for an array, or the name as it is where the network has none for it."""
    layer, _, ending = name.replace("/", ".").rpartition(".")
    ending = ENDINGS.get(ending, ending)
    for called in (layer, f"{OWN}.{layer}", TIMM.get(layer), JCJOHNSON.get(layer), layer_names.get(layer)):
        if f"{called}.{ending}" in ours:
            return f"{called}.{ending}"
    return name


# ---- layouts -------------------------------------------------------------------------------------------------------

class Layout(NamedTuple):
    """How others keep an array of ours.

    shape    of theirs
    kernel   of a dense weight: (C, H, W) of the feature maps that were flattened before it, else (in, 1, 1); as if it were
             a filter that sees all of them
    """
    shape: tuple
    kernel: tuple = ()


def _layouts(model):
    """{name: Layout} of all arrays of the network, in its order."""
    layouts = {name: Layout(array.shape) for name, array in model.state_dict().items()}
    for path, module in model.named_modules():
        name = f"{path}.weight" if path else "weight"
        if isinstance(module, (Conv2d, ConvTranspose2d)):
            kh, kw, inputs, outputs = module.weight.shape
            layouts[name] = Layout((outputs, inputs, kh, kw))
        elif isinstance(module, Dense):
            inputs, outputs = module.weight.shape
            layouts[name] = Layout((outputs, inputs), (inputs, 1, 1))
    name, flattened = _flattening(model)
    if name:
        layouts[name] = layouts[name]._replace(kernel=flattened)
    return layouts


def _flattening(model):
    """(name of the weight, (C, H, W)) of the dense layer that takes feature maps of more than one pixel; or (None, None).

    Raises ValueError where there is one and nobody says what it takes: in a wrong order nothing would tell.
    """
    channels = flattens = None
    flattened = next((module.flattened for _, module in model.named_modules() if getattr(module, "flattened", None)), ())
    for path, module in model.named_modules():
        flattens = flattens or isinstance(module, (Conv2d, Flatten))
        if isinstance(module, Conv2d):
            channels = module.weight.shape[3]
        if isinstance(module, Dense):
            inputs = module.weight.shape[0]
            if not flattens or inputs == channels:
                break
            if len(flattened) != 3 or math.prod(flattened) != inputs:
                raise ValueError(f"{path} of this network takes {inputs} numbers, but nothing says of which feature maps: "
                                 "give the network an attribute `flattened`, their (channels, height, width)")
            return f"{path}.weight", tuple(flattened)
    return None, None


def _as_expected(shape, layout):
    """The shape of a file's array; if it is a filter that does what a dense layer does, as in timm, then that of this."""
    fits = layout and layout.kernel and shape == (layout.shape[0], *layout.kernel)
    return layout.shape if fits else shape


def _turned(array, layout):
    """An array of theirs as ours."""
    if layout.kernel:
        kernels = array.reshape(-1, *layout.kernel)              # (out, C, H, W)
        array = kernels.transpose(2, 3, 1, 0).reshape(-1, len(kernels))
    elif array.ndim == 4:
        array = array.transpose(2, 3, 1, 0)                      # (out, in, kh, kw) -> (kh, kw, in, out)
    return np.ascontiguousarray(array)
