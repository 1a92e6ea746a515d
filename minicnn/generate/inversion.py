"""A classifier in reverse: from the name of a class to pictures of it.

Training asks: how must the weights change so that this picture is called a cat?  Here the weights are frozen and the pixels
are asked instead.  The gradient of the same loss with respect to the picture answers, and a few dozen small steps along it
turn a blurred guess into what the network thinks a cat looks like.

That works if the network has been trained against small attacks.  An ordinary one answers with noise that it takes for a
cat; so does a robust one that takes the short and straight way there (`NO_PRIOR`).
"""
import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from ..core.backend import array_library, to_device, to_numpy
from ..core.tensor import raise_first_nonfinite, tensor
from ..inside.watching import batch_norms, observe
from ..layers.conv.geometry import pair
from ..layers.loss import cross_entropy
from ..layers.resample import upsample
from ..optim import Optimizer
from ..training.attack import project_to_ball, unit
from .objectives import batch_norm_prior, total_variation
from .transforms import jitter
from .views import Views

USUAL_VALUES = 32 * 32 * 3                       # numbers of the pictures in whose L2 norms an InversionRecipe speaks


@dataclass(frozen=True)
class InversionRecipe:
    """How pictures are made.  Lengths are L2 norms of a whole 32x32x3 picture with values 0..1, whatever is drawn.

    steps        how often the picture is changed
    first, last  length of the first and of the last step; between them it falls evenly
    radius       how far a picture may move from its start
    smoothness   weight of the total variation beside the cross-entropy
    jitter       pixels by which the picture is moved at random before the network sees it
    bn_prior     weight of the batch-norm prior (see objectives.py) beside the cross-entropy, 0 for none
    """
    steps: int = 80
    first: float = .3
    last: float = .03
    radius: float = 12.
    smoothness: float = 1.5
    jitter: int = 2
    bn_prior: float = 0.

    def scaled_to(self, shape):
        """The recipe for pictures of another shape (H, W, C): norms grow with the root of the number of values."""
        factor = math.sqrt(math.prod(shape) / USUAL_VALUES)
        return dataclasses.replace(self, **{name: getattr(self, name) * factor for name in ("first", "last", "radius")})


# The plain gradient, a short and straight way: from noise, what it finds convinces the network and nobody else.
NO_PRIOR = InversionRecipe(steps=100, first=.07, last=.07, smoothness=0., jitter=0)


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


def invert(model, target, count=8, seed=0, recipe=InversionRecipe(), start="gaussian", callback=None, size=None):
    """Pictures that `model` takes for `target`: (n, H, W, C) float32 in 0..1, of the shape that it was built for.

    target  the name of a class, for `count` pictures; or an array with the number of a class for each picture
    seed    of the start and the jitter: the same seed gives the same pictures
    recipe  its lengths are those for 32x32x3, and are scaled to the shape of the pictures
    start   "gaussian" (a blurred draw from the class's training pictures), "noise", or an array (H, W, C) in 0..1, with a
            `size` of that size
    callback   None, or a function of (step, pictures), called before every step: for animations
    size    None, or another height and width, a number or a pair: the pictures are then drawn on as in `draw`

    Raises ValueError for an unknown class or start, a size below the network's own, and a batch-norm prior without batch
    norm; FloatingPointError, with the operation's name, when a number is no longer finite.
    """
    rng = np.random.default_rng(seed)
    labels = np.full(count, model.class_index(target)) if isinstance(target, str) else np.asarray(target)
    pictures = start_pictures(model, labels, start, rng, size)

    def objective(logits, _):                                    # there may be several views of each picture
        return cross_entropy(logits, np.resize(labels, len(logits)))
    return draw(model, pictures, objective, recipe, rng, callback, size=size)


