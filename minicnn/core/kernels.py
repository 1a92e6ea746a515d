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
import numbers
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
_STRUCT = re.compile(r"struct\s+(\w+)\s*\{([^{}]*)\}")
_FIELDS = re.compile(r"\s*(\w+)\s+([\w\s,]+)")                # "int a, b": of one type, no pointers and no arrays


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
    """Of a kernel: dtype None is a struct of `ints` ints; least and most are the limits of a number that is passed by value.
    """
    name: str
    dtype: np.dtype | None
    pointer: bool
    least: float
    most: float
    ints: int = 0

    @classmethod
    def read(cls, text, structs):
        """'const float* __restrict__ x'  ->  Parameter('x', float32, True, ...).   structs: {name: number of ints}"""
        *words, name = text.replace("*", " * ").replace("const ", " ").replace("__restrict__", " ").split()
        kind, pointer = " ".join(word for word in words if word != "*"), "*" in words
        if kind in DTYPES:
            return cls(name, np.dtype(DTYPES[kind]), pointer, *_limits(np.dtype(DTYPES[kind])))
        if kind not in structs or pointer:
            raise TypeError(f"parameter {name} is a {kind}{'*' * pointer}, which cannot be passed: take a type of DTYPES "
                            "or, by value, a struct of ints (or of structs of ints) from the same file")
        return cls(name, None, False, -math.inf, math.inf, structs[kind])


def _limits(dtype):
    return (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else (-math.inf, math.inf)


def structs_in(text):
    """{struct: how many ints it is made of} of CUDA text without comments; structs with other fields are left out.

    struct Axis { int source, outputs; };   struct Sizes { Axis rows, columns; int images; };   ->   {Axis: 2, Sizes: 5}
    """
    sizes = {"int": 1}
    for name, body in _STRUCT.findall(text):
        lines = [_FIELDS.fullmatch(line) for line in body.split(";") if line.strip()]
        if lines and all(line and line[1] in sizes for line in lines):
            sizes[name] = sum(sizes[line[1]] * len(line[2].split(",")) for line in lines)
    return {name: size for name, size in sizes.items() if name != "int"}


class Kernels:
    """The kernels of one .cu file.   Kernels(__file__, "pool.cu") is the file beside the caller's.

    A kernel is `extern "C" __global__ void name(...)`.  Its parameters are pointers to, or values of, the types in DTYPES,
    and values of structs of ints.
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
        """{kernel: [Parameter, ...]}, read from the text.  Raises TypeError for a parameter that could not be passed."""
        text = _COMMENT.sub(" ", self.text)
        structs = structs_in(text)
        return {name: self._parameters(name, parameters, structs) for name, parameters in _KERNEL.findall(text)}

    def _parameters(self, name, parameters, structs):
        try:
            return [Parameter.read(parameter, structs) for parameter in parameters.split(",")]
        except TypeError as error:
            raise TypeError(f"{self._called(name)}: {error}") from None

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
            return self._struct(name, parameter, argument)
        if not parameter.pointer:
            return self._number(name, parameter, argument)
        if argument is None:
            return _NULL
        if not is_gpu_array(argument) or argument.dtype != parameter.dtype or not argument.flags.c_contiguous:
            raise TypeError(self._refused(name, parameter, f"must be a {parameter.dtype} array on the GPU in C order, not "
                                                           f"{_shown(argument)}"))
        if argument.size > LARGEST:
            raise OverflowError(self._refused(name, parameter, f"{argument.shape} has more than {LARGEST} numbers: take a "
                                                               "smaller batch"))
        return argument

    def _number(self, name, parameter, argument):
        if not isinstance(argument, (numbers.Real, np.bool_)):
            raise TypeError(self._refused(name, parameter, f"must be a {parameter.dtype}, not {_shown(argument)}"))
        if not parameter.least <= argument <= parameter.most:
            raise OverflowError(self._refused(name, parameter, f"= {argument} does not fit into {parameter.dtype}"))
        if parameter.dtype.kind in "iu" and argument != int(argument):
            raise TypeError(self._refused(name, parameter, f"must be a {parameter.dtype}, not {argument}"))
        return parameter.dtype.type(argument)

    def _struct(self, name, parameter, fields):
        """A struct of ints: CuPy passes the bytes of an array with one element."""
        count = parameter.ints
        if not isinstance(fields, tuple) or len(fields) != count:
            given = f"{len(fields)} of them" if isinstance(fields, tuple) else _shown(fields)
            raise TypeError(self._refused(name, parameter, f"must be a tuple of {count} whole numbers, not {given}"))
        try:
            return np.frombuffer(struct.pack(f"{count}i", *fields), f"V{4 * count}")
        except struct.error as error:
            raise TypeError(self._refused(name, parameter, f"must be whole numbers of 32 bits, not {fields}")) from error

    def _refused(self, name, parameter, why):
        return f"{self._called(name)}: {parameter.name} {why}"

    def _called(self, name):
        return f"kernel {name} ({self.path.name})"




def _grid(work):
    if isinstance(work, tuple):
        return tuple(side if isinstance(side, tuple) else (side,) for side in work)
    return (min(-(-work // THREADS), MOST_BLOCKS),), (THREADS,)


def _shown(argument):
    return f"{argument.dtype}{tuple(argument.shape)}" if hasattr(argument, "shape") else repr(argument)
