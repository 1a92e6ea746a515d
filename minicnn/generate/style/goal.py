"""What a stylised picture of one size is compared with, and how far away it is: content, style and roughness.

The style's loss knows of the picture only its moments, and these are sums over pixels, as the content's loss is.  So the
gradient of a large picture can be had tile by tile, in two rounds:

1. Without a graph the moments of all tiles are added up.  From them the loss, and what it would gain if a moment changed.
2. With a graph, a tile at a time: as the moments are sums, a tile's gradient needs of the others only those gains, which
   are numbers now.  What the content shows in the tile is computed anew each time: to keep it all would take more memory
   than the picture and the optimizer together.

It is the gradient of the whole picture, not of many small ones, so that no seam appears: exactly so where a layer sees no
further than the rim around a tile, and nearly where it does, as the deepest ones of VGG by some pixels.
"""
from dataclasses import dataclass

import numpy as np

from ...core.backend import array_library, to_device
from ...core.tensor import no_grad, tensor
from ...core.threads import in_parallel
from ...images import resize
from ..objectives import roughness
from .textures import LOSSES, SORTED, Moments, mixed, moments, projected, sliced_loss

LINES = 64                        # directions from which the sliced loss looks at each layer


def of_side(picture, side):
    """The picture with that longer side, at least one pixel wide."""
    side = max(1, round(side))
    if side == max(picture.shape[:2]):
        return picture
    return np.clip(resize(picture, side, "lanczos"), 0, 1)


@dataclass(frozen=True)
class Region:
    """A part of the picture and the styles wanted there.

    mask    None for all of it, or (h, w) in 0..1, of any size
    goals   {layer: what the loss compares with}
    weight  of its loss beside those of the other regions
    """
    mask: np.ndarray
    goals: dict
    weight: float = 1.

    def share(self, size):
        """How much each pixel of a map of that size (H, W) counts: (H, W), adding up to 1."""
        if self.mask is None:
            return np.broadcast_to(1 / np.prod(size), size)
        share = np.clip(resize(self.mask, size, "bilinear"), 0, None)
        return share / share.sum()


