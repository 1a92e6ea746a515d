"""Is a style transfer better than mixing two pictures?   python tests/judge/pareto.py PICTURES WEIGHTS OUT

PICTURES holds the folders content/ and style/; WEIGHTS the files of real networks (squeezenet1_1..., vgg16_features...); OUT
is where every picture goes, as PNG.  Only these files are judged, in a network that none of the methods looked through.

Every method is given the LEFT half of a painting and judged against the RIGHT half: a blend contains the half that it was
given, and would win every comparison with that one.  Three measures, each the smaller the better:

    style     Wasserstein distance of the features' Gaussians from those of the right half, a share of the content's own
    content   distance of the features from the content's, place by place, a share of their mean square
    ghost     how much of the painting's own layout shines through (see `ghost`)

A method is dominated if a control is at least as good in all three and better in one by more than TOLERANCE.  Written down
before the first measurement: ours is dominated by no control on any of the 16 pairs, and is nearer to the right half than
histogram matching is.  The controls: the content itself, the given half, histogram matching, blends of 25, 50 and 75 %.
"""
import itertools
import sys
from pathlib import Path

import numpy as np

import minicnn as mc
from minicnn.generate.colour import histogram_matched
from minicnn.generate.extractor import Extractor
from minicnn.generate.textures import LOSSES, moments
from minicnn.images import read_image, resize, write_image
from minicnn.tensor import no_grad, tensor

CONTENTS = ("tubingen.jpg", "golden_gate.jpg", "chelsea.png", "coffee.png")
STYLES = ("starry_night.jpg", "the_scream.jpg", "great_wave.jpg", "composition_vii.jpg")
SIDE, TOLERANCE = 256, .005
BLENDS = (.25, .5, .75)
SHIFT, BLUR = 8, 17                              # of the ghost, in pixels


# ---- Controls ------------------------------------------------------------------------------------------------------------

def halves(painting):
    """The left and the right half."""
    middle = painting.shape[1] // 2
    return painting[:, :middle], painting[:, middle:]


def covering(picture, size):
    """The picture enlarged until it covers (H, W), and cut to it in the middle."""
    factor = max(wanted / length for wanted, length in zip(size, picture.shape[:2]))
    picture = np.clip(resize(picture, tuple(max(w, round(n * factor)) for w, n in zip(size, picture.shape[:2])), "lanczos"), 0, 1)
    top, left = ((length - wanted) // 2 for length, wanted in zip(picture.shape[:2], size))
    return picture[top:top + size[0], left:left + size[1]]


def controls(content, given):
    """{name: picture}: what no measure may prefer."""
    painting = covering(given, content.shape[:2])
    blends = {f"blend {share:.0%}": (1 - share) * content + share * painting for share in BLENDS}
    return {"content": content, "given half": painting, "histogram": histogram_matched(content, given), **blends}


# ---- Measures --------------------------------------------------------------------------------------------------------------

class Judge:
    """Style and content distances in the layers of one network, each layer counting alike."""

    def __init__(self, model, layers):
        self.layers, self.extractor = layers, Extractor(model, layers)

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
    padded = np.pad(grey, BLUR // 2, mode="reflect").cumsum(axis=0).cumsum(axis=1)
    sums = np.pad(padded, ((1, 0), (1, 0)))
    mean = (sums[BLUR:, BLUR:] - sums[:-BLUR, BLUR:] - sums[BLUR:, :-BLUR] + sums[:-BLUR, :-BLUR]) / BLUR ** 2
    return grey - mean


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


# ---- A pair of pictures ------------------------------------------------------------------------------------------------------

def judged(folder, judge, content, given, unseen):
    """{name: (style, content, ghost)} of the PNG files in a folder; the distances as shares of the content's own."""
    goals, wanted = judge.goals(unseen), judge.maps(content)
    own, painting = judge.style(wanted, goals), covering(given, content.shape[:2])
    found = {}
    for path in sorted(Path(folder).glob("*.png")):
        picture = read_image(path)
        maps = judge.maps(picture)
        found[path.stem] = (judge.style(maps, goals) / own, judge.content(maps, wanted), ghost(picture, content, painting))
    return found


def pair(out, pictures, content_name, style_name, methods):
    """Write what the methods and the controls make of one pair; returns (folder, content, given half, unseen half)."""
    content = np.clip(resize(read_image(Path(pictures) / "content" / content_name), SIDE, "lanczos"), 0, 1)
    given, unseen = (np.clip(resize(half, SIDE, "lanczos"), 0, 1)
                     for half in halves(read_image(Path(pictures) / "style" / style_name)))
    folder = Path(out) / f"{Path(content_name).stem}-{Path(style_name).stem}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in controls(content, given).items():
        write_image(picture, folder / f"{name}.png")
    for name, method in methods.items():
        if not (folder / f"{name}.png").exists():
            write_image(method(content, given), folder / f"{name}.png")
    return folder, content, given, unseen


def verdict(found, method):
    """(names of the controls that dominate the method, whether it is nearer to the right half than histogram matching)"""
    others = [name for name in found if name in ("content", "given half", "histogram") or name.startswith("blend")]
    return [name for name in others if dominates(found[name], found[method])], found[method][0] < found["histogram"][0]
