"""Is a gradient right?  Any operation, or any composition of them, is held against central differences of itself.

    def halve(x): ...                              # your own @differentiable operation
    print(gradcheck(halve, np.random.randn(3, 4))) # a table, or a GradientError that says what is wrong

The analytic gradient of  s = sum(dy * y)  comes from `backward(dy)`, the numeric one from the function's values alone:

    ds/dx_i  ~  (s(x_i + h) - s(x_i - h)) / 2h          error O(h^2), in float64

The upstream gradient dy is random, and drawn twice: with dy = 1 everywhere many wrong rules look right.

Kinks.  At a corner (relu at 0, a tie of max) there is no derivative to compare with.  Whether an element stands at
one is decided from the function's values only, never from the gradient under test, so that no wrong gradient can be
excused.  With C(h) the central difference and S(h) = (s(x + h) - 2 s(x) + s(x - h)) / h the change of slope across x, a
smooth function has C(h) = C(h/2) and S(h) = 2 S(h/2), up to h^2.  A corner that falsifies C(h/2) by e breaks one of the
two equations by at least 2/3 e, wherever it lies.  So elements are checked that break neither by .4 tolerances; the
others are left out, and counted.

Sources: Stanford CS231n, "Neural networks part 3: gradient checks" (relative error, random dy);  Chainer's
`gradient_check` (probing for points where the function is not differentiable).
"""
import contextlib
import dataclasses
import inspect
import math

import numpy as np

from ..core.backend import array_library, is_gpu_array, to_numpy
from ..core.tensor import Tensor, no_grad
from .causes import ENOUGH_TO_RECOGNISE, likely_cause


class GradientError(AssertionError):
    """A gradient is wrong, or cannot be checked; the message names function, input, index, numbers and likely cause."""


@dataclasses.dataclass(frozen=True)
class InputReport:
    """What was found for one input: elements compared, elements left out at kinks, the largest relative error."""
    name: str
    shape: tuple
    checked: int
    kinks: int
    error: float


@dataclasses.dataclass(frozen=True)
class GradientReport:
    """The gradients of `function` are right; one `InputReport` for each input.  `print` shows a table."""
    function: str
    inputs: tuple

    @property
    def error(self):
        """The largest relative error of all inputs."""
        return max(row.error for row in self.inputs)

    @property
    def kinks(self):
        """How many elements were left out because the function has a kink there."""
        return sum(row.kinks for row in self.inputs)

    def __str__(self):
        lines = [f"{self.function}: gradients agree with central differences",
                 f"  {'input':<14} {'shape':<18} {'checked':>8} {'at a kink':>10} {'largest error':>14}"]
        for row in self.inputs:
            lines.append(f"  {row.name:<14} {row.shape!s:<18} {row.checked:>8} {row.kinks:>10} {row.error:>14.1e}")
        return "\n".join(lines)


def gradcheck(function, *tensors, samples=None, seed=0, step=1e-6, tolerance=1e-6, kinks_allowed=0.5):
    """Prove the gradients of `function` at these inputs, or raise a GradientError that says where they are wrong.

    function       from tensors to one tensor: an operation, or anything composed of operations
    tensors        its arguments.  Every floating array or Tensor is copied to float64 and checked, whether it asked for
                   gradients or not; everything else (None, numbers, arrays of integers) is passed on as it is.  What
                   shall not be checked is closed over: gradcheck(lambda x: conv2d(x, weight, stride=2), x)
    samples        check only this many elements of each input, drawn at random; None: every element (each one costs
                   four calls of `function`)
    seed           of the two upstream gradients and of the sample
    step           h of the differences, taken to the nearest power of two, so that x + h - x is h
    tolerance      the largest relative error allowed:  |analytic - numeric| / max(|analytic|, |numeric|, floor), where
                   the floor is a tenth of the input's largest gradient, or what rounding alone can do if that is more
    kinks_allowed  the share of an input's elements that may stand at a kink; with more, "hit a kink" is raised

    Returns a GradientReport.  Raises GradientError for a wrong gradient and for what hides or spoils one: an output
    that is not finite or not float64, a function that gives another result when called twice, or that modifies its
    inputs or dy, a gradient rule that reads an input which somebody may have written over since.  Raises TypeError when
    no input is floating or the function does not return a Tensor.
    """
    rng = np.random.default_rng(seed)
    subject = _Subject(function, tensors, 2.0 ** round(math.log2(step)), tolerance)
    upstreams = [subject.upstream(rng) for _ in range(2)]
    analytic = [subject.gradients(dy) for dy in upstreams]       # analytic[upstream][input]
    reports = []
    for i in range(len(subject.leaves)):
        positions = _choose(subject.leaves[i].size, samples, rng)
        measured = subject.measure(i, positions, upstreams)
        reports.append(_judge(subject, i, [gradients[i] for gradients in analytic], measured, kinks_allowed))
    subject.forbid_reading_later(upstreams[0], analytic[0])
    return GradientReport(subject.name, tuple(reports))


