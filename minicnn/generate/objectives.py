"""What a picture should be: numbers to be made small, as tensors, so that they can be added and weighed."""
from ..arithmetic import abs


def total_variation(x):
    """Mean absolute difference between neighbouring pixels, down and across (Rudin, Osher, Fatemi 1992, with L1).

    x (N, H, W, C)  ->  a single number >= 0: 0 for a flat picture, large for noise.
    """
    return abs(x[:, 1:] - x[:, :-1]).mean() + abs(x[:, :, 1:] - x[:, :, :-1]).mean()
