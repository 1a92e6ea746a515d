"""What a picture is made of, wherever in it: the statistics of its feature maps, and how far two of them are apart.

All of them forget places.  The mean of each channel and the mean of the products of each two of them, the Gram matrix, are
enough for four of the six losses here, and they are sums over pixels: so they can be gathered from parts of a picture, from
masked regions, and from several pictures at once.
"""
from dataclasses import dataclass

import numpy as np

from ...core.arithmetic import sqrt
from ...core.backend import array_library
from ...core.tensor import Tensor, differentiable, tensor
from ...core.threads import matmul
from ...layers.gram import gram, mean_and_gram
from ...layers.loss import mse_loss
from .wasserstein import cloud, wasserstein


@dataclass(frozen=True)
class Moments:
    """Of the pixels of a feature map: the mean (C,) and the mean of the products of each two channels (C, C).

    Both are tensors, or both arrays.
    """
    mean: object
    products: object

    def covariance(self):
        """(C, C)"""
        C = len(self.mean)
        return self.products - self.mean.reshape(C, 1) * self.mean.reshape(1, C)

    def plus(self, other):
        """Of two parts of a picture together, whose shares add up."""
        return Moments(self.mean + other.mean, self.products + other.products)

    def arrays(self):
        """The same as arrays."""
        return Moments(*(part.data if isinstance(part, Tensor) else part for part in (self.mean, self.products)))


def moments(x, share=None):
    """The Moments of a feature map x (1, H, W, C).

    share   None, or an array (H, W) >= 0: how much each pixel counts.  It is not normalised: where it adds up to less than
            1, so do the moments, and those of the parts of a picture can be added
    """
    x = x if isinstance(x, Tensor) else tensor(x)
    N, H, W, C = x.shape
    if share is None:
        both = mean_and_gram(x)                                                  # (1, 1 + C, C)
        return Moments(both[0, 0], both[0, 1:])
    share = array_library(x.data).asarray(share, dtype=x.data.dtype)[..., None]  # (H, W, 1)
    return Moments((x * share).sum(axis=(0, 1, 2)), gram(x * (share * (H * W)) ** .5).reshape(C, C))


def mixed(parts, weights):
    """The Moments of several pictures together, each as often as its weight says: arrays."""
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    return Moments(*(sum(float(share) * getattr(part, name) for share, part in zip(shares, parts))
                     for name in ("mean", "products")))


# ---- Losses: (what a style's Moments become once, how far a picture's Moments are from that) -----------------------

def _gram_target(style):
    return style.products


def gram_loss(picture, target):
    """Mean squared difference of the Gram matrices (Gatys, Ecker and Bethge 2015, equation 4, for pictures of one size)."""
    return mse_loss(picture.products, target)


def _cloud_target(style):
    return cloud(style.mean, style.covariance())


def w2_loss(picture, target):
    """Squared Wasserstein distance of the Gaussians, a channel: see wasserstein.py."""
    return wasserstein(picture.mean, picture.covariance(), target) / len(target.mean)


def _relative_target(style):
    return _cloud_target(style), float(array_library(style.products).trace(style.products))


def relative_w2_loss(picture, target):
    """The same, as a share of the mean square of the style's own features: comparable between layers and networks."""
    other, size = target
    return wasserstein(picture.mean, picture.covariance(), other) / (size + 1e-8)


def _widths_target(style):
    xp = array_library(style.mean)
    return style.mean, xp.sqrt(xp.maximum(xp.diagonal(style.covariance()), 0))


def widths_loss(picture, target):
    """Mean squared differences of each channel's mean and standard deviation (Huang and Belongie 2017, equation 13)."""
    mean, deviation = target
    variance = diagonal(picture.covariance())
    return mse_loss(picture.mean, mean) + mse_loss(sqrt(variance.clip(low=0.) + 1e-8), deviation)


