"""The objective of a style transfer in one size: its loss, see loss.py, as a function of the pixels, and the gradient.

The style's loss knows of the picture only its moments, and these are sums over pixels, as the content's loss is.  So the
gradient of a large picture can be had tile by tile, in two rounds:

1. Without a graph the moments of all tiles are added up.  From them the loss, and its gradient with respect to each moment.
2. With a graph, a tile at a time: as the moments are sums, a tile's gradient needs of the others only those of the moments,
   which are numbers now.  The content's features in the tile are computed anew each time: to keep them all would take more
   memory than the picture and the optimizer together.

It is the gradient of the whole picture, not of many small ones, so that no seam appears: exactly so where a layer sees no
further than the rim around a tile, and nearly where it does, as the deepest ones of VGG by some pixels.
"""
from ...core.tensor import tensor
from .loss import Targets, content_loss, content_scales, smoothness_loss, style_loss, total_loss
from .regions import Region, gathered, masks_and_styles, statistics_of
from .targets import as_batch, content_target, of_side, style_targets
from .textures import SORTED, Moments


class Objective:
    """What a picture in the size of `content` is compared with, and how far away it is.

    tiling    a Tiling of FeatureMaps of the recipe's layers;  recipe: a StyleRecipe
    content   (H, W, 3) in 0..1
    styles    a list of Style, which are looked at with the longer side `side`, one after the other
    seed      of the directions of the loss "sliced"
    Raises ValueError for tiles or masks with a loss that sorts the pixels: it is not made of moments.
    """

    def __init__(self, tiling, recipe, content, styles, side, seed=0):
        if recipe.loss in SORTED and (tiling.side or any(style.mask is not None for style in styles)):
            raise ValueError(f"the {recipe.loss} loss sorts all pixels of the picture: no tiles and no masks with it")
        self.tiling, self.recipe, self.tiles = tiling, recipe, tiling.tiles(content.shape[:2])
        self.content = as_batch(content, tiling, recipe)
        target = self._content_target(self.tiles[0]) if len(self.tiles) == 1 else {}
        scales = content_scales(recipe, [target] if target else map(self._content_target, self.tiles))
        regions = [self._region(mask, those, side, seed) for mask, those in masks_and_styles(styles)]
        self.targets = Targets(target, scales, regions)

    def _content_target(self, tile):
        return content_target(self.tiling, self.content, tile, self.recipe)

    def _region(self, mask, styles, side, seed):
        pictures = (as_batch(of_side(style.picture, side), self.tiling, self.recipe) for style in styles)
        weights = [style.weight for style in styles]
        return Region(mask, style_targets(self.tiling, self.recipe, pictures, weights, seed), sum(weights))

    def loss_and_gradient(self, pixels):
        """The loss, a tensor; its gradient becomes that of pixels (1, H, W, 3), which has none before."""
        if len(self.tiles) > 1:
            return self._tiled_loss_and_gradient(pixels)
        loss = self.loss(pixels)
        loss.backward()
        return loss

    def loss(self, pixels):
        """Content, style and roughness of pixels (1, H, W, 3): a tensor, with a graph of the whole picture."""
        features = self.tiling.features(pixels)
        return total_loss(self.recipe, pixels, _values(features), self._statistics(features), self.targets)

    def _statistics(self, features):
        return statistics_of(features, self.targets.regions, self.recipe)

    # ---- Tile by tile

    def _tiled_loss_and_gradient(self, pixels):
        leaves = {key: Moments(tensor(here.mean, requires_grad=True), tensor(here.products, requires_grad=True))
                  for key, here in gathered(self.tiling, pixels.data, self.targets.regions, self.recipe).items()}
        loss = smoothness_loss(self.recipe, pixels) + style_loss(self.recipe, leaves, self.targets.regions)
        loss.backward()                                          # the gradients of the roughness and of the moments
        return loss + sum(self._add_gradient(pixels, tile, leaves) for tile in self.tiles)

    def _add_gradient(self, pixels, tile, leaves):
        """A tile's share in the content's loss, a number; its gradient and the style's are added to those of the pixels."""
        crop = tensor(self.tiling.crop(pixels.data, tile).copy(), requires_grad=True)
        features = self.tiling.tile_features(crop, tile, pixels.shape[1:3])
        content = content_loss(_values(features), self._content_target(tile), self.targets.scales)
        content = content + 0 * crop.sum()                       # a tensor, also where the content has no features
        (content + self._style_change(features, leaves)).backward()
        self.tiling.crop(pixels.grad, tile)[...] += crop.grad
        return content.item()

    def _style_change(self, features, leaves):
        """By what the style's loss changes with the moments of one tile, to first order: it has the same gradient."""
        pairs = [pair for key, here in self._statistics(features).items()
                 for pair in ((here.mean, leaves[key].mean), (here.products, leaves[key].products))]
        return sum((moment * leaf.grad).sum() for moment, leaf in pairs if leaf.grad is not None)


def _values(features):
    """{layer: tensor} of {layer: TileFeatures}"""
    return {layer: here.values for layer, here in features.items()}
