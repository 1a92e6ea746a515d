"""The command about learning: train."""
import argparse
import dataclasses
import functools
import shlex
import sys
from pathlib import Path

import numpy as np

from .. import models
from ..core import processes, threads
from ..core.backend import chosen_device
from ..data import NAMES, augment, class_balance
from ..files import weights
from ..files.userfile import is_place
from ..images import write_image
from ..inside.statistics import statistics, statistics_table
from ..training.classifier import OPTIMIZERS, SCHEDULES, Training, TrainingSettings
from ..training.curves import learning_curves, write_csv
from ..training.prediction import accuracy
from ..training.run import Estimate
from .common import (add_command, add_data, add_device, add_network, amount, load_data, load_model, natural, positive,
                     require_checkpoint, require_writable)

DEFAULTS = TrainingSettings()


def add_train(commands):
    """The command `train` and its options."""
    parser = add_command(
        commands, "train", run_train, "train a network on pictures, also your own",
        "Train a network on a data set that is known by name, or on a folder of your own pictures, one folder a class;\n"
        "plainly or against attacks (--epsilon).  The running average of its weights is kept.  A checkpoint is written\n"
        "beside FILE as it goes, so that a run which was stopped, by Ctrl-C or a power cut, goes on with --resume and ends\n"
        "in the same weights; and its learning curves, FILE-curves.csv and .png.  Started by `mpiexec -n 2 minicnn train\n"
        "...` several processes share the work (pip install \"minicnn[mpi]\").",
        ["minicnn train --data shapes --epochs 5 -o shapes.safetensors",
         "minicnn train --data mnist --network lenet5 --epochs 6 --augment crop=2 -o digits.safetensors",
         "minicnn train --data my-pictures/ --size 64 --epochs 30 -o mine.safetensors",
         "minicnn train --data cifar10 --network my_net.py:build --augment standard,cutout,mixup -o my.safetensors",
         "minicnn train --data cifar10 --epochs 10 --epsilon .5 -o robust.safetensors",
         "minicnn train --data cifar10 --epochs 10 --epsilon .5 -o robust.safetensors --resume",
         "minicnn train --data cifar10 --epochs 2 --lr .05 --epsilon .6 --from robust -o stronger.safetensors"])
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the network, a .safetensors file")
    add_data(parser)
    add_device(parser)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint beside FILE")
    add_network(parser, "its kind (small)", default="small")
    parser.add_argument("--from", dest="begin", metavar="NAME|FILE", help="learn on with the weights of a trained network")
    parser.add_argument("--widths", type=_widths, metavar="A,B/C,D/...",
                        help="of network small: filters of each convolution; a / halves the picture")
    _add_choices(parser)
    parser.add_argument("--lr", type=amount, metavar="N",
                        help=f"learning rate at its peak ({DEFAULTS.lr}; without batch norm, or with Adam, less)")
    for name, kind, text in _NUMBERS:
        default = getattr(DEFAULTS, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=f"{text} ({default})")


def _add_choices(parser):
    parser.add_argument("--augment", type=_augmentation, default=DEFAULTS.augment, metavar="LIST",
                        help=f"what is done to the pictures: none, or some of {', '.join(augment.AMOUNTS)}, with amounts: "
                             f"crop=4,flip,rotate=15 (standard: crop and flip); see `minicnn augment`")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default=DEFAULTS.optimizer, help="(sgd, with momentum)")
    parser.add_argument("--schedule", choices=SCHEDULES, default=DEFAULTS.schedule, help="of the learning rate (onecycle)")
    parser.add_argument("--statistics", action="store_true",
                        help="after every epoch, what is going on in each layer: outputs, weights, gradients")


_NUMBERS = [("epochs", positive, "passes over the data"), ("batch", positive, "pictures a step"),
            ("warmup", amount, "share of the steps until that peak"),
            ("weight-decay", amount, "pull of the weights towards zero"),
            ("label-smoothing", amount, "share of certainty that is not asked for"),
            ("average", amount, "decay of the running average of the weights, 0 for none"),
            ("epsilon", amount, "radius of the L2 attack on every batch, 0 for none"),
            ("attack-step", amount, "length of a step of that attack"),
            ("attack-steps", positive, "steps of that attack"),
            ("seed", natural, "of the weights, the order, the augmentation and the attack")]


# The peak of the learning rate where none is asked for: networks without batch norm diverge at that of the others.
_RATES = {"lenet5": .05, "vgg11-small": .05, "alexnet-small": .03,
          **{name: .01 for name in models.IMAGENET if not name.endswith("-bn")}}
_RATES_OF_ADAM = {"adam": .002, "adamw": .002}


def _augmentation(text):
    """The list as it is written; refused before anything is loaded."""
    try:
        augment.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _widths(text):
    """'24,32/64,64'  ->  ((24, 32), (64, 64))"""
    try:
        widths = tuple(tuple(map(int, group.split(","))) for group in text.split("/"))
    except ValueError:
        widths = ((0,),)
    if min(map(min, widths)) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} does not look like 24,32/64,64/128")
    return widths


def run_train(args):
    """Carry out `minicnn train`."""
    checkpoint = _checked_places(args)
    args.device = chosen_device(args.device)
    if args.lr is None:
        args.lr = _RATES_OF_ADAM.get(args.optimizer) or _RATES.get(args.network, DEFAULTS.lr)
    train, test = (load_data(args, split) for split in ("train", "test"))
    start = _start_of_pictures(train)
    training = Training(_first_model(args, train).to(args.device), train, _settings(args), checkpoint)
    if args.resume:
        training.resume()
    if processes.rank() == 0:
        _introduce(training, args)
    try:
        training.run(test, callback=Estimate(), after_epoch=functools.partial(_after_epoch, args))
    except KeyboardInterrupt:
        return _stopped(args)
    if processes.rank() == 0:
        _keep(training.averaged_model(), start, test, args)
    return 0


