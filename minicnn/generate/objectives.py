"""What a picture should be: numbers to be made small (or, with a minus, large), as tensors, to be added and weighed."""
import numpy as np

from ..core.arithmetic import abs
from ..core.backend import array_library
from ..core.tensor import differentiable


def total_variation(x):
    """Mean absolute difference between neighbouring pixels, down and across (Rudin, Osher, Fatemi 1992, with L1).

    x (N, H, W, C)  ->  a single number >= 0: 0 for a flat picture, large for noise.
    """
    return abs(x[:, 1:] - x[:, :-1]).mean() + abs(x[:, :, 1:] - x[:, :, :-1]).mean()


@differentiable
def roughness(x):
    """Mean squared difference between neighbouring pixels, down and across: total variation with L2, gentle on noise.

    x (N, H, W, C)  ->  a single number >= 0.  A side of one pixel has no neighbours and adds nothing.
    In one operation, which keeps nothing but x: there is a single array of differences at a time.
    """
    pairs = [(np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:, :, :-1], np.s_[:, :, 1:])]
    pairs = [(before, behind) for before, behind in pairs if x[behind].size]

    def squares(before, behind):
        away = x[behind] - x[before]
        away *= away
        return away.mean()

    def grad_x(dy):
        dx = array_library(x).zeros_like(x)
        for before, behind in pairs:
            away = x[behind] - x[before]
            away *= 2 * dy / away.size
            dx[behind] += away
            dx[before] -= away
        return dx
    return array_library(x).asarray(sum(squares(*pair) for pair in pairs), dtype=x.dtype), (grad_x,)


def unit_activation(y, unit):
    """How strongly one channel of a layer answers: the mean of it over all pictures and pixels.

    y (N, H, W, C) or (N, C), the output of the layer; unit 0 .. C - 1  ->  a single number.
    Source: Erhan, Bengio, Courville and Vincent 2009, Visualizing Higher-Layer Features of a Deep Network, section 3.1 (one
    unit); Olah, Mordvintsev and Schubert 2017, Feature Visualization (the mean of a channel).
    """
    return y[..., unit].mean()


def channel_moments(x):
    """Mean and (biased) variance of each channel over all pictures and pixels:   x (N, H, W, C) or (N, C)  ->  (C,), (C,)"""
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axis=axes)
    centred = x - mean
    return mean, (centred * centred).mean(axis=axes)


def batch_norm_prior(inputs):
    """How far a batch lies, in the eyes of a network's batch norms, from the pictures that it was trained on.

        sum over the layers of  |mean - running_mean|^2 + |variance - running_var|^2

    with the mean and the variance of each channel of what goes into the layer.  It is a statement about the whole batch:
    pictures of all classes together resemble the training pictures, eight cats need not.

    inputs   [(BatchNorm2d, x), ...], x (N, H, W, C) or (N, C) the tensor that goes into it  ->  a single number >= 0

    Source: Yin et al. 2020, Dreaming to Distill (DeepInversion), equation 4.  There the distances are not squared; squares
    have a gradient where the statistics agree.
    """
    total = 0.
    for layer, x in inputs:
        mean, variance = channel_moments(x)
        total = total + _square_distance(mean, layer.running_mean) + _square_distance(variance, layer.running_var)
    return total


def _square_distance(a, b):
    difference = a - b
    return (difference * difference).sum()
