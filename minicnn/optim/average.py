"""Weights averaged over the steps of a training."""
from functools import partial

import numpy as np

from ..core.backend import array_library
from .base import Stateful, require
from .blocks import in_blocks, in_one_kernel, kernels, scratch


class WeightAverage(Stateful):
    """An exponential moving average of weights, which often classifies better than the weights of the last step.

        average <- d average + (1 - d) w        d = min(decay, (1 + t) / (10 + t)) in the update number t = 0, 1, ...

    The smaller d of the first updates keeps the starting weights from staying in the average for long.

    parameters  as in Optimizer
    decay       in [0, 1), for example .999: the average looks back over about 1 / (1 - decay) updates
    """

    def __init__(self, parameters, decay=.999):
        super().__init__(parameters)
        require(0 <= decay < 1, f"WeightAverage: decay must be in [0, 1), not {decay!r}")
        self.decay = float(decay)
        self.state = {f"average.{i}": parameter.data.copy() for i, parameter in enumerate(self.parameters)}
        self.state["updates"] = np.zeros((), np.int64)

    def update(self):
        """Take the present weights into the average: call it after each step of the optimizer."""
        t = int(self.state["updates"])
        share = 1 - min(self.decay, (1 + t) / (10 + t))
        self.state["updates"] += 1
        for parameter, average in zip(self.parameters, self._averages()):
            if in_one_kernel(average, parameter.data):
                kernels.launch("approach", average.size, average, parameter.data, average.size, share)
            else:
                in_blocks(partial(_approach, share), [average], [parameter.data])

    def averaged(self):
        """The averages: a list of arrays (copies), one for each parameter."""
        return [average.copy() for average in self._averages()]

    def _averages(self):
        return [self.state[f"average.{i}"] for i in range(len(self.parameters))]


def _approach(share, average, weight):
    """average += share (weight - average)"""
    difference = array_library(weight).subtract(weight, average, out=scratch("difference", average))
    difference *= share
    average += difference
