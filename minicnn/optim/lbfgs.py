"""L-BFGS: Newton's method for many unknowns, with the curvature guessed from what the last steps met."""
import math
import traceback

import numpy as np

from ..core.backend import array_library, to_numpy
from .base import Optimizer, copy_state, require
from .blocks import add_scaled, dot
from .line_search import Point, strong_wolfe


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
        require(max_iter >= 1, f"LBFGS: max_iter must be at least 1, not {max_iter!r}")
        require(history >= 1, f"LBFGS: history must be at least 1, not {history!r}")
        require(max_evaluations is None or max_evaluations >= 1,
                f"LBFGS: max_evaluations must be at least 1, not {max_evaluations!r}")
        require(line_search in ("strong_wolfe", None),
                f"LBFGS: line_search must be 'strong_wolfe' or None, not {line_search!r}")
        self.max_iter, self.history, self.line_search = max_iter, history, line_search
        self.tolerance_grad, self.tolerance_change = tolerance_grad, tolerance_change
        self.max_evaluations = max_evaluations or max(max_iter * 5 // 4, 25)
        self.state = self._as_rows(self._empty_state(pairs=0))

    def step(self, closure):
        """Make up to max_iter iterations; returns the loss tensor of the first evaluation, before any move.

        closure() computes the loss, calls its backward() and returns it; gradients are forgotten before each call.
        Raises RuntimeError when it leaves no gradient, or a graph that still needs the parameters, and FloatingPointError
        when the loss is NaN or infinite where a search for the next point would start.
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
            start = Point(0., loss, gradient, dot(gradient, direction))
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
            return Point(length, float(loss), gradient, dot(gradient, direction))

        try:
            reached = self._search(along, start, length, _greatest(direction), last)
        except BaseException as error:           # a NaN that check_finite() met, or Ctrl-C
            traceback.clear_frames(error.__traceback__)               # the graph begun there still needs the parameters
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
        return two_loops(-gradient, state["moves"], state["changes"], state["curvatures"])

    def _learn(self, move, change):
        """Keep a pair, the oldest making room, if the curvature along the move is positive."""
        curvature = dot(move, change)
        if curvature <= 1e-10:
            return
        for name, row in (("moves", move), ("changes", change), ("curvatures", curvature)):
            self.state[name].append(row)
            del self.state[name][:-self.history]

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
        for i, (parameter, piece) in enumerate(zip(self.parameters, self._split(flat))):
            self.require_changeable(i, parameter)
            parameter.data[...] = piece

    def _empty_state(self, pairs):
        """What is saved.  move, gradient (P,): of the last iteration; moves, changes (pairs, P): the history, oldest first.
        """
        like = _joined([parameter.data for parameter in self.parameters])
        xp = array_library(like)
        state = {name: xp.zeros_like(like) for name in ("move", "gradient")}
        state.update({name: xp.zeros((pairs, like.size), like.dtype) for name in ("moves", "changes")})
        return {"iterations": np.zeros((), np.int64), **state}

    def _as_rows(self, state):
        """The same with lists for matrices, which it takes out: a new pair comes, and an old one goes, by itself."""
        rows = {name: [row.copy() for row in state.pop(name)] for name in ("moves", "changes")}
        return {**state, **rows, "curvatures": [dot(s, y) for s, y in zip(*rows.values())]}

    def _as_matrices(self, state):
        """The other way round, a copy: as it is saved."""
        saved = self._empty_state(pairs=len(state["moves"]))
        for name in ("iterations", "move", "gradient"):
            saved[name][...] = state[name]
        for name in ("moves", "changes"):
            for i, row in enumerate(state[name]):
                saved[name][i] = row
        return saved

    def _named_pieces(self, state):
        pieces = {f"{name}.{i}": piece for name in ("move", "gradient", "moves", "changes")
                  for i, piece in enumerate(self._split(state[name]))}
        return {"iterations": state["iterations"], **pieces}

    def state_dict(self):
        """As in the other optimizers: 'moves.0' and 'changes.0' have the shape (pairs kept, *shape of parameter 0)."""
        pieces = self._named_pieces(self._as_matrices(self.state))
        return {name: np.asarray(to_numpy(piece), order="C") for name, piece in pieces.items()}

    def load_state_dict(self, state):
        """As in the other optimizers."""
        loaded = self._empty_state(pairs=len(state.get("moves.0", ())))
        copy_state(state, self._named_pieces(loaded), "LBFGS")
        self.state = self._as_rows(loaded)


def _gradient_or_zeros(parameter):
    return array_library(parameter.data).zeros_like(parameter.data) if parameter.grad is None else parameter.grad


def _joined(arrays):
    return array_library(*arrays).concatenate([array.reshape(-1) for array in arrays])


def _greatest(array):
    """The largest absolute value."""
    return max(float(array.max()), -float(array.min()))


def _all_within(array, tolerance):
    return _greatest(array) <= tolerance


def _raise_unless_finite(loss):
    if not math.isfinite(loss):
        raise FloatingPointError(f"LBFGS: the loss is {loss}; the parameters stay where they are. Start elsewhere, or "
                                 "find the operation that made it: with minicnn.check_finite(): ...")


def two_loops(vector, moves, changes, curvatures=None):
    """The guessed inverse Hessian times a vector (P,), from the pairs moves, changes (pairs, P), oldest first.

    curvatures  the product of each move with its change, where these numbers are known already

    Nocedal & Wright, algorithm 7.4, with the scale of eq. 7.20 for what lies outside the pairs.
    """
    curvatures = curvatures or [dot(s, y) for s, y in zip(moves, changes)]
    pairs, vector, shares = list(zip(moves, changes, curvatures)), vector.copy(), []
    for s, y, curvature in reversed(pairs):
        shares.append(dot(s, vector) / curvature)
        add_scaled(vector, -shares[-1], y)
    if pairs:
        vector *= curvatures[-1] / dot(changes[-1], changes[-1])
    for (s, y, curvature), share in zip(pairs, reversed(shares)):
        add_scaled(vector, share - dot(y, vector) / curvature, s)
    return vector
