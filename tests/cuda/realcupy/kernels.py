"""CuPy's kernels, those that it writes itself and those of minicnn, compiled by g++ and run on the CPU.

CuPy gives the text of each module to one function, which would call NVIDIA's compiler: here it calls the emulator.  What the
driver then loads is a number, that of a Text, and what it starts is a number too, that of a kernel.
"""
import ctypes
from dataclasses import dataclass, field
from pathlib import Path

import emulator
import sources

from . import libraries

OWN = "#include <cupy/carray.cuh>"               # begins the texts that CuPy writes itself

_Find = ctypes.CFUNCTYPE(ctypes.c_longlong, ctypes.c_longlong, ctypes.c_char_p)
_Start = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_longlong, ctypes.POINTER(ctypes.c_uint), ctypes.POINTER(ctypes.c_void_p))


@dataclass
class _State:
    mode: str = "fast"
    order: int = emulator.FORWARD
    seed: int = 0
    launches: int = 0                            # so far
    texts: list = field(default_factory=list)    # Text number n is texts[n - 1]; likewise:
    kernels: list = field(default_factory=list)  # (Text, name of the kernel)


state = _State()


class Text:
    """A module's text, compiled in each mode that it runs in."""

    def __init__(self, source, options, name_expressions):
        self.made_of = source, _options(source, options), name_expressions
        self.name = sources.file_of(source)      # of the .cu file, for messages
        self.compiled = {}                       # mode: emulator.Module
        self.numbers = {}                        # name in C: number of the kernel

    def module(self):
        """In the mode that is wanted now."""
        if state.mode not in self.compiled:
            self.compiled[state.mode] = emulator.Module(*self.made_of, state.mode, self.name)
        return self.compiled[state.mode]

    def number(self, name):
        """The number of a kernel, from 1; 0 is none."""
        kernel = next((kernel for kernel, in_c in self.module().ids.items() if in_c == name), None)
        if kernel and name not in self.numbers:
            state.kernels.append((self, kernel))
            self.numbers[name] = len(state.kernels)
        return self.numbers.get(name, 0)


def _options(source, options):
    """Those that g++ is to see: not the folder of NVIDIA's headers, which the emulator's header stands for."""
    kept = [option for option in options if option.startswith(("-D", "-U", "-I"))
            and not Path(option[2:], "cuda_runtime.h").exists()]
    return [*kept, "-DCCPU_RELAXED"] if OWN in source[:400] else kept


def install():
    """From now on CuPy compiles and starts kernels here."""
    from cupy.cuda import compiler
    compiler._compile_module_with_cache = _compile
    libraries.driver().emulated_kernels(_find, _start)


def _compile(source, options=(), *, name_expressions=None, **_):
    """In place of cupy.cuda.compiler._compile_module_with_cache."""
    from cupy.cuda.compiler import CompileException
    from cupy.cuda.function import Module
    text = Text(source, options, name_expressions)
    try:
        names = text.module().ids
    except emulator.CompileError as error:
        raise CompileException(str(error), source, text.name, options) from None
    state.texts.append(text)
    loaded = Module()
    loaded.load(b"emulated module %d\0" % len(state.texts))
    if name_expressions:
        loaded._set_mapping({expression: names[expression] for expression in name_expressions})
    return loaded


@_Find
def _find(text, name):
    return state.texts[text - 1].number(name.decode())


@_Start
def _start(number, sizes, parameters):
    """Run a kernel to its end.   ->   0, or 1 when something is wrong with it"""
    text, kernel = state.kernels[number - 1]
    state.launches += 1
    *grid, bx, by, bz, shared, limit = sizes[:8]
    try:                                         # of any error ctypes would only print a line
        module = text.module()
        values = [ctypes.c_char.from_address(parameters[i]) for i in range(len(module.signature(kernel)))]
        module.launch(kernel, tuple(grid), (bx, by, bz), values, shared, state.order, state.seed, _arrays(), limit)
    except Exception as error:
        libraries.driver().emulated_error(f"{error}".encode())
        return 1
    return 0


def _arrays():
    """[(address, bytes, 0), ...] of all arrays on the device, which checked kernels may touch."""
    if state.mode == "fast":
        return []
    room = libraries.driver().emulated_arrays(None, 0)
    table = (ctypes.c_uint64 * (2 * room))()
    libraries.driver().emulated_arrays(table, room)
    return list(zip(table[::2], table[1::2], [0] * room))
