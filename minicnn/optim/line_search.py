"""How far to go along a direction: the strong Wolfe conditions.  (Nocedal & Wright, Numerical Optimization, 2006)"""
import math
from typing import NamedTuple


class Point(NamedTuple):
    """A point on the line that is searched: how far along it, and the loss, its gradient and its slope there."""
    length: float
    loss: float
    gradient: object
    slope: float


SUFFICIENT_DECREASE = 1e-4      # c1 and c2 of the Wolfe conditions, Nocedal & Wright eq. 3.7
CURVATURE = .9


def strong_wolfe(along, start, length, tolerance=0., trials=25):
    """A point on a line where the loss is enough lower and the slope enough flatter than at its start.

    along(length)  evaluates the loss there: a Point
    start          the Point of length 0; its slope is negative
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
    while trials > 0 and high.length != low.length and abs(high.length - low.length) >= tolerance:
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
