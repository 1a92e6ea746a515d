"""One side of a comparison in a process of its own:  python -m minicnn.bench.worker SIDE [plain] [cuda]

SIDE is "ours", or a setting of PyTorch (see sides.py).  Freed memory is kept for the next array, on both sides, which saves
time and costs some memory; with "plain" it is handled as the C library likes it.  With "cuda" the side works on the GPU: a
round lasts until that has done everything, and nobody asks for the memory.

It reads one line of JSON for each order and answers with one:
    {"work": name, "rounds": n}    ->  {"ms": the n rounds, "mb": peak of resident memory above that after the imports}
    {"work": name, "profile": n}   ->  where the time of n rounds goes: see profiling.py
    {"machine": true}              ->  see machine.py
or with {"error": why}.  The first order for a work prepares it; its answer ends the warm-up: the peak begins anew.
"""
import json
import os
import sys
import time

from ..core.backend import chosen_device
from . import sides
from .memory import forget_peak, peak_mb
from .sides import TorchSide


def main(side, *options):
    """Answer the lines on standard input, as one side, until they end."""
    from ..core import malloc
    from .works import WORKS
    if "plain" not in options:
        malloc.keep_freed_memory()
    device = "cuda" if "cuda" in options else "cpu"
    prepare, settle, about = _preparer(side, device)
    forget_peak()
    answer = _Answers(WORKS, prepare, settle, before=None if device == "cuda" else peak_mb())
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        try:
            found = answer(**json.loads(line))
        except Exception as error:               # whatever it is, the other side's process has to know
            found = {"error": f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"}
        print(json.dumps(found), flush=True)


def _preparer(side, device):
    """(how a work is prepared, how to wait for it, what to say of this side)"""
    if side == "ours":
        sides.work_on(chosen_device(device))
        return (lambda work: work.ours()), sides.settle, {"side": side}
    import torch
    from ..core.threads import threads
    if os.environ.get("MINICNN_THREADS"):        # it holds for both; else each has the threads that it takes by itself
        torch.set_num_threads(threads())
    setting = TorchSide(torch, side, device)
    return (lambda work: work.theirs(setting)), setting.settle, {"side": side, "torch": torch.__version__,
                                                                 "torch_threads": torch.get_num_threads()}


class _Answers:
    """Keeps a work prepared between orders."""

    def __init__(self, works, prepare, settle, before):
        self.works, self.prepare, self.settle, self.before = works, prepare, settle, before
        self.name = self.round = None

    def __call__(self, work=None, rounds=0, profile=0, machine=False):
        if machine:
            from .machine import machine as this_machine
            return this_machine(on_gpu=self.before is None)
        if profile:
            from .profiling import profiled
            return profiled(lambda: self.prepare(self.works[work]), profile)
        return self.timed(work, rounds)

    def timed(self, name, rounds):
        """{"ms": the rounds of a work, "mb": the peak of memory}; the first order for a work prepares it."""
        first = name != self.name
        if first:
            self.name, self.round = name, self.prepare(self.works[name])
        ms = [milliseconds(self.round, self.settle) for _ in range(rounds)]
        mb = None if self.works[name].elsewhere or self.before is None else peak_mb() - self.before
        if first:
            forget_peak()
        return {"ms": ms, "mb": mb}


def milliseconds(function, settle):
    """How long a call takes, until it has settled."""
    start = time.perf_counter()
    function()
    settle()
    return 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    main(*sys.argv[1:])
