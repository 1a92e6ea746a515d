"""Batch, group and layer norm as their definition: one set of numbers after the other.  Slow, and right by inspection.

    mean = sum of x / m          variance = sum of (x - mean)^2 / m          over the m numbers of a set
    x_hat = (x - mean) / sqrt(variance + eps)          y = weight x_hat + bias

The layers differ in what a set is:

    batch norm    a channel, in all images and pixels
    group norm    a group of channels, in all pixels of an image
    layer norm    the channels of a pixel
"""
from ...core.backend import array_library


def normalize(x, weight, bias, sets, eps):
    """x (..., C), weight and bias (C,)   ->   y like x, and its three gradient rules.   sets: one index into x for each"""
    xp, leading = array_library(x), tuple(range(x.ndim - 1))
    x_hat = xp.empty_like(x)
    for s in sets:
        x_hat[s] = (x[s] - x[s].mean()) / (x[s].var() + float(eps)) ** .5

    def grad_x(dy):
        dx, dx_hat = xp.empty_like(x), dy * weight
        for s in sets:
            dx[s] = _gradient_of_set(x[s], dx_hat[s], float(eps))
        return dx

    def grad_weight(dy):
        return (dy * x_hat).sum(axis=leading)

    def grad_bias(dy):
        return dy.sum(axis=leading)
    return weight * x_hat + bias, (grad_x, grad_weight, grad_bias)


def _gradient_of_set(x, dx_hat, eps):
    """dx of one set.  Each x reaches x_hat on three ways: directly, and through the variance and the mean of its set.

    The gradients of Ioffe and Szegedy 2015, section 3, line by line.
    """
    m, centred = x.size, x - x.mean()
    deviation = (x.var() + eps) ** .5
    dvariance = (dx_hat * centred).sum() * -.5 / deviation ** 3
    dmean = -dx_hat.sum() / deviation - dvariance * 2 * centred.sum() / m
    return dx_hat / deviation + dvariance * 2 * centred / m + dmean / m
