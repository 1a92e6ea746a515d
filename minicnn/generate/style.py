"""Style transfer: the content of one picture, made of what others are made of (Gatys, Ecker and Bethge 2015).

A network sees a picture in layers.  What the feature maps of a deeper layer hold, place by place, is the content; what the
maps of several layers hold wherever it is, their statistics, is the style.  The picture that is looked for has the first
from one picture and the second from another, and it is found like any picture here: its pixels follow the gradient.

It grows: small pictures first, where a brush stroke is a few pixels wide and a step is cheap, then each time larger.
"""
import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np

from ..arithmetic import pad
from ..images import resize
from ..layers.loss import mse_loss
from ..optim import LBFGS, Adam, WeightAverage
from ..tensor import no_grad, raise_first_nonfinite, tensor
from .colour import histogram_matched
from .extractor import Extractor
from .objectives import roughness
from .textures import LOSSES, mixed, moments, projected, sliced_loss, slices

STARTS = ("content", "noise", "matched")
OPTIMIZERS = ("adam", "lbfgs")
HEAVIEST = 1e12                   # of all weights
LINES = 64                        # directions from which the sliced loss looks at each layer


@dataclass(frozen=True)
class StyleRecipe:
    """How a picture is stylised.

    style      {layer: weight}: what its statistics are compared in.  The weights are made to add up to 1
    content    {layer: weight}: what the content's feature maps are compared in
    loss       of the statistics: "w2", "relative", "gram", "mean-std" or "sliced", see textures.py
    relative_content   whether the content's loss is a share of the mean square of its features, or their plain difference
    content_weight, style_weight, smoothness   of the parts: content, style, and the roughness of the picture
    pooling    "max", "average" or "l2": see Extractor
    start      "content", "noise", or "matched", the content with the style's colours
    optimizer  "adam", with steps of about lr a pixel, or "lbfgs"
    smallest, growth   the longer side of the first, smallest picture, and by what factor it grows; infinity: at once
    first_steps, steps   in the first size and in each of the others
    average    decay of the average over the steps that is the result, 0 for the last step
    margin     pixels by which the picture is continued as in a mirror, so that the network sees no edge
    """
    style: dict
    content: dict
    loss: str = "relative"
    relative_content: bool = True
    content_weight: float = 1.
    style_weight: float = 1.
    smoothness: float = 0.
    pooling: str = "average"
    start: str = "content"
    optimizer: str = "adam"
    lr: float = .02
    smallest: int = 128
    growth: float = math.sqrt(2)
    first_steps: int = 100
    steps: int = 50
    average: float = .9
    margin: int = 16

    def __post_init__(self):
        for name, known in (("loss", (*LOSSES, "sliced")), ("start", STARTS), ("optimizer", OPTIMIZERS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        weights = [*self.style.values(), *self.content.values(), self.style_weight, self.content_weight, self.smoothness]
        if not all(0 <= weight <= HEAVIEST for weight in weights):
            raise ValueError(f"weights must be between 0 and {HEAVIEST:.0e}, where gradients stay finite, not {weights}")
        if not sum(self.style.values()) > 0:
            raise ValueError("style: at least one layer must have a weight above 0")

    def sides(self, size):
        """The longer sides of the pictures on the way to `size`: 128, 181, 256."""
        sides, side = [size], size / self.growth
        while side >= .99 * self.smallest and self.growth < math.inf:
            sides.insert(0, round(side))
            side /= self.growth
        return sides


@dataclass(frozen=True)
class Style:
    """A picture whose style is wanted.

    picture   (H, W, 3) in 0..1
    weight    how much of it, beside the others of its region
    mask      None, or where in the content it is wanted: (h, w) in 0..1, of any size
    """
    picture: np.ndarray
    weight: float = 1.
    mask: np.ndarray = None


@dataclass
class Goal:
    """What the picture of one size is compared with.

    content   {layer: feature map, an array}, and its `content_sizes` {layer: mean square}
    regions   [(mask (H, W) or None, {layer: goal of the loss}), ...]
    """
    content: dict = field(default_factory=dict)
    content_sizes: dict = field(default_factory=dict)
    regions: list = field(default_factory=list)


class Transfer:
    """One style transfer: the place it has got to, and the picture there.   Transfer(content, styles, model, recipe).run()

    content      (H, W, 3) in 0..1
    styles       a list of Style
    size         longer side of the result; None: the content's own
    style_scale  how large the styles are beside the content: at 2, brush strokes are twice as wide
    seed         of the noise and of the sliced loss
    """

    def __init__(self, content, styles, model, recipe, size=None, style_scale=1., seed=0):
        self.content, self.styles, self.recipe, self.seed = content, list(styles), recipe, seed
        if not self.styles:
            raise ValueError("a transfer needs at least one style")
        self.extractor = Extractor(model, dict.fromkeys([*recipe.style, *recipe.content]), recipe.pooling)
        self.sides, self.style_scale = recipe.sides(size or max(content.shape[:2])), style_scale
        self.scale = self.step_number = 0
        self.losses, self.pixels = [], None
        self._begin_scale(None)

    # ---- The way through the sizes

    def run(self, watch=None):
        """To the end; returns the picture (H, W, 3) in 0..1.   watch: None, or a function of this Transfer after a step"""
        while not self.finished():
            self.step()
            if watch:
                watch(self)
        return self.picture()

    def finished(self):
        return self.scale == len(self.sides) - 1 and self.step_number >= self._steps_here()

    def step(self):
        """One step of the optimizer; in a new size if the present one has had its steps.

        Raises FloatingPointError, with the operation's name, when the loss is no longer finite.
        """
        if self.step_number >= self._steps_here():
            self.scale, self.step_number = self.scale + 1, 0
            self._begin_scale(self.picture())
        self._move()
        self.step_number += 1

    def picture(self):
        """The result so far: (H, W, 3) float32 in 0..1."""
        (pixels,) = self.average.averaged() if self.average else (self.pixels.data.copy(),)
        return np.clip(pixels[0], 0, 1)

    def progress(self):
        """(steps done, steps altogether)"""
        before = sum(self._steps_of(scale) for scale in range(self.scale))
        return before + self.step_number, sum(map(self._steps_of, range(len(self.sides))))

    def _steps_of(self, scale):
        return self.recipe.first_steps if scale == 0 else self.recipe.steps

    def _steps_here(self):
        return self._steps_of(self.scale)

    # ---- One size

    def _begin_scale(self, before):
        """Everything in the size of this scale; `before` is the picture of the last one, None in the first."""
        content = _of_side(self.content, self.sides[self.scale])
        self.goal = self._goal(content)
        start = self._start(content) if before is None else np.clip(resize(before, content.shape[:2], "bicubic"), 0, 1)
        self.pixels = tensor(np.ascontiguousarray(start[None], np.float32), requires_grad=True)
        self.optimizer = self._optimizer()
        self.average = WeightAverage([self.pixels], self.recipe.average) if self.recipe.average else None

    def _start(self, content):
        if self.recipe.start == "noise":
            return np.random.default_rng(self.seed).random(content.shape, dtype=np.float32)
        if self.recipe.start == "matched":
            return histogram_matched(content, self.styles[0].picture)
        return content

    def _optimizer(self):
        if self.recipe.optimizer == "lbfgs":
            return LBFGS([self.pixels], max_iter=1, history=100, tolerance_grad=0, tolerance_change=0)
        return Adam([self.pixels], self.recipe.lr, betas=(.9, .99))

    def _move(self):
        if self.recipe.optimizer == "lbfgs":
            self.losses.append(self.optimizer.step(self._loss_and_gradient).item())
        else:
            self.optimizer.zero_grad()
            self.losses.append(self._loss_and_gradient().item())
            self.optimizer.step()
            np.clip(self.pixels.data, 0, 1, out=self.pixels.data)
        if self.average:
            self.average.update()

    def _loss_and_gradient(self):
        loss = self.loss()
        if not np.isfinite(loss.item()):
            raise_first_nonfinite(self.loss)
        loss.backward()
        return loss

    # ---- What is made small

    def loss(self):
        """Content, style and smoothness, weighed and added: a tensor."""
        recipe, maps = self.recipe, self._maps(self.pixels)
        loss = recipe.smoothness * roughness(self.pixels)
        if recipe.content_weight:
            loss = loss + recipe.content_weight * self._content_loss(maps)
        return loss + recipe.style_weight * self._style_loss(maps)

    def _maps(self, x):
        """{layer: feature map} of x (1, H, W, 3), without what the margin has become."""
        margin = self.recipe.margin
        mirrors = margin < min(x.shape[1:3])                                     # a narrow picture has not enough to show
        padded = pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)), "reflect" if mirrors else "replicate")
        return {name: _without_margin(y, margin / padded.shape[1]) for name, y in self.extractor(padded).items()}

    def _content_loss(self, maps):
        return sum(weight / self.goal.content_sizes[layer] * mse_loss(maps[layer], self.goal.content[layer])
                   for layer, weight in self.recipe.content.items())

    def _style_loss(self, maps):
        total = sum(self.recipe.style.values())
        return sum(weight / total * sum(self._distance(layer, maps[layer], mask, goals) for mask, goals in self.goal.regions)
                   for layer, weight in self.recipe.style.items()) * (1 / len(self.goal.regions))

    def _distance(self, layer, y, mask, goals):
        if self.recipe.loss == "sliced":
            return sliced_loss(y, *goals[layer])
        return LOSSES[self.recipe.loss][1](moments(y, _share(mask, y)), goals[layer])

    # ---- What the picture is compared with

    def _goal(self, content):
        goal = Goal()
        with no_grad():
            maps = self._maps(tensor(content[None]))
            for layer in self.recipe.content:
                goal.content[layer] = maps[layer].data
                goal.content_sizes[layer] = self._size(maps[layer].data)
            side = self.style_scale * max(content.shape[:2])
            seen = [self._maps(tensor(_of_side(style.picture, round(side))[None])) for style in self.styles]
        for mask, numbers in _regions(self.styles):
            goals = {layer: self._style_goal([seen[i][layer] for i in numbers], [self.styles[i].weight for i in numbers])
                     for layer in self.recipe.style}
            goal.regions.append((mask, goals))
        return goal

    def _size(self, y):
        return float((y * y).mean()) + 1e-8 if self.recipe.relative_content else 1.

    def _style_goal(self, maps, weights):
        if self.recipe.loss == "sliced":
            return self._sliced_goal(maps)
        return LOSSES[self.recipe.loss][0](mixed([moments(y).arrays() for y in maps], weights))

    def _sliced_goal(self, maps):
        C = maps[0].shape[-1]
        directions = slices(C, LINES, np.random.default_rng(self.seed))
        return directions, projected(np.concatenate([y.data.reshape(-1, C) for y in maps]), directions)


