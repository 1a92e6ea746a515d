"""A whole style transfer of the best kind, Wasserstein distances through VGG-16 from size to size, here and in PyTorch.

Both sides start from the same weights and pictures and take the same steps; so few of them that it can be timed, the same
number in every size.  The weights are random: what a step costs does not depend on what a network knows.
"""
import dataclasses

import numpy as np

from .. import models
from ..generate.style.recipes import recipe_for
from ..generate.style.transfer import Style, Transfer, of_side
from ..generate.style.wasserstein import FLAT, NOTHING
from ..images import resize
from .sides import placed

STEPS = 3                         # in each size


def transfer_ours(size, steps=STEPS):
    """A transfer to pictures of size x size."""
    model, content, style = placed(_network()), _picture(size, 0), _picture(size, 1)
    recipe = _recipe(model, steps)
    return lambda: Transfer(content, [Style(style)], model, recipe, size).run()


def _network():
    return models.build("vgg16", rng=0, features_only=True)


def _recipe(model, steps):
    return dataclasses.replace(recipe_for(model, "quality"), first_steps=steps, steps=steps)


def _picture(size, seed):
    """A smooth random picture, (size, size, 3) in 0..1."""
    coarse = np.random.default_rng(seed).random((size // 8, size // 8, 3), dtype=np.float32)
    return np.clip(resize(coarse, (size, size), "bicubic"), 0, 1)


# ---- The same in PyTorch -----------------------------------------------------------------------------------------------

def transfer_theirs(size, side, steps=STEPS):
    """The same transfer in PyTorch, as a function without arguments.  size: pixels; side: a TorchSide"""
    model = _network()
    recipe, network = _recipe(model, steps), TorchVGG(model, side)
    content, style = _picture(size, 0), _picture(size, 1)

    def run():
        picture = None
        for longer in recipe.sides(size):
            goal = TorchGoal(network, recipe, of_side(content, longer), of_side(style, longer))
            start = goal.content_picture if picture is None else np.clip(resize(picture, goal.content_picture.shape[:2],
                                                                                "bicubic"), 0, 1)
            picture = _optimised(goal, start, recipe, steps, side)
        return picture
    return run


def _optimised(goal, start, recipe, steps, side):
    """Adam in pixels that stay in 0..1; the average over the steps, (H, W, 3)."""
    pixels = side.images(start[None]).requires_grad_()
    optimizer, average = side.torch.optim.Adam([pixels], recipe.lr, betas=(.9, .99)), pixels.detach().clone()
    for t in range(steps):
        optimizer.zero_grad()
        goal.loss(pixels).backward()
        optimizer.step()
        with side.torch.no_grad():
            pixels.clamp_(0, 1)
            average.lerp_(pixels, 1 - min(recipe.average, (1 + t) / (10 + t)))
    return average[0].permute(1, 2, 0).clamp(0, 1).cpu().numpy()


class TorchVGG:
    """The feature maps of a VGG as our FeatureMaps have them: {layer: (N, C, h, w)} without the margin."""

    def __init__(self, model, side):
        self.side, self.names = side, {path: name for name, path in model.layer_names.items()}
        self.mean, self.std = (side.torch.tensor(v, device=side.device).view(1, 3, 1, 1)
                               for v in (model.preprocess.mean, model.preprocess.std))
        self.layers = [self._layer(layer) for layer in model.features]

    def _layer(self, layer):
        F = self.side.functional
        if hasattr(layer, "weight"):
            weight, bias = self.side.filters(layer.weight.data), self.side.array(layer.bias.data)
            return lambda x: F.conv2d(x, weight, bias, padding=1)
        return F.relu if type(layer).__name__ == "ReLU" else lambda x: F.max_pool2d(x, 2)

    def maps(self, x, wanted, margin):
        """{layer: feature map without the margin} of pictures x (N, 3, H, W), up to the last wanted layer."""
        padded = self.side.functional.pad(x, (margin,) * 4, mode="reflect")
        y, found = (padded - self.mean) / self.std, {}
        for i, layer in enumerate(self.layers):
            y, name = layer(y), self.names.get(f"features.{i}")
            if name in wanted:
                cut = round(margin * y.shape[2] / padded.shape[2])
                found[name] = y[:, :, cut:y.shape[2] - cut, cut:y.shape[3] - cut] if cut else y
            if len(found) == len(wanted):
                return found


class TorchGoal:
    """The loss of generate/style/loss.py for one style without masks."""

    def __init__(self, network, recipe, content, style):
        self.network, self.recipe, self.content_picture, side = network, recipe, content, network.side
        self.torch, self.overlap = side.torch, _overlap(side.torch)
        self.wanted = {*recipe.style, *recipe.content}
        with self.torch.no_grad():
            maps = network.maps(side.images(content[None]), recipe.content, recipe.margin)
            self.content = {layer: maps[layer] for layer in recipe.content}
            maps = network.maps(side.images(style[None]), recipe.style, recipe.margin)
            self.clouds = {layer: self._cloud(maps[layer]) for layer in recipe.style}

    def _moments(self, y):
        flat = y.flatten(2)[0]                                   # (C, H*W)
        mean = flat.mean(dim=1)
        return mean, flat @ flat.T / flat.shape[1] - mean[:, None] * mean[None]

    def _cloud(self, y):
        mean, covariance = self._moments(y)
        values, vectors = self.torch.linalg.eigh(covariance.double())
        wide = values > FLAT * values.max()
        return mean, covariance, (vectors[:, wide] * values[wide].sqrt()).float()    # (C, rank)

    def loss(self, pixels):
        """Content, style and roughness of pixels (1, 3, H, W): a single number with a graph."""
        recipe, maps = self.recipe, self.network.maps(pixels, self.wanted, self.recipe.margin)
        down, across = pixels[:, :, 1:] - pixels[:, :, :-1], pixels[..., 1:] - pixels[..., :-1]
        loss = recipe.smoothness * ((down * down).mean() + (across * across).mean())
        for layer, weight in recipe.content.items():
            away = (maps[layer] - self.content[layer]).square().mean()
            loss = loss + recipe.content_weight * weight * away
        total = sum(recipe.style.values())
        return loss + sum(weight / total * self._distance(maps[layer], *self.clouds[layer])
                          for layer, weight in recipe.style.items())

    def _distance(self, y, other_mean, other, root):
        mean, covariance = self._moments(y)
        widths = covariance.diagonal().sum() + other.diagonal().sum()
        overlap = self.overlap.apply(covariance, root)
        return ((mean - other_mean).square().sum() + widths - 2 * overlap) / len(mean)


def _overlap(torch):
    """wasserstein.overlap, with the same gradient written out: through torch.linalg.eigh it would take longer."""
    class Overlap(torch.autograd.Function):
        @staticmethod
        def forward(ctx, covariance, root):
            values, vectors = torch.linalg.eigh((root.T @ covariance @ root).double())
            wide = values > FLAT * values.max()
            ctx.save_for_backward(root @ (vectors[:, wide] * values[wide] ** -.25).float())
            return values[wide].sqrt().sum().to(covariance.dtype)

        @staticmethod
        def backward(ctx, dy):
            turned, = ctx.saved_tensors
            gains = turned @ turned.T
            gains[gains.abs() < NOTHING * gains.abs().max()] = 0
            return .5 * dy * gains, None
    return Overlap
