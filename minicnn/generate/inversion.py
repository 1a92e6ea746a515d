"""A classifier in reverse: from the name of a class to pictures of it.

Training asks: how must the weights change so that this picture is called a cat?  Here the weights are frozen and the pixels
are asked instead.  The gradient of the same loss with respect to the picture answers, and a few dozen small steps along it
turn a blurred guess into what the network thinks a cat looks like.

That works if the network has been trained against small attacks.  An ordinary one answers with noise that it takes for a
cat; so does a robust one that takes the short and straight way there (`NO_PRIOR`).
"""
from dataclasses import dataclass

import numpy as np

from ..attack import project_to_ball, unit
from ..backend import array_library
from ..layers.loss import cross_entropy
from ..optim import Optimizer
from ..tensor import raise_first_nonfinite, tensor
from .objectives import total_variation
from .transforms import jitter


@dataclass(frozen=True)
class Recipe:
    """How pictures are made.  Lengths are L2 norms of a whole 32x32 picture with values 0..1.

    steps        how often the picture is changed
    first, last  length of the first and of the last step; between them it falls evenly
    radius       how far a picture may move from its start
    smoothness   weight of the total variation beside the cross-entropy
    jitter       pixels by which the picture is moved at random before the network sees it
    """
    steps: int = 80
    first: float = .3
    last: float = .03
    radius: float = 12.
    smoothness: float = 1.5
    jitter: int = 2


# The plain gradient, a short and straight way: from noise, what it finds convinces the network and nobody else.
NO_PRIOR = Recipe(steps=100, first=.07, last=.07, smoothness=0., jitter=0)


class PictureDescent(Optimizer):
    """Steps of a given length along each picture's own gradient, inside a ball around the start and inside 0..1.

    The length of a gradient says little about how far to go: it vanishes as soon as the network is sure.  So only its
    direction is used (Madry et al. 2018; Santurkar et al. 2019).
    """

    def __init__(self, pictures, lr, radius):
        super().__init__(pictures, lr)
        self.radius, self.centres = radius, [picture.data.copy() for picture in self.parameters]

    def update(self, i, picture, gradient):
        moved = project_to_ball(picture - self.lr * unit(gradient), self.centres[i], self.radius)
        array_library(picture).clip(moved, 0, 1, out=picture)


def invert(model, target, count=8, seed=0, recipe=Recipe(), start="gaussian", watch=None):
    """Pictures that `model` takes for `target`: (n, H, W, 3) float32 in 0..1.

    target  the name of a class, for `count` pictures; or an array with the number of a class for each picture
    seed    of the start and the jitter: the same seed gives the same pictures
    start   "gaussian" (a blurred draw from the class's training pictures), "noise", or an array (H, W, 3) in 0..1
    watch   None, or a function of (step, pictures), called before every step: for animations

    Raises ValueError for an unknown class or start, FloatingPointError, with the operation's name, when a number is no
    longer finite.
    """
    rng = np.random.default_rng(seed)
    labels = np.full(count, model.class_index(target)) if isinstance(target, str) else np.asarray(target)
    picture = tensor(start_pictures(model, labels, start, rng), requires_grad=True)
    optimizer = PictureDescent([picture], recipe.first, recipe.radius)
    with model.frozen():
        for step in range(recipe.steps):
            if watch:
                watch(step, picture.data)
            loss = objective(model, picture, labels, recipe, rng)
            if not np.isfinite(loss.item()):
                raise_first_nonfinite(lambda: objective(model, picture, labels, recipe, rng))
            optimizer.zero_grad()
            loss.backward()
            optimizer.lr = recipe.first + (recipe.last - recipe.first) * step / recipe.steps
            optimizer.step()
    return picture.data


def objective(model, picture, labels, recipe, rng):
    """What is made small: the network's surprise, when told the class, at the picture a little moved; and the roughness."""
    loss = cross_entropy(model(jitter(picture, recipe.jitter, rng)), labels)
    return loss + recipe.smoothness * total_variation(picture)


def start_pictures(model, labels, start, rng, size=32):
    """(n, size, size, 3) float32 in 0..1 for labels (n,); start as in `invert`."""
    shape = (len(labels), size, size, 3)
    if not isinstance(start, str):
        return np.broadcast_to(np.asarray(start, np.float32), shape).copy()
    if start == "noise":
        return rng.random(shape, dtype=np.float32)
    if start != "gaussian":
        raise ValueError(f"start must be 'gaussian', 'noise' or a picture, not {start!r}")
    if model.start is None:
        raise ValueError("this network has no statistics of its training pictures to start from: use start='noise'")
    return model.start.sample(labels, size, rng)
