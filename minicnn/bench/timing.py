"""How long each operation takes, and each of its gradient rules."""
import contextlib
import functools
import time

from ..core.tensor import instrumented


@contextlib.contextmanager
def timing(report):
    """Within it, each operation, and later each gradient rule of it, calls report(name, what, shapes, seconds).

    name     of the operation
    what     "forward", or "gradient of x" for the rule of its parameter x
    shapes   of all arrays that the operation was given: a tuple of shapes
    seconds  on the clock.  (A GPU works on after the call: there it is the time of handing out the work.)
    """
    with instrumented(functools.partial(_timed, report)):
        yield


def _timed(report, operation, name, parameters):
    """The same operation; it and its rules report how long they took.  (What came in by *arrays has that one name.)"""
    def timed(*arrays, **options):
        shapes = tuple(tuple(a.shape) for a in arrays if hasattr(a, "shape"))

        def clocked(function, what):
            def call(*arguments, **options):
                started = time.perf_counter()
                result = function(*arguments, **options)
                report(name, what, shapes, time.perf_counter() - started)
                return result
            return call
        output, rules = clocked(operation, "forward")(*arrays, **options)
        return output, tuple(rule and clocked(rule, f"gradient of {parameters[min(i, len(parameters) - 1)]}")
                             for i, rule in enumerate(rules))
    return timed
