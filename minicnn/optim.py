"""Optimizers: how a gradient becomes a step.  Over any list of leaf tensors, the weights of a network or a picture.

    optimizer = SGD([picture], lr=.1, momentum=.9)
    for step in range(100):
        optimizer.zero_grad()
        loss(picture).backward()
        optimizer.step()

The arrays are changed in place, so whoever shares them sees the change.  A learning rate that varies is set before each
step, `optimizer.lr = schedule(step)`: a schedule is a pure function of the step number, so resuming a run needs no
state of it.  To write an optimizer of your own, derive from `Optimizer` and give it an `update`.
"""
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .backend import array_library, to_numpy
from .tensor import Tensor


# ---- what they share -------------------------------------------------------------------------------------------------

class _Remembering:
    """Something that walks beside a list of parameters and remembers arrays, which can be saved and loaded.

    state: {"momentum.0": array, ...}, by position in the list of parameters
    """

    def __init__(self, parameters):
        self.parameters = _checked_parameters(parameters, type(self).__name__)
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
        _copy_state(state, self.state, type(self).__name__)


class Optimizer(_Remembering):
    """What all optimizers share: the list of parameters, the learning rate, and the state.

    parameters  leaf tensors with requires_grad=True (a list, or anything that yields them)
    lr          learning rate, > 0; the attribute may be set to another value (0 too) before any step

    Raises ValueError for a learning rate <= 0, an empty list, or a tensor that is no leaf, is frozen or stands in the
    list twice; TypeError for anything that is no tensor.
    """

    def __init__(self, parameters, lr):
        super().__init__(parameters)
        _require(lr > 0, f"{type(self).__name__}: lr must be > 0, not {lr!r}")
        self.lr = lr

    @property
    def lr(self):
        return self._lr

    @lr.setter
    def lr(self, value):
        _require(0 <= value < math.inf, f"{type(self).__name__}: lr must be finite and >= 0, not {value!r}")
        self._lr = float(value)                  # a NumPy float64 would turn float32 weights into float64

    def zero_grad(self):
        """Forget the gradients of all parameters."""
        for parameter in self.parameters:
            parameter.zero_grad()

    def step(self):
        """Change every parameter that has a gradient; the others keep their values and their state."""
        for i, parameter in enumerate(self.parameters):
            if parameter.grad is not None:
                self.update(i, parameter.data, parameter.grad)

    def update(self, i, weight, gradient):
        """Change the array `weight` of parameter i in place.  Its gradient is not to be modified."""
        raise TypeError(f"{type(self).__name__} must define update(i, weight, gradient)")

    def _remember(self, name):
        """A state array of zeros for each parameter: 'name.0', 'name.1', ..."""
        for i, parameter in enumerate(self.parameters):
            self.state[f"{name}.{i}"] = array_library(parameter.data).zeros_like(parameter.data)


def _checked_parameters(parameters, owner):
    if isinstance(parameters, Tensor):
        raise TypeError(f"{owner}: parameters must be a list of tensors; for a single one write [x]")
    parameters = list(parameters)
    _require(parameters, f"{owner}: the list of parameters is empty, there is nothing to optimise")
    for i, parameter in enumerate(parameters):
        if not isinstance(parameter, Tensor):
            raise TypeError(f"{owner}: parameter {i} is a {type(parameter).__name__}, not a Tensor")
        which = f"{owner}: parameter {i} of shape {parameter.shape}"
        _require(parameter.node is None, f"{which} is the result of an operation; only leaves can be optimised: "
                                         "make one of it, minicnn.tensor(x, requires_grad=True)")
        _require(parameter.requires_grad, f"{which} is frozen: set requires_grad=True, or leave it out of the list")
    _require(len(set(map(id, parameters))) == len(parameters), f"{owner}: a parameter stands in the list twice")
    return parameters


def _require(condition, message):
    if not condition:
        raise ValueError(message)


