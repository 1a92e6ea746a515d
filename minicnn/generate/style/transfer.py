"""Style transfer: the content of one picture, made of what others are made of (Gatys, Ecker and Bethge 2015).

A network sees a picture in layers.  What the feature maps of a deeper layer hold, place by place, is the content; what the
maps of several layers hold wherever it is, their statistics, is the style.  The picture that is looked for has the first
from one picture and the second from another, and it is found like any picture here: its pixels follow the gradient.

It grows: small pictures first, where a brush stroke is a few pixels wide and a step is cheap, then each time larger.
"""
import hashlib
from dataclasses import asdict, dataclass

import numpy as np

from ...core.backend import array_library, to_device, to_numpy
from ...core.tensor import raise_first_nonfinite, tensor
from ...files import weights
from ...files.checkpoint import joined_state, load_joined_state
from ...images import resize
from ...inside.feature_maps import FeatureMaps
from ...optim import LBFGS, Adam, WeightAverage
from ...training.run import Run
from .colour import histogram_matched
from .memory import planned
from .objective import Objective
from .targets import of_side
from .tiles import Tiling


@dataclass(frozen=True)
class Style:
    """A picture whose style is wanted.

    picture   (H, W, 3) in 0..1
    weight    how much of it, beside the other styles: those of a region are mixed, and regions weighed against each other
    mask      None, or where in the content it is wanted: (h, w) in 0..1, of any size, not 0 everywhere
    """
    picture: np.ndarray
    weight: float = 1.
    mask: np.ndarray = None

    def __post_init__(self):
        if self.mask is not None and not np.max(self.mask) > 0:
            raise ValueError("the mask of a style is black everywhere: it must be above 0 where the style is wanted")


class Transfer:
    """One style transfer: the place it has got to, and the picture there.   Transfer(content, styles, model, recipe).run()

    content      (H, W, 3) in 0..1
    styles       a list of Style
    size         longer side of the result; None: the content's own
    style_scale  how large the styles are beside the content: at 2, brush strokes are twice as wide
    seed         of the noise and of the sliced loss
    memory       None, or how many bytes the process may take altogether: larger pictures are looked at in tiles, and
                 L-BFGS keeps fewer of its past steps; ValueError where that is not enough
    start        None, or a picture (h, w, 3) of any size to begin with, in place of the recipe's start
    With a checkpoint, progress and resuming: Run(transfer, path).run(), see training/run.py.
    """
    kind = "style transfer"

    def __init__(self, content, styles, model, recipe, size=None, style_scale=1., seed=0, memory=None, start=None):
        self.content, self.styles, self.recipe, self.seed, self.start = content, list(styles), recipe, seed, start
        self.model = model
        if not self.styles:
            raise ValueError("a transfer needs at least one style")
        if not sum(style.weight for style in self.styles) > 0:
            raise ValueError("at least one style must have a weight above 0")
        layers = dict.fromkeys([*recipe.style, *recipe.content])
        feature_maps = FeatureMaps(model, layers, recipe.pooling, keep_filters=memory is None)
        self.sides, self.style_scale = recipe.sides(size or max(content.shape[:2])), style_scale
        plan = planned(memory, feature_maps, recipe, content, self.styles, self.sides[-1], style_scale)
        self.tiling, self.pairs = Tiling(feature_maps, recipe.margin, plan.tile), plan.pairs
        self.scale = self.step_number = 0
        self.losses = []
        self._begin_scale(None)

    # ---- Kept on disk

    def state(self):
        """(arrays, place) of all that the next step depends on."""
        place = {"scale": self.scale, "step": self.step_number, "losses": self.losses}
        return {"pixels": self.pixels.data, **joined_state(**self._owners())}, place

    def restore(self, arrays, place):
        """Take on what `state` gave."""
        self.scale, self.losses = place["scale"], place["losses"]
        self._enter_scale()
        self._place(arrays["pixels"])
        self.step_number = place["step"]
        load_joined_state(arrays, **self._owners())

    def _owners(self):
        return {"optimizer": self.optimizer, **({"average": self.average} if self.average else {})}

    def described(self):
        """What the result depends on: pictures and masks by their hashes, the recipe."""
        styles = [[_hash(style.picture), style.weight, None if style.mask is None else _hash(style.mask)]
                  for style in self.styles]
        start = None if self.start is None else _hash(self.start)
        return {"content": _hash(self.content), "styles": styles, "recipe": asdict(self.recipe), "sides": self.sides,
                "style_scale": self.style_scale, "seed": self.seed, "start": start,
                "network": weights.hash_of(getattr(self.model, "features", self.model))}

    # ---- The way through the sizes

    def run(self, callback=None):
        """To the end; returns the picture (H, W, 3) in 0..1.   callback: a function of this Transfer after a step"""
        Run(self, quiet=True).run(callback)
        return self.picture()

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
        pixels = to_numpy(pixels)[0]
        return np.clip(pixels, 0, 1, out=pixels).astype(np.float32, copy=False)

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
        content = self._enter_scale()
        start = self._start(content) if before is None else resize(before, content.shape[:2], "bicubic")
        self._place(np.clip(start, 0, 1)[None])

    def _enter_scale(self):
        """The objective in the size of this scale; returns the content in it.  What is there of another size makes room."""
        self.pixels = self.optimizer = self.average = self.objective = None
        side = self.sides[self.scale]
        content = of_side(self.content, side)
        self.objective = Objective(self.tiling, self.recipe, content, self.styles, self.style_scale * side, self.seed)
        return content

    def _place(self, pixels):
        """Go on from pixels (1, H, W, 3) with a new optimizer."""
        self.pixels = tensor(to_device(np.array(pixels, self.recipe.dtype), self.model.device), requires_grad=True)
        self.optimizer = self._optimizer()
        self.average = WeightAverage([self.pixels], self.recipe.average) if self.recipe.average else None

    def _start(self, content):
        if self.start is not None:
            return resize(self.start, content.shape[:2], "lanczos")
        if self.recipe.start == "noise":
            return np.random.default_rng(self.seed).random(content.shape, dtype=np.float32)
        if self.recipe.start == "matched":
            return histogram_matched(content, self.styles[0].picture)
        return content

    def _optimizer(self):
        if self.recipe.optimizer == "lbfgs":
            return LBFGS([self.pixels], max_iter=1, history=self.pairs, tolerance_grad=0, tolerance_change=0)
        return Adam([self.pixels], self.recipe.lr, betas=(.9, .99))

    def _move(self):
        if self.recipe.optimizer == "lbfgs":
            self.losses.append(self.optimizer.step(self._loss_and_gradient).item())
        else:
            self.optimizer.zero_grad()
            self.losses.append(self._loss_and_gradient().item())
            self.optimizer.step()
            array_library(self.pixels.data).clip(self.pixels.data, 0, 1, out=self.pixels.data)
        if self.average:
            self.average.update()

    def _loss_and_gradient(self):
        loss = self.objective.loss_and_gradient(self.pixels)
        if not np.isfinite(loss.item()):
            raise_first_nonfinite(lambda: self.objective.loss(self.pixels))
        return loss


def _hash(array):
    return hashlib.sha256(np.ascontiguousarray(array, np.float32)).hexdigest()[:16]


def stylize(content, style, model, recipe, size=None, seed=0, callback=None):
    """A picture like `content` in the style of `style`: (H, W, 3) float32 in 0..1; both (h, w, 3) in 0..1.

    For several styles, masks and resuming see Transfer, whose arguments these are.
    """
    return Transfer(content, [Style(style)], model, recipe, size, seed=seed).run(callback)
