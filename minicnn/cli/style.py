"""The command style: two pictures in and one out."""
import argparse
import shlex
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from .. import __version__, images, models
from ..core.backend import chosen_device, to_device
from ..core.malloc import return_freed_memory
from ..core.tensor import no_grad
from ..files import weights
from ..generate.style.colour import MATCHES, matched, with_chroma_of
from ..generate.style.memory import MOST_PAIRS
from ..generate.style.recipes import DTYPES, LOSS_NAMES, OPTIMIZERS, PRESETS, STARTS, recipe_for
from ..generate.style.transfer import Style, Transfer, of_side
from ..inside.feature_maps import POOLINGS
from ..models.stylizer import is_stylizer, load_stylizer
from ..training.run import Run
from .common import (add_command, add_device, add_model, amount, load_model, natural, positive, require_checkpoint,
                     require_writable)

SIDE = 256                                       # of the result where none is asked for
PREVIEW_SECONDS = 3                              # between two previews, and before the first
MOST_FRAMES, FRAME_SIDE = 30, 256                # of the animation
COLOURS = ("style", "keep", *MATCHES)
STRETCHED = .03                                  # by so much may a mask's proportions differ before it is said
IN_ONE_PASS = {"content", "styles", "output", "size", "model", "device", "colours", "command", "argv", "debug"}


def add_style(commands):
    """The command `style` and its options."""
    parser = add_command(
        commands, "style", run_style, "the content of one picture in the style of another",
        "Draw CONTENT in the style of one or several pictures (Gatys et al. 2015): its pixels follow the gradient until a\n"
        "network sees in them what it sees in CONTENT, made of what STYLE is made of.  It begins small and grows.  FILE is\n"
        "there after a few seconds and gets better; Ctrl-C keeps the picture so far, and --resume goes on from there.",
        ["minicnn style photo.jpg painting.jpg -o out.png",
         "minicnn style photo.jpg painting.jpg --size 512 --colours keep -o out.png",
         "minicnn style photo.jpg sky.jpg ground.jpg --masks above.png,below.png -o out.png",
         "minicnn style photo.jpg one.jpg two.jpg --weights 2,1 -o both.png",
         "minicnn style photo.jpg painting.jpg --model vgg19 --preset quality --size 1024 --memory 2000 -o out.png",
         "minicnn style photo.jpg --model starry.safetensors --size 512 -o out.png"])
    parser.add_argument("content", metavar="CONTENT", help="the picture that is to be drawn")
    parser.add_argument("styles", nargs="*", metavar="STYLE",
                        help="pictures in whose style; none where --model is a network that learned one, see style-train")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the result, a .png or .jpg")
    parser.add_argument("--size", type=positive, metavar="PIXELS", help=f"longer side of the result ({SIDE})")
    parser.add_argument("--preset", choices=PRESETS, help="(quality)")
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="of the noise, if it starts there (0)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint beside FILE")
    parser.add_argument("--animate", metavar="FILE",
                        help="also how it came about, a .gif, .webp or .png; after --resume it begins where that goes on")
    parser.add_argument("--memory", type=positive, metavar="MB",
                        help="the most memory that the program may take: the picture is looked at in tiles then, and L-BFGS "
                             "keeps fewer of its past steps")
    parser.set_defaults(default_of=parser.get_default)
    add_model(parser)
    add_device(parser)
    _add_styles(parser)
    _add_recipe(parser)


def _add_styles(parser):
    """Which style where, how large, in which colours."""
    parser.add_argument("--weights", type=_numbers, metavar="A,B,...", help="how much of each STYLE (all alike)")
    parser.add_argument("--masks", type=lambda text: text.split(","), metavar="FILE,FILE,...",
                        help="a picture for each STYLE: white where in CONTENT it is wanted, black where not, grey between")
    parser.add_argument("--style-scale", type=_scale, default=1., metavar="N",
                        help="size of the styles beside the content: 2 makes brush strokes twice as wide (1)")
    parser.add_argument("--colours", choices=COLOURS, default="style",
                        help="of the result: the style's; keep, those of CONTENT place by place; or those of CONTENT as a "
                             "whole, to which the styles are matched by a linear map: " + ", ".join(MATCHES) + " (style)")


