"""What a wrong gradient looks like: from the numbers to the mistake that makes just these.

A case (see gradcheck.py) holds one input's gradient beside the numeric one; each clue is a function of it that returns a
sentence, or None where its mistake is not the one.
"""
import itertools

import numpy as np

from ..core.backend import array_library

ENOUGH_TO_RECOGNISE = 20        # elements compared when the cause of a wrong gradient is looked for


def likely_cause(case):
    """In one sentence what mistake gives just these numbers; None where one cannot tell."""
    clues = (_clue_nothing, _clue_factor, _clue_rearranged, _clue_one_slice, _clue_ones, _clue_constant, _clue_some)
    for clue in clues:
        cause = clue(case)
        if cause:
            return cause
    return None


def _clue_nothing(case):
    if case.missing:
        return "no gradient arrived: this parameter has no rule, or its tensor was detached on the way"
    if not case.gradient.any():
        return "the gradient is zero everywhere"
    return None


def _clue_factor(case):
    """Is the analytic gradient the numeric one times a constant?"""
    factor = float(case.analytic @ case.numeric) / float(case.numeric @ case.numeric or 1)
    if factor == 0 or not case.matches(case.analytic / factor):
        return None
    if abs(factor + 1) < 1e-4:
        return "wrong sign: every element is -1 times what it should be"
    size = abs(factor) if abs(factor) >= 1 else 1 / abs(factor)
    shown = f"{factor:.6g}" if abs(factor) >= 1 else f"1/{size:.6g}"
    return f"a constant factor: every element is {shown} times what it should be" + _where_from(case, size)


def _where_from(case, size):
    """The quantities of this call that equal the factor."""
    x, y = case.gradient, case.subject.y
    known = [(f"the length of axis {k} of the input", n) for k, n in enumerate(x.shape)]
    known += [(f"the length of axis {k} of the output", n) for k, n in enumerate(y.shape)]
    known += [("the size of the input", x.size), ("the size of the output", y.size)]
    found = [name for name, n in known if n > 1 and abs(size - n) < 1e-4 * n]
    found += ["the 2 of a square"] if abs(size - 2) < 1e-4 else []
    return f"; scaled by N = {size:.6g}, {', or '.join(found)}?" if found else ""


def _clue_rearranged(case):
    for how, candidate in _rearrangements(case.gradient):
        if case.matches(candidate.reshape(-1)[case.positions]):
            return f"the right numbers in the wrong places: {how}"
    return None


def _rearrangements(gradient):
    """The gradient transposed, flipped and shifted, each with the name of that mistake."""
    axes = range(gradient.ndim)
    for a, b in itertools.combinations(axes, 2):
        if gradient.shape[a] == gradient.shape[b]:
            yield f"transposed, axes {a} and {b} are exchanged", gradient.swapaxes(a, b)
    for axis in axes:
        yield f"flipped along axis {axis}", np.flip(gradient, axis)
    for pair in itertools.combinations(axes, 2):
        yield f"flipped along axes {pair[0]} and {pair[1]} (a filter turned by 180 degrees)", np.flip(gradient, pair)
    for axis, by in itertools.product(axes, (1, -1)):
        yield f"shifted by {-by} along axis {axis}", _shift(gradient, by, axis)


def _shift(array, by, axis):
    """The array moved by one element; NaN (unknown) where something would have to come in from outside."""
    moved = np.moveaxis(np.roll(array, by, axis).astype(np.float64), axis, 0)
    moved[0 if by > 0 else -1] = np.nan
    return np.moveaxis(moved, 0, axis)


def _clue_one_slice(case):
    """Does the gradient hear of one slice of dy only?  Then a sum over that axis is missing."""
    if not case.analytic[case.few()].any():
        return None
    for axis, n in enumerate(case.dy.shape):
        for k in (0, n - 1) if n > 1 else ():
            if case.explained_by(_only(case.dy, axis, k), case.analytic):
                return ("missing sum over a broadcast axis: this is what "
                        f"element {k} of the output's axis {axis} gives alone")
    return None


def _only(dy, axis, k):
    """dy with everything set to zero but element k of one axis."""
    alone, at = array_library(dy).zeros_like(dy), (slice(None),) * axis + (k,)
    alone[at] = dy[at]
    return alone


def _clue_ones(case):
    ones = array_library(case.dy).ones_like(case.dy)
    gradient = case.subject.gradients(ones)[case.i]
    if case.explained_by(ones, gradient.reshape(-1)[case.positions]):
        return "right only for an upstream gradient of ones: the rule must use every element of dy"
    return None


def _clue_constant(case):
    if case.gradient.size > 1 and np.ptp(case.gradient) == 0:
        return "the gradient is the same number everywhere"
    return None


def _clue_some(case):
    wrong, total = int(case.wrong.sum()), len(case.wrong)
    if wrong == 1 and total > 2:
        return "only this element is wrong, all others are right: a special case, a border?"
    if wrong < total:
        return f"some elements right ({total - wrong}), others wrong ({wrong}): `=` where `+=` is needed, or a border?"
    return None
