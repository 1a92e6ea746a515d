"""What a stylised picture of one size is compared with, and how far away it is: content, style and roughness.

The style's loss knows of the picture only its moments, and these are sums over pixels, as the content's loss is.  So the
gradient of a large picture can be had tile by tile, in two rounds:

1. Without a graph the moments of all tiles are added up.  From them the loss, and what it would gain if a moment changed.
2. With a graph, a tile at a time: as the moments are sums, a tile's gradient needs of the others only those gains, which
   are numbers now.

It is the gradient of the whole picture, not of many small ones, so that no seam appears: exactly so where a layer sees no
further than the rim around a tile, and nearly where it does, as the deepest ones of VGG by some pixels.
"""
from dataclasses import dataclass

import numpy as np

from ..arithmetic import pad_gradient
from ..images import resize
from ..parallel import in_parallel
from ..tensor import no_grad, tensor
from .objectives import roughness
from .textures import LOSSES, Moments, mixed, moments, projected, sliced_loss, slices

LINES = 64                        # directions from which the sliced loss looks at each layer


@dataclass(frozen=True)
class Region:
    """A part of the picture and the styles wanted there.

    mask    None for all of it, or (h, w) in 0..1, of any size
    goals   {layer: what the loss compares with}
    """
    mask: np.ndarray
    goals: dict

    def share(self, size):
        """How much each pixel of a map of that size (H, W) counts: (H, W), adding up to 1."""
        if self.mask is None:
            return np.full(size, 1 / np.prod(size))
        share = np.clip(resize(self.mask, size, "bilinear"), 0, None) + 1e-6
        return share / share.sum()


