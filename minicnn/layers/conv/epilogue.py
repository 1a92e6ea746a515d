"""What comes behind a convolution, done by each algorithm while its block of the output is still in cache."""
import numpy as np

from ...core import tuning
from ...core.backend import array_library, is_gpu_array
from ...core.kernels import fused
from ...core.threads import image_blocks, in_parallel, slices

ACTIVATIONS = (None, "relu")


def check_activation(operation, activation):
    """Raises ValueError for an activation that is not known."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"{operation}: activation must be one of {ACTIVATIONS}, not {activation!r}")


def finish(y, bias, activation):
    """Add bias (K,) or None to y (N, H, W, K), and cut off at zero for activation "relu": both in place."""
    if is_gpu_array(y):
        _finish_on_gpu(y, 0 if bias is None else bias.astype(y.dtype, copy=False), activation)
        return
    if bias is not None:
        y += in_a_row(bias, y.shape[2])
    if activation:
        cut_off(y)


def _finish_on_gpu(y, bias, activation):
    """The same, y read and written once.  (CuPy is good at this: it needs no kernel of ours.  NaN stays NaN.)"""
    if activation:
        fused("T x, T bias", "T y", "y = x + bias < T(0) ? T(0) : x + bias", "add_and_cut_off")(y, bias, y)
    else:
        y += bias


def cut_off(y):
    """max(y, 0), in place.  (NumPy's `clip` takes half the time of its `maximum`.)"""
    array_library(y).clip(y, 0, np.inf, out=y)


def in_a_row(values, pixels):
    """values (K,) repeated for a row of pixels, (pixels, K): one long row is added faster than many short ones."""
    return array_library(values).broadcast_to(values, (pixels, len(values))).copy()


def through_relu(dy, y):
    """The gradient in front of a ReLU whose output was y: dy where y is positive, else 0."""
    if is_gpu_array(dy):
        return fused("T dy, T y", "T dx", "dx = y > T(0) ? dy : T(0)", "through_relu")(dy, y)
    dx = np.empty(y.shape, dy.dtype)

    def block(where):
        np.multiply(dy[where], y[where] > 0, out=dx[where])
    in_parallel(block, image_blocks(*y.shape[:2], tuning.EPILOGUE_BLOCK_BYTES // y[0, 0].nbytes))
    return dx


def sum_over_pixels(dy):
    """The gradient of the bias: (N, H, W, K)  ->  (K,).  Images are added, then rows, then pixels: long runs, short sums."""
    def share(images):
        return dy[images].sum(axis=0).sum(axis=0).sum(axis=0)
    return sum(in_parallel(share, slices(len(dy), tuning.EPILOGUE_SHARES)))
