"""A tensor that remembers where it came from: the whole autograd core.

An operation is one plain function on arrays.  It returns its output and, for each of its leading array arguments, one
gradient rule: a function that turns the gradient of the output, `dy`, into the gradient of that argument.

    @differentiable
    def multiply(a, b):
        return a * b, (lambda dy: dy * b, lambda dy: dy * a)

`differentiable` unwraps the tensors, calls the function and records the rules in a `Node`.  `Tensor.backward` walks the
nodes from the output back and calls only those rules whose argument wants a gradient.  Nodes point to nodes, never to
the tensors they made, so there are no reference cycles: a graph dies with its last tensor.
"""
import contextlib
import contextvars
import functools
import inspect

import numpy as np

from .backend import array_library, device_of, is_gpu_array, to_device, to_numpy
from .contract import check_returned
from .locks import hold, release
from .threads import added

_recording = contextvars.ContextVar("recording", default=True)
_checking = contextvars.ContextVar("checking", default=False)
_wrapper = contextvars.ContextVar("wrapper", default=None)


@contextlib.contextmanager
def no_grad():
    """Within `with no_grad():` (or in a function decorated with `@no_grad()`) nothing is recorded."""
    with _switched(_recording, False):
        yield


def recording():
    """Whether operations are recorded: everywhere but within no_grad."""
    return _recording.get()


@contextlib.contextmanager
def check_finite():
    """Within it, an operation whose output holds a NaN or an infinity raises FloatingPointError and says its name."""
    with _switched(_checking, True):
        yield


@contextlib.contextmanager
def instrumented(wrap):
    """Within it, an operation is what wrap(operation, name, parameters) makes of it: the way to time or to count them.

    parameters   the names of the operation's parameters, of which its rules are those of the first
    """
    with _switched(_wrapper, wrap):
        yield


def raise_first_nonfinite(compute):
    """Run `compute` again to find the operation that first made a NaN or an infinity: raises FloatingPointError with it."""
    with check_finite(), no_grad():
        compute()
    raise FloatingPointError("a NaN or an infinity came up and is gone: was an input changed meanwhile?")


@contextlib.contextmanager
def _switched(switch, value):
    token = switch.set(value)
    try:
        yield
    finally:
        switch.reset(token)


class Node:
    """What one operation left behind: its gradient rules and, for each, where that argument came from.

    A source is the `Node` that made the argument, the leaf `Tensor` itself, or None, like its rule, when no gradient is
    wanted.
    """
    __slots__ = ("operation", "shape", "sources", "rules", "held")

    def __init__(self, operation, output, sources, rules):
        self.operation, self.shape, self.sources, self.rules = operation, output.shape, sources, rules
        self.held = () if is_gpu_array(output) else hold(rule for rule in rules if rule is not None)

    def release(self):
        """Let go of the rules, and with them of every array that they kept alive and read-only."""
        held, self.held, self.sources, self.rules = self.held, (), None, None
        release(held)

    def __del__(self):
        release(self.held)