@differentiable
def diagonal(matrix):
    """The diagonal (C,) of a matrix (C, C)."""
    xp = array_library(matrix)
    return xp.diagonal(matrix).copy(), (lambda dy: xp.diag(dy),)


LOSSES = {"gram": (_gram_target, gram_loss), "w2": (_cloud_target, w2_loss),
          "relative": (_relative_target, relative_w2_loss), "mean-std": (_widths_target, widths_loss)}


# ---- Sliced: the whole distribution, seen from random sides --------------------------------------------------------

def slices(C, count, rng):
    """`count` random directions in C dimensions, unit vectors: (C, count) float32."""
    directions = rng.standard_normal((C, count)).astype(np.float32)
    return directions / np.linalg.norm(directions, axis=0)


def axes(C, count=None, rng=None):
    """Each channel for itself: (C, C) float32.  Along them the sliced loss compares histograms of channels (Risser 2017)."""
    return np.eye(C, dtype=np.float32)


SORTED = {"sliced": slices, "histogram": axes}


def distance_of(loss):
    """The function (statistics of a picture, target) -> a number, of the loss with that name."""
    if loss in LOSSES:
        return LOSSES[loss][1]
    return lambda x, directions_and_target: sliced_loss(x, *directions_and_target)


def projected(x, directions, weights=None):
    """The pixels of x (..., C), an array, seen along each direction and sorted: (pixels, count)

    weights   None, or how often each pixel counts, (pixels,) > 0: then it is as many numbers that count alike, those in the
              middle of equal parts of the whole
    """
    xp = array_library(x)
    seen = matmul(x.reshape(-1, x.shape[-1]), xp.asarray(directions))
    if weights is None:
        return xp.sort(seen, axis=0)
    order, ranks = xp.argsort(seen, axis=0), (xp.arange(len(seen)) + .5) / len(seen)
    ordered, shares = xp.take_along_axis(seen, order, axis=0), xp.asarray(weights / weights.sum())[order]
    middles = xp.cumsum(shares, axis=0) - shares / 2                             # (pixels, count): up to where each one is
    return xp.stack([xp.interp(ranks, *pair) for pair in zip(middles.T, ordered.T)], axis=1).astype(x.dtype)


@differentiable
def sliced_loss(x, directions, target):
    """Mean squared distance of the sorted projections of x (1, H, W, C) from `target`, those of a style (pixels, count).

    For two clouds on a line the cheapest way to carry one into the other keeps the order of the points: so sorting solves
    it, and many lines see the whole distribution, not only its mean and covariance (Rabin et al. 2011; for textures Heitz et
    al. 2021).  A style of another number of pixels is stretched to this one's.
    """
    xp, pixels = array_library(x), x.reshape(-1, x.shape[-1])                    # (pixels, C)
    directions = xp.asarray(directions)
    seen = matmul(pixels, directions)                                            # (pixels, count)
    order = xp.argsort(seen, axis=0, kind="stable")
    away = xp.take_along_axis(seen, order, axis=0) - _stretched(target, len(seen))

    def grad_x(dy):
        back = xp.empty_like(away)
        xp.put_along_axis(back, order, away * (2 * dy / away.size), axis=0)
        return matmul(back, directions.T).reshape(x.shape)
    return (away * away).mean(), (grad_x,)


def _stretched(ordered, count):
    """Sorted columns (n, k) at `count` equally spaced ranks: (count, k)"""
    ranks = (np.arange(count) + .5) * len(ordered) / count - .5
    lower = np.clip(np.floor(ranks).astype(int), 0, len(ordered) - 1)
    upper = np.minimum(lower + 1, len(ordered) - 1)
    xp, between = array_library(ordered), np.clip(ranks - lower, 0, 1).astype(ordered.dtype)[:, None]
    lower, upper, between = (xp.asarray(table) for table in (lower, upper, between))
    return ordered[lower] * (1 - between) + ordered[upper] * between
