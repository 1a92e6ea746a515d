"""The command summary: the layers of a network and their sizes."""
from .. import models
from ..data.cifar10 import CLASS_NAMES
from ..inside.summary import summary
from ..layers import init
from .common import add_command, add_model, add_network, load_model, positive


def add_summary(commands):
    """The command `summary` and its options."""
    parser = add_command(
        commands, "summary", run_summary, "the layers of a network and their sizes",
        "One line a layer: its output, its weights, its multiplications for one picture, and how many pixels it sees.\n"
        "A network of your own is named as file.py:function.",
        ["minicnn summary", "minicnn summary --network resnet20", "minicnn summary --network lenet5 --channels 1 --size 28",
         "minicnn summary --network vgg19",
         "minicnn summary --network my_network.py:build", "minicnn summary --model my.safetensors"])
    which = parser.add_mutually_exclusive_group()
    add_model(which)
    add_network(which, "a kind of network, untrained")
    for name, text in [("channels", "of the pictures, with --network (3)"), ("size", "side of the pictures (32, or 224)")]:
        parser.add_argument(f"--{name}", type=positive, metavar="N", help=text)


def run_summary(args):
    """Carry out `minicnn summary`."""
    if args.network:
        options = {name: value for name in ("channels", "size") if (value := vars(args)[name])}
        print(summary(_untrained(args.network, options)))
        return 0
    if args.channels:
        args.usage_error("--channels is for a new network, with --network; the one of --model has its own")
    model, _ = load_model(args.model)
    print(summary(model, (args.size, args.size, model.input_shape[2]) if args.size else None))
    return 0


def _untrained(network, options):
    if network not in models.IMAGENET:
        return models.build(network, CLASS_NAMES, rng=0, **options)
    with init.skipped():                         # half a gigabyte of random numbers would take a while, and nobody sees them
        return models.build(network, **options)
