"""A picture as the parameter: what optimizers do to weights, done to pixels."""
from ..inside.feature_maps import FeatureMaps
from ..inside.watching import batch_norms, layer_named, observe
from .features import activations, excite
from .inversion import InversionRecipe, invert
from .objectives import batch_norm_prior, channel_moments, total_variation, unit_activation
from .style.recipes import StyleRecipe, recipe_for
from .style.transfer import Style, Transfer, stylize
from .transforms import jitter, roll
from .views import Box, Views, view
