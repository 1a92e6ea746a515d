"""The command about what a network can do: evaluate."""
import argparse
import functools
import json
import shlex
from pathlib import Path

import numpy as np

from .. import __version__, images
from ..data import NAMES
from ..files import weights
from ..files.atomic import atomic_write
from ..training import evaluation
from ..training.attack import l2_attack, linf_attack
from .common import (add_command, add_data, add_device, add_model, amount, bar, load_classifier, load_data, positive,
                     require_writable)

ATTACKS = {"l2": (l2_attack, .5, .1, 10), "linf": (linf_attack, 8 / 255, 2 / 255, 10)}    # radius, step, steps
NORMS = {"l2": "L2", "linf": "L-infinity"}
MOST_MISTAKES = 24                               # on the sheet


def add_evaluate(commands):
    """The command `evaluate` and its options."""
    parser = add_command(
        commands, "evaluate", run_evaluate, "how often a network is right, plainly and under attack",
        "The share of the test pictures that a network recognises, class by class; how sure it is on average, and how\n"
        "far that lies from how often it is right (ECE, the expected calibration error).  With --attack also when each\n"
        "picture is changed a little, within a ball around it, so that the network errs: then --confusion and --mistakes\n"
        "show the answers to the attacked pictures.",
        ["minicnn evaluate --data cifar10", "minicnn evaluate --data cifar10 --attack linf --epsilon 4/255",
         "minicnn evaluate --data cifar10 --confusion confusion.png --mistakes mistakes.png",
         "minicnn evaluate --data cifar10 --model my.safetensors --limit 1000 --json figures.json"])
    add_data(parser)
    add_model(parser)
    add_device(parser)
    parser.add_argument("--attack", choices=list(ATTACKS),
                        help="attack the pictures too: no picture moves farther than the radius in this norm")
    parser.add_argument("--epsilon", type=quotient, metavar="R",
                        help="radius of the ball, in this norm, pixels 0..1 (l2: .5, linf: 8/255)")
    parser.add_argument("--step", type=quotient, metavar="R", help="length of a step (l2: .1, linf: 2/255)")
    parser.add_argument("--steps", type=positive, metavar="N", help="steps of the attack (10)")
    parser.add_argument("--confusion", metavar="FILE", help="draw what is taken for what: a .png or .jpg")
    parser.add_argument("--mistakes", metavar="FILE", help=f"draw the {MOST_MISTAKES} surest mistakes: a .png or .jpg")
    parser.add_argument("--json", metavar="FILE", help="write all figures into a .json file")


