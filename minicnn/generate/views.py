"""Views: how a network looks at a picture that is larger than those it was trained on.

A network for 32x32 pixels sees a picture of 96x96 as it would see a photograph: shrunk.  If it only ever saw the whole,
nine pixels could change together and nothing would be gained.  So it is shown parts as well, each shrunk to its size:
the ear of the cat that it sees in the whole must still belong to a cat where it looks closer.

A view is linear in the picture: every pixel of it is a weighted mean of pixels of the picture,

    view = R x S^T        dx = R^T dview S

with a matrix R (h, H) for the rows and S (w, W) for the columns, as in layers/resample.py.
"""
from dataclasses import dataclass

import numpy as np

from ..core.arithmetic import concatenate
from ..core.backend import array_library
from ..core.tensor import differentiable
from ..layers.resample import weighted_means


@dataclass(frozen=True)
class Box:
    """A part of a picture, in shares of its height and width: top and left corner, side.  It may reach over the edges."""
    top: float
    left: float
    side: float


@dataclass(frozen=True)
class Views:
    """Which parts of a picture a network is shown in one step: nearly the whole, and some closer ones.

    closer   how many closer ones
    whole    the least share of the sides that counts as nearly the whole; the closer ones show less than that
    closest  the least share that is shown at all: from still closer, pictures become restless, not finer
    margin   how far a view may reach over the edges, as a share of the picture
    """
    closer: int = 2
    whole: float = .85
    closest: float = .55
    margin: float = .06

    def boxes(self, rng):
        """A list of Box, another one at each call; rng is a numpy Generator."""
        sides = [rng.uniform(self.whole, 1), *rng.uniform(self.closest, self.whole, self.closer)]
        return [Box(*rng.uniform(-self.margin, 1 - side + self.margin, 2), side) for side in sides]

    def of(self, x, size, rng):
        """Pictures x (N, H, W, C)  ->  what a network for `size`, (h, w), is shown of them: (N * views, h, w, C).

        All pictures are seen through the same boxes: first each through the first, then each through the second, ...
        """
        return concatenate([view(x, box, size) for box in self.boxes(rng)])


@differentiable
def view(x, box, size):
    """What `box` shows of pictures, shrunk (or enlarged) to `size`:   x (N, H, W, C), size (h, w)   ->   (N, h, w, C)

    Beyond an edge the picture is seen as in a mirror.  Every pixel is the mean of those around its place, weighted by a
    triangle: that of a bilinear interpolation, widened when shrinking so that no pixel is left out (antialiasing).
    """
    rows, columns = (_weights(n, corner, box.side, m, x)
                     for n, corner, m in zip(x.shape[1:3], (box.top, box.left), size))
    return weighted_means(x, rows, columns), (lambda dy: weighted_means(dy, rows.T, columns.T),)


def _weights(old, corner, side, new, x):
    """The matrix (new, old) of triangles."""
    step = side * old / new                                      # pixels of the picture to one of the view
    centres = corner * old + (np.arange(new) + .5) * step
    pixels = np.arange(np.floor(centres[0] - step - 1), np.ceil(centres[-1] + step + 1))
    weights = np.maximum(0, 1 - np.abs(pixels + .5 - centres[:, None]) / max(step, 1))
    mirrored = np.zeros((new, old))
    np.add.at(mirrored.T, _mirror(pixels.astype(int), old), weights.T)
    return array_library(x).asarray(mirrored / mirrored.sum(axis=1, keepdims=True), dtype=x.dtype)


def _mirror(pixels, n):
    """Pixels beyond the edges, as in a mirror that stands on the outermost pixel:   -2 -> 2,  n -> n - 2"""
    period = max(2 * n - 2, 1)
    pixels = pixels % period
    return np.minimum(pixels, period - pixels) if n > 1 else np.zeros_like(pixels)
