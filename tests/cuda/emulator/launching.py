"""A compiled text, its kernels, and what goes wrong when they run."""
import ctypes
import os
import re

import numpy as np

from .building import build, line_of
from .text import kernels_in, threads_wait, with_shared_memory

FORWARD, REVERSE, RANDOM = range(3)              # order of threads and blocks
STATIC_SHARED = 48 * 1024                        # bytes of shared memory that every GPU gives a block
MOST_THREADS, MOST_Z, MOST_BLOCKS_X, MOST_BLOCKS = 1024, 64, 2 ** 31 - 1, 65535
INSTRUCTION, LINE = 9, 10                        # where launch.h's ccpu_stats has them


class KernelError(RuntimeError):
    """What the emulator found wrong with a kernel or its launch."""


class Launch(ctypes.Structure):
    """As in include/state.h."""
    _fields_ = [(name, ctypes.c_uint) for name in "gx gy gz bx by bz dynamic_shared shared_limit".split()] + [
        ("order", ctypes.c_int), ("seed", ctypes.c_uint), ("arrays", ctypes.c_longlong),
        ("array", ctypes.c_void_p), ("most_blocks", ctypes.c_longlong)]


class Module:
    """The kernels of a CUDA C++ text, compiled for the CPU.

    options           of NVIDIA's compiler: -D, -U and -I count here too
    name_expressions  the instances of templates that are wanted: "convolve<8, true>"
    mode              "fast", "check" or "profile"; else the environment's CCPU_MODE
    name              of the file, for messages
    """

    def __init__(self, code, options=(), name_expressions=None, mode=None, name="kernel.cu"):
        self.mode, self.name = mode or os.environ.get("CCPU_MODE", "fast"), name
        self.names = [kernel for kernel, template in kernels_in(code).items() if not template] + list(name_expressions or ())
        self.ids = {n: n if re.fullmatch(r"\w+", n) else f"x{i}" for i, n in enumerate(self.names)}     # names in C
        self.so = build(self._text(code), self.mode, [o for o in options if o.startswith(("-D", "-I", "-U"))])
        self.lib = ctypes.CDLL(str(self.so))
        self.lib.ccpu_error.restype = ctypes.c_char_p

    def _text(self, code):
        fibers = "true" if threads_wait(code) else "false"
        entries = "".join(f"CCPU_ENTRY({self.ids[n]}, {fibers}, {n})\n" for n in self.names)
        return f'#include "cuda_cpu.h"\n#line 1 "{self.name}"\n{with_shared_memory(code)}\n{entries}'

    def signature(self, kernel):
        """[(bytes, kind), ...] of the parameters; kind: 'p' pointer, 'f' floating, 'i' whole number, 's' a struct."""
        size, kind = (getattr(self.lib, f"ccpu_{what}_{self.ids[kernel]}") for what in ("argsize", "argkind"))
        found = []
        while size(len(found)) >= 0:
            found.append((size(len(found)), chr(kind(len(found)))))
        return found

    def launch(self, kernel, grid, block, parameters, shared_mem=0, order=FORWARD, seed=0, arrays=(),
               shared_limit=STATIC_SHARED, most_blocks=0):
        """Run a kernel to its end.   Raises KernelError with the first thing that is wrong.

        parameters   objects of ctypes, one for each
        arrays       (address, bytes, flags) of all memory that the kernel may touch, for checked mode; flags 1: read only
        """
        grid, block = _three(grid), _three(block)
        _check_sizes(grid, block)
        wanted = Launch(*grid, *block, shared_mem, shared_limit, order, seed, 0, None, most_blocks)
        table = np.array(sorted(arrays), np.uint64).reshape(-1, 3)
        wanted.arrays, wanted.array = len(table), table.ctypes.data
        addresses = (ctypes.c_void_p * max(len(parameters), 1))(*map(ctypes.addressof, parameters))
        if getattr(self.lib, f"ccpu_run_{self.ids[kernel]}")(addresses, ctypes.byref(wanted)):
            raise KernelError(f"{kernel}: {self.lib.ccpu_error().decode()}{self._where()}")

    def _stats(self):
        numbers = (ctypes.c_longlong * 16)()
        self.lib.ccpu_stats(numbers)
        return list(numbers)

    def _where(self):
        """' at layers/pool/pool.cu:17' of the fault."""
        stats = self._stats()
        if stats[INSTRUCTION]:
            line = self._line(stats[INSTRUCTION] - 1)                    # it is known by where it returns to
        else:
            line = f"{self.name}:{stats[LINE]}" if stats[LINE] else ""
        return f" at {line}" if line else ""

    def _line(self, offset):
        found = line_of(self.so, offset)
        return found[found.find(self.name):] if self.name in found else found

    def profile(self):
        """In mode "profile", what was counted since the last call: a dict for each instruction."""
        keys = "instruction shared store size requests units ideal bytes".split()
        numbers = (ctypes.c_longlong * (len(keys) * 4096))()
        count = self.lib.ccpu_profile(numbers, 4096)
        rows = np.ctypeslib.as_array(numbers).reshape(-1, len(keys))[:count].tolist()
        found = [dict(zip(keys, row)) for row in rows]
        return [{**row, "line": self._line(row.pop("instruction") - 1)} for row in found]


def _three(size):
    return (tuple(size) if isinstance(size, (tuple, list)) else (size,)) + (1,) * (3 - np.size(size))


def _check_sizes(grid, block):
    """As the driver does."""
    if min(grid) < 1 or min(block) < 1:
        raise KernelError(f"invalid configuration: grid {grid}, block {block}")
    if np.prod(block) > MOST_THREADS or block[2] > MOST_Z:
        raise KernelError(f"invalid configuration: a block of {block} threads")
    if grid[0] > MOST_BLOCKS_X or max(grid[1:]) > MOST_BLOCKS:
        raise KernelError(f"invalid configuration: a grid of {grid} blocks")
