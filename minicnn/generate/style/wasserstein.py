"""How far apart two textures are: the Wasserstein distance between the Gaussians that fit their features.

The features of a picture in a layer are a cloud of points, one for each pixel, with C coordinates.  Where in the picture a
point came from is forgotten; what is kept is the mean m of the cloud and its covariance S.  The distance says how much work
it is, at least, to carry one cloud into the other (Dowson and Landau 1982; Olkin and Pukelsheim 1982):

    W2^2 = |m - n|^2 + tr(S) + tr(A) - 2 tr((R^T S R)^(1/2))          (n, A) the other cloud, A = R R^T

The first term moves the means together.  The others would be |s - a|^2 if both were numbers, squares of s and a: they
compare the widths, in all directions at once.

Any R with R R^T = A will do: the eigenvalues of R^T S R are those of S A, and some zeros.  This one has a column for each
direction in which the other cloud has any width.  A small picture has fewer pixels in a deep layer than that has channels,
64 and 512 in VGG's last one for 128 pixels a side: then R is narrow and R^T S R small.
"""
from dataclasses import dataclass

import numpy as np

from ...core.backend import array_library, to_numpy
from ...core.tensor import differentiable, recording

FLAT = 1e-6                       # directions in which a cloud is that flat, relative to its widest variance, count as flat
NOTHING = 1e-20                   # gains that small, relative to the largest, are rounding, and become 0: processors take a
                                  # hundred times as long with numbers so near to it that they are subnormal


@dataclass(frozen=True)
class Cloud:
    """The Gaussian that fits a cloud: mean (C,), covariance (C, C) and its root R (C, rank), R R^T = it; arrays."""
    mean: np.ndarray
    covariance: np.ndarray
    root: np.ndarray


def cloud(mean, covariance):
    """The Cloud of a mean (C,) and a covariance (C, C), arrays."""
    values, vectors = _eigen(covariance)
    root = (vectors * np.sqrt(values))[:, values != 0]                           # (C, rank)
    return Cloud(mean, covariance, array_library(covariance).asarray(root, dtype=covariance.dtype))


def wasserstein(mean, covariance, other):
    """W2^2 between a cloud with this mean (C,) and covariance (C, C), tensors, and another Cloud: a single number >= 0."""
    away = mean - other.mean
    widths = trace(covariance) + float(np.trace(to_numpy(other.covariance)))
    return (away * away).sum() + widths - 2 * overlap(covariance, other.root)


@differentiable
def trace(matrix):
    """The sum of the diagonal of a matrix (C, C)."""
    xp = array_library(matrix)
    return xp.trace(matrix), (lambda dy: dy * xp.eye(len(matrix), dtype=matrix.dtype),)


@differentiable
def overlap(covariance, root):
    """tr((R^T S R)^(1/2)) of a covariance S (C, C) and the root R (C, r) of another: how much of their widths is in common.

    With the eigenvalues s of R^T S R it is the sum of sqrt(s), and

        dS = 1/2 R (R^T S R)^(-1/2) R^T

    A cloud of fewer points than coordinates is flat in some directions: s = 0 there, and the gradient would be infinite.
    Nothing widens it in these directions but the other terms, so they get none.  The eigenvalues are found in float64.
    """
    xp, R, S = array_library(covariance), to_numpy(root), to_numpy(covariance)
    values, vectors = _eigen(R.T @ S @ R)
    gains = xp.asarray(_gains(R, values, vectors)) if recording() else None
    return xp.asarray(np.sqrt(values).sum(), dtype=S.dtype), (lambda dy: dy * gains,)


def _gains(R, values, vectors):
    """1/2 R (R^T S R)^(-1/2) R^T, (C, C), of R (C, r) and the eigenvalues (r,) and eigenvectors (r, r) of R^T S R.

    It is found with the distance, not when the gradient is asked for: layers are looked at side by side, gradients are not.
    """
    wide = values > 0
    turned = R @ (vectors[:, wide] * values[wide] ** -.25).astype(R.dtype)       # (C, up to r)
    gains = turned @ turned.T / 2
    gains[np.abs(gains) < NOTHING * np.abs(gains).max(initial=0)] = 0
    return gains


def _eigen(symmetric):
    """Eigenvalues (C,), none below zero, and eigenvectors (C, C) of a symmetric matrix, in float64.

    What is below FLAT of the largest is rounding, and becomes 0.  NaN stays NaN, to be told where it came from.
    """
    matrix = to_numpy(symmetric).astype(np.float64)
    if not np.isfinite(matrix).all():
        return np.full(len(matrix), np.nan), np.full_like(matrix, np.nan)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.where(values > FLAT * values.max(initial=0), values, 0), vectors