def _choose(size, samples, rng):
    """The flat positions of the elements to check."""
    if samples is None or samples >= size:
        return np.arange(size)
    return np.sort(rng.choice(size, samples, replace=False))


class _Subject:
    """The function under test together with its float64 inputs.

    arguments  what it is called with;  leaves  those arguments that are checked;  names  their parameter names
    y          its output at these inputs, an array
    """

    def __init__(self, function, arguments, step, tolerance):
        self.function, self.name, self.step, self.tolerance = function, _name_of(function), step, tolerance
        self.arguments = [_float64_leaf(argument) for argument in arguments]
        checked = [i for i, argument in enumerate(self.arguments) if isinstance(argument, Tensor)
                   and argument.requires_grad]
        if not checked:
            raise TypeError(f"gradcheck({self.name}): none of its {len(arguments)} inputs is a floating array or "
                            "Tensor, so there is no gradient to check")
        names = _parameter_names(function, len(arguments))
        self.leaves, self.names = [self.arguments[i] for i in checked], [names[i] for i in checked]
        self.originals = [leaf.data.copy() for leaf in self.leaves]
        self.y = self._sane_output()

    def call(self):
        """The output tensor, recorded."""
        y = self.function(*self.arguments)
        if not isinstance(y, Tensor):
            raise TypeError(f"gradcheck({self.name}): it must return one Tensor, not {type(y).__name__}; "
                            "decorate an operation on arrays with @differentiable")
        return y

    def _sane_output(self):
        y = self.call().data
        if y.dtype != np.float64:
            self.fail(f"the output is {y.dtype} for float64 inputs: float64 must go through untouched")
        if not bool(array_library(y).isfinite(y).all()):
            self.fail("the output holds a NaN or an infinity at these inputs: choose others")
        y = y.copy()
        self._forbid_changes("the forward pass")
        if not bool((self.call().data == y).all()):
            self.fail("two calls with the same inputs gave different outputs: fix the seed inside the function, for "
                      "example lambda x: dropout(x, 0.5, np.random.default_rng(0))")
        return y

    def _forbid_changes(self, culprit):
        for leaf, original, name in zip(self.leaves, self.originals, self.names):
            if not bool((leaf.data == original).all()):
                self.fail(f"{culprit} modified its input {name}: compute into a new array")

    def fail(self, message):
        """Raise a GradientError with the function's name in front."""
        raise GradientError(f"{self.name}: {message}")

    def upstream(self, rng):
        """A random upstream gradient dy, on the device of the output."""
        return array_library(self.y).asarray(rng.standard_normal(self.y.shape))

    def gradients(self, dy):
        """The analytic gradients of sum(dy * y), one NumPy array for each leaf, or None where none arrived."""
        seed = dy.copy()
        self._forward_and_backward(seed)
        if not bool((seed == dy).all()):
            self.fail("a gradient rule modified dy, the upstream gradient: compute into a new array")
        self._forbid_changes("the backward pass")
        return [self._sane_gradient(leaf, name) for leaf, name in zip(self.leaves, self.names)]

    def _forward_and_backward(self, dy, meanwhile=contextlib.nullcontext()):
        for leaf in self.leaves:
            leaf.zero_grad()
        y = self.call()
        with meanwhile:
            if y.requires_grad:
                self._backward(y, dy)

    def forbid_reading_later(self, dy, gradients):
        """Write over each input after the forward pass, unless it is held: the gradients must not notice."""
        for leaf, name in zip(self.leaves, self.names):
            with np.errstate(all="ignore"):
                self._forward_and_backward(dy.copy(), meanwhile=_overwritten(leaf.data))
            if not all(_agree(other.grad, gradient) for other, gradient in zip(self.leaves, gradients)):
                self.fail(f"the gradient changes when its input {name} is written over between the forward pass and "
                          "backward(): a rule reads it from a place that minicnn cannot see and hold (core/locks.py says "
                          "which); let the rule use the function's own variable, or a copy of it")

    def _backward(self, y, dy):
        try:
            y.backward(dy)
        except ValueError as error:
            if "read-only" in str(error):
                self.fail("a gradient rule modified an array of the forward pass: compute into a new array")
            if not str(error).startswith("gradient rule"):
                raise
            self.fail(f"{error}.\nLikely cause: missing sum over a broadcast axis")

    def _sane_gradient(self, leaf, name):
        if leaf.grad is None:
            return None
        if leaf.grad.dtype != np.float64:
            self.fail(f"the gradient of {name} is {leaf.grad.dtype} for float64 inputs")
        if not bool(array_library(leaf.grad).isfinite(leaf.grad).all()):
            self.fail(f"the gradient of {name} holds a NaN or an infinity")
        return to_numpy(leaf.grad)

    def measure(self, i, positions, upstreams):
        """Numeric derivatives of leaf i at these flat positions, for each dy: a `_Measured`."""
        with np.errstate(all="ignore"):                    # past the edge of a domain (log, sqrt) lies NaN
            found = np.array([self._differences(self.leaves[i].data, position, upstreams) for position in positions])
        numeric, doubt = found.reshape(len(positions), len(upstreams), 2).T                      # (U, E) each
        return _Measured(positions, upstreams, numeric, doubt, self._noise(upstreams), self.tolerance)

    def _noise(self, upstreams):
        """By how much rounding may change a difference (U, 1): a hundred units in the last place of the output, over h.

        Of the whole output: an output that did not move may be one whose move was rounded away.
        """
        rounding = 100 * np.finfo(np.float64).eps / self.step
        return np.array([[rounding * _norm(dy * self.y)] for dy in upstreams])

    def _differences(self, x, position, upstreams):
        """For each dy: the central difference, and by how much a kink puts it in doubt (see the top of this file)."""
        index, h = np.unravel_index(position, x.shape), self.step
        ahead, behind = self._moved(x, index, h), self._moved(x, index, -h)
        near_ahead, near_behind = self._moved(x, index, h / 2), self._moved(x, index, -h / 2)
        slope = (near_ahead - near_behind) / h
        unequal = (ahead - behind) / (2 * h) - slope                            # C(h) - C(h/2)
        bend = (ahead - 2 * self.y + behind) / h
        unhalved = bend - 4 * (near_ahead - 2 * self.y + near_behind) / h       # S(h) - 2 S(h/2)
        return [(_dot(dy, slope), max(abs(_dot(dy, unequal)), abs(_dot(dy, unhalved)))) for dy in upstreams]

    def _moved(self, x, index, offset):
        """The output with one element of x moved."""
        original = float(x[index])
        x[index] = original + offset
        with no_grad():
            y = self.call().data.copy()                         # a reshape gives a view of x, which moves back now
        x[index] = original
        return y