def _of_side(picture, side):
    """The picture with that longer side, at least one pixel wide."""
    return np.clip(resize(picture, max(1, side), "lanczos"), 0, 1)


def _without_margin(y, share):
    """A feature map (N, H, W, C) without `share` of its height at each end, and as many pixels at the sides."""
    cut = round(share * y.shape[1])
    cut = min(cut, (min(y.shape[1:3]) - 1) // 2)
    return y[:, cut:-cut, cut:-cut] if cut else y


def _share(mask, y):
    """How much each pixel of a feature map counts, (h, w), adding up to 1; None where all count alike."""
    if mask is None:
        return None
    share = np.clip(resize(mask, y.shape[1:3], "bilinear"), 0, None) + 1e-6
    return share / share.sum()


def _regions(styles):
    """[(mask, numbers of the styles wanted there), ...]: styles without a mask share the whole picture."""
    everywhere = [i for i, style in enumerate(styles) if style.mask is None]
    regions = [(None, everywhere)] if everywhere else []
    return regions + [(style.mask, [i]) for i, style in enumerate(styles) if style.mask is not None]


def stylize(content, style, model, recipe, size=None, seed=0, watch=None):
    """A picture like `content` in the style of `style`: (H, W, 3) float32 in 0..1; both (h, w, 3) in 0..1.

    For several styles, masks and resuming see Transfer, whose arguments these are.
    """
    return Transfer(content, [Style(style)], model, recipe, size, seed=seed).run(watch)
