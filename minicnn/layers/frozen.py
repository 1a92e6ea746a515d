"""A network in use and not in training: in evaluation mode, without weight gradients, and quicker.

    with model.frozen():
        ...                                      # pictures are classified, optimised, explained

What is frozen is a second form of the network, which the code within the block meets wherever it calls the network or a part
of it, and the threads that it starts do, too.  The network itself stays as it is: its modes, what wants gradients, its
arrays.  So another thread may train it meanwhile.

The second form is made of twins, one for each Module: a copy in evaluation mode whose Tensors want no gradients and whose
parts are twins.  And where Modules stand one behind the other, in a Sequential, twins are joined: a batch norm goes into the
filters of the convolution before it, a ReLU is applied while the convolution's output is still in cache, and one before a
maximum pooling comes behind it, where there are fewer numbers.  A Module says itself what it can be joined with (`join`).
"""
import contextvars

from ..core.tensor import Tensor
from .watching import current_watch, report

_scope = contextvars.ContextVar("frozen", default=None)          # (the innermost Frozen, the scope around it)


class Frozen:
    """The frozen form of a network, for the code within `with frozen:`, which may be entered again and again.

    model          a Module
    keep_filters   True: all weights are copied now, and the filters of Winograd's convolution transformed once and kept for
                   as long as this lives, at four to seven times their memory for each direction in which they are used: for
                   a network that is used many times.  False: the weights are those of the model, and nothing is kept
    replace        None, or a function of a Module: the one that shall stand in its place, or None to leave it
    """

    def __init__(self, model, keep_filters=True, replace=None):
        self.model, self.keep_filters, self.replace = model, keep_filters, replace
        self.twins, self.originals = {}, {}      # {id of a Module: its twin}, {id of a twin: the Module}
        self.twin(model)

    def __enter__(self):
        _scope.set((self, _scope.get()))
        return self.model

    def __exit__(self, *error):
        _scope.set(_scope.get()[1])

    def twin(self, module):
        """The twin of a Module."""
        if id(module) not in self.twins:
            twin = (self.replace(module) if self.replace else None) or module.twin(self)
            self.twins[id(module)], self.originals[id(twin)] = twin, module
        return self.twins[id(module)]

    def part(self, value):
        """An attribute of a twin: twins for Modules and Tensors without gradients, in lists and dictionaries too."""
        if isinstance(value, Tensor):
            return Tensor(self.numbers(value.data))
        if callable(getattr(value, "twin", None)) and not isinstance(value, type):
            return self.twin(value)
        if type(value) in (list, tuple):
            return type(value)(map(self.part, value))
        if type(value) is dict:
            return {key: self.part(part) for key, part in value.items()}
        return value

    def numbers(self, array):
        """An array of the model, or a copy that nobody else can change."""
        return array.copy() if self.keep_filters else array


def twin_of(module):
    """What is called in place of a Module: its twin where this code has frozen it, else the Module itself."""
    scope = _scope.get()
    while scope is not None:
        frozen, scope = scope
        if id(module) in frozen.twins:
            return frozen.twins[id(module)]
    return module


def original_of(module):
    """The Module whose twin this is; the Module itself if it is none."""
    scope = _scope.get()
    while scope is not None:
        frozen, scope = scope
        if id(module) in frozen.originals:
            return frozen.originals[id(module)]
    return module


# ---- Twins that stand one behind the other -------------------------------------------------------------------------------

def joined(layers, plans):
    """The layers as steps, fewer of them and quicker: functions of a tensor, to be called one after the other.

    plans   a dictionary, in which what was found is kept: it depends on who watches
    """
    watch = current_watch()
    key = watch and watch.key()
    if key not in plans:
        plans[key] = _plan(_reordered(list(layers), watch), watch)
    return plans[key]


def _reordered(layers, watch):
    """relu(max(window)) is max(relu(window)): what keeps the order of numbers comes behind what picks one of them."""
    for i in range(len(layers) - 1):
        first, second = layers[i:i + 2]
        if first.keeps_order and second.picks and not (_watched(first, watch) or _watched(second, watch)):
            layers[i:i + 2] = second, first
    return layers


def _plan(layers, watch):
    steps = []                                   # [the Module, the last of the layers that it does the work of]
    for layer in layers:
        both = None
        if steps and not _watched(steps[-1][1], watch) and not (_watched(layer, watch) and watch.inputs):
            both = steps[-1][0].join(layer)
        if both is None:
            steps.append([layer, layer])
        else:
            steps[-1] = [both, layer]
    return [module if module is last else _reporting(module, last) for module, last in steps]


def _watched(layer, watch):
    return watch is not None and watch.of(original_of(layer))


def _reporting(module, last):
    """The Module as a function that reports in the name of the last layer in it."""
    def step(x):
        y = module.forward(x)
        report(original_of(last), None, y)
        return y
    return step
