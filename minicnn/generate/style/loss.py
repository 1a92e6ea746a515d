"""The loss of style transfer: how far what is drawn is from the content and from the styles that it should have.

    loss =  content_weight  sum_l w_l mean((F_l - F*_l)^2) / s_l
          + style_weight    sum_r v_r sum_l u_l distance(G_rl, G*_rl)
          + smoothness      roughness

l counts layers.  F are the features of what is drawn, F* those of the content, s_l their mean square, or 1.  r counts the
regions of a picture, or the pictures of a batch, each of which has to have its style by itself; G are the statistics of the
features there.  The weights u of the layers add up to 1, and so do the weights v of the regions.

Nothing here looks at pictures: a whole picture, one in tiles and a batch of stylised photographs all come as features.
Source: Gatys, Ecker and Bethge 2015, equations 1 to 7, where G are Gram matrices and the distance is that of their entries.
"""
from dataclasses import dataclass

from ...core.threads import in_parallel
from ..objectives import roughness
from .textures import Moments, distance_of


@dataclass(frozen=True)
class Targets:
    """What is drawn is compared with these.

    content   {layer: features, an array}; empty where they are computed anew for each tile
    scales    {layer: number}, see content_scales
    regions   a list of Region, for the style
    """
    content: dict
    scales: dict
    regions: list


def total_loss(recipe, x, features, statistics, targets):
    """The loss of pictures x (N, H, W, 3), a tensor: content, style and roughness, weighed and added.

    features     {layer: tensor (N, h, w, C)}, what the network computes of x;  statistics: see style_loss
    """
    loss = smoothness_loss(recipe, x) + content_loss(features, targets.content, targets.scales)
    return loss + style_loss(recipe, statistics, targets.regions)


def content_scales(recipe, targets):
    """{layer: by what the squared differences of its features, added up, are multiplied}: content_weight w_l / (s_l count).

    targets   the content's features {layer: array}, of each tile, one after the other
    """
    squares, counts = dict.fromkeys(recipe.content, 0.), dict.fromkeys(recipe.content, 0)
    for features in targets:
        for layer, y in features.items():
            squares[layer] += float((y * y).sum())
            counts[layer] += y.size
    sizes = {layer: squares[layer] / counts[layer] + 1e-8 if recipe.relative_content else 1. for layer in counts}
    return {layer: recipe.content_weight * weight / sizes[layer] / counts[layer] for layer, weight in recipe.content.items()}


def content_loss(features, targets, scales):
    """Of features {layer: tensor} beside targets {layer: array}, of a picture or of a tile: the losses of tiles add up."""
    total = 0.
    for layer, target in targets.items():
        away = features[layer] - target
        total = total + (away * away).sum() * scales[layer]
    return total


def style_loss(recipe, statistics, regions):
    """Of {(number of the region, layer): Moments, or features where the loss sorts them} beside the targets of the regions.

    They are compared side by side, since eigenvalues are found on one core.  The layers with the most channels take the
    longest, and come first.
    """
    if not recipe.style_weight:
        return 0.
    distance, layers = distance_of(recipe.loss), sum(recipe.style.values())
    together = sum(region.weight for region in regions)

    def term(region_and_layer):
        k, layer = region_and_layer
        weight = recipe.style_weight * recipe.style[layer] / layers * regions[k].weight / together
        return weight * distance(statistics[region_and_layer], regions[k].targets[layer])
    return sum(in_parallel(term, sorted(statistics, key=lambda key: -_channels(statistics[key]))))


def _channels(statistics):
    return len(statistics.mean) if isinstance(statistics, Moments) else statistics.shape[-1]


def smoothness_loss(recipe, x):
    """Of pictures x (N, H, W, 3), a tensor."""
    return recipe.smoothness * roughness(x)