class Tensor:
    """An array with a memory.

    data           the NumPy (or CuPy) array; read-only while a graph will need its present values (see locks.py)
    grad           None, or the accumulated gradient: an array of the same shape (leaves only)
    requires_grad  whether gradients are wanted: set it on leaves; results inherit it
    """
    __slots__ = ("data", "grad", "requires_grad", "node", "__weakref__")
    held_attributes = ("data",)                  # what of a tensor a gradient rule reads (see locks.py)
    __array_ufunc__ = None                       # so that `array * tensor` asks the tensor

    def __init__(self, data, requires_grad=False, node=None):
        self.data, self.grad, self.requires_grad, self.node = data, None, requires_grad, node

    @property
    def shape(self):
        return self.data.shape

    @property
    def dtype(self):
        return self.data.dtype

    @property
    def ndim(self):
        return self.data.ndim

    @property
    def size(self):
        return self.data.size

    @property
    def device(self):
        return device_of(self.data)

    def backward(self, dy=None):
        """Add to the `grad` of every leaf behind this tensor its gradient, dy . d(self)/d(leaf).

        dy (same shape as self) may be left out for a single number.  The graph is released on the way, so a second
        `backward` needs a second forward pass.  Raises RuntimeError when there is no graph, ValueError for a dy of
        the wrong shape.
        """
        if not self.requires_grad:
            raise RuntimeError("backward() on a tensor without a graph: no input had requires_grad=True, "
                               "or it was computed under no_grad()")
        propagate(self.node or self, self._seed(dy))

    def _seed(self, dy):
        if dy is None:
            if self.size != 1:
                raise ValueError(f"backward() of a tensor of shape {self.shape} needs dy, an array of that shape; "
                                 "only a single number may leave it out")
            return array_library(self.data).ones_like(self.data)
        dy = array_library(self.data).asarray(_unwrap(dy), dtype=self.dtype)
        if dy.shape != self.shape:
            raise ValueError(f"dy has shape {dy.shape}, the tensor {self.shape}: they must be equal")
        return dy

    def zero_grad(self):
        """Forget the gradient."""
        self.grad = None

    def detach(self):
        """The same array without its history."""
        return Tensor(self.data)

    def to(self, device):
        """A leaf with the same data on `device` ('cpu' or 'cuda')."""
        return Tensor(to_device(self.data, device), self.requires_grad)

    def numpy(self):
        """The data as a NumPy array."""
        return to_numpy(self.data)

    def item(self):
        """The only element, as a Python number."""
        return self.data.item()

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options):
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __bool__(self):
        return bool(self.item())

    def __len__(self):
        return len(self.data)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        origin = f", from {self.node.operation}" if self.node else ", requires_grad" if self.requires_grad else ""
        values = np.array2string(self.numpy(), threshold=20, precision=4, separator=", ")
        return f"Tensor({values}, shape {self.shape}, {self.dtype}{origin})"

    def _repr_png_(self):
        """A picture tensor (H, W, 3), (H, W, 1) or a batch of one shows itself in a notebook."""
        picture = self.numpy()
        picture = picture[0] if picture.ndim == 4 and len(picture) == 1 else picture
        if picture.ndim != 3 or picture.shape[2] not in (1, 3):
            return None
        from PIL import Image
        pixels = (np.clip(np.nan_to_num(picture), 0, 1) * 255 + .5).astype(np.uint8)
        return Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)._repr_png_()


def tensor(data, requires_grad=False, dtype=None):
    """A leaf tensor holding a copy of `data` (array, nested list, number or tensor).

    Numbers without a floating type become float32; float32 and float64 stay what they are.
    Raises TypeError when a gradient is asked of something that is not floating.
    """
    data = data.data if isinstance(data, Tensor) else data
    if dtype is None and not hasattr(data, "dtype"):
        dtype = np.float32 if np.asarray(data).dtype.kind in "fiub" else None
    array = array_library(data).array(data, dtype=dtype)
    if requires_grad and array.dtype.kind != "f":
        raise TypeError(f"only floating tensors have gradients, this one is {array.dtype}: "
                        "convert it first, for example array.astype(np.float32)")
    return Tensor(array, requires_grad)


