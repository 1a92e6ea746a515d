"""CUDA kernels: text beside its layer, compiled when first used, launched with arguments that were checked.

A layer that has kernels of its own says so in one line, and calls them by name:

    kernels = Kernels(__file__, "pool.cu")
    ...
    if runs_kernels(x):
        kernels.launch("max_pool", y.size, x, y, first, H, W, ...)

The kernels are written for float32 arrays in C order, of fewer numbers than 31 bits can count, and know nothing else: all
else is checked here, once, on the host.  What CuPy does well by itself (matrix products, chains of elementwise arithmetic)
has no kernel: there the same line serves both libraries, `xp = array_library(x)`.
"""
import functools
import math
import re
import struct
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .backend import is_gpu_array

THREADS = 256                                    # of a block, where each thread works on numbers of its own
MOST_BLOCKS = 1 << 16                            # beyond that each thread takes several: a grid-stride loop
LARGEST = 2 ** 31 - 1 - MOST_BLOCKS * THREADS    # numbers of an array: an index has 32 bits, also one step behind the end
VECTOR = 16                                      # bytes of a float4, which lies at a multiple of them
OPTIONS = ("-std=c++17",)
DTYPES = {"float": np.float32, "int": np.int32, "unsigned": np.uint32, "unsigned char": np.uint8, "bool": np.bool_,
          "unsigned long long": np.uint64}       # of the parameters of a kernel

_NULL = np.uintp(0)
_KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)')
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def runs_kernels(*arrays):
    """Whether the arrays (None has no say) are float32 arrays on the GPU, which is what kernels are written for.

    float64 on the GPU goes the general way, through CuPy: it is for checking gradients, and need not be quick.
    """
    given = [array for array in arrays if array is not None]
    return all(is_gpu_array(array) and array.dtype == np.float32 for array in given)


def in_c_order(array):
    """The array itself, or a copy whose numbers lie in C order from an address that float4 may read (None stays None)."""
    if array is None or array.flags.c_contiguous and array.data.ptr % VECTOR == 0:
        return array
    return sys.modules["cupy"].array(array, order="C")


@functools.cache
def fused(inputs, outputs, operation, name):
    """CuPy's ElementwiseKernel: some steps with each number in one journey through memory, written as a line of C++.

    inputs, outputs  "T x, T bias", "T y": types and names; T is the dtype of the arrays
    Call it with the inputs, which broadcast, and perhaps the arrays to write into.
    """
    return sys.modules["cupy"].ElementwiseKernel(inputs, outputs, operation, name)


class Parameter(NamedTuple):
    """Of a kernel: dtype None is a struct of ints; least and most are the limits of a number that is passed by value."""
    name: str
    dtype: np.dtype | None
    pointer: bool
    least: float
    most: float

    @classmethod
    def read(cls, text):
        """'const float* __restrict__ x'  ->  Parameter('x', float32, True, ...)"""
        *words, name = text.replace("*", " * ").replace("const ", " ").replace("__restrict__", " ").split()
        kind = " ".join(word for word in words if word != "*")
        dtype = np.dtype(DTYPES[kind]) if kind in DTYPES else None
        whole = dtype is not None and dtype.kind in "iu"
        limits = (np.iinfo(dtype).min, np.iinfo(dtype).max) if whole else (-math.inf, math.inf)
        return cls(name, dtype, "*" in words, *limits)


class Kernels:
    """The kernels of one .cu file.   Kernels(__file__, "pool.cu") is the file beside the caller's.

    A kernel is `extern "C" __global__ void name(...)`.  Its parameters are pointers to, or values of, the types in DTYPES.
    """

    def __init__(self, room, name):
        self.path = Path(room).with_name(name)
        self.functions = {}                      # {kernel: CuPy's function}, of those that were launched already

    @functools.cached_property
    def text(self):
        """The CUDA C++ text."""
        return self.path.read_text(encoding="utf-8")

    @functools.cached_property
    def signatures(self):
        """{kernel: [Parameter, ...]}, read from the text."""
        return {name: [Parameter.read(p) for p in parameters.split(",")]
                for name, parameters in _KERNEL.findall(_COMMENT.sub(" ", self.text))}

    @functools.cached_property
    def module(self):
        """CuPy's module: compiled by NVIDIA's compiler now, or taken from CuPy's cache on disk."""
        return sys.modules["cupy"].RawModule(code=self.text, options=OPTIONS)

    def launch(self, name, work, *arguments):
        """Start kernel `name` on the GPU.

        work       the number of threads wanted, or (blocks, threads of a block), each a number or a tuple up to three
        arguments  one for each parameter: an array of the right dtype, in C order, or None, for a pointer; a tuple of whole
                   numbers for a struct of ints; else a number

        No work is no launch.  Raises TypeError for a wrong argument, OverflowError for more than LARGEST numbers,
        RuntimeError, with the kernel and its arguments, when it cannot be compiled or started.
        """
        blocks, threads = _grid(work)
        if 0 in blocks:
            return
        parameters = self.signatures[name]
        if len(arguments) != len(parameters):
            raise TypeError(f"{self._called(name)} takes {len(parameters)} arguments, not {len(arguments)}")
        values = tuple(self._value(name, *both) for both in zip(parameters, arguments))
        try:
            if name not in self.functions:
                self.functions[name] = self.module.get_function(name)
            self.functions[name](blocks, threads, values)
        except Exception as error:
            raise RuntimeError(f"{self._called(name)} on {blocks} blocks of {threads} threads, arguments "
                               f"({', '.join(map(_shown, arguments))}): {error}") from error

    def _value(self, name, parameter, argument):
        """The argument as its parameter wants it: CuPy would pass a Python float on as eight bytes of a double."""
        if parameter.dtype is None:
            return _struct(argument)
        if not parameter.pointer:
            if not parameter.least <= argument <= parameter.most:
                raise OverflowError(f"{self._called(name)}: {parameter.name} = {argument} does not fit into "
                                    f"{parameter.dtype}")
            return parameter.dtype.type(argument)
        if argument is None:
            return _NULL
        if not is_gpu_array(argument) or argument.dtype != parameter.dtype or not argument.flags.c_contiguous:
            raise TypeError(f"{self._called(name)}: {parameter.name} must be a {parameter.dtype} array on the GPU in C "
                            f"order, not {_shown(argument)}")
        if argument.size > LARGEST:
            raise OverflowError(f"{self._called(name)}: {parameter.name} {argument.shape} has more than {LARGEST} numbers: "
                                "take a smaller batch")
        return argument

    def _called(self, name):
        return f"kernel {name} ({self.path.name})"


def _struct(numbers):
    """A struct of ints: CuPy passes the bytes of an array with one element."""
    return np.frombuffer(struct.pack(f"{len(numbers)}i", *numbers), f"V{4 * len(numbers)}")


def _grid(work):
    if isinstance(work, tuple):
        return tuple(side if isinstance(side, tuple) else (side,) for side in work)
    return (min(-(-work // THREADS), MOST_BLOCKS),), (THREADS,)


def _shown(argument):
    return f"{argument.dtype}{tuple(argument.shape)}" if hasattr(argument, "shape") else repr(argument)