def _add_recipe(parser):
    """Everything of a StyleRecipe, on top of the preset."""
    parser.add_argument("--style-layers", type=_layers, metavar="NAME=N,...", help="in which layers styles are compared")
    parser.add_argument("--content-layers", type=_layers, metavar="NAME=N,...", help="and in which the content")
    for name, choices in (("loss", LOSS_NAMES), ("pooling", POOLINGS), ("optimizer", OPTIMIZERS), ("dtype", DTYPES)):
        parser.add_argument(f"--{name}", choices=choices, help=help_of(name))
    parser.add_argument("--start", type=_start, metavar="FILE|" + "|".join(STARTS), help=help_of("start"))
    for name, kind in _AMOUNTS.items():
        parser.add_argument(f"--{name}", type=kind, metavar="N", help=help_of(name))


_AMOUNTS = {"content-weight": amount, "style-weight": amount, "smoothness": amount, "lr": amount, "first-steps": positive,
            "steps": positive, "smallest": positive, "average": amount}
_HELP = {"loss": "how the statistics of feature maps are compared", "pooling": "in place of the network's own",
         "start": "from what the picture begins, a picture of yours too", "optimizer": "of the pixels",
         "dtype": "of all numbers",
         "content-weight": "of the content's loss", "style-weight": "of the style's",
         "smoothness": "of the picture's roughness",
         "lr": "size of a step of Adam", "first-steps": "steps in the first, smallest size", "steps": "and in each other",
         "smallest": "longer side of that first size", "average": "decay of the average over the steps, 0 for none"}


def help_of(name):
    return f"{_HELP[name]} (as the preset has it)"


def _numbers(text):
    """'2,1'  ->  [2., 1.]"""
    return [amount(part) for part in text.split(",")]


def _scale(text):
    """A number above 0."""
    if not amount(text) > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return float(text)


def _start(text):
    """One of STARTS, or a picture's path."""
    if text not in STARTS and not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(STARTS)}, and there is no such picture")
    return text


def _layers(text):
    """'relu1_1=1,relu2_1=.5'  ->  {"relu1_1": 1., "relu2_1": .5}; without a number it is 1."""
    pairs = (part.partition("=") for part in text.split(","))
    return {name: amount(weight) if equals else 1. for name, equals, weight in pairs}


def run_style(args):
    """Carry out `minicnn style`."""
    if not args.styles:
        return _run_in_one_pass(args)
    started, checkpoint = time.perf_counter(), _checked_places(args)
    if args.memory:
        return_freed_memory()
    model, weights_path = load_model(args.model, device=args.device)
    transfer, finish = _begun(args, model)
    run = Run(transfer, checkpoint, title="drawing")
    if args.resume:
        run.resume()
    _introduce(args, transfer)
    previews = Previews(args, transfer, finish, settings_of(args, weights_path))
    try:
        run.run(previews)
    except KeyboardInterrupt:
        previews.write_all()
        print(f"minicnn: stopped; {args.output} is the picture so far, the same command with --resume goes on",
              file=sys.stderr)
        return 130
    previews.write_all()
    checkpoint.unlink(missing_ok=True)
    height, width = transfer.pixels.shape[1:3]
    print(f"wrote {args.output}, {width} x {height} pixels, in {time.perf_counter() - started:.1f} s")
    return 0


def _run_in_one_pass(args):
    """With a network that knows one style."""
    started, path = time.perf_counter(), models.find(args.model)
    require_writable(args.output, images.PICTURE_FORMATS, [args.content])
    if not is_stylizer(path):
        args.usage_error(f"{args.model} has learned no style: name at least one STYLE, or with --model a network that "
                         "`minicnn style-train` taught one")
    _refuse_what_one_pass_cannot(args)
    network, (content, finish) = load_stylizer(path).to(chosen_device(args.device)), _content(args)
    with no_grad():
        shown = of_side(content, args.size or max(content.shape[:2]))[None]
        picture = network(to_device(shown, network.device)).numpy()[0]
    images.write_image(finish(picture), args.output, settings_of(args, path))
    height, width = picture.shape[:2]
    print(f"wrote {args.output}, {width} x {height} pixels, in {time.perf_counter() - started:.1f} s")
    return 0


