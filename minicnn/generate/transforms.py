"""Small changes of a picture before a network sees it, so that the picture cannot rely on single pixels."""
from ..core.backend import array_library
from ..core.tensor import differentiable


@differentiable
def roll(x, rows, columns):
    """Moved down by `rows` and right by `columns` pixels; what leaves at one side enters at the other.  x (N, H, W, C)."""
    xp = array_library(x)
    return xp.roll(x, (rows, columns), axis=(1, 2)), (lambda dy: xp.roll(dy, (-rows, -columns), axis=(1, 2)),)


def jitter(x, pixels, rng):
    """`roll` by a random amount, up to `pixels` in each direction; rng is a numpy Generator."""
    rows, columns = rng.integers(-pixels, pixels + 1, 2).tolist()
    return roll(x, rows, columns)
