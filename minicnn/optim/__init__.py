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
from .adam import Adam, AdamW
from .average import WeightAverage
from .base import Optimizer
from .clip import clip_grad_norm, clip_grad_value
from .lbfgs import LBFGS, two_loops
from .line_search import strong_wolfe
from .schedule import Cosine, OneCycle, StepDecay
from .sgd import SGD
