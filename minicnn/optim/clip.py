"""Gradients kept from growing too large."""
import math

from ..core.backend import array_library
from ..core.threads import in_parallel
from .base import checked_parameters, require
from .blocks import dot


def clip_grad_norm(parameters, max_norm):
    """Scale all gradients by one factor so that their common L2 norm is at most max_norm; returns the norm before.

    As in PyTorch the factor is max_norm / (norm + 1e-6).  Parameters without a gradient have no say.
    Raises FloatingPointError when the norm is NaN or infinite, before anything is changed.
    """
    require(max_norm > 0, f"clip_grad_norm: max_norm must be > 0, not {max_norm!r}")
    gradients = _gradients(parameters, "clip_grad_norm")
    norm = math.sqrt(sum(in_parallel(_squared_norm, gradients)))
    if not math.isfinite(norm):
        raise FloatingPointError(f"clip_grad_norm: the norm of the gradients is {norm}")
    if norm + 1e-6 > max_norm:
        for gradient in gradients:
            gradient *= float(max_norm) / (norm + 1e-6)
    return norm


def clip_grad_value(parameters, limit):
    """Clip every element of the gradients to [-limit, limit], in place."""
    require(limit > 0, f"clip_grad_value: limit must be > 0, not {limit!r}")
    for gradient in _gradients(parameters, "clip_grad_value"):
        array_library(gradient).clip(gradient, -float(limit), float(limit), out=gradient)


def _squared_norm(array):
    flat = array.reshape(-1)
    return dot(flat, flat)


def _gradients(parameters, owner):
    return [parameter.grad for parameter in checked_parameters(parameters, owner) if parameter.grad is not None]
