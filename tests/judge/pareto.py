"""Is a style transfer better than mixing two pictures?

    python tests/judge/pareto.py PICTURES WEIGHTS OUT [--pairs N] [--through NETWORK ...]

PICTURES holds the folders content/ and style/; WEIGHTS the files of two real networks, VGG-16's features and SqueezeNet 1.1.
OUT is where every picture goes, as PNG, and the table of what was measured; pictures that are there already are not made
again.  Only these files are judged, in a network that none of the methods looked through: what VGG-16 and the network that
ships have made in SqueezeNet, what SqueezeNet has made in VGG-16.

Every method is given the LEFT half of a painting and judged against the RIGHT half: a blend contains the half that it was
given, and would win every comparison with that one.  Three measures, each the smaller the better:

    style     Wasserstein distance of the features' Gaussians from those of the right half, a share of the content's own
    content   distance of the features from the content's, place by place, a share of their mean square
    ghost     how much of the painting's own layout shines through (see `ghost`)

A method is dominated if a control is at least as good in all three and better in one by more than TOLERANCE.  Written down
before the first measurement: ours is dominated by no control on any of the 16 pairs, and is nearer to the right half than
histogram matching is.  The controls: the content itself, the given half, histogram matching, blends of 25, 50 and 75 %.

The whole table takes two hours on two cores, though the large networks take a tenth of their presets' steps (STEPS).
"""
import argparse
import functools
import itertools
from pathlib import Path

import numpy as np

from minicnn import models
from minicnn.core.tensor import no_grad, tensor
from minicnn.files import foreign
from minicnn.generate.style.colour import histogram_matched
from minicnn.generate.style.recipes import recipe_for
from minicnn.generate.style.textures import LOSSES, moments
from minicnn.generate.style.transfer import Style, Transfer, of_side
from minicnn.images import read_image, resize, write_image
from minicnn.inside.feature_maps import FeatureMaps
from minicnn.layers import avg_pool2d
from minicnn.models.adapt import adapt

CONTENTS = ("tubingen.jpg", "golden_gate.jpg", "chelsea.png", "coffee.png")
STYLES = ("starry_night.jpg", "the_scream.jpg", "great_wave.jpg", "composition_vii.jpg")
SIDE, TOLERANCE = 256, .005
BLENDS = (.25, .5, .75)
SHIFT, BLUR = 8, 17                              # of the ghost, in pixels

FILES = {"vgg16": "vgg16_features_lpips_fp16.npz", "squeezenet1-1": "squeezenet1_1_torchvision.npz"}
SEEN = {"vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),                  # layers in which it is judged
        "squeezenet1-1": ("features.1", "features.4", "features.7", "features.10", "features.12")}
JUDGES = {"robust": "squeezenet1-1", "vgg16": "squeezenet1-1", "squeezenet1-1": "vgg16"}   # {network that made it: judge}
STEPS = {"quality": dict(first_steps=100, steps=50), "gatys": dict(first_steps=100)}       # of the large networks
LOOKED_THROUGH = ("features.1", "features.3", "features.4", "features.6", "features.7", "features.9")
SQUEEZENET = dict(style=dict.fromkeys(LOOKED_THROUGH, 1.), content={"features.7": 1.})
STYLE_WEIGHTS = {"quality": .3, "gatys": .001}   # of SqueezeNet, for which no preset was made: by eye, on the first pair


# ---- Methods -------------------------------------------------------------------------------------------------------

def network(name, folder):
    """A network with real weights, or the one that ships."""
    if name == "robust":
        return models.load(name)
    model = models.build(name, features_only=True, rng=0)
    model.load_state_dict(adapt(foreign.read(Path(folder) / FILES[name])[0], model, FILES[name], only="features."))
    return model


def methods_of(name, model):
    """{preset: function of a content and a style picture} through one network."""
    if name == "robust":
        recipes = {"quality": recipe_for(model)}
    else:
        recipes = {preset: recipe_for(model, preset, **steps, **_layers_of(name, preset)) for preset, steps in STEPS.items()}
    return {preset: functools.partial(_transferred, model, recipe) for preset, recipe in recipes.items()}


