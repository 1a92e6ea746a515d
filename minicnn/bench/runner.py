"""The sides in turn, and medians.

Each side works in a process of its own, and the sides take turns round by round, so that a machine that slows down slows
them all.  PyTorch runs in each of its settings, and the best one counts: for the time, and for itself for the memory.
"""
import contextlib
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import threading
import time
from functools import cached_property

from . import table
from .sides import COMPILED, LAYOUTS, TF32
from .works import LAYERS, WORKS, select

WARM_UP = 3
PAUSE = .02                 # seconds between the sides: their idle threads stay awake for a moment, and would disturb
SHORT, TURN = 100, 60       # milliseconds: of shorter works a turn is many rounds, so that caches and processors are awake
COMPILE_SECONDS = 120
LIMITING = ("OPENBLAS_", "OMP_NUM_THREADS", "MKL_NUM_THREADS")      # variables that could slow down one of the sides


class WorkerFailed(RuntimeError):
    """A process that measures could not do it; the message says why."""


def run(names, against_torch=False, compiled=True, rounds=15, tell=lambda line: None, device="cpu"):
    """Time the works of these names; returns {"machine": ..., "results": [...], "layers_geomean": ...}.

    compiled  whether PyTorch may also compile the work (steps and poolings; the first time takes half a minute each)
    rounds    turns of each side
    tell      gets the lines of the table as they come to be known
    device    "cpu" or "cuda", for both sides; there PyTorch is also timed with the tensor cores, which round products to 10
              bits: that stands beside, and does not count
    Raises ValueError for an unknown name, and when there is no PyTorch to run against.
    """
    layouts = (*LAYOUTS, *(TF32 + layout for layout in LAYOUTS)) if device == "cuda" else LAYOUTS
    chosen, settings = select(names), layouts if against_torch else ()
    if against_torch and importlib.util.find_spec("torch") is None:
        raise ValueError("there is no PyTorch here to run against: pip install torch")
    machine, results = _machine(settings, device), []
    tell(table.heading())
    for name in chosen:
        results.append(_measured(name, settings, compiled, rounds, device))
        tell(table.line(results[-1], machine["matrix_product_gflops"]))
    result = {"machine": machine, "results": results, "layers_geomean": _layers_geomean(results)}
    tell(table.footing(result))
    return result


def profile(names, rounds=15, tell=lambda text: None):
    """Where the time of each work goes on our side: {name: as profiling.py returns it}; tell gets a table for each."""
    found = {}
    for name in select(names):
        with _Worker("ours") as worker:
            found[name] = worker.ask(work=name, profile=rounds)
        tell(table.profile(name, found[name]))
    return found


def _layers_geomean(results):
    ratios = [row["ratio"] for row in results if row["work"] in LAYERS and "ratio" in row]
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None


def _machine(settings, device="cpu"):
    """What the figures have to be read with, asked of the processes that measure: their environment is another one."""
    with _Worker("ours", device) as worker:
        found = worker.ask(machine=True) | {"unset": _limiting_variables()}
    for setting in settings[:1]:
        with _Worker(setting, device) as worker:
            found |= {key: worker.about[key] for key in ("torch", "torch_threads")}
    return found


def _measured(name, settings, compiled, rounds, device):
    """The row of a work."""
    with contextlib.ExitStack() as stack:
        def start(*arguments):
            return stack.enter_context(_Worker(*arguments, device))
        sides = {side: start(side) for side in ("ours", *settings)}
        plain = {setting: start(setting, "plain") for setting in settings if device == "cpu"}
        for worker in (*sides.values(), *plain.values()):
            worker.wait()                        # nothing is imported any more while we measure
        warm = {side: min(worker.ask(work=name, rounds=WARM_UP)["ms"]) for side, worker in sides.items()}
        left_out = {}
        if settings and compiled and WORKS[name].compiles:
            setting = COMPILED + min(LAYOUTS, key=warm.get)
            try:
                _start_compiled(sides, setting, name, start)
            except WorkerFailed as error:
                left_out[setting] = str(error)
        times = _in_turn(sides, name, rounds, _rounds_of_turn(max(warm.values())))
        memory = {side: worker.ask(work=name, rounds=1)["mb"] for side, worker in sides.items()}
        for setting, worker in plain.items():
            worker.ask(work=name, rounds=WARM_UP)
            memory[f"plain {setting}"] = worker.ask(work=name, rounds=1)["mb"]
    return _row(name, {side: statistics.median(ms) for side, ms in times.items()}, memory, left_out)


def _start_compiled(sides, setting, name, start):
    """Add this setting to the sides when its first rounds, in which it compiles, go well and end in time."""
    worker = start(setting)
    worker.wait()
    worker.ask(work=name, rounds=WARM_UP, seconds=COMPILE_SECONDS)
    sides[setting] = worker


def _rounds_of_turn(slowest):
    """How often a work that takes so many milliseconds is done in a turn."""
    return 1 if slowest >= SHORT else max(4, math.ceil(TURN / slowest))


def _in_turn(sides, name, rounds, at_once):
    """{side: milliseconds of its rounds}.  Each turn is so many of them at once, and the first half is not counted."""
    times = {side: [] for side in sides}
    for _ in range(rounds):
        for side, worker in sides.items():
            time.sleep(PAUSE)
            times[side] += worker.ask(work=name, rounds=at_once)["ms"][at_once // 2:]
    return times


def _row(name, medians, memory, left_out):
    """What is known of a work.  Times and memory are by setting; of PyTorch's the smallest counts."""
    rounded = {side: ms for side, ms in medians.items() if side.startswith(TF32)}
    theirs = {side: ms for side, ms in medians.items() if side != "ours" and side not in rounded}
    row = {"work": name, "ours_ms": medians["ours"], "ours_mb": memory["ours"]}
    if WORKS[name].multiply_adds:
        row["gflops"] = 2 * WORKS[name].multiply_adds / row["ours_ms"] / 1e6
    if theirs:
        best, sizes = min(theirs, key=theirs.get), [mb for side, mb in memory.items() if side != "ours" and mb is not None]
        row |= {"torch_ms": theirs[best], "ratio": row["ours_ms"] / theirs[best], "torch_mb": min(sizes, default=None),
                "torch_setting": best, "torch_ms_of": theirs | rounded, "torch_left_out": left_out}
    if rounded:
        row["torch_tf32_ms"] = min(rounded.values())
    return row


class _Worker:
    """A side's process, and one question at a time.  Ends with the `with` block."""

    def __init__(self, *arguments):
        environment = {key: value for key, value in os.environ.items() if key not in _limiting_variables()}
        self.process = subprocess.Popen([sys.executable, "-m", "minicnn.bench.worker", *arguments], env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @cached_property
    def about(self):
        """What it says when it is ready."""
        return self._answer()

    def wait(self):
        """Until it is ready."""
        _ = self.about

    def ask(self, seconds=None, **order):
        """Its answer to an order (see worker.py).  Raises WorkerFailed, also when it takes more than these seconds."""
        self.wait()
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self._answer(seconds)
        if "error" in answer:
            raise WorkerFailed(answer["error"])
        return answer

    def _answer(self, seconds=None):
        timer = threading.Timer(seconds or 0, self.process.kill)
        if seconds:
            timer.start()
        line = self.process.stdout.readline()
        late = timer.finished.is_set()
        timer.cancel()
        if not line and late:
            raise WorkerFailed(f"took more than {seconds} seconds")
        if not line:
            raise WorkerFailed("the process that measures has died (its message stands above)")
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def _limiting_variables():
    return sorted(key for key in os.environ if key.startswith(LIMITING))
