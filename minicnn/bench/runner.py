"""Rounds in turn, medians, and the table.

Each side works in a process of its own, and the sides take turns round by round, so that a machine that slows down slows
them all.  PyTorch runs in both of its memory layouts, and the better one counts.
"""
import json
import math
import os
import statistics
import subprocess
import sys

import numpy as np

from ..doctor import blas, matrix_product_speed
from .works import LAYERS, WORKS

OURS, TORCH = ("ours",), ("contiguous_format", "channels_last")


def select(names):
    """The works of these names (a beginning is enough); all of them without any.  Raises ValueError for an unknown one."""
    chosen = [work for work in WORKS if not names or any(work.startswith(name) for name in names)]
    unknown = [name for name in names if not any(work.startswith(name) for work in WORKS)]
    if unknown:
        raise ValueError(f"there is no work {unknown[0]!r}; there are {', '.join(WORKS)}")
    return chosen


def run(names, against_torch=False, rounds=15, notify=lambda row: None):
    """Time the works; returns {"machine": ..., "results": [...], "layers_geomean": ...} as `--json` writes it."""
    results = []
    for name in select(names):
        results.append(_measured(name, OURS + (TORCH if against_torch else ()), rounds))
        notify(results[-1])
    ratios = [row["ratio"] for row in results if row["work"] in LAYERS and "ratio" in row]
    geomean = math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None
    return {"machine": _machine(), "results": results, "layers_geomean": geomean}


def _measured(name, sides, rounds):
    workers = {side: _Worker(side) for side in sides}
    try:
        for worker in workers.values():
            worker.rounds(name, 2)                               # warm up
        times = {side: [] for side in sides}
        for _ in range(rounds):
            for side, worker in workers.items():
                times[side] += worker.rounds(name, 1)["ms"]
        memory = {side: worker.rounds(name, 1)["mb"] for side, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.close()
    return _row(name, {side: statistics.median(values) for side, values in times.items()}, memory)


def _row(name, medians, memory):
    ours = medians.pop("ours")
    row = {"work": name, "ours_ms": ours, "ours_mb": memory["ours"]}
    if WORKS[name].multiply_adds:
        row["gflops"] = 2 * WORKS[name].multiply_adds / ours / 1e6
    if medians:
        best = min(medians, key=medians.get)
        row |= {"torch_ms": medians[best], "torch_setting": best, "ratio": ours / medians[best],
                "torch_mb": min(memory[side] for side in medians)}
    return row


class _Worker:
    """A side's process, and one question at a time."""

    def __init__(self, side):
        environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
        self.process = subprocess.Popen([sys.executable, "-m", "minicnn.bench.worker", side], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=environment)
        self._answer(side)

    def rounds(self, work, count):
        self.process.stdin.write(json.dumps({"work": work, "rounds": count}) + "\n")
        self.process.stdin.flush()
        return self._answer(work)

    def _answer(self, what):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process that measures {what} has died (its message stands above)")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def _machine():
    return {"processors": os.cpu_count(), "blas": blas(), "numpy": np.__version__,
            "matrix_product_gflops": matrix_product_speed() / 1e9}


def report(result):
    """The result as a table."""
    roof = result["machine"]["matrix_product_gflops"]
    lines = [f"{'work':<26}{'ours ms':>9}{'torch ms':>10}{'ratio':>7}{'GFLOP/s':>9}{'of roof':>9}{'ours MB':>9}"
             f"{'torch MB':>9}"]
    for row in result["results"]:
        speed = row.get("gflops")
        lines.append(f"{row['work']:<26}{row['ours_ms']:>9.2f}{_cell(row, 'torch_ms', '10.2f')}{_cell(row, 'ratio', '7.2f')}"
                     f"{_cell(row, 'gflops', '9.0f')}{f'{speed / roof:9.0%}' if speed else ' ' * 9}"
                     f"{row['ours_mb']:>9.0f}{_cell(row, 'torch_mb', '9.0f')}")
    if result["layers_geomean"]:
        lines.append(f"geometric mean of the layers' ratios: {result['layers_geomean']:.2f}")
    lines.append(f"the roof, a matrix product: {roof:.0f} GFLOP/s ({result['machine']['blas']})")
    return "\n".join(lines)


def _cell(row, key, form):
    width = int(form.split(".")[0])
    return format(row[key], form) if key in row else " " * width