class Goal:
    """The losses of a picture in the size of `content`.

    tiling    a Tiling of FeatureMaps of the recipe's layers;  recipe: a StyleRecipe
    content   (H, W, 3) in 0..1
    styles    a list of Style, which are looked at with the longer side `side`, one after the other
    seed      of the directions of the loss "sliced"
    Raises ValueError for tiles or masks with a loss that sorts the pixels: it is not made of moments.
    """

    def __init__(self, tiling, recipe, content, styles, side, seed=0):
        self.tiling, self.recipe, self.side, self.sliced = tiling, recipe, side, recipe.loss in SORTED
        if self.sliced and (tiling.tile or any(style.mask is not None for style in styles)):
            raise ValueError(f"the {recipe.loss} loss sorts all pixels of the picture: no tiles and no masks with it")
        self.content, self.parts = self._batch(content), tiling.parts(content.shape[:2])
        self.wanted = self._content_of(self.parts[0]) if len(self.parts) == 1 else None
        self.shares = self._content_shares()
        self.regions = [Region(mask, self._goals(those, seed), sum(style.weight for style in those))
                        for mask, those in _regions(styles)]

    def _batch(self, picture):
        return to_device(np.asarray(picture, self.recipe.dtype)[None], self.tiling.extractor.model.device)

    def _looks(self, x, part, layers=None):
        """{layer: Look} of one tile of the picture x (1, H, W, 3), an array, without a graph."""
        with no_grad():
            return self.tiling.looks(tensor(self.tiling.own(x, part)), part, x.shape[1:3], layers)

    def _content_of(self, part):
        """{layer: what the content shows in a tile, an array}"""
        return {layer: look.map.data for layer, look in self._looks(self.content, part, self.recipe.content).items()}

    def _content_shares(self):
        """{layer: by what the squared differences of its features are multiplied}"""
        squares, counts = dict.fromkeys(self.recipe.content, 0.), dict.fromkeys(self.recipe.content, 0)
        for part in self.parts:
            for layer, y in (self.wanted or self._content_of(part)).items():
                squares[layer] += float((y * y).sum())
                counts[layer] += y.size
        sizes = {layer: squares[layer] / counts[layer] + 1e-8 if self.recipe.relative_content else 1. for layer in counts}
        return {layer: self.recipe.content_weight * weight / sizes[layer] / counts[layer]
                for layer, weight in self.recipe.content.items()}

    def _goals(self, styles, seed):
        """{layer: goal} of some styles together."""
        pictures = (self._batch(of_side(style.picture, self.side)) for style in styles)
        if self.sliced:
            looks = [self._looks(x, self.tiling.parts(x.shape[1:3])[0]) for x in pictures]
            return self._sliced_goals(looks, [style.weight for style in styles], seed)
        found, weights = [self._gathered(x, [Region(None, {})]) for x in pictures], [style.weight for style in styles]
        make, layers = LOSSES[self.recipe.loss][0], list(self.recipe.style)
        goals = in_parallel(lambda layer: make(mixed([moments_of[0, layer] for moments_of in found], weights)), layers)
        return dict(zip(layers, goals))

    def _sliced_goals(self, looks, weights, seed):
        """{layer: (directions, the sorted projections of all pictures' pixels)}"""
        goals = {}
        for layer in self.recipe.style:
            maps = [seen[layer].map.data.reshape(-1, seen[layer].map.shape[-1]) for seen in looks]       # (pixels, C) each
            pixels = array_library(*maps).concatenate(maps)
            counts = np.repeat([weight / len(y) for weight, y in zip(weights, maps)], [len(y) for y in maps])
            directions = SORTED[self.recipe.loss](pixels.shape[-1], LINES, np.random.default_rng(seed))
            goals[layer] = directions, projected(pixels, directions, counts if len(maps) > 1 else None)
        return goals

    # ---- Losses

    def loss_and_gradient(self, pixels):
        """The loss, a tensor; its gradient becomes that of pixels (1, H, W, 3), which has none before."""
        if len(self.parts) > 1:
            return self._tiled_loss_and_gradient(pixels)
        loss = self.loss(pixels)
        loss.backward()
        return loss

    def loss(self, pixels):
        """Content, style and roughness, weighed and added: a tensor, with a graph of the whole picture."""
        looks, loss = self.tiling.whole(pixels), self.recipe.smoothness * roughness(pixels)
        loss = loss + self._content_loss(looks, self.wanted)
        if not self.recipe.style_weight:
            return loss
        if self.sliced:
            return loss + self._sliced_loss(looks)
        return loss + self._style_loss(_moments(looks, self.regions, self.recipe))

    def _content_loss(self, looks, wanted):
        """How far what the looks show is from what is wanted there, {layer: array}."""
        total = 0.
        for layer, y in wanted.items():
            away = looks[layer].map - y
            total = total + (away * away).sum() * self.shares[layer]
        return total

    def _style_loss(self, found):
        """Of {(number of the region, layer): Moments}, side by side: eigenvalues are found on one core.

        The layers with the most channels take the longest, and come first.
        """
        def share(region_and_layer):
            k, layer = region_and_layer
            distance = LOSSES[self.recipe.loss][1](found[region_and_layer], self.regions[k].goals[layer])
            return self._style_share(self.regions[k], layer) * distance
        return sum(in_parallel(share, sorted(found, key=lambda key: -len(found[key].mean))))

    def _sliced_loss(self, looks):
        return sum(self._style_share(region, layer) * sliced_loss(looks[layer].map, *region.goals[layer])
                   for region in self.regions for layer in self.recipe.style)

    def _style_share(self, region, layer):
        weights, together = self.recipe.style, sum(region.weight for region in self.regions)
        return self.recipe.style_weight * weights[layer] / sum(weights.values()) * region.weight / together

    # ---- Tile by tile

    def _tiled_loss_and_gradient(self, pixels):
        leaves = {key: Moments(tensor(here.mean, requires_grad=True), tensor(here.products, requires_grad=True))
                  for key, here in self._gathered(pixels.data, self.regions).items()}
        loss = self.recipe.smoothness * roughness(pixels)
        if self.recipe.style_weight:
            loss = loss + self._style_loss(leaves)
        loss.backward()                                          # the roughness of the pixels, and the gains of the moments
        return loss + self._second_round(pixels, leaves)

    def _gathered(self, x, regions):
        """{(number of the region, layer): Moments} of a whole picture x (1, H, W, 3), as arrays: the first round."""
        found = {}
        for part in self.tiling.parts(x.shape[1:3]):
            with no_grad():
                for key, here in _moments(self._looks(x, part, self.recipe.style), regions, self.recipe).items():
                    found[key] = here.arrays() if key not in found else found[key].plus(here.arrays())
        return found

    def _second_round(self, pixels, leaves):
        """The content's loss; its gradient and that of the style are added to those of the pixels."""
        content = 0.
        for part in self.parts:
            own, wanted = tensor(self.tiling.own(pixels.data, part).copy(), requires_grad=True), self._content_of(part)
            looks = self.tiling.looks(own, part, pixels.shape[1:3])
            here = self._content_loss(looks, wanted) + 0 * own.sum()      # a tensor, also where nothing is to be lost
            content += here.item()
            (here + self._gains(_moments(looks, self.regions, self.recipe), leaves)).backward()
            self.tiling.own(pixels.grad, part)[...] += own.grad
        return content

    def _gains(self, found, leaves):
        """What the style's loss gains through the moments of one tile, to first order."""
        if not self.recipe.style_weight:
            return 0.
        pairs = [pair for key, here in found.items()
                 for pair in ((here.mean, leaves[key].mean), (here.products, leaves[key].products))]
        return sum((moment * leaf.grad).sum() for moment, leaf in pairs if leaf.grad is not None)


def _moments(looks, regions, recipe):
    """{(number of the region, layer): Moments} of what the looks show: of the whole, or a tile's share in them."""
    found = {}
    for layer in recipe.style:
        if layer in looks:
            look = looks[layer]
            whole = look.map.shape[1:3] == look.size
            for k, region in enumerate(regions):
                share = None if whole and region.mask is None else region.share(look.size)[look.place]
                found[k, layer] = moments(look.map, share)
    return found


def _regions(styles):
    """[(mask, the styles wanted there), ...]: those without a mask share the whole picture; without a weight, no style."""
    wanted = [style for style in styles if style.weight > 0]
    everywhere = [style for style in wanted if style.mask is None]
    regions = [(None, everywhere)] if everywhere else []
    return regions + [(style.mask, [style]) for style in wanted if style.mask is not None]
