"""Gradient descent, with a momentum or without."""
from ..core.backend import array_library
from .base import Optimizer, require
from .blocks import in_blocks, in_one_kernel, kernels, penalised, scratch


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
        require(0 <= momentum < 1, f"SGD: momentum must be in [0, 1), not {momentum!r}")
        require(weight_decay >= 0, f"SGD: weight_decay must be >= 0, not {weight_decay!r}")
        require(momentum > 0 or not nesterov, "SGD: nesterov=True needs a momentum > 0")
        self.momentum, self.nesterov, self.weight_decay = float(momentum), nesterov, float(weight_decay)
        if momentum:
            self._remember("momentum")

    def update(self, i, weight, gradient):
        """One step of weight number i, in place, against its gradient."""
        velocity = self.state.get(f"momentum.{i}")
        if in_one_kernel(weight, gradient):
            kernels.launch("sgd", weight.size, weight, velocity, gradient, weight.size, self.lr, self.momentum,
                           self.nesterov, self.weight_decay)
        elif self.momentum:
            in_blocks(self._roll, [weight, velocity], [gradient])
        else:
            in_blocks(self._walk, [weight], [gradient])

    def _walk(self, weight, gradient):
        step = scratch("step", weight)
        gradient = penalised(gradient, weight, self.weight_decay, out=step)
        weight -= array_library(weight).multiply(gradient, self.lr, out=step)

    def _roll(self, weight, velocity, gradient):
        multiply, step = array_library(weight).multiply, scratch("step", weight)
        gradient = penalised(gradient, weight, self.weight_decay, out=step)
        velocity *= self.momentum
        velocity += gradient
        if self.nesterov:                        # lr (g + momentum v) in two parts
            weight -= multiply(gradient, self.lr, out=step)
            weight -= multiply(velocity, self.lr * self.momentum, out=step)
        else:
            weight -= multiply(velocity, self.lr, out=step)
