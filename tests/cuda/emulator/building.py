"""From C++ text to a library that is loaded: g++, and a folder that keeps what it made.

The folder is CCPU_CACHE, else one in the system's folder for temporary files.  A library's name is a hash of all that it was
made of: the text, the header, the options, and the compiler's version.
"""
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

INCLUDE = Path(__file__).parent / "include"
CACHE = Path(os.environ.get("CCPU_CACHE", Path(tempfile.gettempdir()) / "minicnn-emulated-kernels"))
COMPILER = os.environ.get("CXX", "g++")

# -fno-tree-sra: else g++ reads a float4 as four floats, and a misaligned one is not found
CHECKED = ["-O1", "-fno-tree-sra", "-fsanitize=thread", "-DCCPU_CHECK"]
MODES = {"fast": ["-O2"], "check": CHECKED, "profile": CHECKED + ["-DCCPU_PROFILE"]}
ALWAYS = ["-g1", "-std=gnu++17", "-fPIC", "-fno-strict-aliasing", "-ffp-contract=off", "-fvisibility=hidden", "-w",
          "-I", str(INCLUDE)]


class CompileError(RuntimeError):
    """What g++ says of the text."""


@functools.lru_cache
def missing():
    """Why kernels cannot run here, or None."""
    if shutil.which(COMPILER) is None:
        return f"kernels on the CPU need g++ (9 or later); there is no {COMPILER!r}"
    return None


@functools.lru_cache
def _compiler_and_header():
    version = subprocess.run([COMPILER, "--version"], capture_output=True, check=True).stdout
    return version + b"".join(path.read_bytes() for path in sorted(INCLUDE.iterdir()))


def build(text, mode, options):
    """The path of the library of a C++ text: made now, or before.   Raises CompileError."""
    flags = MODES[mode] + ALWAYS + list(options)
    name = hashlib.sha256(_compiler_and_header() + repr((text, flags, COMPILER)).encode()).hexdigest()[:24]
    library = CACHE / f"{name}.so"
    if not library.exists():
        _compile(text, flags, library)
    return library


def _compile(text, flags, library):
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:               # others may make the same one at this moment
        source, objects, made = (Path(folder) / name for name in ("kernels.cpp", "kernels.o", "kernels.so"))
        source.write_text(text, encoding="utf-8")
        _call([COMPILER, "-c", str(source), "-o", str(objects), *flags])
        _call([COMPILER, "-shared", str(objects), "-o", str(made)])      # without -fsanitize: its library stays away
        os.replace(made, library)


def _call(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CompileError(done.stderr)


def line_of(library, offset):
    """'file:line' of an instruction of the library, or ''."""
    command = ["addr2line", "-e", str(library), hex(offset)]
    if shutil.which(command[0]) is None:
        return ""
    said = subprocess.run(command, capture_output=True, text=True).stdout.split(" ")[0].strip()
    return "" if said.startswith("??") else said