def _copy_state(source, target, owner):
    """Copy the arrays of one state into those of another, which must have the same names and shapes."""
    missing, surplus = target.keys() - source.keys(), source.keys() - target.keys()
    _require(not missing and not surplus,
             f"{owner}: this state belongs to another optimizer or to another number of parameters "
             f"(missing: {_some(missing)}; not expected: {_some(surplus)})")
    for name, own in target.items():
        _require(np.shape(source[name]) == own.shape,
                 f"{owner}: state {name!r} has shape {np.shape(source[name])}, its parameter needs {own.shape}")
    for name, own in target.items():             # only after all checks: a refused state changes nothing
        own[...] = array_library(own).asarray(source[name])


def _some(names):
    return ", ".join(sorted(names)[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") or "nothing"


# ---- first-order methods ---------------------------------------------------------------------------------------------

class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Polyak 1964) or Nesterov's (Sutskever et al. 2013).

        v <- momentum v + g            g: the gradient + weight_decay w
        w <- w - lr v                  Nesterov: w - lr (g + momentum v)

    parameters, lr  as in Optimizer
    momentum        0 <= momentum < 1, usually .9
    weight_decay    >= 0, the strength of the penalty weight_decay/2 |w|^2
    """

    def __init__(self, parameters, lr, momentum=0, nesterov=False, weight_decay=0):
        super().__init__(parameters, lr)
        _require(0 <= momentum < 1, f"SGD: momentum must be in [0, 1), not {momentum!r}")
        _require(weight_decay >= 0, f"SGD: weight_decay must be >= 0, not {weight_decay!r}")
        _require(momentum > 0 or not nesterov, "SGD: nesterov=True needs a momentum > 0")
        self.momentum, self.nesterov, self.weight_decay = float(momentum), nesterov, float(weight_decay)
        if momentum:
            self._remember("momentum")

    def update(self, i, weight, gradient):
        if self.weight_decay:
            gradient = gradient + self.weight_decay * weight
        if self.momentum:
            gradient = self._with_momentum(self.state[f"momentum.{i}"], gradient)
        weight -= self.lr * gradient

    def _with_momentum(self, velocity, gradient):
        velocity *= self.momentum
        velocity += gradient
        return gradient + self.momentum * velocity if self.nesterov else velocity


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980): each element gets a step of its own size.

        m <- b1 m + (1 - b1) g              mean of the gradients
        v <- b2 v + (1 - b2) g^2            mean of their squares
        w <- w - lr m' / (sqrt(v') + eps)   m' = m / (1 - b1^t), v' = v / (1 - b2^t): both started at 0

    parameters, lr  as in Optimizer
    betas           (b1, b2), each in [0, 1)
    eps             > 0, keeps the division finite
    weight_decay    >= 0, weight_decay w is added to the gradient (AdamW keeps it apart)
    """

    def __init__(self, parameters, lr=1e-3, betas=(.9, .999), eps=1e-8, weight_decay=0):
        super().__init__(parameters, lr)
        name = type(self).__name__
        _require(len(betas) == 2 and all(0 <= b < 1 for b in betas),
                 f"{name}: betas must be two numbers in [0, 1), not {betas!r}")
        _require(eps > 0, f"{name}: eps must be > 0, not {eps!r}")
        _require(weight_decay >= 0, f"{name}: weight_decay must be >= 0, not {weight_decay!r}")
        self.betas, self.eps, self.weight_decay = tuple(map(float, betas)), float(eps), float(weight_decay)
        self._remember("mean")
        self._remember("square")
        self.state.update({f"count.{i}": np.zeros((), np.int64) for i in range(len(self.parameters))})

    def update(self, i, weight, gradient):
        if self.weight_decay:
            gradient = gradient + self.weight_decay * weight
        self._adapt(i, weight, gradient)

    def _adapt(self, i, weight, gradient):
        mean, square, count = (self.state[f"{name}.{i}"] for name in ("mean", "square", "count"))
        (b1, b2), t = self.betas, int(count) + 1
        count += 1
        mean *= b1
        mean += (1 - b1) * gradient
        square *= b2
        square += (1 - b2) * gradient * gradient
        scale = array_library(square).sqrt(square)
        scale /= math.sqrt(1 - b2 ** t)
        scale += self.eps
        weight -= self.lr / (1 - b1 ** t) * mean / scale


class AdamW(Adam):
    """Adam whose weight decay does not pass through the division: w <- (1 - lr weight_decay) w, then Adam's step.

    Loshchilov & Hutter 2019, arXiv:1711.05101.  Parameters as in Adam.
    """

    def __init__(self, parameters, lr=1e-3, betas=(.9, .999), eps=1e-8, weight_decay=.01):
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def update(self, i, weight, gradient):
        weight *= 1 - self.lr * self.weight_decay
        self._adapt(i, weight, gradient)


# ---- L-BFGS ----------------------------------------------------------------------------------------------------------

class LBFGS(Optimizer):
    """Limited-memory BFGS: Newton's method with the curvature guessed from the last gradients (Liu & Nocedal 1989).

    For few parameters or a single picture and a loss without chance in it.  One `step` makes up to `max_iter`
    iterations and asks for the loss as often as it needs:

        def closure():
            loss = distance(picture)
            loss.backward()
            return loss
        optimizer.step(closure)

    parameters, lr    as in Optimizer; lr is the first length that a line search tries, 1 is right (Newton's step)
    max_iter          iterations in one step, >= 1
    history           how many pairs (move, change of the gradient) are kept, >= 1
    tolerance_grad    stop when no element of the gradient is greater
    tolerance_change  stop when no element of a move, or the change of the loss, is greater
    line_search       "strong_wolfe", or None: always move by lr times the direction
    max_evaluations   of the closure in one step: when it is reached no further search begins and the present one gets
                      a last trial; by default 5/4 max_iter, but at least 25, so that a single search has room

    Sources: Nocedal & Wright, Numerical Optimization (2006), algorithms 7.4 (two loops), 3.5 and 3.6 (line search),
    with the conventions of Schmidt's minFunc, which PyTorch's L-BFGS also keeps.
    """

    def __init__(self, parameters, lr=1, max_iter=20, history=10, tolerance_grad=1e-7, tolerance_change=1e-9,
                 line_search="strong_wolfe", max_evaluations=None):
        super().__init__(parameters, lr)
        _require(max_iter >= 1, f"LBFGS: max_iter must be at least 1, not {max_iter!r}")
        _require(history >= 1, f"LBFGS: history must be at least 1, not {history!r}")
        _require(max_evaluations is None or max_evaluations >= 1,
                 f"LBFGS: max_evaluations must be at least 1, not {max_evaluations!r}")
        _require(line_search in ("strong_wolfe", None),
                 f"LBFGS: line_search must be 'strong_wolfe' or None, not {line_search!r}")
        self.max_iter, self.history, self.line_search = max_iter, history, line_search
        self.tolerance_grad, self.tolerance_change = tolerance_grad, tolerance_change
        self.max_evaluations = max_evaluations or max(max_iter * 5 // 4, 25)
        self.state = self._empty_state(pairs=0)

    def step(self, closure):
        """Make up to max_iter iterations; returns the loss tensor of the first evaluation, before any move.

        closure() computes the loss, calls its backward() and returns it; gradients are forgotten before each call.
        Raises RuntimeError when it leaves no gradient, FloatingPointError when the loss is NaN or infinite where a
        search for the next point would start.
        """
        self._evaluations = 0
        first_loss, gradient = self._evaluate(closure)
        if not _all_within(gradient, self.tolerance_grad):
            self._iterate(closure, float(first_loss), gradient)
        return first_loss

    def _iterate(self, closure, loss, gradient):
        for iteration in range(1, self.max_iter + 1):
            _raise_unless_finite(loss)
            direction = self._direction(gradient)
            start = _Point(0., loss, gradient, _dot(gradient, direction))
            if start.slope > -self.tolerance_change:
                return
            reached = self._advance(closure, start, direction, last=iteration == self.max_iter)
            if self._finished(start, reached):
                return
            loss, gradient = reached.loss, reached.gradient

    def _finished(self, start, reached):
        return (self._evaluations >= self.max_evaluations
                or _all_within(reached.gradient, self.tolerance_grad)
                or _all_within(self.state["move"], self.tolerance_change)
                or abs(reached.loss - start.loss) < self.tolerance_change)

    def _advance(self, closure, start, direction, last):
        """Move along the direction; returns the point that was reached.  When the closure fails, nothing has moved."""
        origin = _joined([parameter.data for parameter in self.parameters])
        length = self._first_length(start.gradient)

        def along(length):
            self._place(origin + length * direction)
            loss, gradient = self._evaluate(closure)
            return _Point(length, float(loss), gradient, _dot(gradient, direction))

        try:
            reached = self._search(along, start, length, _greatest(direction), last)
        except BaseException:                    # a NaN that check_finite() met, or Ctrl-C
            self._place(origin)
            raise
        self.state["move"] = reached.length * direction
        self._place(origin + self.state["move"])
        return reached

    def _search(self, along, start, length, greatest, last):
        if self.line_search:
            tolerance = self.tolerance_change / greatest
            return strong_wolfe(along, start, length, tolerance, self.max_evaluations - self._evaluations + 1)
        if last:                                 # the next step() begins by evaluating there
            return start._replace(length=length)
        return along(length)

    def _first_length(self, gradient):
        """The length to try first: lr, but in the very first iteration, whose direction has no known scale, less."""
        first = self.state["iterations"] == 1
        return min(1., 1. / float(abs(gradient).sum())) * self.lr if first else self.lr

    def _direction(self, gradient):
        """Where to go from here: minus (the guessed inverse Hessian times the gradient)."""
        state = self.state
        state["iterations"] += 1
        self._learn(state["move"], gradient - state["gradient"])
        state["gradient"], state["move"] = gradient, array_library(gradient).zeros_like(gradient)
        return two_loops(-gradient, state["moves"], state["changes"])

    def _learn(self, move, change):
        """Keep a pair, the oldest making room, if the curvature along the move is positive."""
        if _dot(move, change) <= 1e-10:
            return
        for name, row in (("moves", move), ("changes", change)):
            rows = array_library(row).concatenate([self.state[name], row[None]])
            self.state[name] = rows[-self.history:]

    def _evaluate(self, closure):
        """The loss tensor and the gradient, one flat array, at the present parameters."""
        self._evaluations += 1
        self.zero_grad()
        loss = closure()
        if all(parameter.grad is None for parameter in self.parameters):
            raise RuntimeError("LBFGS: the closure left no gradient: it must compute the loss from the parameters, "
                               "call its backward() and return it")
        return loss, _joined([_gradient_or_zeros(parameter) for parameter in self.parameters])

    def _split(self, flat):
        """Views of the last axis of `flat` as one array for each parameter, in its shape."""
        ends = np.cumsum([parameter.size for parameter in self.parameters]).tolist()
        pieces = [flat[..., end - p.size:end] for end, p in zip(ends, self.parameters)]
        return [piece.reshape(flat.shape[:-1] + p.shape) for piece, p in zip(pieces, self.parameters)]

    def _place(self, flat):
        for parameter, piece in zip(self.parameters, self._split(flat)):
            parameter.data[...] = piece

    def _empty_state(self, pairs):
        """move and gradient (P,): of the last iteration.  moves and changes (pairs, P): the history, oldest first."""
        like = _joined([parameter.data for parameter in self.parameters])
        xp = array_library(like)
        state = {name: xp.zeros_like(like) for name in ("move", "gradient")}
        state.update({name: xp.zeros((pairs, like.size), like.dtype) for name in ("moves", "changes")})
        return {"iterations": np.zeros((), np.int64), **state}

    def _named_pieces(self, state):
        pieces = {f"{name}.{i}": piece for name in ("move", "gradient", "moves", "changes")
                  for i, piece in enumerate(self._split(state[name]))}
        return {"iterations": state["iterations"], **pieces}

    def state_dict(self):
        """As in the other optimizers: 'moves.0' and 'changes.0' have the shape (pairs kept, *shape of parameter 0)."""
        return {name: np.array(to_numpy(value)) for name, value in self._named_pieces(self.state).items()}

    def load_state_dict(self, state):
        """As in the other optimizers."""
        loaded = self._empty_state(pairs=len(state.get("moves.0", ())))
        _copy_state(state, self._named_pieces(loaded), "LBFGS")
        self.state = loaded


def _gradient_or_zeros(parameter):
    return array_library(parameter.data).zeros_like(parameter.data) if parameter.grad is None else parameter.grad


def _joined(arrays):
    return array_library(*arrays).concatenate([array.reshape(-1) for array in arrays])


def _dot(a, b):
    return float(a @ b)


def _greatest(array):
    return float(abs(array).max())


def _all_within(array, tolerance):
    return _greatest(array) <= tolerance


def _raise_unless_finite(loss):
    if not math.isfinite(loss):
        raise FloatingPointError(f"LBFGS: the loss is {loss}; the parameters stay where they are. Start elsewhere, or "
                                 "find the operation that made it: with minicnn.check_finite(): ...")


def two_loops(vector, moves, changes):
    """The guessed inverse Hessian times a vector (P,), from the pairs moves, changes (pairs, P), oldest first.

    Nocedal & Wright, algorithm 7.4, with the scale of eq. 7.20 for what lies outside the pairs.
    """
    inverse_curvatures = [1 / _dot(s, y) for s, y in zip(moves, changes)]
    pairs = list(zip(moves, changes, inverse_curvatures))
    shares = []
    for s, y, rho in reversed(pairs):
        shares.append(rho * _dot(s, vector))
        vector = vector - shares[-1] * y
    if pairs:
        s, y, _ = pairs[-1]
        vector = vector * (_dot(s, y) / _dot(y, y))
    for (s, y, rho), share in zip(pairs, reversed(shares)):
        vector = vector + (share - rho * _dot(y, vector)) * s
    return vector


class _Point(NamedTuple):
    """A point on the line that is searched: how far along it, and the loss, its gradient and its slope there."""
    length: float
    loss: float
    gradient: object
    slope: float


SUFFICIENT_DECREASE = 1e-4      # c1 and c2 of the Wolfe conditions, Nocedal & Wright eq. 3.7
CURVATURE = .9


def strong_wolfe(along, start, length, tolerance=0., trials=25):
    """A point on a line where the loss is enough lower and the slope enough flatter than at its start.

    along(length)  evaluates the loss there: a _Point
    start          the _Point of length 0; its slope is negative
    length         the first length to try
    tolerance      stop when the minimum is known to lie between two lengths closer than this
    trials         how many lengths are tried at most, >= 1

    When no such point was found, the best of the last two is returned.  Nocedal & Wright, algorithm 3.5.
    """
    previous, trial = start, _tried(along, length)
    for used in range(1, trials):
        if _too_high(start, trial) or (used > 2 and trial.loss >= previous.loss):
            return _zoom(along, start, (previous, trial), tolerance, trials - used)
        if _flat(start, trial):
            return trial
        if trial.slope >= 0:
            return _zoom(along, start, (previous, trial), tolerance, trials - used)
        previous, trial = trial, _tried(along, _further(previous, trial))
    return _lowest_first(start, trial)[0]


def _zoom(along, start, ends, tolerance, trials):
    """Narrow an interval that holds such a point.  Nocedal & Wright, algorithm 3.6."""
    low, high = _lowest_first(*ends)
    stalled = False
    while trials > 0 and abs(high.length - low.length) >= tolerance:
        length, stalled = _between(low, high, stalled)
        trial, trials = _tried(along, length), trials - 1
        if _too_high(start, trial) or trial.loss >= low.loss:
            low, high = _lowest_first(low, trial)
        elif _flat(start, trial):
            return trial
        else:
            low, high = trial, low if trial.slope * (high.length - low.length) >= 0 else high
    return low


def _lowest_first(a, b):
    return (a, b) if a.loss <= b.loss else (b, a)


def _tried(along, length):
    """The point there; a NaN counts as infinitely high, so that the search turns back."""
    point = along(length)
    return point._replace(loss=math.inf) if math.isnan(point.loss) else point


def _too_high(start, trial):
    return trial.loss > start.loss + SUFFICIENT_DECREASE * trial.length * start.slope


def _flat(start, trial):
    return abs(trial.slope) <= -CURVATURE * start.slope


def _further(previous, trial):
    """A length beyond the trial: where the cubic has its minimum, but at least a little and at most tenfold."""
    least = trial.length + .01 * (trial.length - previous.length)
    return _cubic_minimum(previous, trial, least, 10 * trial.length)


def _between(low, high, stalled):
    """(length, stalled): the cubic's minimum, but kept off the ends when it comes near one for the second time."""
    left, right = sorted((low.length, high.length))
    length, margin = _cubic_minimum(low, high, left, right), .1 * (right - left)
    if min(right - length, length - left) >= margin:
        return length, False
    if stalled or length >= right or length <= left:
        return (right - margin if right - length < length - left else left + margin), False
    return length, True


def _cubic_minimum(a, b, least, most):
    """Where the cubic through two points, with their slopes, has its minimum: within [least, most], or its middle.

    Nocedal & Wright, eq. 3.59.
    """
    a, b = sorted((a, b), key=lambda point: point.length)
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.length - b.length)
    radicand = d1 * d1 - a.slope * b.slope
    d2 = math.sqrt(radicand) if radicand >= 0 else math.nan
    denominator = b.slope - a.slope + 2 * d2
    if denominator == 0 or not math.isfinite(denominator) or not math.isfinite(d1):
        return (least + most) / 2
    length = b.length - (b.length - a.length) * ((b.slope + d2 - d1) / denominator)
    return min(max(length, least), most)


# ---- gradients clipped, weights averaged -----------------------------------------------------------------------------

def clip_grad_norm(parameters, max_norm):
    """Scale all gradients by one factor so that their common L2 norm is at most max_norm; returns the norm before.

    As in PyTorch the factor is max_norm / (norm + 1e-6).  Parameters without a gradient have no say.
    Raises FloatingPointError when the norm is NaN or infinite, before anything is changed.
    """
    _require(max_norm > 0, f"clip_grad_norm: max_norm must be > 0, not {max_norm!r}")
    wanted = [p for p in _checked_parameters(parameters, "clip_grad_norm") if p.grad is not None]
    norm = math.sqrt(sum(_dot(p.grad.reshape(-1), p.grad.reshape(-1)) for p in wanted))
    if not math.isfinite(norm):
        raise FloatingPointError(f"clip_grad_norm: the norm of the gradients is {norm}")
    if norm + 1e-6 > max_norm:
        for parameter in wanted:
            parameter.grad *= float(max_norm) / (norm + 1e-6)
    return norm


def clip_grad_value(parameters, limit):
    """Clip every element of the gradients to [-limit, limit]."""
    _require(limit > 0, f"clip_grad_value: limit must be > 0, not {limit!r}")
    for parameter in _checked_parameters(parameters, "clip_grad_value"):
        if parameter.grad is not None:
            parameter.grad = array_library(parameter.grad).clip(parameter.grad, -float(limit), float(limit))


class WeightAverage(_Remembering):
    """An exponential moving average of weights, which often classifies better than the weights of the last step.

        average <- d average + (1 - d) w        d = min(decay, (1 + t) / (10 + t)) in the update number t = 0, 1, ...

    The smaller d of the first updates keeps the starting weights from staying in the average for long.

    parameters  as in Optimizer
    decay       in [0, 1), for example .999: the average looks back over about 1 / (1 - decay) updates
    """

    def __init__(self, parameters, decay=.999):
        super().__init__(parameters)
        _require(0 <= decay < 1, f"WeightAverage: decay must be in [0, 1), not {decay!r}")
        self.decay = float(decay)
        self.state = {f"average.{i}": parameter.data.copy() for i, parameter in enumerate(self.parameters)}
        self.state["updates"] = np.zeros((), np.int64)

    def update(self):
        """Take the present weights into the average: call it after each step of the optimizer."""
        t = int(self.state["updates"])
        share = 1 - min(self.decay, (1 + t) / (10 + t))
        self.state["updates"] += 1
        for parameter, average in zip(self.parameters, self._averages()):
            average += share * (parameter.data - average)

    def averaged(self):
        """The averages: a list of arrays (copies), one for each parameter."""
        return [average.copy() for average in self._averages()]

    def _averages(self):
        return [self.state[f"average.{i}"] for i in range(len(self.parameters))]


# ---- schedules: the learning rate as a function of the step ----------------------------------------------------------

@dataclass(frozen=True)
class OneCycle:
    """Up to the peak, then far down: the one-cycle policy (Smith & Topin 2018, arXiv:1708.07120).

        peak                  . -- .
                           .          .
        peak/25          .               .  _
                       |--- warmup ---|        ` - . _   peak/25/1e4
                       0                               steps - 1

    peak      the greatest learning rate
    steps     how many steps the run has; step 0 is the first, steps - 1 the last, and later ones stay at its value
    warmup    share of the steps that go up, 0 <= warmup < 1
    anneal    "cosine" or "linear": the form of both slopes
    start_divisor, end_divisor  the run starts at peak/start_divisor and ends at that divided by end_divisor

    The numbers are those of PyTorch's OneCycleLR with two phases.
    """
    peak: float
    steps: int
    warmup: float = .3
    anneal: str = "cosine"
    start_divisor: float = 25.
    end_divisor: float = 1e4

    def __post_init__(self):
        _require(self.peak > 0, f"OneCycle: peak must be > 0, not {self.peak!r}")
        _require(self.steps >= 1, f"OneCycle: steps must be at least 1, not {self.steps!r}")
        _require(0 <= self.warmup < 1, f"OneCycle: warmup is a share of the steps in [0, 1), not {self.warmup!r}")
        _require(self.anneal in _SLOPES, f"OneCycle: anneal must be 'cosine' or 'linear', not {self.anneal!r}")

    def __call__(self, step):
        """The learning rate of this step."""
        slope = _SLOPES[self.anneal]
        first, top, last = self.peak / self.start_divisor, self.warmup * self.steps - 1, self.steps - 1
        if step < top:
            return slope(first, self.peak, step / top)
        return slope(self.peak, first / self.end_divisor, (min(step, last) - top) / (last - top))


def _cosine(start, end, share):
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _linear(start, end, share):
    return start + (end - start) * share


_SLOPES = {"cosine": _cosine, "linear": _linear}


@dataclass(frozen=True)
class Cosine:
    """Half a cosine down to the floor, after a linear warm-up (Loshchilov & Hutter 2017, arXiv:1608.03983).

        peak            . - .
                      /       `.
                    /            `.
        floor     /                 ` - . _____
                  0  warmup_steps       steps

    peak          the greatest learning rate
    steps         where the floor is reached, warm-up included; later steps stay there
    warmup_steps  steps that go up: peak/warmup_steps, 2 peak/warmup_steps, ..., peak
    floor         the last learning rate
    """
    peak: float
    steps: int
    warmup_steps: int = 0
    floor: float = 0.

    def __post_init__(self):
        _require(self.peak > 0, f"Cosine: peak must be > 0, not {self.peak!r}")
        _require(0 <= self.floor <= self.peak, f"Cosine: floor must be in 0..peak, not {self.floor!r}")
        _require(0 <= self.warmup_steps < self.steps, "Cosine: needs 0 <= warmup_steps < steps, "
                 f"not warmup_steps={self.warmup_steps!r}, steps={self.steps!r}")

    def __call__(self, step):
        """The learning rate of this step."""
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        share = (min(step, self.steps) - self.warmup_steps) / (self.steps - self.warmup_steps)
        return _cosine(self.peak, self.floor, share)


@dataclass(frozen=True)
class StepDecay:
    """Stairs down: after every `every` steps the learning rate is multiplied by `factor`.

        lr         ------.
                         '------.
                                '------
                   0   every  2 every
    """
    lr: float
    every: int
    factor: float = .1

    def __post_init__(self):
        _require(self.lr > 0, f"StepDecay: lr must be > 0, not {self.lr!r}")
        _require(self.every >= 1, f"StepDecay: every must be at least 1, not {self.every!r}")
        _require(self.factor > 0, f"StepDecay: factor must be > 0, not {self.factor!r}")

    def __call__(self, step):
        """The learning rate of this step."""
        return self.lr * self.factor ** (step // self.every)
