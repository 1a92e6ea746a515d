"""The fully connected layer: every output sees every input."""
from ..core.arithmetic import product
from ..core.tensor import Tensor, differentiable
from . import init
from .module import Module


@differentiable
def dense(x, weight, bias=None):
    """y = x W + b.

    x (N, in)   weight (in, out)   bias (out,)   ->   y (N, out)
    Raises ValueError when the sizes do not fit together.
    """
    if x.ndim != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[0]:
        raise ValueError(f"dense: x {x.shape} and weight {weight.shape} do not fit: x is (N, in), weight (in, out); "
                         "flatten images first")
    if bias is not None and bias.shape != weight.shape[1:]:
        raise ValueError(f"dense: bias {bias.shape} should be {weight.shape[1:]}, one number an output")
    y = product(x, weight)
    if bias is not None:
        y += bias

    def grad_x(dy):
        return product(dy, weight.T)

    def grad_weight(dy):
        return product(x.T, dy)

    def grad_bias(dy):
        return dy.sum(axis=0)
    return y, (grad_x, grad_weight, grad_bias)


class Dense(Module):
    """dense with its weight (in, out) and bias (out,), initialised after He et al. 2015; rng a Generator or a seed."""

    def __init__(self, in_features, out_features, bias=True, rng=None):
        super().__init__()
        self.weight = Tensor(init.kaiming((in_features, out_features), rng), requires_grad=True)
        self.bias = Tensor(init.zeros((out_features,)), requires_grad=True) if bias else None

    def forward(self, x):
        return dense(x, self.weight, self.bias)

    def multiply_adds(self, x_shape, y_shape):
        """For one input."""
        return self.weight.size

    def __repr__(self):
        return f"Dense({', '.join(map(str, self.weight.shape))})"
