"""Ctrl-C while the command is still being imported ends it as it does later on: exit code 130, and no traceback."""
import signal
import sys
import threading
from pathlib import Path


def while_starting():
    """From here on, where this process is the command, `minicnn ...` or `python -m minicnn ...`; others stay as they are."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if _is_command() and usual and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _stop)


def as_usual():
    """Ctrl-C is a KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_command():
    program = (sys.argv or [""])[0]
    if program == "-m":                          # until the module that is to be run is found
        return ("-m", "minicnn") in zip(sys.orig_argv, sys.orig_argv[1:])
    return Path(program).stem == "minicnn"


def _stop(*_):
    print("minicnn: stopped", file=sys.stderr)
    raise SystemExit(130)
