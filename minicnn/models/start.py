"""Where a picture of a class begins: a blurred guess drawn from what pictures of that class look like from afar.

The training pictures of a class, averaged down to 8x8 pixels, are 192 numbers each (64 where they are grey); a Gaussian is
fitted to them.  A draw from it has the class's colours in about the right places and nothing else: sky above a ship, grass
under a horse.
(Class-conditional Gaussian starts: Santurkar et al. 2019, "Image Synthesis with a Single (Robust) Classifier".)
"""
import numpy as np

from ..core.backend import to_numpy
from ..core.tensor import no_grad
from ..layers import init
from ..layers.module import Module
from ..layers.pool import adaptive_avg_pool2d
from ..layers.resample import upsample

SIDE, RANK = 8, 48


class ClassGaussian(Module):
    """A Gaussian over SIDE x SIDE x channels numbers for each class: mean + factor z, z of RANK standard normal numbers.

    mean (classes, 192), factor (classes, 192, RANK): buffers, so that they travel with the network's weights.
    """

    def __init__(self, classes, rank=RANK, channels=3):
        super().__init__()
        self.channels, numbers = channels, SIDE * SIDE * channels
        self.register_buffer("mean", init.zeros((classes, numbers)))
        self.register_buffer("factor", init.zeros((classes, numbers, rank)))

    def fit(self, data):
        """Learn from a Dataset: the mean, and the RANK widest directions around it.  The pictures may be of any size.

        Raises ValueError when they have another number of channels.
        """
        if data.images.shape[-1] != self.channels:
            raise ValueError(f"ClassGaussian: pictures with {data.images.shape[-1]} channels, it was made for "
                             f"{self.channels}: make it with channels={data.images.shape[-1]}")
        for k in range(len(self.mean)):
            small = shrunk(data.images_float(np.flatnonzero(data.labels == k)))   # (n, 192)
            self.mean[k] = small.mean(axis=0)
            variances, directions = np.linalg.eigh(np.cov(small.T))      # ascending
            widest = slice(None, -1 - self.factor.shape[2], -1)
            self.factor[k] = directions[:, widest] * np.sqrt(np.maximum(variances[widest], 0))
        return self

    def sample(self, labels, size, rng):
        """One picture for each label: (n, H, W, channels) float32 in 0..1.

        size   H = W, or the pair (H, W);  rng: a numpy Generator
        """
        z = rng.standard_normal((len(labels), self.factor.shape[2], 1)).astype(np.float32)
        mean, factor = to_numpy(self.mean), to_numpy(self.factor)        # also where the network lies on the GPU
        small = mean[labels] + (factor[labels] @ z)[..., 0]              # (n, 192)
        small = small.reshape(-1, SIDE, SIDE, self.channels)
        with no_grad():
            return np.clip(upsample(small, size=size, mode="bilinear").data, 0, 1)


def shrunk(x):
    """Pictures (n, H, W, C) averaged down to (n, 64 C), in overlapping blocks where a side is no multiple of 8."""
    return adaptive_avg_pool2d(x, SIDE).data.reshape(len(x), -1)
