"""What the commands share: declaring one, numbers on the command line, places to write to, opinions of pictures."""
import argparse
import math
import sys
from pathlib import Path

import numpy as np

from .. import models
from ..core.backend import DEVICES, chosen_device
from ..data import NAMES, load
from ..files.userfile import is_place
from ..layers import softmax
from ..training.classification import in_size
from ..training.prediction import predict


# ---- Declaring a command -------------------------------------------------------------------------------------------

def add_command(commands, name, run, summary, description, examples):
    """The parser of one command: `run(args)` returns its exit code; `examples` are lines as one would type them."""
    parser = commands.add_parser(name, help=summary, description=description,
                                 epilog="examples:\n" + "\n".join("  " + line for line in examples),
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS,
                        help="show the traceback of an error")
    parser.set_defaults(run=run, usage_error=parser.error)
    return parser


def add_model(parser):
    """--model"""
    parser.add_argument("--model", default="robust", metavar="NAME|FILE",
                        help=f"a network that ships with minicnn, {' or '.join(models.shipped_names())}; published weights "
                             "that were downloaded, vgg19 for one (see `minicnn weights list`); or a file that `minicnn "
                             "train`, `minicnn weights import` or, for style, `minicnn style-train` wrote (robust)")


def add_device(parser):
    """--device"""
    parser.add_argument("--device", choices=DEVICES, default="auto",
                        help="where it is computed: the GPU if CuPy finds one, else the CPU (auto); see `minicnn doctor`")


def add_network(parser, text, default=None):
    """--network: a kind by name, or a function of one's own"""
    parser.add_argument("--network", type=_network, default=default, metavar="NAME|FILE.py:FUNCTION",
                        help=f"{text}: {', '.join(models.NETWORKS)}, or one of your own")


def _network(text):
    name = models.network_name(text)
    if name not in models.NETWORKS and not is_place(name):
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(models.NETWORKS)}, nor a function of your own, "
                                         "file.py:function")
    return name


def add_data(parser):
    """--data, --size and --limit"""
    parser.add_argument("--data", default="cifar10", metavar="NAME|DIR",
                        help=f"{', '.join(NAMES)}: looked for in the folder that MINICNN_DATA names, else downloaded; or a "
                             "folder that holds one of them, or your own pictures, one folder a class (cifar10)")
    parser.add_argument("--size", type=positive, metavar="N", help="of your own pictures and shapes: pixels a side (32)")
    parser.add_argument("--limit", type=positive, metavar="N", help="take only the first N pictures, for a trial")


def load_data(args, split):
    """The pictures that --data, --size and --limit name."""
    return load(args.data, split, args.limit, **({"size": args.size} if args.size else {}))


def positive(text):
    """A whole number from 1 on."""
    return _number(text, int, 1, "a whole number from 1 on")


def natural(text):
    """A whole number from 0 on."""
    return _number(text, int, 0, "a whole number from 0 on")


def amount(text):
    """A finite number from 0 on."""
    return _number(text, float, 0, "a number from 0 on")


def _number(text, kind, least, wanted):
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value


# ---- Telling -------------------------------------------------------------------------------------------------------

def complain(message):
    """One line on stderr."""
    print(f"minicnn: error: {message}", file=sys.stderr)


def percent(share):
    """0.873  ->  '87 %'"""
    return f"{100 * share:.0f} %"


def bar(share, width=24):
    """0..1 as a bar of at most `width` letters: eighths of blocks, or # where the terminal knows none."""
    full, eighths = divmod(round(share * width * 8), 8)
    blocks = "█" * full + " ▏▎▍▌▋▊▉"[eighths].strip()
    try:
        blocks.encode(sys.stdout.encoding or "ascii")
        return blocks
    except UnicodeEncodeError:
        return "#" * round(share * width)


# ---- Files ---------------------------------------------------------------------------------------------------------

def require_writable(path, suffixes, read=()):
    """Raise ValueError before the work begins, not after it, when the result could not be written to `path`.

    read   files that the work begins with: none of them is replaced
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"cannot write {path}: the name must end in {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no folder {path.parent}; make it first, or choose another")
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder; name a file in it")
    if path.exists() and any(Path(other).exists() and path.samefile(other) for other in read):
        raise ValueError(f"cannot write {path}: it is what the work begins with, and would be lost; choose another")


def require_checkpoint(checkpoint, resume):
    """Raise ValueError when there is none to resume from, or else one that would be lost."""
    if resume and not checkpoint.exists():
        raise ValueError(f"there is no checkpoint {checkpoint} to resume: check -o, or start without --resume")
    if not resume and checkpoint.exists():
        raise ValueError(f"{checkpoint} holds a run already: go on with --resume, or delete it or choose another -o to "
                         "start anew")


def load_model(name_or_path, network=None, device="cpu"):
    """(network, path of its weights).  Only a Classifier has class names, and every command here speaks of classes.

    network   "file.py:function" where one of one's own was saved: see models.load
    device    where it shall be: "auto", "cpu" or "cuda"
    """
    path = models.find(name_or_path)
    return models.load(path, network).to(chosen_device(device)), path


def load_classifier(name_or_path, network=None, device="cpu"):
    """The same, for what feature maps alone cannot do.  Raises ValueError where the layers that know classes are missing."""
    model, path = load_model(name_or_path, network, device)
    if not model.class_names:
        raise ValueError(f"{path} holds the feature maps of a network alone, without the layers that know classes: remove "
                         "it, and download or import the weights again without --features")
    return model, path


# ---- What a network thinks of pictures -----------------------------------------------------------------------------

def eight_bits(pictures):
    """float 0..1  ->  uint8, rounded as `write_image` does: what will be in the file."""
    return np.floor(255 * np.clip(pictures, 0, 1) + .5).astype(np.uint8)


def probabilities(model, pictures):
    """(N, H, W, C), uint8 or float 0..1, of any size  ->  (N, classes): the network's opinion of each, in its own size."""
    x = np.stack([in_size(picture, model.input_shape) for picture in pictures])
    return softmax(predict(model, x)).numpy()


def opinions(model, pictures):
    """['cat 98 %', ...]: the likeliest class of each picture."""
    return [f"{model.class_names[row.argmax()]} {percent(row.max())}" for row in probabilities(model, pictures)]
