"""What all optimizers share: a checked list of parameters, and a state that can be saved."""
import math

import numpy as np

from ..core.backend import array_library, to_numpy
from ..core.tensor import Tensor


class Stateful:
    """Something that walks beside a list of parameters and remembers arrays, which can be saved and loaded.

    state: {"momentum.0": array, ...}, by position in the list of parameters
    """

    def __init__(self, parameters):
        self.parameters = checked_parameters(parameters, type(self).__name__)
        self.state = {}

    def state_dict(self):
        """A copy of the state as a flat {name: NumPy array}, as safetensors files store it.

        Counts are int64 arrays without dimensions.  Settings (lr, momentum, ...) are not in it: the script has them.
        """
        return {name: np.array(to_numpy(value)) for name, value in self.state.items()}

    def load_state_dict(self, state):
        """Go on from a state that `state_dict` gave.

        Raises ValueError when it belongs to something else, or to parameters of another number or other shapes.
        """
        copy_state(state, self.state, type(self).__name__)


class Optimizer(Stateful):
    """What all optimizers share: the list of parameters, the learning rate, and the state.

    parameters  leaf tensors with requires_grad=True (a list, or anything that yields them)
    lr          learning rate, > 0; the attribute may be set to another value (0 too) before any step

    Raises ValueError for a learning rate <= 0, an empty list, or a tensor that is no leaf, is frozen or stands in the
    list twice; TypeError for anything that is no tensor.
    """

    def __init__(self, parameters, lr):
        super().__init__(parameters)
        require(lr > 0, f"{type(self).__name__}: lr must be > 0, not {lr!r}")
        self.lr = lr

    @property
    def lr(self):
        return self._lr

    @lr.setter
    def lr(self, value):
        require(0 <= value < math.inf, f"{type(self).__name__}: lr must be finite and >= 0, not {value!r}")
        self._lr = float(value)                  # a NumPy float64 would turn float32 weights into float64

    def zero_grad(self):
        """Forget the gradients of all parameters."""
        for parameter in self.parameters:
            parameter.zero_grad()

    def step(self):
        """Change every parameter that has a gradient; the others keep their values and their state.

        Before anything is changed, raises RuntimeError when a graph still needs the values of a parameter, and ValueError
        for a gradient of another shape.
        """
        wanted = [(i, parameter) for i, parameter in enumerate(self.parameters) if parameter.grad is not None]
        for i, parameter in wanted:
            self.require_changeable(i, parameter)
            if parameter.grad.shape != parameter.shape:
                raise ValueError(f"{type(self).__name__}: parameter {i} of shape {parameter.shape} has a gradient of shape "
                                 f"{parameter.grad.shape}: they must be equal")
        for i, parameter in wanted:
            self.update(i, parameter.data, parameter.grad)

    def require_changeable(self, i, parameter):
        """Raise RuntimeError when its array is read-only, as it is while a graph will ask for its present values."""
        if not getattr(parameter.data.flags, "writeable", True):      # CuPy's arrays have no such flag
            raise RuntimeError(
                f"{type(self).__name__}: parameter {i} of shape {parameter.shape} cannot be changed: it is still needed by "
                "a graph that was not used: call backward() before step(), or compute it under no_grad() or detach(). "
                "(Or the array was read-only from the start: then optimise a copy of it)")

    def update(self, i, weight, gradient):
        """Change the array `weight` of parameter i in place.  Its gradient is not to be modified."""
        raise TypeError(f"{type(self).__name__} must define update(i, weight, gradient)")

    def _remember(self, name):
        """A state array of zeros for each parameter: 'name.0', 'name.1', ..."""
        for i, parameter in enumerate(self.parameters):
            self.state[f"{name}.{i}"] = array_library(parameter.data).zeros_like(parameter.data)


def checked_parameters(parameters, owner):
    """The parameters as a list.  Raises TypeError or ValueError for what cannot be optimised, naming which one and why."""
    if isinstance(parameters, Tensor):
        raise TypeError(f"{owner}: parameters must be a list of tensors; for a single one write [x]")
    parameters = list(parameters)
    require(parameters, f"{owner}: the list of parameters is empty, there is nothing to optimise")
    for i, parameter in enumerate(parameters):
        if not isinstance(parameter, Tensor):
            raise TypeError(f"{owner}: parameter {i} is a {type(parameter).__name__}, not a Tensor")
        which = f"{owner}: parameter {i} of shape {parameter.shape}"
        require(parameter.node is None, f"{which} is the result of an operation; only leaves can be optimised: "
                                        "make one of it, minicnn.tensor(x, requires_grad=True)")
        require(parameter.requires_grad, f"{which} is frozen: set requires_grad=True, or leave it out of the list")
    require(len(set(map(id, parameters))) == len(parameters), f"{owner}: a parameter stands in the list twice")
    return parameters


def require(condition, message):
    """Raises ValueError(message) unless the condition holds."""
    if not condition:
        raise ValueError(message)


def copy_state(source, target, owner):
    """Copy the arrays of one state into those of another, which must have the same names and shapes."""
    missing, surplus = target.keys() - source.keys(), source.keys() - target.keys()
    require(not missing and not surplus,
            f"{owner}: this state belongs to another optimizer or to another number of parameters "
            f"(missing: {_some(missing)}; not expected: {_some(surplus)})")
    for name, own in target.items():
        require(np.shape(source[name]) == own.shape,
                f"{owner}: state {name!r} has shape {np.shape(source[name])}, its parameter needs {own.shape}")
    for name, own in target.items():             # only after all checks: a refused state changes nothing
        own[...] = array_library(own).asarray(source[name])


def _some(names):
    return ", ".join(sorted(names)[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") or "nothing"
