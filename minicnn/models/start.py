"""Where a picture of a class begins: a blurred guess drawn from what pictures of that class look like from afar.

The training pictures of a class, averaged down to 8x8 pixels, are 192 numbers each; a Gaussian is fitted to them.  A draw
from it has the class's colours in about the right places and nothing else: sky above a ship, grass under a horse.
(Class-conditional Gaussian starts: Santurkar et al. 2019, "Image Synthesis with a Single (Robust) Classifier".)
"""
import numpy as np

from ..layers.module import Module
from ..layers.resample import upsample
from ..tensor import no_grad

SIDE, RANK = 8, 48


class ClassGaussian(Module):
    """A Gaussian over SIDE x SIDE x 3 numbers for each class: mean + factor z, z of RANK standard normal numbers.

    mean (classes, 192), factor (classes, 192, RANK): buffers, so that they travel with the network's weights.
    """

    def __init__(self, classes, rank=RANK):
        super().__init__()
        self.register_buffer("mean", np.zeros((classes, SIDE * SIDE * 3), np.float32))
        self.register_buffer("factor", np.zeros((classes, SIDE * SIDE * 3, rank), np.float32))

    def fit(self, data):
        """Learn from a Dataset with sides that are multiples of 8: the mean, and the RANK widest directions around it."""
        for k in range(len(self.mean)):
            small = shrunk(data.images_float(np.flatnonzero(data.labels == k)))   # (n, 192)
            self.mean[k] = small.mean(axis=0)
            variances, directions = np.linalg.eigh(np.cov(small.T))      # ascending
            widest = slice(None, -1 - self.factor.shape[2], -1)
            self.factor[k] = directions[:, widest] * np.sqrt(np.maximum(variances[widest], 0))
        return self

    def sample(self, labels, size, rng):
        """One picture for each label: (n, size, size, 3) float32 in 0..1.  rng is a numpy Generator."""
        z = rng.standard_normal((len(labels), self.factor.shape[2], 1)).astype(np.float32)
        small = self.mean[labels] + (self.factor[labels] @ z)[..., 0]    # (n, 192)
        small = small.reshape(-1, SIDE, SIDE, 3)
        with no_grad():
            return np.clip(upsample(small, size=(size, size), mode="bilinear").data, 0, 1)


def shrunk(x):
    """Pictures (n, H, W, 3) averaged down to (n, 192)."""
    n, H, W, _ = x.shape
    if H % SIDE or W % SIDE:
        raise ValueError(f"ClassGaussian: pictures of {H}x{W}; both sides must be multiples of {SIDE}")
    return x.reshape(n, SIDE, H // SIDE, SIDE, W // SIDE, 3).mean(axis=(2, 4)).reshape(n, -1)
