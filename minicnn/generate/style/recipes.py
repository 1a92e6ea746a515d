"""What has proved itself: recipes for the style transfer through a given network, by name."""
import dataclasses
import math
from dataclasses import dataclass

from .textures import LOSSES, SORTED

PRESETS = ("quality", "gatys", "fast")
ROOTS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}      # channels of VGG's layers

LOSS_NAMES = (*LOSSES, *SORTED)
STARTS = ("content", "noise", "matched")
OPTIMIZERS = ("adam", "lbfgs")
DTYPES = ("float32", "float64")
HEAVIEST = 1e12                   # of all weights


@dataclass(frozen=True)
class StyleRecipe:
    """How a picture is stylised.

    style      {layer: weight}: what its statistics are compared in.  The weights are made to add up to 1
    content    {layer: weight}: what the content's feature maps are compared in
    loss       of the statistics: "w2", "relative", "gram", "mean-std", "sliced" or "histogram", see textures.py
    relative_content   whether the content's loss is a share of the mean square of its features, or their plain difference
    content_weight, style_weight, smoothness   of the parts: content, style, and the roughness of the picture
    pooling    "max", "average" or "l2": see FeatureMaps
    start      "content", "noise", or "matched", the content with the style's colours
    optimizer  "adam", with steps of about lr a pixel, or "lbfgs"
    smallest, growth   the longer side of the first, smallest picture, and by what factor it grows; infinity: at once
    first_steps, steps   in the first size and in each of the others
    average    decay of the average over the steps that is the result, 0 for the last step
    margin     pixels by which the picture is continued as in a mirror, so that the network sees no edge
    dtype      of all numbers: "float32", or "float64", in twice the time, to see what rounding did
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
    dtype: str = "float32"

    def __post_init__(self):
        for name, known in (("loss", LOSS_NAMES), ("start", STARTS), ("optimizer", OPTIMIZERS), ("dtype", DTYPES)):
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


def recipe_for(model, preset=None, **changes):
    """The StyleRecipe of a preset for a network, with some of its fields changed; preset None: "quality".

    "quality"   squared Wasserstein distances from size to size, averaged over the steps: after crowsonkb's
                style-transfer-pytorch for VGG; lighter for the small networks that ship
    "gatys"     Gatys, Ecker and Bethge 2015: Gram matrices, L-BFGS, one size, with the weights of the first author's code
    "fast"      as quality, with fewer layers and steps
    A network whose layers nobody has names for takes its recipe if both style and content are given.
    Raises ValueError for another preset, or a network of which the layers are not known and not given.
    """
    preset = preset or "quality"
    if preset not in PRESETS:
        raise ValueError(f"there is no preset {preset!r}; there are {', '.join(PRESETS)}")
    names = getattr(model, "layer_names", {})
    if set(ROOTS) <= set(names):
        return dataclasses.replace(VGG[preset], **changes)
    if "relu3_1" in names:
        layers = {name: 1. for name in names if name.startswith("relu")}
        changes = {"style": layers, "content": {"relu3_1": 1.}, **changes}
    if not {"style", "content"} <= set(changes):
        raise ValueError("nobody has found layers for a style transfer through this network yet: name some, with "
                         "--style-layers and --content-layers (minicnn summary shows them)")
    return StyleRecipe(**{**SMALL[preset], **changes})


_QUALITY = StyleRecipe(style=dict(zip(ROOTS, (256., 64., 16., 4., 1.))), content={"relu4_2": 1.}, loss="w2",
                       relative_content=False, content_weight=.015, smoothness=2., pooling="max",
                       first_steps=1000, steps=500, average=.99)
# The code of 2015 takes colours of 0..255 where this takes them in standard deviations, about 57 times smaller: features are
# smaller by as much, the content's loss by its square, the style's by its fourth power.
_SCALE = 57. ** 2
_GATYS = StyleRecipe(style={name: 1 / channels ** 2 for name, channels in ROOTS.items()}, content={"relu4_2": 1.},
                     loss="gram", relative_content=False,
                     style_weight=1e3 * _SCALE * sum(1 / channels ** 2 for channels in ROOTS.values()),
                     pooling="average", optimizer="lbfgs", growth=math.inf, first_steps=500, average=0.)
_FAST = dataclasses.replace(_QUALITY, style={name: weight for name, weight in _QUALITY.style.items() if name != "relu5_1"},
                            content={"relu3_1": 1.}, first_steps=100, steps=50, average=.9)
VGG = {"quality": _QUALITY, "gatys": _GATYS, "fast": _FAST}

# For the small networks with batch norm that ship: how large a feature is they learned themselves, so each layer's distance
# is taken relative to the style.
SMALL = {"quality": dict(loss="relative", content_weight=.15, smoothness=1., start="matched", first_steps=60, steps=22),
         "gatys": dict(loss="gram", content_weight=.1, style_weight=1000., optimizer="lbfgs", growth=math.inf,
                       first_steps=100, average=0.),
         "fast": dict(loss="relative", content_weight=.15, smoothness=1., start="matched", first_steps=30, steps=11)}
