"""CuPy's kernels, those that it writes itself and those of minicnn, compiled by g++ and run on the CPU.

CuPy gives the text of each module to one function, which would call NVIDIA's compiler: here it calls the emulator.  What the
driver then loads is a number in `modules`, and what it starts comes back as a number in `_functions`.
"""
import ctypes
from dataclasses import dataclass, field
from pathlib import Path

import emulator

from . import libraries

OWN = "#include <cupy/carray.cuh>"               # begins the texts that CuPy writes itself


@dataclass
class _Settings:
    mode: str = "fast"
    order: int = 0
    seed: int = 0
    launches: int = 0                            # so far
    modules: list = field(default_factory=list)  # what was compiled so far, an emulator.Module each


settings = _Settings()
_functions = []                                  # (emulator.Module, name of the kernel there)
_numbers = {}                                    # (number of a module, name that the driver asks for): number in _functions
_Find = ctypes.CFUNCTYPE(ctypes.c_longlong, ctypes.c_longlong, ctypes.c_char_p)
_Start = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_longlong, ctypes.POINTER(ctypes.c_uint), ctypes.POINTER(ctypes.c_void_p))


def install(cupy):
    """From now on CuPy compiles and starts kernels here."""
    from cupy.cuda import compiler
    compiler._compile_module_with_cache = _compile
    libraries.driver().emulated_kernels(_find, _start)


def use(cupy, mode, order, seed):
    """The mode of the kernels compiled from now on, and of the launches."""
    if mode != settings.mode:
        cupy.clear_memo()                        # CuPy forgets what it has compiled
    settings.mode, settings.order, settings.seed = mode, order, seed


def _compile(source, options=(), *, name_expressions=None, **_):
    """In place of cupy.cuda.compiler._compile_module_with_cache."""
    from cupy.cuda.function import Module
    module = emulator.Module(source, _options(source, options), name_expressions, mode=settings.mode)
    settings.modules.append(module)
    loaded = Module()
    loaded.load(b"emulated module %d\0" % len(settings.modules))         # from 1: a module 0 would be none
    if name_expressions:
        loaded._set_mapping({expression: module.ids[expression] for expression in name_expressions})
    return loaded


def _options(source, options):
    """Those that g++ is to see: not the folder of NVIDIA's headers, which the emulator's header stands for."""
    kept = [option for option in options if option.startswith(("-D", "-U", "-I"))
            and not Path(option[2:], "cuda_runtime.h").exists()]
    return [*kept, "-DCCPU_RELAXED"] if OWN in source[:400] else kept


@_Find
def _find(number, name):
    """The number of a kernel, from 1, or 0."""
    key = number, name.decode()
    if key not in _numbers:
        module = settings.modules[number - 1]
        kernels = {identifier: kernel for kernel, identifier in module.ids.items()}
        if key[1] not in kernels:
            return 0
        _functions.append((module, kernels[key[1]]))
        _numbers[key] = len(_functions)
    return _numbers[key]


@_Start
def _start(number, sizes, parameters):
    """Run a kernel to its end.   ->   0, or 1 when something is wrong with it"""
    module, kernel = _functions[number - 1]
    settings.launches += 1
    *grid, bx, by, bz, shared, limit = sizes[:8]
    count = len(module.signature(kernel))
    values = [ctypes.c_char.from_address(parameters[i]) for i in range(count)]
    how = shared, settings.order, settings.seed, _arrays(module), limit
    try:
        module.launch(kernel, tuple(grid), (bx, by, bz), values, *how)
    except Exception as error:                   # ctypes would only print it
        libraries.driver().emulated_error(str(error).encode())
        return 1
    return 0


def _arrays(module):
    """[(address, bytes, 0), ...] of all arrays on the device, which checked kernels may touch."""
    if module.mode == "fast":
        return ()
    room = libraries.driver().emulated_arrays(None, 0)
    table = (ctypes.c_uint64 * (2 * room))()
    libraries.driver().emulated_arrays(table, room)
    return [(table[2 * i], table[2 * i + 1], 0) for i in range(room)]
