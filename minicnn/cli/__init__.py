"""The command line: `minicnn COMMAND ...`.

One file a command: classify, invert, style, train, ... ; common.py is what they share.

A command is a function  run(args) -> exit code  and a function that declares its arguments.  What goes wrong is
raised, and told here in one line that names the thing and the mend.
"""
import argparse
import os
import sys
import textwrap
import traceback
import warnings

from .. import __version__, interrupt
from ..core import malloc, processes
from . import (augment, bench, classify, doctor, evaluate, gradcheck, invert, show_settings, style, style_train, summary,
               train, weights)
from .common import complain

EXPECTED = (ValueError, OSError, FloatingPointError, MemoryError)    # their messages were written for the user


def main(argv=None):
    """Run one command.  Returns the exit code: 0 done, 1 an error, 2 wrong usage, 130 stopped by Ctrl-C."""
    argv = list(sys.argv[1:] if argv is None else argv)
    _never_refuse_a_letter(sys.stdout)
    try:
        interrupt.as_usual()
        malloc.keep_freed_memory()
        with warnings.catch_warnings():
            warnings.showwarning = _told_warning
            code = _run(argv)
        sys.stdout.flush()                       # so that a reader who has left (`| head`) is noticed here
        return code
    except SystemExit as stop:                   # argparse: after --help, or wrong usage
        return stop.code or 0
    except KeyboardInterrupt:
        print("minicnn: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())   # or Python complains when it ends
        return 1
    except Exception as error:
        code = _told(error, debug="--debug" in argv)
        processes.abort(code)
        return code


def _never_refuse_a_letter(stream):
    """A letter that the terminal does not know, of a class name for one, becomes "?"; stderr does so by itself."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")


def _run(argv):
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help(sys.stderr)
        return 2
    args.argv = argv
    return args.run(args)


def _told_warning(message, *_):
    """One line on stderr: where in the code it came from is nothing to the user."""
    print(f"minicnn: warning: {message}", file=sys.stderr)


def _told(error, debug):
    """One line on stderr for whatever went wrong; the traceback too, if asked."""
    if debug:
        traceback.print_exception(error)
    message = "; ".join(line.strip() for line in str(error).splitlines() if line.strip()).replace(":; ", ": ")
    if not isinstance(error, EXPECTED):
        message = f"{type(error).__name__}: {message} (run again with --debug for the traceback)"
    complain(textwrap.shorten(message or type(error).__name__, 600, placeholder=" ... (the rest with --debug)"))
    return 1


def make_parser():
    """The argparse parser with all commands."""
    parser = argparse.ArgumentParser(
        "minicnn", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Convolutional networks from scratch: run forwards to recognise pictures, backwards to draw them.",
        epilog="examples:\n  minicnn invert cat -o cat.png\n  minicnn classify cat.png\n  minicnn COMMAND --help")
    parser.add_argument("--version", action="version", version=f"minicnn {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for declare in (invert.add_invert, style.add_style, style_train.add_style_train, classify.add_classify,
                    show_settings.add_show_settings, augment.add_augment, train.add_train, evaluate.add_evaluate,
                    weights.add_weights, gradcheck.add_gradcheck, summary.add_summary, doctor.add_doctor, bench.add_bench):
        declare(commands)
    return parser
