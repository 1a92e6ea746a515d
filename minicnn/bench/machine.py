"""What a figure has to be read with: the processor, the libraries, and how fast matrices are multiplied here."""
import os
import platform
import time
from pathlib import Path

import numpy as np

from ..doctor import blas
from ..parallel import matmul, threads

SIZE, SECONDS = 1024, .5


def machine():
    """{"processor": ..., ...}, as it goes into the file of `minicnn bench --json`."""
    speeds = {"BLAS's threads": _product_speed(np.matmul), "minicnn's threads": _product_speed(matmul)}
    better = max(speeds, key=speeds.get)
    return {"processor": _processor(), "processors": os.cpu_count(), "threads": threads(), "numpy": np.__version__,
            "python": platform.python_version(), "blas": blas(), "matrix_product_gflops": speeds[better],
            "matrix_product_by": better}


def _processor():
    """Its name, or at least its kind."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _product_speed(multiply):
    """10^9 floating point operations a second in float32 products, all processors at work: the fastest of many."""
    a = np.ones((SIZE, SIZE), np.float32)
    multiply(a, a)                               # the first one wakes the threads
    fastest, end = np.inf, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        multiply(a, a)
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * SIZE ** 3 / fastest / 1e9
