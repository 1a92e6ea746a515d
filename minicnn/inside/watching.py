"""Looking inside a network while it sees pictures: layers by their names, what goes into them and what comes out."""
from ..layers.module import watching
from ..layers.norm import BatchNorm2d
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


def seen_inside(model, x, modules):
    """One forward pass, and what went into and came out of some of the modules on the way.

    x (N, H, W, C)  ->  model(x), [(module, its input, its output), ...] in the order of the calls
    """
    wanted, calls = {id(module) for module in modules}, []

    def look(module, x, y):
        if id(module) in wanted:
            calls.append((module, x, y))
    if not wanted:
        return model(x), calls
    with watching(look):
        return model(x), calls
