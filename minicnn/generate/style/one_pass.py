"""One style, learned: a Stylizer is trained until what it makes of photographs has their content and that style.

The loss is the one of a style transfer, see loss.py; only the leaves are others, the weights of a network instead of pixels.
So after the training a transfer is a single pass.
"""
from dataclasses import asdict, dataclass

import numpy as np

from ...core.backend import to_device
from ...core.tensor import no_grad, raise_first_nonfinite, tensor
from ...files import weights
from ...files.checkpoint import joined_state, load_joined_state
from ...images import read_image, resize
from ...inside.feature_maps import FeatureMaps
from ...models.stylizer import Stylizer
from ...optim import Adam, Cosine
from ...training.run import Run
from .loss import Targets, content_scales, total_loss
from .regions import Region
from .targets import as_batch, of_side, style_targets
from .textures import LOSSES, moments
from .tiles import Tiling


@dataclass(frozen=True)
class StylizerSettings:
    """How a Stylizer is trained.

    steps, batch   steps of Adam, pictures in each
    side           of the square crops that are learned from, in pixels
    lr             of Adam at first; it falls to 0 as a cosine
    width, blocks  of the Stylizer
    seed           of its weights, and of the crops
    """
    steps: int = 1000
    batch: int = 2
    side: int = 128
    lr: float = 3e-3
    width: int = 16
    blocks: int = 3
    seed: int = 0


class Crops:
    """Random squares of photographs, each of them a function of (seed, step).

    photographs   paths of picture files, read once and kept as bytes; smaller ones are enlarged to hold a crop
    side          of the squares, in pixels
    """

    def __init__(self, photographs, side, seed=0):
        self.side, self.seed = side, seed
        self.pictures = [_bytes(read_image(path), side) for path in photographs]
        if not self.pictures:
            raise ValueError("there are no photographs to learn from")

    def batch(self, step, count):
        """(count, side, side, 3) float32 in 0..1: of random photographs, half of them mirrored."""
        rng = np.random.default_rng([self.seed, step])
        return np.stack([self._crop(rng) for _ in range(count)])

    def _crop(self, rng):
        picture = self.pictures[rng.integers(len(self.pictures))]
        top, left = (int(rng.integers(length - self.side + 1)) for length in picture.shape[:2])
        crop = picture[top:top + self.side, left:left + self.side]
        return (crop[:, ::-1] if rng.random() < .5 else crop).astype(np.float32) / 255


def _bytes(picture, side):
    """uint8, its shorter side between one and two crops long, so that a crop shows more than a patch."""
    shorter = min(picture.shape[:2])
    factor = side / shorter if shorter < side else min(1, 2 * side / shorter)
    size = tuple(max(side, round(length * factor)) for length in picture.shape[:2])
    return np.rint(np.clip(resize(picture, size, "lanczos"), 0, 1) * 255).astype(np.uint8)


class StylizerTraining:
    """One training: the network, the optimizer and the place.   StylizerTraining(style, photographs, model, recipe).run()

    style         (H, W, 3) in 0..1, of whatever size: it is looked at with its longer side three crops long
    photographs   paths of picture files
    model         the network in whose features pictures are compared;  recipe: a StyleRecipe, of its layers and weights
    With a checkpoint, progress and resuming: Run(training, path).run(), see training/run.py.
    """
    kind = "style training"

    def __init__(self, style, photographs, model, recipe, lessons=StylizerSettings()):
        if recipe.loss not in LOSSES:
            raise ValueError(f"a stylizer learns with one of the losses {', '.join(LOSSES)}, not {recipe.loss!r}")
        self.recipe, self.lessons, self.step_number, self.losses = recipe, lessons, 0, []
        self.style, self.model = style, model
        feature_maps = FeatureMaps(model, dict.fromkeys([*recipe.style, *recipe.content]), recipe.pooling)
        self.tiling = Tiling(feature_maps, recipe.margin)
        self.crops = Crops(photographs, lessons.side, lessons.seed)
        picture = as_batch(of_side(style, 3 * lessons.side), self.tiling, recipe)
        self.region = Region(targets=style_targets(self.tiling, recipe, [picture], [1.]))
        self.network = Stylizer(lessons.width, lessons.blocks, lessons.seed).to(model.device)
        self.optimizer = Adam(self.network.parameters(), lessons.lr)
        self.schedule = Cosine(lessons.lr, lessons.steps)

    def run(self, callback=None):
        """To the end; returns the network.   callback: None, or a function of this training after a step"""
        Run(self, quiet=True).run(callback)
        return self.network.eval()

    def progress(self):
        """(steps done, steps altogether)"""
        return self.step_number, self.lessons.steps

    def step(self):
        """One batch.  Raises FloatingPointError, with the operation's name, when the loss is no longer finite."""
        x = to_device(self.crops.batch(self.step_number, self.lessons.batch), self.model.device)
        loss = self.loss(x)
        if not np.isfinite(loss.item()):
            raise_first_nonfinite(lambda: self.loss(x))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.lr = self.schedule(self.step_number)
        self.optimizer.step()
        self.losses.append(loss.item())
        self.step_number += 1

    def loss(self, x):
        """Of photographs x (N, H, W, 3), an array: what the network makes of them, in content, style and roughness."""
        y, content = self.network(x), self._content_target(x)
        targets = Targets(content, content_scales(self.recipe, [content]), [self.region] * len(x))
        features = self._features(y)
        return total_loss(self.recipe, y, features, self._statistics(features), targets)

    def _content_target(self, x):
        """{layer: features, arrays} of the photographs."""
        with no_grad():
            return {layer: y.data for layer, y in self._features(tensor(x), self.recipe.content).items()}

    def _features(self, x, layers=None):
        """{layer: feature maps} of pictures x (N, H, W, 3), as a style transfer sees them."""
        return {layer: here.values for layer, here in self.tiling.features(x, layers).items()}

    def _statistics(self, features):
        """{(number of the picture, layer): Moments}: each picture of the batch is a region, and has the style by itself."""
        return {(n, layer): moments(features[layer][n:n + 1])
                for layer in self.recipe.style for n in range(len(features[layer].data))}

    # ---- Kept on disk

    def state(self):
        """(arrays, place) of all that the next step depends on."""
        return joined_state(**self._owners()), {"step": self.step_number, "losses": self.losses}

    def restore(self, arrays, place):
        """Take on what `state` gave."""
        load_joined_state(arrays, **self._owners())
        self.step_number, self.losses = place["step"], place["losses"]

    def _owners(self):
        return {"network": self.network, "optimizer": self.optimizer}

    def described(self):
        """What the result depends on: pictures by their hashes, the recipe, the lessons."""
        photographs = {str(i): picture for i, picture in enumerate(self.crops.pictures)}
        return {"style": weights.hash_of({"style": self.style}), "photographs": weights.hash_of(photographs),
                "network": weights.hash_of(getattr(self.model, "features", self.model)), "recipe": asdict(self.recipe),
                **asdict(self.lessons)}
