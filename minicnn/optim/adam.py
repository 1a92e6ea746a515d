"""Adam and AdamW: each number gets a step of its own size."""
import math
from functools import partial

import numpy as np

from ..core.backend import array_library
from .base import Optimizer, require
from .blocks import in_blocks, in_one_kernel, kernels, penalised, scratch


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
        require(len(betas) == 2 and all(0 <= b < 1 for b in betas),
                f"{name}: betas must be two numbers in [0, 1), not {betas!r}")
        require(eps > 0, f"{name}: eps must be > 0, not {eps!r}")
        require(weight_decay >= 0, f"{name}: weight_decay must be >= 0, not {weight_decay!r}")
        self.betas, self.eps, self.weight_decay = tuple(map(float, betas)), float(eps), float(weight_decay)
        self._remember("mean")
        self._remember("square")
        self.state.update({f"count.{i}": np.zeros((), np.int64) for i in range(len(self.parameters))})

    def update(self, i, weight, gradient):
        """One step of weight number i, in place, against its gradient (equations of algorithm 1)."""
        mean, square, count = (self.state[f"{name}.{i}"] for name in ("mean", "square", "count"))
        count += 1
        if in_one_kernel(weight, mean, square, gradient):
            b1, b2 = self.betas
            kernels.launch("adam", weight.size, weight, mean, square, gradient, weight.size, b1, 1 - b1, b2, 1 - b2,
                           *self._corrected(int(count)), *self._decays())
            return
        in_blocks(partial(self._adapt, int(count)), [weight, mean, square], [gradient])

    def _adapt(self, t, weight, mean, square, gradient):
        """Step number t, for one block.  (steps.cu has the same for the GPU.)"""
        xp, step, (b1, b2), (length, eps) = array_library(weight), scratch("step", weight), self.betas, self._corrected(t)
        gradient = self._with_decay(weight, gradient)
        mean *= b1
        mean += xp.multiply(gradient, 1 - b1, out=step)
        square *= b2
        xp.multiply(gradient, gradient, out=step)
        square += xp.multiply(step, 1 - b2, out=step)
        xp.sqrt(square, out=step)
        step += eps
        xp.divide(mean, step, out=step)
        weight -= xp.multiply(step, length, out=step)

    def _corrected(self, t):
        """(step, eps) of step number t: both roots of the correction taken out of the division (the paper, section 2):

        lr m' / (sqrt(v') + eps)  =  lr c / (1 - b1^t)  *  m / (sqrt(v) + c eps)        c = sqrt(1 - b2^t)
        """
        b1, b2 = self.betas
        c = math.sqrt(1 - b2 ** t)
        return self.lr * c / (1 - b1 ** t), c * self.eps

    def _decays(self):
        """(how much of the weight is added to the gradient, what the weight is multiplied with)"""
        return self.weight_decay, 1.

    def _with_decay(self, weight, gradient):
        return penalised(gradient, weight, self.weight_decay, out=scratch("gradient", weight))


class AdamW(Adam):
    """Adam whose weight decay does not pass through the division: w <- (1 - lr weight_decay) w, then Adam's step.

    Loshchilov & Hutter 2019, arXiv:1711.05101.  Parameters as in Adam.
    """

    def __init__(self, parameters, lr=1e-3, betas=(.9, .999), eps=1e-8, weight_decay=.01):
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def _decays(self):
        return 0., 1 - self.lr * self.weight_decay

    def _with_decay(self, weight, gradient):
        weight *= 1 - self.lr * self.weight_decay
        return gradient