def _layers_of(name, preset):
    return {**SQUEEZENET, "style_weight": STYLE_WEIGHTS[preset]} if name == "squeezenet1-1" else {}


def _transferred(model, recipe, content, style):
    return Transfer(content, [Style(style)], model, recipe, SIDE).run()


# ---- Controls ------------------------------------------------------------------------------------------------------

def halves(painting):
    """The left and the right half."""
    middle = painting.shape[1] // 2
    return painting[:, :middle], painting[:, middle:]


def covering(picture, size):
    """The picture enlarged until it covers (H, W), and cut to it in the middle."""
    factor = max(wanted / length for wanted, length in zip(size, picture.shape[:2]))
    larger = tuple(max(wanted, round(length * factor)) for wanted, length in zip(size, picture.shape[:2]))
    picture = np.clip(resize(picture, larger, "lanczos"), 0, 1)
    top, left = ((length - wanted) // 2 for length, wanted in zip(picture.shape[:2], size))
    return picture[top:top + size[0], left:left + size[1]]


def controls(content, given):
    """{name: picture}: what no measure may prefer."""
    painting = covering(given, content.shape[:2])
    blends = {f"blend {share:.0%}": (1 - share) * content + share * painting for share in BLENDS}
    return {"content": content, "given half": painting, "histogram": histogram_matched(content, given), **blends}


# ---- Measures ------------------------------------------------------------------------------------------------------

class Judge:
    """Style and content distances in the layers of one network, each layer counting alike."""

    def __init__(self, model, layers):
        self.layers, self.extractor = layers, FeatureMaps(model, layers)

    def maps(self, picture):
        with no_grad():
            return {layer: y.data for layer, y in self.extractor(tensor(picture[None])).items()}

    def style(self, maps, goals):
        """Mean over the layers of the distance from goals, as `goals` gives them."""
        make, distance = LOSSES["relative"]
        return np.mean([distance(moments(maps[layer]), goals[layer]).item() for layer in self.layers])

    def goals(self, picture):
        maps, (make, _) = self.maps(picture), LOSSES["relative"]
        return {layer: make(moments(maps[layer]).arrays()) for layer in self.layers}

    def content(self, maps, wanted):
        return np.mean([((maps[layer] - wanted[layer]) ** 2).mean() / (wanted[layer] ** 2).mean() for layer in self.layers])


def fine(picture):
    """Brightness without what is coarser than BLUR pixels: (H, W)"""
    grey = picture @ np.array([.299, .587, .114], np.float32)
    padded = np.pad(grey, BLUR // 2, mode="reflect")[None, ..., None]             # (1, H + 16, W + 16, 1)
    return grey - avg_pool2d(padded, BLUR, stride=1).data[0, ..., 0]


def ghost(picture, content, painting):
    """The greatest correlation, over shifts of up to SHIFT pixels, of the picture's fine brightness with the painting's.

    What the content's own explains is removed first.  painting: the given half as it would lie over the content
    """
    seen, own, other = (fine(x) for x in (picture, content, painting))
    seen = seen - own * (seen * own).sum() / max((own * own).sum(), 1e-12)
    inside = slice(SHIFT, -SHIFT)
    seen = seen[inside, inside] - seen[inside, inside].mean()
    best = 0.
    for down, right in itertools.product(range(-SHIFT, SHIFT + 1, 2), repeat=2):
        moved = np.roll(other, (down, right), axis=(0, 1))[inside, inside]
        moved = moved - moved.mean()
        best = max(best, (seen * moved).sum() / max(np.sqrt((seen ** 2).sum() * (moved ** 2).sum()), 1e-12))
    return float(best)


def dominates(one, other):
    """Whether measures `one` are nowhere worse than `other` and somewhere better."""
    return all(a <= b for a, b in zip(one, other)) and any(a < b - TOLERANCE for a, b in zip(one, other))


# ---- A pair of pictures --------------------------------------------------------------------------------------------

def pair(pictures, content_name, style_name):
    """(content, given half, unseen half)"""
    content, painting = (read_image(Path(pictures) / path) for path in (f"content/{content_name}", f"style/{style_name}"))
    return tuple(of_side(picture, SIDE) for picture in (content, *halves(painting)))


def make(folder, content, given, some):
    """Write what the controls and some methods, {name: function}, make of a pair."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in controls(content, given).items():
        write_image(picture, folder / f"{name}.png")
    for name, method in some.items():
        if not (folder / f"{name}.png").exists():
            write_image(method(content, given), folder / f"{name}.png")


def judged(folder, names, judge, content, given, unseen):
    """{name: (style, content, ghost)} of a folder's files of these names; the distances as shares of the content's own."""
    goals, wanted = judge.goals(unseen), judge.maps(content)
    own, painting, found = judge.style(wanted, goals), covering(given, content.shape[:2]), {}
    for name in names:
        picture = read_image(folder / f"{name}.png")
        maps = judge.maps(picture)
        found[name] = judge.style(maps, goals) / own, judge.content(maps, wanted), ghost(picture, content, painting)
    return found


def dominating(measures, found):
    """The controls, of `found`, that dominate these measures."""
    return [name for name, theirs in found.items() if dominates(theirs, measures)]


# ---- The table -----------------------------------------------------------------------------------------------------

HEAD = "| {:28s} | style | content | ghost | dominated on | nearer than histogram matching on |"


def table(judge_name, results, mine):
    """Lines of Markdown: means over the pairs.   results: [{name: (style, content, ghost)}, ...], mine: names of methods"""
    lines = [HEAD.format(f"judged in {judge_name}"), "|---|---|---|---|---|---|"]
    for name in results[0]:
        means = " | ".join(f"{value:.2f}" for value in np.mean([found[name] for found in results], axis=0))
        verdict = "| |"
        if name in mine:
            plain = [{other: found[other] for other in found if other not in mine} for found in results]
            dominated = sum(bool(dominating(found[name], others)) for found, others in zip(results, plain))
            nearer = sum(found[name][0] < found["histogram"][0] for found in results)
            verdict = f"{dominated} of {len(results)} | {nearer} of {len(results)} |"
        lines.append(f"| {name:28s} | {means} | {verdict}")
    return lines


def main(pictures, weights, out, pairs=None, through=tuple(JUDGES)):
    """Make, judge and write down.   pairs: None, or how many of the 16; through: which networks"""
    made = {f"{name} {preset}": (JUDGES[name], method) for name in through
            for preset, method in methods_of(name, network(name, weights)).items()}
    judges = {name: Judge(network(name, weights), SEEN[name]) for name in dict.fromkeys(JUDGES[name] for name in through)}
    results = {name: [] for name in judges}
    for content_name, style_name in list(itertools.product(CONTENTS, STYLES))[:pairs]:
        folder = Path(out) / f"{Path(content_name).stem}-{Path(style_name).stem}"
        three = pair(pictures, content_name, style_name)
        make(folder, *three[:2], {name: method for name, (_, method) in made.items()})
        for judge_name, judge in judges.items():
            names = [*controls(*three[:2]), *(name for name, (theirs, _) in made.items() if theirs == judge_name)]
            results[judge_name].append(judged(folder, names, judge, *three))
            for name, measures in results[judge_name][-1].items():
                print(folder.name, f"{name:24s}", *(f"{value:.3f}" for value in measures), flush=True)
        text = "\n\n".join("\n".join(table(name, results[name], made)) for name in judges) + "\n"
        (Path(out) / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("pictures", "weights", "out"):
        parser.add_argument(name)
    parser.add_argument("--pairs", type=int, help="only the first N pairs")
    parser.add_argument("--through", nargs="+", choices=tuple(JUDGES), default=tuple(JUDGES), help="only these networks")
    main(**vars(parser.parse_args()))
