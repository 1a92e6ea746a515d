"""What the layers with a learned scale (`weight`) and offset (`bias`) for each channel have in common."""
from ...core.backend import array_library
from ...core.tensor import Tensor
from .. import init
from ..module import Module


class Affine(Module):
    """Base of the layers with one learned scale, first 1, and offset, first 0, a channel."""

    def __init__(self, channels, eps):
        super().__init__()
        self.weight = Tensor(init.ones((channels,)), requires_grad=True)
        self.bias = Tensor(init.zeros((channels,)), requires_grad=True)
        self.eps = eps


def check_channels(operation, x, **parameters):
    """Raises ValueError for a parameter that has not one value per channel of x (..., C); None has no say."""
    for name, values in parameters.items():
        if values is not None and values.shape != x.shape[-1:]:
            raise ValueError(f"{operation}: {name} has shape {values.shape}, x {x.shape}: "
                             f"it must be ({x.shape[-1]},), one value per channel (the last axis)")


def inverse_deviation(variance, eps):
    """1 / sqrt(variance + eps)"""
    return 1 / array_library(variance).sqrt(variance + float(eps))


def sum_over_leading(x, kept=1):
    """The sum over all axes but the last (or the last `kept`), (C,): one axis after the other.

    A float32 sum of n numbers added one by one loses digits with n.  128 images of 32 x 32 pixels make sums of 128, 32
    and 32 numbers instead of one of 131072, and NumPy adds whole images faster than rows of C numbers.
    """
    while x.ndim > kept:
        x = x.sum(axis=0)
    return x
