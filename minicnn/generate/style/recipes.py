"""What has proved itself: recipes for the style transfer through a given network, by name."""
import dataclasses
import math

from .transfer import StyleRecipe

PRESETS = ("quality", "gatys", "fast")
ROOTS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}      # channels of VGG's layers


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
