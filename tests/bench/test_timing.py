"""Timing: what each operation and each rule reports."""
import time

import numpy as np

from minicnn.bench.timing import timing
from minicnn.core import arithmetic
from minicnn.core.tensor import differentiable, tensor


def leaf(*shape):
    return tensor(np.ones(shape), requires_grad=True)


    x, frozen, reports = leaf(2, 3), tensor(np.ones(3)), []
    with timing(lambda *report: reports.append(report)):
        y = arithmetic.stack([x * frozen, x]).sum()
        y.backward()
    assert [report[:3] for report in reports] == [
        ("multiply", "forward", ((2, 3), (3,))), ("stack", "forward", ((2, 3), (2, 3))), ("sum", "forward", ((2, 2, 3),)),
        ("sum", "gradient of x", ((2, 2, 3),)), ("stack", "gradient of arrays", ((2, 3), (2, 3))),
        ("stack", "gradient of arrays", ((2, 3), (2, 3))), ("multiply", "gradient of a", ((2, 3), (3,)))]
    assert all(seconds >= 0 for *_, seconds in reports)
    assert x.grad.tolist() == [[2] * 3] * 2


def test_the_seconds_are_those_of_the_function():
    reports = []

    @differentiable
    def slow(x):
        time.sleep(.02)
        return x, (lambda dy: dy,)
    with timing(lambda *report: reports.append(report)):
        slow(leaf(2)).backward([1., 1.])
    assert reports[0][3] >= .02


def test_a_parameter_without_a_rule_stays_without():
    @differentiable
    def chosen(x, index):
        return x * 2, (lambda dy: 2 * dy, None)
    x, index, reports = leaf(2), leaf(2), []
    with timing(lambda *report: reports.append(report)):
        chosen(x, index).backward([1., 1.])
    assert [what for _, what, *_ in reports] == ["forward", "gradient of x"] and index.grad is None


def test_timing_is_off_outside():
    reports = []
    with timing(lambda *report: reports.append(report)):
        pass
    (leaf(2) * 2).sum().backward()
    assert reports == []
