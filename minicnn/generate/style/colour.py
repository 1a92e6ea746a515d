"""Colours apart from shapes: keeping the colours of one picture, or giving it those of another.

All take and give pictures (H, W, 3), float32 in 0..1.  None looks at where a colour is.
"""
import numpy as np

from ...core import tuning
from ...images import GREY

# Brightness Y and two differences of colour, U = .492 (blue - Y) and V = .877 (red - Y), as rows (ITU-R BT.601)
YUV = np.stack([GREY, .492 * ([0, 0, 1] - GREY), .877 * ([1, 0, 0] - GREY)]).astype(np.float32)
MATCHES = ("pca", "cholesky", "symmetric")
LEVELS = 256
FLAT = 1e-5                       # is added to the variances of colours, so that a grey picture has an inverse


def chroma(picture):
    """The two differences of colour of each pixel: (H, W, 2), zero for grey."""
    return picture @ YUV[1:].T


def with_chroma_of(picture, colours):
    """The brightness of `picture` with the colours of `colours`, of the same size.

    What falls out of 0..1 is brought back towards grey of the same brightness, so that neither hue nor brightness jumps.
    """
    count = -(-picture.size // tuning.COLOUR_BLOCK)           # some rows at a time: large pictures need less memory for it
    parts = zip(np.array_split(picture, count), np.array_split(colours, count))
    return np.concatenate([_in_colours(*part) for part in parts])


def _in_colours(picture, colours):
    grey = (picture @ YUV[0])[..., None]                                         # (H, W, 1)
    wanted = np.concatenate([grey, chroma(colours)], axis=-1) @ np.linalg.inv(YUV).T.astype(np.float32)
    return _towards_grey(wanted, grey)


def _towards_grey(colours, grey):
    """The greatest share of each pixel's distance from its grey that stays within 0..1."""
    away = colours - grey
    room = np.where(away > 0, 1 - grey, grey)
    share = np.min(np.where(np.abs(away) > room, room / np.maximum(np.abs(away), 1e-12), 1), axis=-1, keepdims=True)
    return np.clip(grey + away * share, 0, 1).astype(np.float32)


def matched(picture, to, how="pca"):
    """`picture` with mean and covariance of its colours made those of `to` by a linear map (Gatys et al. 2017, section 5.1).

    how   which of the maps that do it: "pca", stretched along the colours' main axes; "cholesky", by triangular factors;
          "symmetric", the one that moves colours least (the transport of the Wasserstein distance)
    Raises ValueError for another way.
    """
    if how not in MATCHES:
        raise ValueError(f"how must be one of {', '.join(MATCHES)}, not {how!r}")
    (mean, covariance), (other_mean, other_covariance) = _colours(picture), _colours(to)
    turn = _map(covariance, other_covariance, how)
    return np.clip((picture - mean) @ turn.T + other_mean, 0, 1).astype(np.float32)


def _colours(picture):
    """Mean (3,) and covariance (3, 3) of the pixels."""
    pixels = picture.reshape(-1, 3).astype(np.float64)
    return pixels.mean(axis=0), np.cov(pixels.T, bias=True) + FLAT * np.eye(3)


def _map(S, A, how):
    """A matrix T (3, 3) with T S T^T = A."""
    if how == "cholesky":
        return np.linalg.cholesky(A) @ np.linalg.inv(np.linalg.cholesky(S))
    if how == "pca":
        return _root(A) @ np.linalg.inv(_root(S))
    root = _root(S)
    return np.linalg.inv(root) @ _root(root @ A @ root) @ np.linalg.inv(root)


def _root(matrix):
    """The symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def histogram_matched(picture, to):
    """`picture` with the values of each channel replaced by those of `to` of the same rank: then both have one histogram."""
    return np.stack([_ranked(picture[..., c], to[..., c]) for c in range(3)], axis=-1).astype(np.float32)


def _ranked(values, to):
    """Each value becomes the one of `to` of which as large a share lies below."""
    wanted = np.quantile(to, (np.arange(LEVELS) + .5) / LEVELS)
    sorted_values = np.sort(values, axis=None)
    below = (np.searchsorted(sorted_values, values, "left") + np.searchsorted(sorted_values, values, "right")) / 2
    return np.interp(below / values.size, (np.arange(LEVELS) + .5) / LEVELS, wanted)