def _refuse_what_one_pass_cannot(args):
    """Whatever is not as it is by default, and would be ignored."""
    given = [name for name, value in vars(args).items() if value != args.default_of(name)]
    useless = [name for name in given if name not in IN_ONE_PASS or name == "colours" and args.colours != "keep"]
    if useless:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in useless)
        args.usage_error(f"{args.model} draws its one style in a single pass, where {options} would do nothing: leave that "
                         "out; --size and --colours keep are what it knows")


def _checked_places(args):
    """Refuse what could not be written in the end; returns the checkpoint's path."""
    pictures = _files_read(args)
    require_writable(args.output, images.PICTURE_FORMATS, pictures)
    if args.animate:
        require_writable(args.animate, images.ANIMATION_FORMATS, pictures)
        if Path(args.animate).absolute() == Path(args.output).absolute():
            args.usage_error("--output and --animate name the same file")
    for name in ("weights", "masks"):
        values = getattr(args, name)
        if values and len(values) != len(args.styles):
            args.usage_error(f"--{name} has {len(values)} entries for {len(args.styles)} styles: give one for each")
    return checkpoint_beside(args)


def _files_read(args):
    return [args.content, *args.styles, *(args.masks or []), *([args.start] if _is_picture(args.start) else [])]


def _is_picture(start):
    return start not in (None, *STARTS)


def checkpoint_beside(args):
    """Beside the output, out.png.ckpt: out.ckpt may be that of a training.  Raises ValueError where --resume finds none, or
    a run that was stopped would be lost without it; one that ends removes its own."""
    checkpoint = Path(f"{args.output}.ckpt")
    require_checkpoint(checkpoint, args.resume)
    return checkpoint


def _begun(args, model):
    """(the Transfer, a function that makes of its picture what is written)"""
    content, finish = _content(args)
    recipe = recipe_for(model, args.preset, **_changes(args))
    begun = images.read_image(args.start) if _is_picture(args.start) else None
    transfer = Transfer(content, _styles(args, content), model, recipe, args.size or SIDE, args.style_scale, args.seed,
                        memory=args.memory and args.memory * 1_000_000, start=begun)
    return transfer, finish


def _content(args):
    """(the content, a function that gives a stylised picture its colours and its opacity)"""
    content, alpha = images.read_image(args.content), images.read_alpha(args.content)
    if alpha is not None:
        content = _own_colours(content, alpha[..., None])

    def finish(picture):
        if args.colours == "keep":
            picture = with_chroma_of(picture, np.clip(images.resize(content, picture.shape[:2], "lanczos"), 0, 1))
        if alpha is None:
            return picture
        return np.dstack([picture, np.clip(images.resize(alpha, picture.shape[:2], "bilinear"), 0, 1)])
    return content, finish


def _own_colours(on_white, alpha):
    """A picture (H, W, 3) as it was before it was laid on white with the opacity alpha (H, W, 1); white where that is 0."""
    return np.clip((on_white - (1 - alpha)) / np.where(alpha > 0, alpha, 1) + (alpha == 0), 0, 1)


def _styles(args, content):
    """The list of Style, in the colours that are wanted."""
    pictures = [images.read_image(path) for path in args.styles]
    if args.colours in MATCHES:
        pictures = [matched(picture, content, args.colours) for picture in pictures]
    shares = args.weights or [1.] * len(pictures)
    return [Style(*parts) for parts in zip(pictures, shares, _masks(args, content) or [None] * len(pictures))]


