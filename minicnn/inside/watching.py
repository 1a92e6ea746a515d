"""Looking inside a network while it sees pictures: layers by their names, what goes into them and what comes out."""
from typing import NamedTuple

from ..core.tensor import Tensor
from ..layers.module import Module
from ..layers.norm import BatchNorm2d
from ..layers.watching import watching
from .names import layer_path


def layer_named(model, name):
    """The Module of a network that `minicnn summary` calls `name`: its path, "features.21", or "relu4_2" where it has names.

    Raises ValueError, with the names of some layers, when there is none.
    """
    return dict(model.named_modules())[layer_path(model, name)]


def batch_norms(model):
    """The BatchNorm2d of a network, in a list.  Raises ValueError when there is none."""
    found = [module for _, module in model.named_modules() if isinstance(module, BatchNorm2d)]
    if not found:
        raise ValueError("this network has no BatchNorm2d, and so no statistics of its training that pictures could keep "
                         "to: leave the batch-norm prior at 0")
    return found


class Call(NamedTuple):
    """A layer, what went into it, and what came out: tensors.  x is None unless it was asked for."""
    layer: Module
    x: Tensor | None
    y: Tensor


class _Seen(Exception):
    """All that was wanted has been seen."""


def observe(model, x, layers, inputs=False, whole=True):
    """One forward pass of a network, and what some of its layers did on the way:   (model(x), [Call, ...])

    x        pictures (N, H, W, C), a tensor or an array
    layers   Modules, for example `layer_named(model, "relu4_2")`
    inputs   whether what went into the layers is wanted as well; otherwise a frozen network is free to compute a layer
             within the one before it, and `Call.x` may be None
    whole    False: nothing is computed beyond the last layer that is seen, and in place of model(x) stands None

    The calls stand in their order; a layer that is used several times has several, and without `whole` the first one counts.
    """
    calls, unseen = [], set(map(id, layers))
    if not unseen:
        return model(x) if whole else None, calls

    def note(layer, x, y):
        calls.append(Call(layer, x, y))
        unseen.discard(id(layer))
        if not unseen and not whole:
            raise _Seen
    with watching(note, layers, inputs):
        try:
            return model(x), calls
        except _Seen:
            return None, calls


def feature_maps(model, x, layers):
    """{name: what comes out of that layer} for layers {name: Module}; nothing is computed beyond the last of them."""
    made = {id(call.layer): call.y for call in observe(model, x, list(layers.values()), whole=False)[1]}
    for name, layer in layers.items():
        if id(layer) not in made:
            raise ValueError(f"layer {name} of this network is not used by it: choose another")
    return {name: made[id(layer)] for name, layer in layers.items()}
