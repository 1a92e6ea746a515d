"""RawModule, RawKernel and ElementwiseKernel: their text runs in the emulator."""
import ctypes
import re

import emulator
import numpy as np
import sources
import standin

from .array import host_of, ndarray, on_device, refuse_numpy
from .memory import overlapping_joined

TYPES = {"?": "bool", "b": "signed char", "B": "unsigned char", "h": "short", "H": "unsigned short", "i": "int",
         "I": "unsigned", "l": "long long", "L": "unsigned long long", "q": "long long", "Q": "unsigned long long",
         "f": "float", "d": "double"}


class CUDADriverError(RuntimeError):
    """As cupy.cuda.driver.CUDADriverError: what the driver, here the emulator, says of a launch."""


class CompileException(Exception):
    """As cupy.cuda.compiler.CompileException: what the compiler says of a text."""


class RawModule:
    """As cupy.RawModule."""

    def __init__(self, *, code=None, path=None, options=(), backend="nvrtc", translate_cucomplex=False,
                 enable_cooperative_groups=False, name_expressions=None, jitify=False):
        self._code, self._options, self._expressions = code, options, name_expressions
        self._name = sources.file_of(code)
        self._compiled = {}                      # mode: emulator.Module

    def compiled(self):
        """The emulator's module, in the mode that is wanted now."""
        if standin.MODE not in self._compiled:
            try:
                self._compiled[standin.MODE] = emulator.Module(self._code, self._options, self._expressions, standin.MODE,
                                                               self._name)
            except emulator.CompileError as error:
                raise CompileException(str(error)) from None
        return self._compiled[standin.MODE]

    def get_function(self, name):
        """A kernel, to be called with (blocks, threads, arguments)."""
        if name not in self.compiled().names:
            raise CUDADriverError("CUDA_ERROR_NOT_FOUND: named symbol not found")
        return Function(self, name)


class Function:
    """A kernel of a module."""
    max_dynamic_shared_size_bytes = emulator.launching.STATIC_SHARED

    def __init__(self, module, name):
        self._module, self._name = module, name

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        module, arrays = self._module.compiled(), [a for a in args if isinstance(a, ndarray)]
        parameters = module.signature(self._name)
        if len(args) != len(parameters):
            raise TypeError(f"{self._name} takes {len(parameters)} arguments, not {len(args)}")
        values = [self._value(i, *both) for i, both in enumerate(zip(args, parameters))]
        ranges = overlapping_joined(_extent(a._host) for a in arrays if a.size)
        try:
            module.launch(self._name, tuple(grid), tuple(block), values, shared_mem, standin.ORDER, standin.SEED,
                          [(begin, end - begin, 0) for begin, end in ranges], self.max_dynamic_shared_size_bytes)
        except emulator.KernelError as error:
            raise CUDADriverError(str(error)) from None
        if not all(array._block.is_whole() for array in arrays):
            raise CUDADriverError(f"{self._name}: out of bounds: bytes beside an array were overwritten")

    def _value(self, i, argument, parameter):
        """The argument as CuPy would pass it: TypeError where its bytes are not those that the kernel reads."""
        size, wanted = parameter
        value, kind = _passed(argument)
        if wanted == "p" and kind == "i" and ctypes.sizeof(value) == 8 and value.value == 0:
            kind = "p"                           # a null pointer
        fits = ctypes.sizeof(value) >= size if kind == "i" else ctypes.sizeof(value) == size
        if not fits or (kind != wanted and not (kind == "s" and wanted in "sif")):
            raise TypeError(f"{self._name}: argument {i}, {argument!r}, would be passed as {ctypes.sizeof(value)} bytes of "
                            f"kind {kind!r}, but the kernel reads {size} bytes of kind {wanted!r}")
        return value


def _extent(host):
    """(begin, end) of the memory in which an array's numbers lie."""
    return np.lib.array_utils.byte_bounds(host)


