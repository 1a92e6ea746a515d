"""NVIDIA's compiler, which needs no GPU:   pip install ".[cuda-check]"

    found = compiled(text, "80", name="layers/pool/pool.cu")          {kernel: Resources}, or CompileError
    binary(text, "80")                                           the machine code, for cuobjdump (report.py)

It is NVRTC, the one that CuPy calls on a machine with a GPU, with the options that minicnn gives CuPy.  What was compiled is
kept in the system's folder for temporary files, by a hash of the text, the options and the compiler's version.
"""
import ctypes
import functools
import hashlib
import importlib.util
import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from emulator.text import launch_bounds
from minicnn.core.kernels import OPTIONS, THREADS

ARCHITECTURES = {"75": "Turing: RTX 20, T4", "80": "Ampere: A100", "86": "Ampere: RTX 30", "89": "Ada: RTX 40, L4",
                 "90": "Hopper: H100, H200", "100": "Blackwell: B200", "120": "Blackwell: RTX 50"}
REGISTERS, STATIC_SHARED = 65536, 48 * 1024      # of a multiprocessor; bytes that a block may have without asking
CACHE = Path(tempfile.gettempdir()) / "minicnn-nvrtc"
_ENTRY = re.compile(r"Compiling entry function '(\w+)' for '\w+'(.*?)(?=Compiling entry function|\Z)", re.DOTALL)


class CompileError(RuntimeError):
    """What NVIDIA's compiler says of the text."""


@dataclass(frozen=True)
class Resources:
    """What a kernel takes of a multiprocessor.   spills: bytes of registers that did not fit, written and read again"""
    registers: int
    shared: int
    spills: int
    stack: int
    threads: int                                 # of a block, as it is launched


@functools.lru_cache
def folder():
    """The folder of NVIDIA's wheels, or None."""
    if importlib.util.find_spec("nvidia") is None:
        return None
    for base in importlib.util.find_spec("nvidia").submodule_search_locations:
        for path in sorted(Path(base).glob("cu1?"), reverse=True):
            if list(path.glob("lib/libnvrtc.so.*")):
                return path
    return None


def missing():
    """Why nothing can be compiled here, or None."""
    return None if folder() else 'NVIDIA\'s compiler is not installed: pip install ".[cuda-check]"'


@functools.lru_cache
def _library():
    for part in sorted(folder().glob("lib/libnvrtc-builtins.so.*")):     # some versions do not find it by themselves
        ctypes.CDLL(str(part), ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(next(folder().glob("lib/libnvrtc.so.*"))))


@functools.lru_cache
def version():
    """'13.5'."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


@functools.lru_cache
def architectures():
    """Those of ARCHITECTURES that this compiler knows."""
    count = ctypes.c_int()
    _library().nvrtcGetNumSupportedArchs(ctypes.byref(count))
    known = (ctypes.c_int * count.value)()
    _library().nvrtcGetSupportedArchs(known)
    return [name for name in ARCHITECTURES if int(name) in set(known)]


def compiled(text, architecture, name="kernel.cu"):
    """{kernel: Resources} of a CUDA text for one architecture.   Raises CompileError."""
    path = _cached(text, architecture, name).with_suffix(".json")
    return {kernel: Resources(**values) for kernel, values in json.loads(path.read_text()).items()}


def binary(text, architecture, name="kernel.cu"):
    """The path of the machine code."""
    return _cached(text, architecture, name)


def _cached(text, architecture, name):
    key = hashlib.sha256(repr((text, architecture, name, OPTIONS, version(), THREADS)).encode()).hexdigest()[:24]
    path = CACHE / f"{key}.cubin"
    if not path.exists():
        code, log = _compile(text, [f"-arch=sm_{architecture}", *OPTIONS, "--ptxas-options=-v"], name)
        CACHE.mkdir(parents=True, exist_ok=True)
        found = {kernel: asdict(resources) for kernel, resources in _resources(log, launch_bounds(text)).items()}
        _replace(path.with_suffix(".json"), json.dumps(found).encode())
        _replace(path, code)                     # last: where it lies the other lies too
    return path


def _replace(path, content):
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)


def _compile(text, options, name):
    """(machine code, log)."""
    library, program = _library(), ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None)
    failed = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*map(str.encode, options)))
    log = _taken(program, "ProgramLog").decode().rstrip("\0")
    code = b"" if failed else _taken(program, "CUBIN")
    library.nvrtcDestroyProgram(ctypes.byref(program))
    if failed:
        raise CompileError(log)
    return code, log


def _taken(program, what):
    size = ctypes.c_size_t()
    getattr(_library(), f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(_library(), f"nvrtcGet{what}")(program, buffer)
    return buffer.raw


def _resources(log, bounds):
    """{kernel: Resources} from what the assembler says under -v."""
    def number(pattern, text):
        found = re.search(pattern, text)
        return int(found.group(1)) if found else 0
    return {kernel: Resources(number(r"Used (\d+) registers", said), number(r"(\d+) bytes smem", said),
                              number(r"(\d+) bytes spill stores", said), number(r"(\d+) bytes stack frame", said),
                              bounds.get(kernel, THREADS))
            for kernel, said in _ENTRY.findall(log)}
