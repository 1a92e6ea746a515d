"""The real CuPy wheel on a machine without a GPU: its driver is emulated, its kernels run on the CPU.

    cp = realcupy.activate(mode="check")         # before anybody imports cupy; setup.py makes the environment for it
    cp.arange(3) * 2

libraries.py  the emulated driver, loaded in place of NVIDIA's
kernels.py    kernels: text that CuPy would give to NVIDIA's compiler goes to tests/cuda/emulator
sorting.py    sorting, which the wheel holds as machine code of a GPU
"""
import os

from . import kernels, libraries, sorting


def activate(mode="fast", order=0, seed=0):
    """The real `cupy`; may be called again, for another mode or order.

    mode   "fast" or "check" (see emulator) of the launches from now on
    order  of their threads and blocks: 0 forward, 1 in reverse, 2 at random, by the seed

    Raises RuntimeError, with what to do, where setup.py has not been run, and when NVIDIA's CuPy has been imported already.
    """
    first = not libraries.loaded()
    if first:
        os.environ["CUPY_ACCELERATORS"] = ""     # CUB and cuTENSOR are machine code of a GPU
        libraries.load()
    import cupy
    if first:
        kernels.install()
        sorting.install()
        _limit(cupy)
    kernels.state.mode, kernels.state.order, kernels.state.seed = mode, order, seed
    return cupy


def _limit(cupy):
    """Each array is an allocation of its own, so that its bounds are known; what would return garbage is refused."""
    cupy.cuda.set_allocator(_allocate)
    cupy.cuda.set_pinned_memory_allocator(None)

    def refuse(*arguments, **options):
        raise NotImplementedError("cupy.random.Generator is machine code of a GPU")
    cupy.random.default_rng = cupy.random.Generator = refuse


def _allocate(size):
    """Memory of the device, with the error that CuPy's own pool raises when there is none."""
    from cupy.cuda import memory, runtime
    try:
        return memory.MemoryPointer(memory.Memory(size), 0)
    except runtime.CUDARuntimeError:
        available, total = runtime.memGetInfo()
        raise memory.OutOfMemoryError(size, total - available) from None
