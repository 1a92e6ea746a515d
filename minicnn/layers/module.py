"""A layer that owns its weights.

A Module's parameters are simply its attributes that are Tensors, its parts are its attributes that are Modules, and names
are paths of attributes: `features.0.weight`, as PyTorch writes them.  Lists, tuples and dicts of them count too, also in
one another: `self.blocks = [Dense(4, 4), Dense(4, 2)]` has `blocks.0.weight`, `self.heads = {"cat": Dense(4, 2)}` has
`heads.cat.weight`; there is no ModuleList because none is needed.  Arrays that are kept but not learned (running
statistics) are declared with `register_buffer`.
"""
import contextlib
import contextvars

from ..core.backend import device_of, to_device
from ..core.tensor import Tensor

_watcher = contextvars.ContextVar("watcher", default=None)


@contextlib.contextmanager
def watching(callback):
    """Within it, every Module calls `callback(module, x, y)` after its forward pass: the way to see inside a network."""
    token = _watcher.set(callback)
    try:
        yield
    finally:
        _watcher.reset(token)


class Module:
    """Base of all layers: subclasses set Tensors and Modules as attributes and define `forward`."""

    held_attributes = ()                         # (see core/locks.py) running statistics change while a graph waits

    def __init__(self):
        self.training = True
        self.buffer_names = ()

    def forward(self, x):
        raise TypeError(f"{type(self).__name__} defines no forward(self, x)")

    def __call__(self, *inputs):
        output = self.forward(*inputs)
        if _watcher.get():
            _watcher.get()(self, inputs[0], output)
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

    @contextlib.contextmanager
    def frozen(self):
        """Within it the network is in evaluation mode and wants no weight gradients: how a picture is optimised."""
        modes = [(module, module.training) for _, module in self.named_modules()]
        wishes = [(parameter, parameter.requires_grad) for parameter in self.parameters()]
        self.eval().requires_grad(False)
        try:
            yield self
        finally:
            for module, mode in modes:
                module.training = mode
            for parameter, wanted in wishes:
                parameter.requires_grad = wanted

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
        for layer in self.layers:
            x = layer(x)
        return x

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
