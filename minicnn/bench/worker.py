"""One side of a comparison in a process of its own:  python -m minicnn.bench.worker ours|contiguous_format|channels_last

It reads one line of JSON for each round, {"work": name, "rounds": n}, and answers with one: {"ms": [...], "mb": ...}, the
milliseconds of the rounds and the peak resident memory above that after the imports.  The first line for a work prepares it.
"""
import json
import resource
import sys
import time


def main(side):
    """Answer the lines on standard input, as one side: "ours", or the name of one of PyTorch's memory layouts."""
    from minicnn.parallel import keep_freed_memory
    keep_freed_memory()
    from minicnn.bench.works import WORKS
    prepare = _preparer(side)
    before, prepared = _peak_mb(), {}
    print(json.dumps({"ready": side}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if order["work"] not in prepared:
            prepared.clear()                     # one work at a time, so that memory is its own
            prepared[order["work"]] = prepare(WORKS[order["work"]])
        ms = [_timed(prepared[order["work"]]) for _ in range(order["rounds"])]
        print(json.dumps({"ms": ms, "mb": _peak_mb() - before}), flush=True)


def _preparer(side):
    if side == "ours":
        return lambda work: work.ours()
    import torch
    return lambda work: work.theirs(torch, side)


def _timed(round_):
    start = time.perf_counter()
    round_()
    return 1e3 * (time.perf_counter() - start)


def _peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


if __name__ == "__main__":
    main(sys.argv[1])
