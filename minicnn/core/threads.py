"""Two cores for what NumPy does on one: blocks of work spread over Python threads.

NumPy lets go of the interpreter lock inside its loops, so threads over blocks really run side by side.  BLAS has threads
of its own, which would help with one large product, but do not go together with ours: a thread of OpenBLAS that has
finished keeps its processor busy for some 20 milliseconds, waiting for more, and what we start meanwhile has to share it.
(A step of style transfer took a fifth longer for it.)  So there is one kind of threads, these, and BLAS is kept to one
thread while they work: `in_parallel` for blocks of anything, `matmul` for one large product.

The blocks are the caller's, and every block writes its own part of the output, so the result does not depend on the number
of threads.  `threads(n)`, or MINICNN_THREADS before the start, sets how many there are (default: the processors that this
process may use).
"""
import contextvars
import functools
import math
import os
import threading
from collections import deque
from queue import SimpleQueue

import numpy as np

from . import tuning
from .blas import on_one_thread

_local = threading.local()
_chosen = []                                     # what threads(n) was last told


def threads(n=None):
    """How many threads share the work.  threads(n) sets it, from 1 on, for the whole process.

    Results do not depend on it, bit for bit.  Raises ValueError for n below 1, or when n was never set and MINICNN_THREADS
    is no positive number.
    """
    if n is not None:
        if n != int(n) or n < 1:
            raise ValueError(f"threads(n): n must be a positive whole number, not {n!r}")
        _chosen[:] = [int(n)]
    return _chosen[0] if _chosen else _default_threads()


@functools.cache
def _default_threads():
    setting = os.environ.get("MINICNN_THREADS", "")
    if not setting:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not setting.isdecimal() or int(setting) < 1:
        raise ValueError(f"MINICNN_THREADS must be a positive whole number, not {setting!r}")
    return int(setting)


def in_parallel(function, items):
    """[function(item) for item in items], over the threads; the calling thread is one of them.

    Within it, and with a single thread or item too, BLAS is kept to one thread: it cuts a product in two where it has two,
    which rounds otherwise.  An error in any item is raised here, when no thread is at work any more.
    """
    items = list(items)
    if getattr(_local, "inside", False):         # a block that calls in_parallel itself is one of many already
        return [function(item) for item in items]
    with on_one_thread:
        return _shared_out(function, items)


def _shared_out(function, items):
    """The items wait in a queue, and whoever is free takes the next one.  Each of them is reported, done or failed."""
    results, waiting, reports = [None] * len(items), deque(enumerate(items)), SimpleQueue()

    def work():
        while (numbered := _take(waiting)) is not None:
            error = None
            try:
                results[numbered[0]] = function(numbered[1])
            except BaseException as caught:
                error = caught
            reports.put(error)
    helping = range(min(threads(), len(items)) - 1)
    tasks = [deque([functools.partial(contextvars.copy_context().run, work)]) for _ in helping]
    for task in tasks:
        _task_queue(threads()).put(task)
    _local.inside = True
    try:
        work()
    finally:
        _local.inside = False
    errors = [error for error in (reports.get() for _ in items) if error is not None]
    for task in tasks:
        task.clear()                             # withdrawn: whoever comes to it only now keeps no array alive for it
    if errors:
        raise errors[0]
    return results


def _take(waiting):
    try:
        return waiting.popleft()
    except IndexError:
        return None


def _run(task):
    """Unless it was withdrawn.  (A function of its own, so that a thread that waits for the next task holds no array.)"""
    work = _take(task)
    if work is not None:
        work()


@functools.cache
def _task_queue(count):
    """The queue from which all threads but the calling one take their tasks, each a deque that holds one function.

    (A queue of the standard library's: its executor takes a tenth of a millisecond for each task, as long as half a
    convolution of a small layer.)
    """
    queue = SimpleQueue()

    def help():
        _local.inside = True
        while True:
            _run(queue.get())
    for i in range(count - 1):
        threading.Thread(target=help, name=f"minicnn-{i}", daemon=True).start()
    return queue


def slices(length, parts):
    """`length` things in at most `parts` slices of nearly equal size: the blocks along one axis."""
    parts = max(1, min(parts, length))
    edges = [length * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in zip(edges, edges[1:])]


def image_blocks(images, rows, at_once):
    """Blocks of about `at_once` rows of a batch: [(slice of images, slice of rows), ...], whole images where they fit."""
    if at_once >= rows:
        return [(part, slice(0, rows)) for part in slices(images, -(-images // (at_once // rows)))]
    return [(slice(n, n + 1), part) for n in range(images) for part in slices(rows, -(-rows // max(1, at_once)))]


def matmul(a, b):
    """a @ b for two matrices, (M, L) and (L, N)  ->  (M, N): cut along the longer side of the result, over the threads.

    CuPy's arrays are left to NVIDIA's cuBLAS.
    """
    if not isinstance(a, np.ndarray):
        return a @ b
    (M, L), N = a.shape, b.shape[1]
    out = np.empty((M, N), np.result_type(a, b))
    parts = min(tuning.PRODUCT_SLICES, M * L * N // tuning.THREAD_PRODUCT)

    def some_rows(part):
        np.matmul(a[part], b, out=out[part])

    def some_columns(part):
        np.matmul(a, b[:, part], out=out[:, part])
    in_parallel(some_rows if M >= N else some_columns, slices(max(M, N), parts))
    return out


def added(a, b, in_place=False):
    """a + b, two arrays of one shape, in the memory of a if that may be: large ones in slices, over the threads."""
    if not isinstance(a, np.ndarray) or a.size < tuning.THREAD_SUM:
        if in_place:
            a += b
        return a if in_place else a + b
    out, axis = a if in_place else np.empty(a.shape, np.result_type(a, b)), int(np.argmax(a.shape))

    def some(part):
        where = *(slice(None),) * axis, part
        np.add(a[where], b[where], out=out[where])
    in_parallel(some, slices(a.shape[axis], tuning.PRODUCT_SLICES))
    return out


if hasattr(os, "register_at_fork"):              # a forked process inherits the pool, but none of its threads
    os.register_at_fork(after_in_child=_task_queue.cache_clear)


def workspace(name, shape, dtype):
    """An uninitialised array that this thread uses again for every block with the same name and dtype.

    A fresh array of several megabytes costs a page fault per 4 KB; a used one is still in cache.  Its content lasts only
    until the next call with that name, so it never leaves the function that asked for it.
    """
    buffers = _local.__dict__.setdefault("buffers", {})
    size, key = math.prod(shape), (name, np.dtype(dtype))
    if key not in buffers or buffers[key].size < size:
        buffers[key] = np.empty(size, dtype)
    return buffers[key][:size].reshape(shape)
