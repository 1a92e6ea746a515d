"""Where the time of a work goes: by operation, by direction and by shape."""
import statistics
import time

from .timing import timing

WARM_UP, LEAST, SECONDS = 3, 3, 25               # rounds that do not count, rounds at least, about the time for all


def profiled(prepare, rounds):
    """{"ms": a round, "rest_ms": what no operation took, "rows": [{"operation", "what", "shapes", "calls", "ms"}, ...]}

    prepare() returns the round.  Medians over at most `rounds` of them; rows from the longest to the shortest.
    """
    log, seen = _Log(), []
    with timing(log):
        run = prepare()
        for _ in range(WARM_UP):
            run()
        end = time.perf_counter() + SECONDS
        while len(seen) < rounds and (len(seen) < LEAST or time.perf_counter() < end):
            log.reports.clear()
            start = time.perf_counter()
            run()
            seen.append((1e3 * (time.perf_counter() - start), _by_operation(log.reports)))
    return _medians(seen)


class _Log:
    """Keeps what is reported.  Every gradient rule has it at hand, and none of its arrays."""
    held_attributes = ()                         # so nobody searches it for them (see core/locks.py)

    def __init__(self):
        self.reports = []

    def __call__(self, *report):
        self.reports.append(report)


def _by_operation(reports):
    """{(operation, what, shapes): [calls, milliseconds]} of one round."""
    found = {}
    for *key, seconds in reports:
        entry = found.setdefault(tuple(key), [0, 0.])
        entry[0] += 1
        entry[1] += 1e3 * seconds
    return found


def _medians(seen):
    rows = [{"operation": operation, "what": what, "shapes": shapes, "calls": calls,
             "ms": statistics.median(found[operation, what, shapes][1] for _, found in seen)}
            for (operation, what, shapes), (calls, _) in seen[0][1].items()]
    return {"rows": sorted(rows, key=lambda row: -row["ms"]), "ms": statistics.median(ms for ms, _ in seen),
            "rest_ms": statistics.median(ms - sum(taken for _, taken in found.values()) for ms, found in seen)}
