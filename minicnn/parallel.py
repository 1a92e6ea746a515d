"""Two cores for what NumPy does on one: blocks of work spread over Python threads.

NumPy lets go of the interpreter lock inside its loops, so threads over blocks really run side by side.  BLAS, which has
threads of its own, is kept to one thread meanwhile: otherwise each of ours would wake all of its own.

The blocks are the caller's, and every block writes its own part of the output, so the result does not depend on the number
of threads.  MINICNN_THREADS sets how many there are (default: the processors that this process may use).
"""
import contextlib
import ctypes
import functools
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import ThreadpoolController

_local = threading.local()
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4          # glibc's malloc.h


@functools.cache
def thread_count():
    """How many threads share the blocks.  Raises ValueError when MINICNN_THREADS is no positive number."""
    setting = os.environ.get("MINICNN_THREADS", "")
    if not setting:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not setting.isdecimal() or int(setting) < 1:
        raise ValueError(f"MINICNN_THREADS must be a positive whole number, not {setting!r}")
    return int(setting)


@functools.cache
def _pool():
    return ThreadPoolExecutor(thread_count(), thread_name_prefix="minicnn", initializer=_mark_worker)


def _mark_worker():
    _local.worker = True


def in_parallel(function, items):
    """[function(item) for item in items], over the threads when there is more than one item.

    With a single thread BLAS is kept to one, too: it cuts a product in two where it has two threads, which rounds otherwise.
    """
    items = list(items)
    if len(items) < 2 or getattr(_local, "worker", False):
        return [function(item) for item in items]
    with _blas_on_one_thread:
        return list(_pool().map(function, items)) if thread_count() > 1 else [function(item) for item in items]


def slices(length, parts):
    """`length` things in at most `parts` slices of nearly equal size: the blocks along one axis."""
    parts = max(1, min(parts, length))
    edges = [length * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in zip(edges, edges[1:])]


class _BlasLimit:
    """BLAS on one thread while anybody is inside; what was set before comes back when the last one leaves."""

    def __init__(self):
        self.lock, self.inside, self.limit = threading.Lock(), 0, contextlib.nullcontext()

    def __enter__(self):
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.limit = _controller().limit(limits=1, user_api="blas")
                self.limit.__enter__()

    def __exit__(self, *error):
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.limit.__exit__(*error)


@functools.cache
def _controller():
    return ThreadpoolController()


_blas_on_one_thread = _BlasLimit()


def workspace(name, shape, dtype):
    """An uninitialised array that this thread uses again for every block with the same name and dtype.

    A fresh array of several megabytes costs a page fault per 4 KB; a used one is still in cache.  Its content lasts only
    until the next call with that name, so it never leaves the function that asked for it.
    """
    buffers = _local.__dict__.setdefault("buffers", {})
    size, key = int(np.prod(shape)), (name, np.dtype(dtype))
    if key not in buffers or buffers[key].size < size:
        buffers[key] = np.empty(size, dtype)
    return buffers[key][:size].reshape(shape)


def keep_freed_memory():
    """Ask the C library to keep freed memory for the next array instead of giving it back to the system.

    Large arrays are otherwise fresh pages each time, which the system has to find and clear: with whole batches of feature
    maps that took more time than the arithmetic.  Concerns the whole process, so only the command line and scripts call it.
    Does nothing where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_MAX, 0)                  # no array of its own mapping, which free() would return at once
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)    # and the heap keeps its size
