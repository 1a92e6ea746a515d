"""The command invert: pictures of a class, or of what a unit looks for."""
import dataclasses
import shlex
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import __version__, images
from ..files import weights
from ..generate.features import FOR_UNITS, activations, excite
from ..generate.inversion import NO_PRIOR, InversionRecipe, invert
from ..training.classification import in_channels, in_size
from .common import (add_command, add_device, add_model, amount, eight_bits, load_classifier, load_model, natural, opinions,
                     positive, require_writable)

SIDE = 96                                        # of the pictures that are drawn, or the network's own if that is larger
SHEET_SIDE = 192                                 # of a picture on the sheet, or its own if that is larger
SECOND = "standard"                              # the network that is asked, too, what it sees
MOST_FRAMES, FRAME_SIDE = 30, 128                # of an animation: GIFs grow large and slow quickly


def add_own_network(parser):
    parser.add_argument("--network", metavar="FILE.py:FUNCTION",
                        help="the function that built the network, if FILE holds one of your own; it is run")


def add_invert(commands):
    """The command `invert` and its options."""
    parser = add_command(
        commands, "invert", run_invert, "draw what a network thinks a class looks like",
        "Run a classifier in reverse: its weights are frozen, and the pixels follow the gradient until it sees the\n"
        "class.  Writes a sheet with the network's opinion under each picture, and below it that of a network that took\n"
        "no part.  The same seed gives the same file.  First the picture is drawn as small as the network knows pictures,\n"
        "then its own larger pixels, which the network sees through random views: the whole, and closer ones.  With\n"
        "--target-layer pictures are made to excite one channel of a layer instead: what it looks for.",
        ["minicnn invert cat -o cat.png", "minicnn invert cat --size 128 --count 4 -o large.png",
         "minicnn invert ship --count 4 --native ships --animate ship.gif",
         "minicnn invert dog --start photo.jpg", "minicnn invert cat --no-prior -o noise.png",
         "minicnn invert --all -o every-class.png", "minicnn invert --all --model digits.safetensors -o digits.png",
         "minicnn invert --all --bn-prior .1 -o statistics.png",
         "minicnn invert --target-layer features.19 --unit 3 -o unit.png"])
    _add_targets(parser)
    parser.add_argument("-o", "--output", metavar="FILE",
                        help="the sheet, a .png or .jpg (CLASS.png, all.png or NAME-unit-K.png)")
    parser.add_argument("--count", type=positive, metavar="N",
                        help="how many (8; with --all 4 of each class; from a PICTURE 1)")
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="another seed, other pictures (0)")
    parser.add_argument("--steps", type=natural, metavar="N",
                        help=f"how often pixels are changed, in each of the two sizes ({InversionRecipe().steps})")
    _add_sizes(parser)
    parser.add_argument("--native", metavar="DIR",
                        help="also write each picture alone, as small as the network sees it, or in --size: DIR/cat-000.png")
    parser.add_argument("--animate", metavar="FILE", help="also how they came about: a .gif, .webp or .png")
    _add_ways(parser)
    add_model(parser)
    add_device(parser)
    add_own_network(parser)


def _add_targets(parser):
    """What is drawn."""
    parser.add_argument("target", nargs="?", metavar="CLASS", help="what to draw: airplane, cat, ship, ...")
    parser.add_argument("--all", action="store_true", help="every class the network knows, a row each")
    parser.add_argument("--target-layer", metavar="NAME", help="instead of a class, a layer as `minicnn summary` names it")
    parser.add_argument("--unit", type=natural, metavar="K", help="which channel of that layer, from 0")


def _add_sizes(parser):
    """How large the pictures are, and how large they are shown."""
    parser.add_argument("--size", type=positive, metavar="PIXELS",
                        help=f"height of each ({SIDE}; grey, --native, --no-prior: the network's own, which is the least)")
    parser.add_argument("--display", type=positive, metavar="PIXELS",
                        help=f"height to which each is enlarged on the sheet ({SHEET_SIDE}, or its own if that is larger)")


def _add_ways(parser):
    """Where the pictures begin, and what holds them back from noise."""
    parser.add_argument("--start", metavar="noise|gaussian|PICTURE",
                        help="where pictures begin: noise, a blurred guess (gaussian, as usual), or a picture of yours")
    parser.add_argument("--no-prior", action="store_true",
                        help="the plain gradient from noise: what it finds convinces the network and nobody else")
    parser.add_argument("--bn-prior", type=amount, default=0., metavar="WEIGHT",
                        help="keep what goes into the batch norms, over all pictures of the sheet together, as it was in "
                             "training (0: do not)")