def _masks(args, content):
    """The masks, (h, w) in 0..1; a black one is refused, and it is said which are stretched to the content."""
    masks = {path: images.read_image(path).mean(axis=2) for path in args.masks or []}
    for path, mask in masks.items():
        if not mask.max() > 0:
            raise ValueError(f"the mask {path} is black everywhere: paint white where its style is wanted")
    (height, width), stretched = content.shape[:2], [
        f"{path} ({mask.shape[1]} x {mask.shape[0]})" for path, mask in masks.items()
        if abs(np.log(mask.shape[0] * content.shape[1] / (mask.shape[1] * content.shape[0]))) > STRETCHED]
    if stretched:
        warnings.warn(f"{args.content} has {width} x {height} pixels, and masks of other proportions are stretched to it: "
                      + ", ".join(stretched), stacklevel=2)
    return [masks[path] for path in args.masks or []]


def _changes(args):
    """{field of the StyleRecipe: value} of what is said beside the preset."""
    names = {"style": "style_layers", "content": "content_layers",
             **{name: name for name in ("loss", "pooling", "optimizer", "dtype")},
             **({} if _is_picture(args.start) else {"start": "start"}),
             **{name.replace("-", "_"): name.replace("-", "_") for name in _AMOUNTS}}
    said = {field: getattr(args, name) for field, name in names.items()}
    return {field: value for field, value in said.items() if value is not None}


def _introduce(args, transfer):
    sides = " -> ".join(map(str, transfer.sides))
    done, steps = transfer.progress()
    print(f"{args.model}: {steps} steps, longer side {sides} pixels")
    if args.resume and args.animate:
        print(f"{args.animate} begins with what comes after step {done}, where this goes on")
    if transfer.pairs < MOST_PAIRS and transfer.recipe.optimizer == "lbfgs":
        print(f"L-BFGS keeps {transfer.pairs} of its past steps, not {MOST_PAIRS}: --memory has no room for more")
    if args.model == "robust":
        downloading = "" if models.cached("vgg19").is_file() else "`minicnn weights download vgg19`, then "
        print(f"a network for photographs draws finer: {downloading}--model vgg19")


class Previews:
    """Writes what a transfer has drawn: on its way, as a callback of the run, and in the end.

    The animation shows what this process has drawn: of one that was stopped, up to there; after --resume, from there.

    finish     makes of the Transfer's picture what is written
    settings   are written into the files
    """

    def __init__(self, args, transfer, finish, settings):
        self.args, self.transfer, self.finish, self.settings = args, transfer, finish, settings
        self.frames, self.every = [], -(-transfer.progress()[1] // MOST_FRAMES)
        self.written = time.perf_counter()

    def __call__(self, transfer):
        """After a step: what is due now."""
        if self.args.animate and transfer.progress()[0] % self.every == 0:
            self.frames.append(self._frame())
        if time.perf_counter() - self.written > PREVIEW_SECONDS:
            self._write()
            self.written = time.perf_counter()

    def write_all(self):
        """The picture as it is now, and the animation."""
        self._write()
        if self.args.animate:
            last = self._frame()
            frames = [np.clip(images.resize(frame, last.shape[:2]), 0, 1) for frame in [*self.frames, last]]
            images.write_animation(frames, self.args.animate, settings=self.settings)

    def _write(self):
        images.write_image(self.finish(self.transfer.picture()), self.args.output, self.settings)

    def _frame(self):
        return of_side(self.finish(self.transfer.picture())[..., :3], FRAME_SIDE)


def settings_of(args, weights_path, pictures=None):
    """What is kept in the file: enough to make it again.   pictures: paths; None: those of `style`"""
    words = [word for word in args.argv if word != "--resume"]
    return {"command": shlex.join(["minicnn", *map(_without_folder, words)]), "seed": args.seed, "version": __version__,
            "model": Path(args.model).name, "weights": weights.hash_of(weights_path),
            "pictures": [weights.hash_of(path) for path in pictures or _files_read(args)]}


def _without_folder(word):
    """Files and folders by their names only, not where they lie."""
    return ",".join(Path(part).name if Path(part).exists() else part for part in word.split(","))
