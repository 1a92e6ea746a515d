"""Where in a picture which style is wanted, and the statistics of the features there."""
from dataclasses import dataclass

import numpy as np

from ...core.tensor import no_grad, tensor
from ...images import resize
from .textures import SORTED, moments


@dataclass(frozen=True)
class Region:
    """A part of what is drawn, and what is wanted there.

    mask     None for a whole picture, or (h, w) in 0..1, of any size
    targets  {layer: what the loss compares with}, see targets.py
    weight   of its loss beside those of the other regions
    """
    mask: np.ndarray = None
    targets: dict = None
    weight: float = 1.

    def share(self, size):
        """How much each pixel of a map of that size (H, W) counts: (H, W), adding up to 1."""
        if self.mask is None:
            return np.broadcast_to(1 / np.prod(size), size)
        share = np.clip(resize(self.mask, size, "bilinear"), 0, None)
        return share / share.sum()


def masks_and_styles(styles):
    """[(mask, the styles wanted there), ...]: those without a mask share the whole picture; without a weight, no style."""
    wanted = [style for style in styles if style.weight > 0]
    everywhere = [style for style in wanted if style.mask is None]
    regions = [(None, everywhere)] if everywhere else []
    return regions + [(style.mask, [style]) for style in wanted if style.mask is not None]


def statistics_of(features, regions, recipe):
    """{(number of the region, layer): Moments} of {layer: TileFeatures}: of a whole picture, or a tile's share in them.

    For a loss that sorts the pixels it is the features themselves, of all the picture.
    """
    found = {}
    for layer in recipe.style:
        for k, region in enumerate(regions):
            if layer in features:
                found[k, layer] = _statistics(features[layer], region, recipe.loss in SORTED)
    return found


def _statistics(here, region, all_pixels):
    if all_pixels:
        return here.values
    whole = here.values.shape[1:3] == here.size
    return moments(here.values, None if whole and region.mask is None else region.share(here.size)[here.place])


def gathered(tiling, x, regions, recipe):
    """The statistics of a picture x (1, H, W, 3), an array, as arrays and without a graph: added up tile by tile."""
    found = {}
    for tile in tiling.tiles(x.shape[1:3]):
        with no_grad():
            features = tiling.tile_features(tensor(tiling.crop(x, tile)), tile, x.shape[1:3], recipe.style)
            for key, here in statistics_of(features, regions, recipe).items():
                found[key] = here.arrays() if key not in found else found[key].plus(here.arrays())
    return found
