"""What this machine and this installation offer, for `minicnn doctor`."""
import os
import platform
import time

import numpy as np
import PIL
import safetensors
from threadpoolctl import threadpool_info

from . import __version__, models
from .core import backend
from .core.threads import threads as thread_count
from .files import weights


def findings():
    """Yield (topic, what was found), both strings, in the order in which they are worth reading."""
    yield "minicnn", __version__
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()}), {platform.platform()}"
    yield "NumPy", np.__version__
    yield "BLAS", blas()
    yield "threads", threads()
    yield "array library", array_library()
    yield "Pillow", PIL.__version__
    yield "safetensors", safetensors.__version__
    yield "networks", networks()
    yield "matrix product", f"{matrix_product_speed() / 1e9:.0f} GFLOP/s (float32, 1024 x 1024)"


def blas():
    """The library that multiplies NumPy's matrices, built for which processor, on how many threads."""
    found = [f"{info['internal_api']} {info.get('version') or '(version unknown)'}, built for "
             f"{info.get('architecture') or 'an unknown processor'}, {info['num_threads']} threads"
             for info in threadpool_info() if info["user_api"] == "blas"]
    return "; ".join(found) or "none that says its name (on a Mac: Accelerate)"


def threads():
    """How many threads minicnn's own loops use, and who said so."""
    source = "MINICNN_THREADS" if os.environ.get("MINICNN_THREADS") else "one a processor; MINICNN_THREADS changes it"
    return f"{thread_count()} ({source})"


def array_library():
    """Where the arrays live, and why not on the GPU."""
    status = backend.gpu_status()
    if status != "available":
        return f"NumPy on the CPU; no GPU: {status}"
    try:
        backend.to_device(np.ones(3, np.float32), "cuda") * 2            # a kernel is compiled, and runs
    except Exception as error:                   # headers of CUDA that are missing, a GPU that is too old, no memory left
        return f"NumPy on the CPU; no GPU: CuPy finds one, but no kernel runs on it ({_first_line(error)})"
    import cupy
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    return f"NumPy on the CPU; CuPy {cupy.__version__} on {name} for what is moved there: model.to('cuda'), --device cuda"


def _first_line(error):
    return f"{type(error).__name__}: {error}".splitlines()[0]


def networks():
    """The networks in the package, each with the hash that stands in the pictures it makes."""
    shipped = [f"{name} ({weights.hash_of(models.find(name))})" for name in models.shipped_names()]
    return ", ".join(shipped) or "none ships with this copy: install minicnn again"


def matrix_product_speed(seconds=.3, size=1024):
    """Floating point operations a second in float32 matrix products."""
    a = np.ones((size, size), np.float32)
    a @ a                                        # the first one wakes the threads
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        a @ a
        count += 1
    return count * 2 * size ** 3 / (time.perf_counter() - started)
