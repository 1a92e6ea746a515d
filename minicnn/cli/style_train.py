"""The command style-train: a network learns one style."""
import sys
import time
from pathlib import Path

import numpy as np

from .. import images, models
from ..generate.style.one_pass import StylizerSettings, StylizerTraining
from ..generate.style.recipes import recipe_for
from ..models.stylizer import save_stylizer
from ..training.run import Run
from .common import add_command, add_device, add_model, amount, load_model, natural, positive, require_writable
from .style import checkpoint_beside, help_of, settings_of

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


def add_style_train(commands):
    """The command `style-train` and its options."""
    parser = add_command(
        commands, "style-train", run_style_train, "teach a network one style, for transfers in a single pass",
        "Train a network on your photographs until it gives them the content they have and the style of STYLE (Johnson et\n"
        "al. 2016): then `minicnn style photo.jpg --model FILE` takes less than a second.  Ctrl-C keeps a checkpoint\n"
        "beside FILE, and --resume goes on from it.",
        ["minicnn style-train painting.jpg photographs/ -o starry.safetensors",
         "minicnn style-train painting.jpg photographs/ --steps 4000 --model vgg19 -o starry.safetensors",
         "minicnn style-train painting.jpg photographs/ --resume -o starry.safetensors"])
    parser.add_argument("style", metavar="STYLE", help="the picture whose style is learned")
    parser.add_argument("photographs", metavar="DIR", help="a folder with pictures to learn from, also in folders")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the network, a .safetensors file")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint beside FILE")
    add_model(parser)
    add_device(parser)
    for name, text in _LESSONS.items():
        default = getattr(StylizerSettings(), name)
        kind = amount if name == "lr" else natural if name in ("seed", "blocks") else positive
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=f"{text} ({default})")
    for name in ("content-weight", "style-weight", "smoothness"):
        parser.add_argument(f"--{name}", type=amount, metavar="N", help=help_of(name))


_LESSONS = {"steps": "steps of Adam", "batch": "pictures in each", "side": "of the squares that are learned from, in pixels",
            "lr": "learning rate at first", "width": "channels of the network's first convolution",
            "blocks": "its residual blocks", "seed": "of its weights and of the squares"}


def run_style_train(args):
    """Carry out `minicnn style-train`."""
    started, checkpoint = time.perf_counter(), checkpoint_beside(args)
    require_writable(args.output, [".safetensors"], [models.find(args.model)])
    training, weights_path = _training(args)
    run = Run(training, checkpoint, title="learning", figures=lambda: {"loss": f"{training.losses[-1]:.3f}"})
    if args.resume:
        run.resume()
    try:
        run.run()
    except KeyboardInterrupt:
        print("minicnn: stopped; the checkpoint is written, the same command with --resume goes on", file=sys.stderr)
        return 130
    settings = settings_of(args, weights_path, [args.style])
    save_stylizer(training.network, args.output, {"made_by": settings["command"], **settings})
    checkpoint.unlink(missing_ok=True)
    print(f"wrote {args.output} after {len(training.losses)} steps, loss {np.mean(training.losses[:10]):.3f} to "
          f"{np.mean(training.losses[-10:]):.3f}, in {time.perf_counter() - started:.0f} s")
    return 0


def _training(args):
    """(the StylizerTraining, the path of the weights with whose eyes it compares)"""
    model, weights_path = load_model(args.model, device=args.device)
    changes = {name: getattr(args, name) for name in ("content_weight", "style_weight", "smoothness")
               if getattr(args, name) is not None}
    lessons = StylizerSettings(**{name: getattr(args, name) for name in _LESSONS})
    photographs = _pictures_in(args.photographs)
    print(f"{len(photographs)} photographs, {lessons.steps} steps of {lessons.batch}")
    recipe = recipe_for(model, "fast", **changes)
    return StylizerTraining(images.read_image(args.style), photographs, model, recipe, lessons), weights_path


def _pictures_in(folder):
    """The picture files of a folder and of those in it, by name.  Raises ValueError when there is none."""
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise ValueError(f"{folder} holds no pictures ({', '.join(SUFFIXES)}): name a folder with photographs")
    return found
