"""A stand-in for that part of CuPy that minicnn uses, where there is no GPU and no CuPy.

Arrays are NumPy memory, functions are NumPy's, and kernels run in the emulator.  It is made to be as strict as the real one
wherever code that works here could fail there: it has only the names and keywords of the real CuPy (cupy_api.json), it
refuses NumPy's arrays where the real one does, a sum is an array and no number, and no array turns into one of NumPy's
unless asked to with get().

    cupy = standin.install()       from now on `import cupy` gives the stand-in
    standin.remove()               and no longer

memory.py      blocks of memory with guard zones on both sides
array.py       ndarray, and what may be mixed with it
functions.py   NumPy's functions under the real one's signatures
kernels.py     RawModule, RawKernel and ElementwiseKernel on the emulator
modules.py     all of it as a module `cupy`
"""
import sys

from emulator import FORWARD

MODE = "check"                                   # of the emulator, "fast" or "check": of the launches from now on
ORDER, SEED = FORWARD, 0                         # of threads and blocks, likewise


def install():
    """The stand-in, as the module `cupy`."""
    from . import modules
    sys.modules.update(modules.MODULES)
    return modules.MODULES["cupy"]


def remove():
    """`import cupy` finds the real one again, or none.  Arrays and kernels that are still there go on working."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "cupy"]:
        del sys.modules[name]