@contextlib.contextmanager
def _overwritten(array):
    """Within it the array holds other numbers, unless it is read-only (or CuPy's, which are never held)."""
    original, writable = array.copy(), not is_gpu_array(array) and array.flags.writeable
    if writable:
        array[...] = -2 * original - 1           # of the other sign, and nowhere near
    try:
        yield
    finally:
        if writable:
            array[...] = original


def _agree(gradient, expected):
    """Whether a gradient is the expected one up to rounding; None only where None is expected."""
    if gradient is None or expected is None:
        return gradient is expected
    return bool((abs(to_numpy(gradient) - expected) <= 1e-9 * abs(expected).max(initial=0) + 1e-12).all())


def _float64_leaf(argument):
    """A float64 copy that wants gradients, in the same order of memory (a transposed array stays one)."""
    data = argument.data if isinstance(argument, Tensor) else argument
    if not hasattr(data, "dtype") or data.dtype.kind != "f":
        return argument
    return Tensor(array_library(data).array(data, dtype=np.float64, order="K"), requires_grad=True)


def _name_of(function):
    function = getattr(function, "func", function)          # functools.partial
    return getattr(function, "__name__", type(function).__name__)


def _parameter_names(function, count):
    """The names of the first parameters; 'input 3' where they have none (in *tensors, or a built-in)."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = ()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    return names + [f"input {i}" for i in range(len(names), count)]


def _dot(a, b):
    return float((a * b).sum())


def _norm(array):
    return _dot(array, array) ** 0.5


class _Measured:
    """Numeric derivatives of one input.

    positions  (E,) flat positions of the elements      upstreams  the U upstream gradients
    numeric    (U, E)                                   floor      (U, 1) the smallest scale errors are divided by
    settled    (E,) False where the function has a kink: decided from its own values alone
    """

    def __init__(self, positions, upstreams, numeric, doubt, noise, tolerance):
        self.positions, self.upstreams, self.numeric = positions, upstreams, numeric
        least = noise / tolerance
        trusted = doubt <= 0.4 * tolerance * np.maximum(abs(numeric), least)            # a jump must not set the scale
        largest = np.max(abs(numeric), axis=1, keepdims=True, initial=0, where=trusted)
        self.floor = np.maximum(0.1 * largest, least)
        settled = doubt <= 0.4 * tolerance * np.maximum(abs(numeric), self.floor)       # (U, E); NaN is not settled
        self.settled = settled.all(axis=0)


def _judge(subject, i, analytic, measured, kinks_allowed):
    """The InputReport of input i, or a GradientError.   analytic: its gradient for each upstream gradient."""
    kinks = int((~measured.settled).sum())
    if kinks > kinks_allowed * len(measured.positions):
        subject.fail(f"hit a kink at {kinks} of {len(measured.positions)} elements of {subject.names[i]}: left and "
                     "right of them the function's own slopes differ, so there is nothing to compare with. Move the "
                     "inputs away from zeros of relu, ties of max and the like (or does it compute in float32 inside?)")
    worst = 0.0
    for u, gradient in enumerate(analytic):
        case = _Case(subject, i, u, gradient, measured)
        worst = max(worst, case.errors.max(initial=0))
        if worst > subject.tolerance:
            raise GradientError(case.message())
    return InputReport(subject.names[i], subject.leaves[i].shape, len(measured.positions) - kinks, kinks, float(worst))


class _Case:
    """One input's gradient for one upstream gradient: analytic beside numeric, at the settled elements (E,)."""

    def __init__(self, subject, i, u, gradient, measured):
        self.subject, self.i, self.dy, self.missing = subject, i, measured.upstreams[u], gradient is None
        self.gradient = np.zeros(subject.leaves[i].shape) if gradient is None else gradient
        self.positions = measured.positions[measured.settled]
        self.numeric, self.floor = measured.numeric[u, measured.settled], float(measured.floor[u, 0])
        self.analytic = self.gradient.reshape(-1)[self.positions]
        scale = np.maximum(np.maximum(abs(self.analytic), abs(self.numeric)), self.floor)
        self.errors = abs(self.analytic - self.numeric) / np.where(scale > 0, scale, 1)
        self.wrong = self.errors > subject.tolerance

    def message(self):
        """Function, input, index, both numbers, the error and the likely cause."""
        at = int(self.errors.argmax())
        index = ", ".join(str(int(k)) for k in np.unravel_index(self.positions[at], self.gradient.shape))
        text = (f"{self.subject.name}: the gradient of {self.subject.names[self.i]} {self.gradient.shape} is wrong at "
                f"[{index}]: analytic {self.analytic[at]:.9g}, numeric {self.numeric[at]:.9g}, relative error "
                f"{self.errors[at]:.1e} where {self.subject.tolerance:.0e} is allowed; "
                f"{int(self.wrong.sum())} of {len(self.wrong)} elements are wrong")
        cause = likely_cause(self)
        return f"{text}.\nLikely cause: {cause}" if cause else text

    def matches(self, candidate):
        """Whether these numbers (E,), where they are not NaN, are the numeric gradient."""
        known = ~np.isnan(candidate)
        close = abs(candidate - self.numeric) <= 1e-4 * np.maximum(abs(self.numeric), self.floor)
        return known.sum() >= min(3, len(known)) and bool(close[known].all())

    def few(self):
        """Where, in the arrays of this case, some of the wrong elements stand."""
        return np.flatnonzero(self.wrong)[:ENOUGH_TO_RECOGNISE]

    def explained_by(self, upstream, analytic):
        """Whether `analytic` (E,) is, at those few, the numeric gradient for another upstream gradient."""
        few = self.few()
        numeric = self.subject.measure(self.i, self.positions[few], [upstream]).numeric[0]
        close = abs(analytic[few] - numeric) <= 1e-4 * np.maximum(abs(numeric), self.floor)
        return bool(close.all())