def run_invert(args):
    """Carry out `minicnn invert`."""
    started = time.perf_counter()
    _complete(args)
    load = load_model if args.target_layer else load_classifier
    model, weights_path = load(args.model, args.network, args.device)
    shape = _shape(model, args)
    args.size, args.display = shape[0], args.display or max(SHEET_SIDE, shape[0])
    names = [_subject(args)] if not args.all else model.class_names
    start = args.start if args.start in ("noise", "gaussian") else as_seen(args.start, shape)
    floats, frames = _draw(model, start, shape[:2], args)
    pictures, settings = eight_bits(floats), _settings(args, weights_path)
    captions, second = _captions(model, pictures, args), _second_opinions(model, pictures, args)
    _write_sheet(pictures, _both(captions, second), args, settings)
    _write_native(pictures, names, args, settings)
    _write_animation([*frames, pictures], model, args, settings)
    _report(names, captions, second, args, time.perf_counter() - started)
    return 0


def as_seen(path, shape):
    """The picture in a file, its middle square, float32 in 0..1 of `shape`, (H, W, 3) or (H, W, 1)."""
    return in_channels(in_size(images.square(images.read_image(path)), shape), shape[2])


def _shape(model, args):
    """(H, W, C) of the pictures to be drawn: as high as is asked for, and as wide as is in proportion.

    Grey ones keep their size: they are digits, mostly, and a part of a digit is none, which closer views would ask for.
    """
    height, width, channels = model.input_shape
    wanted = args.size or (height if args.native or args.no_prior or channels == 1 else max(SIDE, height))
    return wanted, round(wanted * width / height), channels


def _subject(args):
    """What is drawn, as a part of file names: 'cat', 'all' or 'features.19-unit-3'."""
    return "all" if args.all else args.target or f"{args.target_layer}-unit-{args.unit}"


def _complete(args):
    """Fill in what depends on other arguments, and refuse what could not be done in the end."""
    _require_one_target(args)
    args.output = args.output or f"{_subject(args)}.png"
    args.start = args.start or ("noise" if args.no_prior else "gaussian")
    from_picture = args.start not in ("noise", "gaussian")       # then each would be the same
    args.count = args.count or (1 if from_picture else 4 if args.all else 8)
    usual = FOR_UNITS if args.target_layer else InversionRecipe()
    args.recipe = dataclasses.replace(NO_PRIOR if args.no_prior else usual, bn_prior=args.bn_prior)
    if args.steps is not None:
        args.recipe = dataclasses.replace(args.recipe, steps=args.steps)
    begun_with = [args.start] if from_picture else []
    require_writable(args.output, images.PICTURE_FORMATS, begun_with)
    if args.animate:
        require_writable(args.animate, images.ANIMATION_FORMATS, begun_with)
    if args.native and Path(args.native).exists() and not Path(args.native).is_dir():
        raise ValueError(f"--native {args.native} is a file; name a folder")


def _require_one_target(args):
    if (args.target_layer is None) != (args.unit is None):
        args.usage_error("--target-layer and --unit go together: name a layer and one of its channels")
    targets = [args.target is not None, args.all, args.target_layer is not None]
    if not any(targets):
        args.usage_error("name a CLASS to draw, or --all, or --target-layer and --unit")
    if sum(targets) > 1 and args.target_layer is not None:
        args.usage_error("--target-layer draws a unit instead of a class: leave out CLASS and --all")
    if args.no_prior and args.bn_prior:
        args.usage_error("--no-prior is the plain gradient: leave out --bn-prior")