def _passed(argument):
    """(the bytes that CuPy passes on for an argument, their kind: p pointer, i whole number, f floating, s any other)."""
    if isinstance(argument, ndarray):
        return ctypes.c_void_p(argument._host.ctypes.data), "p"
    if isinstance(argument, (bool, np.bool_)):
        return ctypes.c_bool(bool(argument)), "i"
    if isinstance(argument, np.generic) and argument.dtype.kind in "iuf":
        return np.ctypeslib.as_ctypes_type(argument.dtype)(argument.item()), "f" if argument.dtype.kind == "f" else "i"
    if isinstance(argument, int):
        return ctypes.c_longlong(argument), "i"
    if isinstance(argument, float):
        return ctypes.c_double(argument), "f"
    if isinstance(argument, (np.ndarray, np.void)) and argument.size == 1:
        return (ctypes.c_char * argument.nbytes).from_buffer_copy(argument.tobytes()), "s"
    raise TypeError(f"Unsupported type {type(argument)}")


class RawKernel(Function):
    """As cupy.RawKernel."""

    def __init__(self, code, name, options=(), backend="nvrtc", *, translate_cucomplex=False,
                 enable_cooperative_groups=False, jitify=False):
        super().__init__(RawModule(code=code, options=options), name)


# ---- a line of C++ for each number

ELEMENTWISE = """{types}
extern "C" __global__ void {name}({parameters}, long long _size) {{
  for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < _size; i += (long long)gridDim.x * blockDim.x) {{
    {begin}
    {operation};
  }}
}}
"""


class ElementwiseKernel:
    """As cupy.ElementwiseKernel, but for raw parameters: inputs broadcast, types of one letter follow the arrays."""

    def __init__(self, in_params, out_params, operation, name="kernel", **_):
        self._in, self._out = _declared(in_params), _declared(out_params)
        self._operation, self._name, self._kernels = operation, name, {}

    def __call__(self, *args, size=None, stream=None, block_size=128):
        inputs, outputs = args[:len(self._in)], list(args[len(self._in):])
        refuse_numpy(args)
        dtypes = self._dtypes(args)
        shape = np.broadcast_shapes(*(getattr(a, "shape", ()) for a in inputs))
        outputs += [ndarray(shape, dtypes[kind]) for kind, _ in self._out[len(outputs):]]
        if any(out.shape != shape for out in outputs):
            raise ValueError(f"Out shape is mismatched: {[out.shape for out in outputs]}, not {shape}")
        given = [on_device(np.array(np.broadcast_to(host_of(a), shape), dtypes[kind], order="C"))
                 for a, (kind, _) in zip(inputs, self._in)]
        made = [ndarray(shape, out.dtype) for out in outputs]
        count = made[0].size
        if count:
            self._kernel(dtypes)((-(-count // block_size),), (block_size,), (*given, *made, np.int64(count)))
        for out, result in zip(outputs, made):
            out._host[...] = result._host
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _dtypes(self, args):
        """{type in a declaration: dtype}: of one letter that of the arrays, which must agree."""
        declared = self._in + self._out
        found = {kind: np.dtype(kind) for kind, _ in declared if len(kind) > 1}
        for array, (kind, _) in zip(args, declared):
            if isinstance(array, ndarray) and found.setdefault(kind, array.dtype) != array.dtype:
                raise TypeError(f"Type is mismatched. {kind} {array.dtype} {found[kind]}")
        return found

    def _kernel(self, dtypes):
        if (key := tuple(dtypes.items())) not in self._kernels:
            self._kernels[key] = RawKernel(self._text(dtypes), self._name)
        return self._kernels[key]

    def _text(self, dtypes):
        types = "".join(f"typedef {TYPES[dtype.char]} {kind};" for kind, dtype in dtypes.items())
        parameters = [f"const {kind}* _{name}" for kind, name in self._in] + [f"{kind}* _{name}" for kind, name in self._out]
        begin = [f"const {kind} {name} = _{name}[i];" for kind, name in self._in] + \
            [f"{kind}& {name} = _{name}[i];" for kind, name in self._out]
        return ELEMENTWISE.format(types=types, name=self._name, parameters=", ".join(parameters), begin=" ".join(begin),
                                  operation=self._operation)


def _declared(text):
    """'T x, float32 y' -> [('T', 'x'), ('float32', 'y')]"""
    if re.search(r"\braw\b", text):
        raise NotImplementedError("the stand-in's ElementwiseKernel has no raw parameters")
    return [tuple(part.split()) for part in text.split(",") if part.strip()]
