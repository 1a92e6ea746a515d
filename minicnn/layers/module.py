"""A layer that owns its weights.

A Module's parameters are simply its attributes that are Tensors, its parts are its attributes that are Modules, and names
are paths of attributes: `features.0.weight`, as PyTorch writes them.  Lists, tuples and dicts of them count too, also in
one another: `self.blocks = [Dense(4, 4), Dense(4, 2)]` has `blocks.0.weight`, `self.heads = {"cat": Dense(4, 2)}` has
`heads.cat.weight`; there is no ModuleList because none is needed.  Arrays that are kept but not learned (running
statistics) are declared with `register_buffer`.
"""
import copy
import functools

from ..core.backend import device_of, to_device
from ..core.tensor import Tensor
from .frozen import Frozen, joined, original_of, twin_of
from .watching import report


class Module:
    """Base of all layers: subclasses set Tensors and Modules as attributes and define `forward`."""
    keeps_order = False                          # of any two numbers, as ReLU does: a larger one does not become the smaller
    picks = False                                # the largest of some numbers, as maximum pooling does
    fused_as = None                              # the activation of `conv2d` that does the same
    held_attributes = ()                         # (see core/locks.py) running statistics change while a graph waits

    def __init__(self):
        self.training = True
        self.buffer_names = ()

    def forward(self, x):
        raise TypeError(f"{type(self).__name__} defines no forward(self, x)")

    def __call__(self, *inputs):
        output = twin_of(self).forward(*inputs)
        report(original_of(self), inputs[0], output)
        return output

    def register_buffer(self, name, array):
        """Keep `array` as attribute `name`, part of the state but not a parameter."""
        self.buffer_names += (name,)
        setattr(self, name, array)

    def children(self):
        """{name: Module} of the direct parts.  Raises ValueError when two have one name, as of the keys 1 and "1"."""
        return _by_name((name, value) for name, value in self._held() if isinstance(value, Module))

    def _held(self):
        """(name, thing) of all that its attributes are or, as lists, tuples and dicts, hold."""
        for name, value in vars(self).items():
            yield from _contents(name, value)

    def named_modules(self, prefix=""):
        """(name, Module) of this module and everything below it; the module's own name is `prefix`."""
        yield prefix, self
        for name, child in self.children().items():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self):
        """(name, Tensor) of all parameters, frozen ones too, in the order in which they were set."""
        for path, module in self.named_modules():
            for name, value in module._held():
                if isinstance(value, Tensor):
                    yield f"{path}.{name}" if path else name, value

    def parameters(self):
        """The list of all parameters, each once, also where layers share one: what an optimizer takes."""
        return list({id(parameter): parameter for _, parameter in self.named_parameters()}.values())

    def named_buffers(self):
        """(name, array) of all buffers."""
        for path, module in self.named_modules():
            for name in module.buffer_names:
                yield f"{path}.{name}" if path else name, getattr(module, name)

    def state_dict(self):
        """{name: array} of all parameters and buffers: the arrays themselves, not copies."""
        return {**{name: parameter.data for name, parameter in _by_name(self.named_parameters()).items()},
                **dict(self.named_buffers())}

    def load_state_dict(self, state):
        """Copy the arrays of {name: array} into this module's own, whose dtype and device stay.

        Raises ValueError that lists every missing, unexpected and misshapen name; then nothing was copied.
        """
        own = self.state_dict()
        problems = [f"missing     {name} {own[name].shape}" for name in own if name not in state]
        problems += [f"unexpected  {name} {state[name].shape}" for name in state if name not in own]
        problems += [f"misshapen   {name} is {state[name].shape}, the network has {own[name].shape}"
                     for name in own if name in state and state[name].shape != own[name].shape]
        if problems:
            raise ValueError("these weights are of another network:\n  " + "\n  ".join(problems))
        for name, array in own.items():
            array[...] = to_device(state[name], device_of(array))

    def train(self, mode=True):
        """Training mode: dropout drops, batch norm uses the batch's statistics.  Independent of gradients."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self):
        """Evaluation mode: dropout passes everything, batch norm uses its running statistics."""
        return self.train(False)

    def requires_grad(self, wanted=True):
        """Whether the parameters want gradients; False freezes the network."""
        for parameter in self.parameters():
            parameter.requires_grad = wanted
        return self

    def frozen(self, keep_filters=True, replace=None):
        """`with model.frozen():` uses the network: evaluation mode, no weight gradients.  So a picture is optimised.

        The network itself does not change, see frozen.py; within the block, calls of it or of its parts are those of its
        frozen form, and changes of its weights are not seen there.

        keep_filters   True: weights are copied and transformed filters kept, for a network that is used many times; False:
                       neither, for one pass or when memory is short
        replace        None, or a function of a Module: the one in its place, or None to leave it
        """
        return Frozen(self, keep_filters, replace)

    def twin(self, frozen):
        """A copy of this Module for a Frozen, which gives the parts of it."""
        twin = copy.copy(self)
        vars(twin).update({name: frozen.part(value) for name, value in vars(self).items()}, training=False)
        vars(twin).update({name: frozen.numbers(getattr(self, name)) for name in self.buffer_names})
        return twin

    def join(self, behind):
        """A Module that does what this one and the one behind it do, but quicker; None where there is none.

        Both are twins: in evaluation mode, and their numbers stay what they are.
        """
        return None

    def zero_grad(self):
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def to(self, device):
        """Move all arrays to 'cpu' or 'cuda', in place."""
        for parameter in self.parameters():
            parameter.data = to_device(parameter.data, device)
        for _, module in self.named_modules():
            for name in module.buffer_names:
                setattr(module, name, to_device(getattr(module, name), device))
        return self

    @property
    def device(self):
        """'cpu' or 'cuda': where its arrays are, and so where its inputs belong ('cpu' if it has none)."""
        return next((device_of(array) for array in self.state_dict().values()), "cpu")

    def __repr__(self):
        parts = "".join(f"\n({name}) {child!r}".replace("\n", "\n  ") for name, child in self.children().items())
        return f"{type(self).__name__}({parts}\n)" if parts else f"{type(self).__name__}()"


def _contents(name, value):
    """(name, thing) of what a value holds: blocks.0, heads.cat; of anything but a list, tuple or dict the value itself."""
    if not isinstance(value, (list, tuple, dict)):
        yield name, value
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _contents(f"{name}.{key}", part)


def _by_name(pairs):
    """{name: thing}.  Raises ValueError when two things have one name: one of them would be lost."""
    found = {}
    for name, thing in pairs:
        if name in found:
            raise ValueError(f"two parts of a module are called {name!r}: give them keys that differ as text")
        found[name] = thing
    return found


class Sequential(Module):
    """Modules one after the other, named by position: `net[2]`, `2.weight`.  Iterates and slices like a list."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = list(layers)

    def children(self):
        """As of any Module, but `0` in place of `layers.0`."""
        return {name.removeprefix("layers."): part for name, part in super().children().items()}

    def forward(self, x):
        for step in self.steps():
            x = step(x)
        return x

    def steps(self):
        """What is called one after the other: the layers; in a frozen network some of them joined."""
        return self.layers

    def twin(self, frozen):
        twin = super().twin(frozen)
        twin.steps = functools.partial(joined, twin.layers, {})
        return twin

    def __getitem__(self, i):
        return Sequential(*self.layers[i]) if isinstance(i, slice) else self.layers[i]

    def __len__(self):
        return len(self.layers)

    def __iter__(self):
        return iter(self.layers)


class Flatten(Module):
    """(N, ...) -> (N, the rest in one axis): from feature maps to a dense layer."""

    def forward(self, x):
        return x.reshape(len(x), -1)