def differentiable(operation):
    """Make a plain function on arrays into an operation on tensors.

    The function returns (output, rules): rule i is called with dy, an array of the output's shape, and returns the
    gradient of the function's i-th parameter, in that parameter's shape.  Parameters without a rule (a stride, a mode)
    come after those that have one, or have None for one; of *arrays each has its rule.  Tensors and arrays may be passed
    for any of them.  Raises TypeError, when it is called, for a function that returns anything else.
    """
    signature, name = inspect.signature(operation), operation.__name__.lstrip("_")
    positional = [p for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    parameters, variadic = [p.name for p in positional], any(p.kind is p.VAR_POSITIONAL for p in positional)

    @functools.wraps(operation)
    def call(*arguments, **options):
        if any(isinstance(value, Tensor) for value in options.values()):
            bound = signature.bind(*arguments, **options)
            arguments, options = bound.args, bound.kwargs
        compute = _wrapper.get()(operation, name, parameters) if _wrapper.get() else operation
        try:
            returned = compute(*map(_unwrap, arguments), **options)
        except TypeError:
            _require_one_device(arguments)       # most likely that is why, and then it can be said better
            raise
        check_returned(returned, operation, parameters, len(arguments) if variadic else None)
        output, rules = returned
        output = array_library(output).asarray(output)          # a reduction gives a NumPy scalar
        if _checking.get():
            _raise_unless_finite(name, output, arguments)
        sources = tuple(None if rule is None else _source(argument) for argument, rule in zip(arguments, rules))
        if not recording() or not any(source is not None for source in sources):
            return Tensor(output)
        # a rule that nobody wants is dropped now, and with it the arrays that only it needed
        wanted = tuple(rule if source is not None else None for source, rule in zip(sources, rules))
        return Tensor(output, True, Node(name, output, sources, wanted))
    return call


def once(function):
    """function(dy), remembering its last result: for what several gradient rules of an operation have in common."""
    last = [None, None]

    def remembered(dy):
        if last[0] is not dy:
            last[:] = dy, function(dy)
        return last[1]
    return remembered


def _unwrap(argument):
    return argument.data if isinstance(argument, Tensor) else argument


def _require_one_device(arguments):
    """Raises TypeError, with each array's device, when there are two."""
    array_library(*map(_unwrap, arguments))


def _source(argument):
    wanted = isinstance(argument, Tensor) and argument.requires_grad
    return (argument.node or argument) if wanted else None


def _raise_unless_finite(name, output, arguments):
    if output.dtype.kind == "f" and not bool(array_library(output).isfinite(output).all()):
        shapes = ", ".join(str(tuple(a.shape)) for a in arguments if hasattr(a, "shape"))
        raise FloatingPointError(f"{name}: NaN or infinity in its output of shape {output.shape} (inputs {shapes})")


def propagate(end, dy):
    """Carry `dy` from the node (or leaf) `end` back to the leaves, each node visited once, after all that used it."""
    gradients = _Gradients()
    gradients.add(end, dy)
    for source in backward_order(end):
        dy = gradients.pop(source)
        if isinstance(source, Tensor):
            xp = array_library(dy)              # a sum of two single numbers is a NumPy scalar: asarray
            source.grad = xp.array(dy) if source.grad is None else xp.asarray(source.grad + dy)
            continue
        for i, (target, rule) in enumerate(zip(source.sources, source.rules)):
            if target is not None:
                gradients.add(target, _checked(rule(dy), target, source, i))
        source.release()


def _checked(gradient, target, node, i):
    if gradient.shape != target.shape:
        raise ValueError(f"gradient rule {i} of {node.operation} returned shape {gradient.shape} for an input of "
                         f"shape {target.shape}: sum over the broadcast axes, or reshape")
    return gradient


class _Gradients:
    """Sums of gradients by node.  A rule may return an array that somebody else holds (addition returns dy itself), so
    the first sum makes a new array, and only later ones add in place."""

    def __init__(self):
        self.sums, self.owned = {}, set()

    def add(self, key, gradient):
        """One more share of the gradient of a node or leaf."""
        key = id(key)
        if key not in self.sums:
            self.sums[key] = gradient
        elif key in self.owned:
            self.sums[key] = added(self.sums[key], gradient, in_place=True)
        else:
            self.sums[key] = added(self.sums[key], gradient)
            self.owned.add(key)

    def pop(self, key):
        self.owned.discard(id(key))
        return self.sums.pop(id(key))


def backward_order(end):
    """All nodes and leaves behind `end`, each before those that it was made from.  Iterative, linear in the graph.

    Kahn's algorithm on counts of uses: a node's turn comes when every node that used it had its own.
    """
    uses = _count_uses(end)
    ready, order = [end], []
    while ready:
        source = ready.pop()
        order.append(source)
        for target in _targets(source):
            uses[id(target)] -= 1
            if uses[id(target)] == 0:
                ready.append(target)
    return order


def _count_uses(end):
    uses, stack = {id(end): 0}, [end]
    while stack:
        for target in _targets(stack.pop()):
            if id(target) not in uses:
                uses[id(target)] = 0
                stack.append(target)
            uses[id(target)] += 1
    return uses


def _targets(source):
    if isinstance(source, Tensor):
        return ()
    if source.rules is None:
        raise RuntimeError(f"backward() came to {source.operation}, whose graph an earlier backward() has released: "
                           "run the forward pass again, or add the losses and call backward() once")
    return [target for target in source.sources if target is not None]
