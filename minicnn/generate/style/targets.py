"""What a picture is compared with: the features of the content, and the statistics of the styles."""
import numpy as np

from ...core.backend import array_library, to_device
from ...core.tensor import no_grad, tensor
from ...core.threads import in_parallel
from ...images import resize
from .regions import Region, gathered
from .textures import LOSSES, SORTED, mixed, projected

LINES = 64                        # directions from which the sliced loss looks at each layer


def of_side(picture, side):
    """The picture with that longer side, at least one pixel wide."""
    side = max(1, round(side))
    if side == max(picture.shape[:2]):
        return picture
    return np.clip(resize(picture, side, "lanczos"), 0, 1)


def as_batch(picture, tiling, recipe):
    """A picture (H, W, 3) as an array (1, H, W, 3), of the recipe's dtype and on the network's device."""
    return to_device(np.asarray(picture, recipe.dtype)[None], tiling.feature_maps.model.device)


def content_target(tiling, x, tile, recipe):
    """{layer: features, an array} of one tile of the content x (1, H, W, 3)."""
    with no_grad():
        features = tiling.tile_features(tensor(tiling.crop(x, tile)), tile, x.shape[1:3], recipe.content)
    return {layer: here.values.data for layer, here in features.items()}


def style_targets(tiling, recipe, pictures, weights, seed=0):
    """{layer: what the recipe's loss compares with} of some style pictures together.

    pictures   (1, H, W, 3) each, arrays, also from a generator: they are looked at one after the other
    weights    how much each of them counts;  seed: of the directions of the loss "sliced"
    """
    if recipe.loss in SORTED:
        return _sorted_targets(tiling, recipe, pictures, weights, seed)
    found, (make, _) = [gathered(tiling, x, [Region()], recipe) for x in pictures], LOSSES[recipe.loss]
    layers = list(recipe.style)
    targets = in_parallel(lambda layer: make(mixed([statistics[0, layer] for statistics in found], weights)), layers)
    return dict(zip(layers, targets))


def _sorted_targets(tiling, recipe, pictures, weights, seed):
    """{layer: (directions, the sorted projections of all pictures' pixels)}"""
    with no_grad():
        found = [tiling.features(tensor(x)) for x in pictures]
    return {layer: _sorted_target([features[layer].values.data for features in found], weights,
                                  SORTED[recipe.loss], seed) for layer in recipe.style}


def _sorted_target(maps, weights, make_directions, seed):
    maps = [y.reshape(-1, y.shape[-1]) for y in maps]                            # (pixels, C) each
    pixels = array_library(*maps).concatenate(maps)
    counts = np.repeat([weight / len(y) for weight, y in zip(weights, maps)], [len(y) for y in maps])
    directions = make_directions(pixels.shape[-1], LINES, np.random.default_rng(seed))
    return directions, projected(pixels, directions, counts if len(maps) > 1 else None)
