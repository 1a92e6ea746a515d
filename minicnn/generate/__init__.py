"""A picture as the parameter: what optimizers do to weights, done to pixels."""
from .inversion import Recipe, invert
from .objectives import total_variation
from .transforms import jitter, roll
