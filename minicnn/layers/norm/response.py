"""Local response norm: each number divided by the energy of its neighbouring channels, at the same pixel.

    y[c] = x[c] / (k + alpha/size * sum of x[j]^2) ** beta          over the `size` channels j around c

Older than the other norms (AlexNet, 2012): it has no mean, no variance and nothing to learn.
"""
from ...core.backend import array_library
from ...core.kernels import Kernels, in_c_order, runs_kernels
from ...core.tensor import differentiable
from ...core.threads import matmul
from ..algorithm import wants_naive
from ..module import Module

kernels = Kernels(__file__, "response.cu")


@differentiable
def local_response_norm(x, size, alpha=1e-4, beta=.75, k=1.0, algorithm="auto"):
    """Divide each number by the energy of `size` neighbouring channels at the same pixel:   x (..., C)   ->   y like x

        y[c] = x[c] / (k + alpha/size * sum of x[j]^2) ** beta        over j = c - size//2 ... c + (size - 1)//2

    where channels outside 0 .. C - 1 count as zero.  This is PyTorch's meaning of alpha and of an even size; ONNX has
    the same alpha, but puts the larger half of an even window to the right.  The AlexNet paper does not divide alpha by
    size: its alpha = 1e-4, n = 5, k = 2 is size=5, alpha=5e-4, k=2 here.

    algorithm  "auto", the quickest, or "naive", the definition
    Source: Krizhevsky, Sutskever and Hinton 2012, section 3.3.
    Raises ValueError when size is below 1 or the algorithm unknown.
    """
    if size < 1:
        raise ValueError(f"local_response_norm: size, the channels in a window, must be at least 1, not {size}")
    alpha, beta, k = float(alpha), float(beta), float(k)            # a NumPy float64 would turn float32 into float64
    if wants_naive("local_response_norm", algorithm):
        return _naive(x, size, alpha, beta, k)
    return (_by_kernel if runs_kernels(x) else _by_products)(x, size, alpha, beta, k)


def _naive(x, size, alpha, beta, k):
    """The definition, channel by channel.  What a channel takes from its window, the window gets back from its gradient."""
    xp = array_library(x)
    energy, y = xp.empty_like(x), xp.empty_like(x)
    windows = [slice(max(0, c - size // 2), c + (size - 1) // 2 + 1) for c in range(x.shape[-1])]
    for c, window in enumerate(windows):
        energy[..., c] = k + alpha / size * (x[..., window] ** 2).sum(axis=-1)
        y[..., c] = x[..., c] / energy[..., c] ** beta

    def grad_x(dy):
        dx = dy / energy ** beta                                    # through the numerator
        denergy = dy * x * -beta / energy ** (beta + 1)
        for c, window in enumerate(windows):                        # windows overlap: += and never =
            dx[..., window] += denergy[..., c, None] * alpha / size * 2 * x[..., window]
        return dx
    return y, (grad_x,)


def _by_products(x, size, alpha, beta, k):
    """All windows at once: their sums are a matrix product with a band of ones."""
    window = _band(size, x)                                                               # (C, C) of zeros and ones
    energy = k + _over_channels(x * x, window) * (alpha / size)
    inverse = energy ** -beta
    y = x * inverse

    def grad_x(dy):
        # x[c] reaches y[c] through the numerator, and through the energy every y whose window holds it
        through_energy = _over_channels(dy * y / energy, window.T)
        return dy * inverse - x * through_energy * (2 * alpha * beta / size)
    return y, (grad_x,)


def _over_channels(x, window):
    """x (..., C) times window (C, C)."""
    return matmul(x.reshape(-1, len(window)), window).reshape(x.shape)


def _band(size, x):
    """A matrix with ones where y[c] looks at channel j, at [j, c]: x @ band is the sum over the window."""
    channel = array_library(x).arange(x.shape[-1])
    ahead = channel[:, None] - channel                                                    # of channel j before c
    return ((-(size // 2) <= ahead) & (ahead <= (size - 1) // 2)).astype(x.dtype)


def _by_kernel(x, *numbers):
    """By response.cu;   numbers: size, alpha, beta, k"""
    xp, x = array_library(x), in_c_order(x)
    y, energy = xp.empty((2, *x.shape), x.dtype)
    kernels.launch("response_norm", x.size, x, y, energy, x.size, x.shape[-1], *numbers)

    def grad_x(dy):
        dx = xp.empty(x.shape, x.dtype)
        kernels.launch("response_norm_gradient", x.size, x, in_c_order(dy), y, energy, dx, x.size, x.shape[-1],
                       *numbers[:3])
        return dx
    return y, (grad_x,)


class LocalResponseNorm(Module):
    """local_response_norm with its constants.   (..., C) -> the same"""

    def __init__(self, size, alpha=1e-4, beta=.75, k=1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x):
        return local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def __repr__(self):
        return f"LocalResponseNorm({self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k})"