class Goal:
    """The losses of a picture in the size of `content`.

    tiling    a Tiling of an Extractor of the recipe's layers;  recipe: a StyleRecipe
    content   (H, W, 3) in 0..1
    styles    a list of Style, and `pictures`, theirs in the size that goes with this content
    seed      of the directions of the sliced loss
    Raises ValueError for tiles or masks with the sliced loss, which is not made of moments.
    """

    def __init__(self, tiling, recipe, content, styles, pictures, seed=0):
        self.tiling, self.recipe, self.sliced = tiling, recipe, recipe.loss == "sliced"
        if self.sliced and (tiling.tile or any(style.mask is not None for style in styles)):
            raise ValueError("the sliced loss sorts all pixels of the picture: no tiles and no masks with it")
        self.content = self._whole_maps(self._padded(content), recipe.content)
        self.sizes = {layer: float((y * y).mean()) + 1e-8 if recipe.relative_content else 1.
                      for layer, y in self.content.items()}
        self.regions = [Region(mask, self._goals([pictures[i] for i in numbers], [styles[i].weight for i in numbers], seed))
                        for mask, numbers in _regions(styles)]

    def _padded(self, picture):
        with no_grad():
            return self.tiling.padded(tensor(np.asarray(picture, self.recipe.dtype)[None])).data

    def _looks(self, padded):
        """Without a graph, for one tile after the other: {layer: Look}"""
        for part in self.tiling.parts(padded):
            with no_grad():
                yield self.tiling.looks(tensor(self.tiling.outer(padded, part)), part)

    def _whole_maps(self, padded, layers):
        """{layer: feature map of the whole picture, an array}"""
        whole = {}
        for looks in self._looks(padded):
            for layer in layers:
                if layer in looks:
                    y = looks[layer].map.data
                    whole.setdefault(layer, np.empty((1, *looks[layer].size, y.shape[-1]), y.dtype))
                    whole[layer][(slice(None), *looks[layer].place)] = y
        return whole

    def _goals(self, pictures, weights, seed):
        """{layer: goal} of some pictures together."""
        padded = [self._padded(picture) for picture in pictures]
        if self.sliced:
            return self._sliced_goals([self._whole_maps(picture, self.recipe.style) for picture in padded], seed)
        found = [self._gathered(picture, [Region(None, {})]) for picture in padded]
        make, layers = LOSSES[self.recipe.loss][0], list(self.recipe.style)
        goals = in_parallel(lambda layer: make(mixed([moments_of[0, layer] for moments_of in found], weights)), layers)
        return dict(zip(layers, goals))

    def _sliced_goals(self, maps, seed):
        """{layer: (directions, the sorted projections of all pictures' pixels)}"""
        goals = {}
        for layer in self.recipe.style:
            pixels = np.concatenate([seen[layer].reshape(-1, seen[layer].shape[-1]) for seen in maps])
            directions = slices(pixels.shape[-1], LINES, np.random.default_rng(seed))
            goals[layer] = directions, projected(pixels, directions)
        return goals

    # ---- Losses

    def loss_and_gradient(self, pixels):
        """The loss, a tensor; its gradient becomes that of pixels (1, H, W, 3), which has none before."""
        if self.tiling.tile:
            return self._tiled_loss_and_gradient(pixels)
        loss = self.loss(pixels)
        loss.backward()
        return loss

    def loss(self, pixels):
        """Content, style and roughness, weighed and added: a tensor, with a graph of the whole picture."""
        looks, loss = self.tiling.whole(pixels), self.recipe.smoothness * roughness(pixels)
        loss = loss + self._content_loss(looks)
        if not self.recipe.style_weight:
            return loss
        if self.sliced:
            return loss + self._sliced_loss(looks)
        return loss + self._style_loss(_moments(looks, self.regions, self.recipe))

    def _content_loss(self, looks):
        """Of what the looks show, as a share of the whole."""
        total = 0.
        for layer, weight in self.recipe.content.items():
            if layer in looks:
                goal = self.content[layer]
                away = looks[layer].map - goal[(slice(None), *looks[layer].place)]
                total = total + (away * away).sum() * (self.recipe.content_weight * weight / self.sizes[layer] / goal.size)
        return total

    def _style_loss(self, found):
        """Of {(number of the region, layer): Moments}, side by side: eigenvalues are found on one core."""
        def share(region_and_layer):
            k, layer = region_and_layer
            distance = LOSSES[self.recipe.loss][1](found[region_and_layer], self.regions[k].goals[layer])
            return self._style_share(layer) * distance
        return sum(in_parallel(share, found))

    def _sliced_loss(self, looks):
        return sum(self._style_share(layer) * sliced_loss(looks[layer].map, *region.goals[layer])
                   for region in self.regions for layer in self.recipe.style)

    def _style_share(self, layer):
        weights = self.recipe.style
        return self.recipe.style_weight * weights[layer] / (sum(weights.values()) * len(self.regions))

    # ---- Tile by tile

    def _tiled_loss_and_gradient(self, pixels):
        with no_grad():
            padded = self.tiling.padded(pixels).data
        leaves = {key: Moments(tensor(here.mean, requires_grad=True), tensor(here.products, requires_grad=True))
                  for key, here in self._gathered(padded, self.regions).items()}
        loss = self.recipe.smoothness * roughness(pixels)
        if self.recipe.style_weight:
            loss = loss + self._style_loss(leaves)
        loss.backward()                                          # the roughness of the pixels, and the gains of the moments
        content, gradient = self._second_round(padded, leaves)
        pixels.grad = pixels.grad + pad_gradient(gradient, self.tiling.widths(), self.tiling.mode(pixels))
        return loss + content

    def _gathered(self, padded, regions):
        """{(number of the region, layer): Moments} of the whole picture, as arrays: the first round."""
        found = {}
        for looks in self._looks(padded):
            with no_grad():
                for key, here in _moments(looks, regions, self.recipe).items():
                    found[key] = here.arrays() if key not in found else found[key].plus(here.arrays())
        return found

    def _second_round(self, padded, leaves):
        """(the content's loss, the gradient of content and style with respect to the padded picture)"""
        content, gradient = 0., np.zeros_like(padded)
        for part in self.tiling.parts(padded):
            seen = tensor(self.tiling.outer(padded, part).copy(), requires_grad=True)
            looks = self.tiling.looks(seen, part)
            here = self._content_loss(looks) + 0 * seen.sum()    # a tensor, also where nothing is to be lost
            content += here.item()
            (here + self._gains(_moments(looks, self.regions, self.recipe), leaves)).backward()
            self.tiling.outer(gradient, part)[...] += seen.grad
        return content, gradient

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
    """[(mask, numbers of the styles wanted there), ...]: styles without a mask share the whole picture."""
    everywhere = [i for i, style in enumerate(styles) if style.mask is None]
    regions = [(None, everywhere)] if everywhere else []
    return regions + [(style.mask, [i]) for i, style in enumerate(styles) if style.mask is not None]
