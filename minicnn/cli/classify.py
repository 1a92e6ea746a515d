"""The command classify: what a network sees in pictures."""
import argparse
import textwrap

import numpy as np

from .. import images
from ..models import read_class_names
from ..training.classification import classify
from .common import add_command, add_device, add_model, bar, complain, load_classifier, positive
from .invert import add_own_network

LIKELIEST, LONGEST_NAME = 5, 40


def add_classify(commands):
    """The command `classify` and its options."""
    parser = add_command(
        commands, "classify", run_classify, "what a network sees in your pictures",
        "The five likeliest classes of each picture.  The middle square of it is shrunk to the size that the network was\n"
        "made for (32x32 pixels for those that ship), and to grey if it knows only grey: that is all it sees.  For the\n"
        "networks of ImageNet the shorter side is made 256 pixels long, and the middle 224x224 are seen; --crops or\n"
        "--scales show them more, for a surer answer in more time.  Any kind of picture file goes in; one that cannot be\n"
        "read is named, and the others go on.",
        ["minicnn classify photo.jpg", "minicnn classify *.png --model my.safetensors",
         "minicnn classify scan.png --model digits.safetensors",
         "minicnn classify photo.jpg --model vgg16.safetensors --crops 10",
         "minicnn classify photo.jpg --model vgg16.safetensors --scales 224,256,288 --classes names.txt"])
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="a picture file")
    add_model(parser)
    add_device(parser)
    add_own_network(parser)
    seen = parser.add_mutually_exclusive_group()
    seen.add_argument("--crops", type=int, choices=[1, 10], default=1,
                      help="how many parts are seen: the middle, or also the corners, and all mirrored; the mean counts (1)")
    seen.add_argument("--scales", type=_scales, default=(), metavar="N,N,...",
                      help="see all of the picture, and mirrored, with shorter sides of N pixels; the mean counts")
    parser.add_argument("--classes", metavar="FILE", help="the names of the classes: a text file, a line each")


def _scales(text):
    """'224,256'  ->  [224, 256]"""
    try:
        return [positive(side) for side in text.split(",")]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} does not look like 224,256,288") from None


def run_classify(args):
    """Carry out `minicnn classify`."""
    model, _ = load_classifier(args.model, args.network, args.device)
    if args.classes:
        model.class_names = read_class_names(args.classes, len(model.class_names))
    failed = 0
    for path in args.pictures:
        try:
            picture = images.read_image(path)
        except (ValueError, OSError) as error:
            if args.debug:
                raise
            complain(error)
            failed += 1
            continue
        print(_likeliest(path, model.class_names, classify(model, picture, args.crops, args.scales)), flush=True)
    return 1 if failed else 0


def _likeliest(path, class_names, shares):
    likeliest = np.argsort(-shares)[:LIKELIEST]
    names = [textwrap.shorten(class_names[k], LONGEST_NAME, placeholder=" ...") for k in likeliest]
    width = max(map(len, names))
    lines = [f"  {name:<{width}}  {shares[k]:6.1%}  {bar(shares[k])}".rstrip() for name, k in zip(names, likeliest)]
    return "\n".join([str(path), *lines])