def _first_model(args, train):
    """A new network, or with --from a trained one that is to learn on."""
    if args.begin and args.widths:
        args.usage_error("--widths is for a new network; the one of --from has its own")
    size, channels = train.images.shape[2:]
    if args.begin is None:
        options = {"widths": args.widths} if args.widths else {}
        return models.build(args.network, train.class_names, rng=args.seed, channels=channels, size=size, **options)
    model, _ = load_model(args.begin)
    if model.class_names != train.class_names or model.input_shape[2] != channels:
        raise ValueError(f"network {args.begin} knows {', '.join(model.class_names)} in {model.input_shape[2]} channels, "
                         f"but the pictures show {', '.join(train.class_names)} in {channels}: train a new one, without "
                         "--from")
    model.start = None                           # what it was is drawn from the data again in the end
    return model


def _after_epoch(args, training):
    """The learning curves, and the statistics if they are wanted."""
    if processes.rank() > 0:
        return
    name = Path(args.output).with_suffix("")
    write_csv(training.history, f"{name}-curves.csv")
    write_image(learning_curves(training.history), f"{name}-curves.png")
    if args.statistics:
        x, labels = next(iter(training.batches.epoch(0)))
        print(statistics_table(statistics(training.model, x, labels)), flush=True)


def _checked_places(args):
    """The path of the checkpoint.  Raises ValueError when it is there and should not be, or the other way round."""
    require_writable(args.output, [".safetensors"])
    checkpoint = Path(args.output).with_suffix(".ckpt")
    require_checkpoint(checkpoint, args.resume)
    return checkpoint


def _settings(args):
    own = vars(args)
    if args.lr == 0 or args.warmup >= 1 or args.label_smoothing >= 1 or args.average >= 1:
        args.usage_error("--lr must be more than 0; --warmup, --label-smoothing and --average must be less than 1")
    names = [field.name for field in dataclasses.fields(TrainingSettings) if field.name in own]
    return TrainingSettings(**{name: own[name] for name in names})


def _start_of_pictures(train):
    """Where pictures of each class begin when the network is run in reverse.  Done first, as it may refuse the data."""
    counts = np.bincount(train.labels, minlength=len(train.class_names))
    if counts.min() < 2:
        rarest = train.class_names[counts.argmin()]
        raise ValueError(f"{counts.min()} of the {len(train)} pictures show class {rarest!r}, at least 2 are needed: "
                         "raise --limit")
    return models.ClassGaussian(len(train.class_names), channels=train.images.shape[3]).fit(train)


def _introduce(training, args):
    size = sum(parameter.size for parameter in training.model.parameters())
    place = "on the GPU" if args.device == "cuda" else f"on the CPU, {threads.threads()} threads"
    print(f"network {args.network}: {size:,} parameters; {place}")
    print(f"{len(training.batches.dataset):,} pictures, {len(training.batches)} steps an epoch; "
          f"checkpoint {training.path}", flush=True)
    print(f"classes: {_balance(training.batches.dataset)}", flush=True)
    if args.resume:
        print(f"going on after {training.epoch} epochs and {training.batch} steps", flush=True)


def _balance(dataset):
    """'cat 500, dog 480', or where all are equal and many just their number."""
    counts = class_balance(dataset)
    if len(set(counts.values())) == 1:
        return f"{len(counts)}, {next(iter(counts.values())):,} pictures each"
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _stopped(args):
    again = [word for word in args.argv if word != "--resume"] + ["--resume"]
    print("minicnn: stopped; the checkpoint is written, go on with", file=sys.stderr)
    print(f"  {shlex.join(['minicnn', *again])}", file=sys.stderr)
    return 130


def _keep(model, start, test, args):
    """Write the network, measure what was written, and write that into it: float16 rounds the weights a little."""
    model.start = start
    about = {"made_by": _history(args), "settings": dataclasses.asdict(_settings(args))}
    models.save(model, args.output, "float16", about)
    written = models.load(args.output, args.network if is_place(args.network) else None)
    about["test_accuracy"] = accuracy(written, test)
    models.save(model, args.output, "float16", about)
    print(f"wrote {args.output}: {about['test_accuracy']:.2%} of {len(test):,} test pictures recognised")


def _history(args):
    """All commands that led here: for a network that learned on, first those of the one it began from."""
    before = weights.read(models.find(args.begin))[1].get("made_by", f"(of {args.begin} nothing is known)") \
        if args.begin else None
    return " && ".join(filter(None, [before, _command(args)]))


def _command(args):
    """The command with everything said that matters, and nothing about where files lie on this machine."""
    together = ["mpiexec", "-n", str(processes.count())] if processes.count() > 1 else []
    words = [*together, "minicnn", "train", "--data", args.data if args.data in NAMES else "DIR"]
    words += ["--from", Path(args.begin).name] if args.begin else ["--network", args.network]
    if args.widths:
        words += ["--widths", "/".join(",".join(map(str, group)) for group in args.widths)]
    words += [word for name in ("limit", "size") if getattr(args, name) for word in (f"--{name}", str(getattr(args, name)))]
    for name in ("augment", "optimizer", "schedule"):
        words += [f"--{name}", getattr(args, name)]
    for name in ("lr", *(name for name, _, _ in _NUMBERS)):
        words += [f"--{name}", f"{getattr(args, name.replace('-', '_')):g}"]
    return shlex.join([*words, "-o", Path(args.output).name])