def _draw(model, start, size, args):
    """(pictures, some of the pictures on the way for the animation)."""
    stages = 1 if size == model.input_shape[:2] or not isinstance(start, str) else 2
    frames, every = [], -(-stages * args.recipe.steps // MOST_FRAMES) or 1
    with tqdm(total=stages * args.recipe.steps, desc="drawing", unit="step", leave=False, disable=None) as progress:
        def callback(step, pictures):
            progress.update()
            if args.animate and step % every == 0:
                frames.append(eight_bits(pictures))
        rest = args.count, args.seed, args.recipe, start, callback, size
        if args.target_layer:
            return excite(model, args.target_layer, args.unit, *rest), frames
        names = model.class_names if args.all else [args.target]
        return invert(model, np.repeat([model.class_index(name) for name in names], args.count), *rest), frames


def _captions(model, pictures, args):
    """Under each picture: the network's opinion; of a unit how strongly it answers."""
    if not args.target_layer:
        return opinions(model, pictures)
    x = np.stack([in_size(picture, model.input_shape) for picture in pictures])
    return [f"{value:.3g}" for value in activations(model, args.target_layer, args.unit, x)]


def _second_opinions(model, pictures, args):
    """What a network that took no part in drawing them sees; nothing where none that ships knows these classes."""
    if args.target_layer or Path(args.model).name == SECOND:
        return []
    other, _ = load_model(SECOND)
    same = other.class_names == model.class_names and other.input_shape[2] == model.input_shape[2]
    return opinions(other, pictures) if same else []


def _settings(args, weights_path):
    """What is kept in each file: enough to make it again."""
    settings = {"command": _command(args), "seed": args.seed, "version": __version__,
                "model": Path(args.model).name, "weights": weights.hash_of(weights_path)}
    if args.start not in ("noise", "gaussian"):
        settings["start"] = weights.hash_of(args.start)
    return settings


def _command(args):
    """The command with everything said that matters.  Files by their names only, not where they lie."""
    start = args.start if args.start in ("noise", "gaussian") else Path(args.start).name
    words = ["minicnn", "invert", *_target_words(args)]
    for option, value in [("count", args.count), ("seed", args.seed), ("steps", args.recipe.steps), ("size", args.size),
                          ("display", args.display), ("start", start), ("model", Path(args.model).name)]:
        words += [f"--{option}", str(value)]
    if args.network:
        place, _, function = args.network.rpartition(":")
        words += ["--network", f"{Path(place).name}:{function}"]
    words += ["--bn-prior", str(args.bn_prior)] if args.bn_prior else []
    return shlex.join(words + ["--no-prior"] * args.no_prior)


def _target_words(args):
    if args.target_layer:
        return ["--target-layer", args.target_layer, "--unit", str(args.unit)]
    return ["--all" if args.all else args.target]


def _sheet(pictures, captions, args, side):
    scale = side / pictures[0].shape[0]
    return images.contact_sheet(pictures, captions, columns=args.count if args.all else None, scale=scale)


def _both(captions, second):
    """The opinions of both networks, one below the other."""
    return [f"{one}\n{SECOND}: {other}" for one, other in zip(captions, second)] if second else captions


def _write_sheet(pictures, captions, args, settings):
    images.write_image(_sheet(pictures, captions, args, args.display), args.output, settings)


def _write_native(pictures, names, args, settings):
    if not args.native:
        return
    Path(args.native).mkdir(parents=True, exist_ok=True)
    for i, picture in enumerate(pictures):
        name, number = names[i // args.count], i % args.count
        images.write_image(picture, Path(args.native) / f"{name}-{number:03d}.png", {**settings, "picture": i})


def _write_animation(frames, model, args, settings):
    if not args.animate:
        return
    sheets = [_sheet(pictures, _captions(model, pictures, args), args, FRAME_SIDE) for pictures in frames]
    images.write_animation(_of_one_size(sheets), args.animate, settings=settings)


def _of_one_size(sheets):
    """A long caption widens its sheet: the others get as much paper."""
    height, width = (max(sheet.shape[axis] for sheet in sheets) for axis in (0, 1))
    padded = [np.full((height, width, 3), images.PAPER, np.uint8) for _ in sheets]
    for paper, sheet in zip(padded, sheets):
        paper[:sheet.shape[0], :sheet.shape[1]] = sheet
    return padded


def _report(names, captions, second, args, seconds):
    print("how strongly the unit answers:" if args.target_layer else "what the network sees in them:")
    _print_rows(names, captions, args.count)
    if second:
        print(f"and what {SECOND} sees, a network that took no part in drawing them:")
        _print_rows(names, second, args.count)
    if args.target_layer and "0" in captions:
        print("  (0: it is silent there, and no small change wakes it; try the layer before the ReLU, or --start noise)")
    written = [args.output, args.animate, args.native and f"{len(captions)} pictures in {args.native}"]
    print(f"wrote {', '.join(filter(None, written))} in {seconds:.1f} s")


def _print_rows(names, captions, count):
    width = max(map(len, names))
    for k, name in enumerate(names):
        print(f"  {name:<{width}}  {', '.join(captions[k * count:(k + 1) * count])}")
