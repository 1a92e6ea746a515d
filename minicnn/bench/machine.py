"""What a figure has to be read with: the processor, the libraries, and how fast matrices are multiplied here."""
import os
import platform
import time
from pathlib import Path

import numpy as np

from ..core.threads import matmul, threads
from ..doctor import blas

SIZE, LARGE, SECONDS = 1024, 8192, .5            # of matrices, on the CPU and on a GPU


def machine(on_gpu=False):
    """{"processor": ..., ...}, as it goes into the file of `minicnn bench --json`."""
    speeds = {"BLAS's threads": _product_speed(np.matmul), "minicnn's threads": _product_speed(matmul)}
    about = {}
    if on_gpu:
        import cupy                                              # it is there: this side works with it
        speeds = {"cuBLAS": _product_speed_of_gpu(cupy)}
        about = {"gpu": cupy.cuda.runtime.getDeviceProperties(0)["name"].decode(), "cupy": cupy.__version__}
    better = max(speeds, key=speeds.get)
    return {**about, "processor": _processor(), "processors": os.cpu_count(), "threads": threads(), "numpy": np.__version__,
            "python": platform.python_version(), "blas": blas(), "matrix_product_gflops": speeds[better],
            "matrix_product_by": better}


def _processor():
    """Its name, or at least its kind."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _product_speed(multiply):
    a = np.ones((SIZE, SIZE), np.float32)
    return _speed(lambda: multiply(a, a), SIZE)


def _product_speed_of_gpu(cupy):
    a = cupy.ones((LARGE, LARGE), np.float32)

    def multiply():
        a @ a
        cupy.cuda.Device().synchronize()
    return _speed(multiply, LARGE)


def _speed(multiply, size):
    """10^9 floating point operations a second in float32 products, all processors at work: the fastest of many."""
    multiply()                                   # the first one wakes the threads
    fastest, end = np.inf, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        multiply()
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * size ** 3 / fastest / 1e9