def draw(model, pictures, objective, recipe, rng, callback=None, layers=(), size=None):
    """Pictures of the network's own size, (n, h, w, C), and from them larger ones if a `size` is given: (n, H, W, C).

    First `descend` in the network's own size: there it sees all at once, and a cat stays whole.  Then the picture itself is
    enlarged to `size` and the same recipe goes on in its pixels, but now the network sees it through random `Views`: what
    was a blot becomes an eye.  Pictures that already have that size are only drawn on.
    """
    own, larger = model.input_shape[:2], _larger(model, size)
    if pictures.shape[1:3] == own:
        pictures = descend(model, pictures, objective, recipe, rng, callback, layers)
    if larger == own:
        return pictures
    pictures = np.clip(upsample(pictures, size=larger, mode="bilinear").data, 0, 1)
    finer = dataclasses.replace(recipe, smoothness=recipe.smoothness * larger[0] / own[0])       # its neighbours are nearer
    return descend(model, pictures, objective, finer, rng, callback, layers, lambda picture: Views().of(picture, own, rng))


def descend(model, pictures, objective, recipe, rng, callback=None, layers=(), transform=None):
    """Change `pictures` (n, H, W, C) by the recipe until the objective, a number that is made small, is fulfilled.

    objective    function of the network's output and of the calls of `layers`: see `observe`
    layers  the Modules whose inputs and outputs the objective needs to see
    transform    what the network is shown of the pictures, a function of a tensor; None: the pictures, moved by the jitter
    """
    transform = transform or (lambda picture: jitter(picture, recipe.jitter, rng))
    picture, recipe = tensor(to_device(pictures, model.device), requires_grad=True), recipe.scaled_to(pictures.shape[1:])
    norms = batch_norms(model) if recipe.bn_prior else []
    optimizer = PictureDescent([picture], recipe.first, recipe.radius)
    with model.frozen():
        for step in range(recipe.steps):
            if callback:
                callback(step, to_numpy(picture.data))
            loss = total_loss(model, picture, objective, recipe, transform, layers, norms)
            if not np.isfinite(loss.item()):
                raise_first_nonfinite(lambda: total_loss(model, picture, objective, recipe, transform, layers, norms))
            optimizer.zero_grad()
            loss.backward()
            optimizer.lr = recipe.first + (recipe.last - recipe.first) * step / recipe.steps
            optimizer.step()
    return to_numpy(picture.data)


def total_loss(model, picture, objective, recipe, transform, layers=(), norms=()):
    """What is made small: the objective, at what the network is shown of the picture; the roughness; the prior."""
    output, calls = observe(model, transform(picture), [*layers, *norms], inputs=bool(norms))
    loss = objective(output, calls) + recipe.smoothness * total_variation(picture)
    if recipe.bn_prior:
        loss = loss + recipe.bn_prior * batch_norm_prior([(layer, x) for layer, x, _ in calls if layer in norms])
    return loss


def _larger(model, size):
    """The size (H, W) of the pictures in the end."""
    own = model.input_shape[:2]
    larger = own if size is None else pair(size, "size")
    if min(np.subtract(larger, own)) < 0:
        raise ValueError(f"size {larger} is below that of the pictures this network sees, {own}: draw those and shrink them")
    return larger


def start_pictures(model, labels, start, rng, size=None):
    """(n, H, W, C) float32 in 0..1, of the model's input_shape, for labels (n,); start and size as in `invert`."""
    shape = (len(labels), *model.input_shape)
    if not isinstance(start, str):
        return _copies(np.asarray(start, np.float32), (len(labels), *_larger(model, size), shape[3]))
    if start == "noise":
        return rng.random(shape, dtype=np.float32)
    if start != "gaussian":
        raise ValueError(f"start must be 'gaussian', 'noise' or a picture, not {start!r}")
    if model.start is None:
        raise ValueError("this network has no statistics of its training pictures to start from: use start='noise'")
    return model.start.sample(labels, model.input_shape[:2], rng)


def _copies(picture, shape):
    try:
        return np.broadcast_to(picture, shape).copy()
    except ValueError:
        raise ValueError(f"start is an array of shape {picture.shape}, but pictures are drawn as {shape[1:]}: "
                         "resize it first") from None