def quotient(text):
    """A finite number from 0 on, or a quotient of two: '8/255'."""
    above, slash, below = text.partition("/")
    try:
        return amount(above) / positive(below) if slash else amount(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on, or a quotient like 8/255") from None


def run_evaluate(args):
    """Carry out `minicnn evaluate`."""
    _complete(args)
    model, weights_path = load_classifier(args.model, device=args.device)
    test = _test_pictures(args, model)
    said = {"plain": evaluation.evaluate(model, test, progress="plain")}
    if args.attack:
        attack = functools.partial(ATTACKS[args.attack][0], epsilon=args.epsilon, step=args.step, steps=args.steps)
        said["attacked"] = evaluation.evaluate(model, test, attack, progress="attacked")
        print(f"attack: {_attack_in_words(args)}, {args.steps} steps of {_length(args.step, args)}")
    found = {column: evaluation.figures(answers.probabilities, test.labels) for column, answers in said.items()}
    print(_table(test, found))
    settings = {"version": __version__, "model": Path(args.model).name, "weights": weights.hash_of(weights_path)}
    _write_confusion(found, test, args, settings)
    _write_mistakes(said, test, args, settings)
    _write_json(found, test, args, settings)
    return 0


def _complete(args):
    """Fill in what depends on other arguments, and refuse what could not be done in the end."""
    own = ("epsilon", "step", "steps")
    if args.attack is None and any(getattr(args, name) is not None for name in own):
        args.usage_error("--epsilon, --step and --steps describe an attack: name it with --attack")
    for name, default in zip(own, ATTACKS[args.attack][1:] if args.attack else ()):
        setattr(args, name, default if getattr(args, name) is None else getattr(args, name))
    for path, suffixes in [(args.confusion, images.PICTURE_FORMATS), (args.mistakes, images.PICTURE_FORMATS),
                           (args.json, [".json"])]:
        if path:
            require_writable(path, suffixes)
    if args.confusion and args.mistakes and Path(args.confusion).resolve() == Path(args.mistakes).resolve():
        args.usage_error("--confusion and --mistakes name the same file")


def _test_pictures(args, model):
    test = load_data(args, "test")
    if model.class_names != test.class_names:
        raise ValueError(f"network {args.model} knows {', '.join(model.class_names)}, but the pictures show "
                         f"{', '.join(test.class_names)}: it was trained on other data")
    return test


# ---- Telling -------------------------------------------------------------------------------------------------------

def _attack_in_words(args):
    return f"{NORMS[args.attack]}, radius {_length(args.epsilon, args)}"


def _length(value, args):
    """In the L-infinity norm radii are counted in levels of a byte, as everywhere in the literature."""
    return f"{255 * value:g}/255" if args.attack == "linf" else f"{value:g}"


def _table(test, found):
    """A line a class, one for all, and the calibration: each column's shares, and a bar for the last."""
    width = max(map(len, [*test.class_names, "mean confidence"]))
    counts = np.bincount(test.labels, minlength=len(test.class_names))
    rows = [(name, counts[k], [figures["class_accuracy"][k] for figures in found.values()])
            for k, name in enumerate(test.class_names)]
    rows.append(("all", len(test), [figures["accuracy"] for figures in found.values()]))
    lines = [f"{'':<{width}} {'pictures':>8}  {'  '.join(f'{column:>8}' for column in found)}"]
    lines += [f"{name:<{width}} {count:>8,}  {_cells(shares)}  {bar(np.nan_to_num(shares[-1]))}".rstrip()
              for name, count, shares in rows]
    for name, key in [("mean confidence", "mean_confidence"), ("ECE", "expected_calibration_error")]:
        lines.append(f"{name:<{width}} {'':>8}  {_cells([figures[key] for figures in found.values()])}")
    return "\n".join(lines)


def _cells(shares):
    return "  ".join("       -" if np.isnan(share) else f"{share:8.2%}" for share in shares)


# ---- Writing -------------------------------------------------------------------------------------------------------

def _write_confusion(found, test, args, settings):
    if not args.confusion:
        return
    last = list(found.values())[-1]
    title = f"{settings['model']}: {100 * last['accuracy']:.1f} % of {len(test):,} pictures recognised{_under_attack(args)}"
    picture = evaluation.confusion_picture(last["confusion"], test.class_names, title)
    images.write_image(picture, args.confusion, {"command": _command(args, "confusion"), **settings})
    print(f"wrote {args.confusion}")


def _write_mistakes(said, test, args, settings):
    if not args.mistakes:
        return
    probabilities, seen = list(said.values())[-1]
    mistakes = evaluation.surest_mistakes(probabilities, test.labels)
    if len(mistakes) == 0:
        print(f"{args.mistakes} is not written: there is no mistake to show")
        return
    chosen = mistakes[:MOST_MISTAKES]
    which = f"the {len(chosen)} surest of {len(mistakes):,} mistakes" if len(chosen) < len(mistakes) else \
        "every mistake, the surest first"
    title = f"{settings['model']}: {which}{_under_attack(args)}"
    sheet = evaluation.mistakes_sheet(seen, test.labels, probabilities, test.class_names, chosen, title)
    images.write_image(sheet, args.mistakes, {"command": _command(args, "mistakes"), **settings})
    print(f"wrote {args.mistakes}")


def _under_attack(args):
    return f", attacked ({_attack_in_words(args)})" if args.attack else ""


def _write_json(found, test, args, settings):
    if not args.json:
        return
    attack = {"norm": args.attack, "epsilon": args.epsilon, "step": args.step, "steps": args.steps} if args.attack else None
    about = {"command": _command(args, "json"), **settings, "attack": attack, "pictures": len(test),
             "class_names": test.class_names}
    with atomic_write(args.json) as temporary:
        temporary.write_text(json.dumps({**about, **_plain(found)}, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    print(f"wrote {args.json}")


def _plain(value):
    """Arrays become lists, and NaN, which JSON does not know, null: the accuracy of a class without pictures."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if value != value else value


def _command(args, output):
    """The command with everything said that matters for one file.  Files by their names only, not where they lie."""
    words = ["minicnn", "evaluate", "--data", args.data if args.data in NAMES else "DIR", "--model", Path(args.model).name]
    words += ["--limit", str(args.limit)] if args.limit else []
    if args.attack:
        words += ["--attack", args.attack, "--epsilon", str(args.epsilon), "--step", str(args.step),
                  "--steps", str(args.steps)]
    return shlex.join([*words, f"--{output}", Path(getattr(args, output)).name])
