"""What a picture should be: numbers to be made small (or, with a minus, large), as tensors, to be added and weighed."""
from ..arithmetic import abs


def total_variation(x):
    """Mean absolute difference between neighbouring pixels, down and across (Rudin, Osher, Fatemi 1992, with L1).

    x (N, H, W, C)  ->  a single number >= 0: 0 for a flat picture, large for noise.
    """
    return abs(x[:, 1:] - x[:, :-1]).mean() + abs(x[:, :, 1:] - x[:, :, :-1]).mean()


def roughness(x):
    """Mean squared difference between neighbouring pixels, down and across: total variation with L2, gentle on noise.

    x (N, H, W, C)  ->  a single number >= 0.  A side of one pixel has no neighbours and adds nothing.
    """
    down, across = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
    return sum((difference * difference).mean() for difference in (down, across) if 0 not in difference.shape)


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
