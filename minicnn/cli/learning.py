"""The command about learning: train."""
import argparse
import dataclasses
import shlex
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import models, parallel, weights
from ..data import load_cifar10
from ..training import Settings, Training, accuracy
from .common import add_command, add_data, amount, load_model, natural, positive, require_writable

FIRST_STEPS = 10                                 # are timed for the estimate
DEFAULTS = Settings()


def add_train(commands):
    parser = add_command(
        commands, "train", run_train, "train a network on CIFAR-10",
        "Train a network, plainly or against attacks (--epsilon), and keep the running average of its weights.\n"
        "A checkpoint is written beside FILE as it goes, so a run that was stopped goes on with --resume, and ends in\n"
        "the same weights.",
        ["minicnn train --data cifar10 -o plain.safetensors",
         "minicnn train --data cifar10 --epochs 10 --epsilon .5 -o robust.safetensors",
         "minicnn train --data cifar10 --epochs 10 --epsilon .5 -o robust.safetensors --resume",
         "minicnn train --data cifar10 --epochs 2 --lr .05 --epsilon .6 --from robust -o stronger.safetensors",
         "minicnn train --data cifar10 --limit 512 --epochs 1 -o trial.safetensors"])
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the network, a .safetensors file")
    add_data(parser)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint beside FILE")
    parser.add_argument("--network", choices=sorted(models.NETWORKS), default="small", help="its kind (small)")
    parser.add_argument("--from", dest="begin", metavar="NAME|FILE", help="learn on with the weights of a trained network")
    parser.add_argument("--widths", type=_widths, metavar="A,B/C,D/...",
                        help="filters of each convolution; a / halves the picture (the network's own widths)")
    for name, kind, text in [("epochs", positive, "passes over the data"), ("batch", positive, "pictures a step"),
                             ("lr", amount, "learning rate at its peak"),
                             ("warmup", amount, "share of the steps until that peak"),
                             ("weight-decay", amount, "pull of the weights towards zero"),
                             ("label-smoothing", amount, "share of certainty that is not asked for"),
                             ("average", amount, "decay of the running average of the weights, 0 for none"),
                             ("epsilon", amount, "radius of the L2 attack on every batch, 0 for none"),
                             ("attack-step", amount, "length of that attack's one step"),
                             ("seed", natural, "of the weights, the order, the augmentation and the attack")]:
        default = getattr(DEFAULTS, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=f"{text} ({default})")


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
    checkpoint = _checked_places(args)
    train, test = (load_cifar10(args.data, split, args.limit) for split in ("train", "test"))
    start = _start_of_pictures(train)
    training = Training(_first_model(args, train), train, _settings(args), checkpoint)
    if args.resume:
        training.resume()
    _introduce(training, args)
    try:
        training.run(test, watch=Estimate())
    except KeyboardInterrupt:
        return _stopped(args)
    _keep(training.averaged_model(), start, test, args)
    return 0


def _first_model(args, train):
    """A new network, or with --from a trained one that is to learn on."""
    if args.begin and args.widths:
        args.usage_error("--widths is for a new network; the one of --from has its own")
    if args.begin is None:
        options = {"widths": args.widths} if args.widths else {}
        return models.build(args.network, train.class_names, rng=args.seed, **options)
    model, _ = load_model(args.begin)
    if model.class_names != train.class_names:
        raise ValueError(f"network {args.begin} knows {', '.join(model.class_names)}, but the pictures show "
                         f"{', '.join(train.class_names)}: train a new one, without --from")
    model.start = None                           # what it was is drawn from the data again in the end
    return model


def _checked_places(args):
    """The path of the checkpoint.  Raises ValueError when it is there and should not be, or the other way round."""
    require_writable(args.output, [".safetensors"])
    checkpoint = Path(args.output).with_suffix(".ckpt")
    if args.resume and not checkpoint.exists():
        raise ValueError(f"there is no checkpoint {checkpoint} to resume: check -o, or start without --resume")
    if not args.resume and checkpoint.exists():
        raise ValueError(f"{checkpoint} holds a run already: go on with --resume, or delete it or choose another -o to "
                         "start anew")
    return checkpoint


def _settings(args):
    own = vars(args)
    if args.lr == 0 or args.warmup >= 1 or args.label_smoothing >= 1 or args.average >= 1:
        args.usage_error("--lr must be more than 0; --warmup, --label-smoothing and --average must be less than 1")
    return Settings(**{field.name: own[field.name] for field in dataclasses.fields(Settings) if field.name in own})


def _start_of_pictures(train):
    """Where pictures of each class begin when the network is run in reverse.  Done first, as it may refuse the data."""
    counts = np.bincount(train.labels, minlength=len(train.class_names))
    if counts.min() < 2:
        rarest = train.class_names[counts.argmin()]
        raise ValueError(f"{counts.min()} of the {len(train)} pictures show class {rarest!r}, at least 2 are needed: "
                         "raise --limit")
    return models.ClassGaussian(len(train.class_names)).fit(train)


def _introduce(training, args):
    size = sum(parameter.size for parameter in training.model.parameters())
    print(f"network {args.network}: {size:,} parameters; on the CPU, {parallel.threads()} threads")
    print(f"{len(training.batches.dataset):,} pictures, {len(training.batches)} steps an epoch; "
          f"checkpoint {training.path}", flush=True)
    if args.resume:
        print(f"going on after {training.epoch} epochs and {training.batch} steps", flush=True)


class Estimate:
    """Tells after the first steps how long the rest will take.  It is called after each step of the training."""

    def __init__(self):
        self.calls, self.started = 0, None

    def __call__(self, training):
        self.calls += 1
        if self.calls == 1:                      # the first step is slower: it wakes threads and fills caches
            self.started = time.perf_counter()
        if self.calls == 1 + FIRST_STEPS:
            step = (time.perf_counter() - self.started) / FIRST_STEPS
            steps = (training.settings.epochs - training.epoch) * len(training.batches) - training.batch
            tqdm.write(f"{step:.2f} s a step: about {duration(step * steps)} for the rest")
            sys.stdout.flush()


def duration(seconds):
    """4000  ->  '1 h 7 min'"""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


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
    about["test_accuracy"] = accuracy(models.load(args.output), test)
    models.save(model, args.output, "float16", about)
    print(f"wrote {args.output}: {about['test_accuracy']:.2%} of {len(test):,} test pictures recognised")


def _history(args):
    """All commands that led here: for a network that learned on, first those of the one it began from."""
    before = weights.read(models.find(args.begin))[1].get("made_by", f"(of {args.begin} nothing is known)") \
        if args.begin else None
    return " && ".join(filter(None, [before, _command(args)]))


def _command(args):
    """The command with everything said that matters, and nothing about where files lie on this machine."""
    words = ["minicnn", "train", "--data", "DIR"]
    words += ["--from", Path(args.begin).name] if args.begin else ["--network", args.network]
    if args.widths:
        words += ["--widths", "/".join(",".join(map(str, group)) for group in args.widths)]
    if args.limit:
        words += ["--limit", str(args.limit)]
    for name in ("epochs", "batch", "lr", "warmup", "weight_decay", "label_smoothing", "average", "epsilon",
                 "attack_step", "seed"):
        words += [f"--{name.replace('_', '-')}", f"{getattr(args, name):g}"]
    return shlex.join([*words, "-o", Path(args.output).name])
