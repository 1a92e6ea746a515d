"""Loads the emulated libcuda, libcublas and libcurand, and one module of CuPy that was made anew, in place of NVIDIA's."""
import ctypes
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import sysconfig
from pathlib import Path

FOLDER = Path(sys.prefix) / "emulated-cuda"      # where setup.py put them
MODULE = "cupy_backends.cuda.api.runtime"


class _Finder(importlib.abc.MetaPathFinder):
    """Finds our file for one module."""

    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return None
        file = str(FOLDER / f"runtime{sysconfig.get_config_var('EXT_SUFFIX')}")
        loader = importlib.machinery.ExtensionFileLoader(name, file)
        return importlib.util.spec_from_file_location(name, file, loader=loader)


@functools.lru_cache
def driver():
    """The emulated libcuda, as ctypes sees it.  Whoever asks for a library of that name later gets the same."""
    found = ctypes.CDLL(str(FOLDER / "libcuda.so.1"), ctypes.RTLD_GLOBAL)
    found.emulated_arrays.restype = ctypes.c_longlong
    return found


def loaded():
    """Whether CuPy is there, and is the emulated one."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def load():
    """Raises RuntimeError where there is nothing to load, or where it is too late."""
    if MODULE in sys.modules:
        raise RuntimeError("cupy has been imported already, on NVIDIA's driver: activate the emulated one before")
    if not FOLDER.is_dir():
        raise RuntimeError(f"no emulated CUDA in {FOLDER}: run tests/cuda/realcupy/setup.py and use "
                           "its Python")
    driver()
    for name in ("libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10"):
        ctypes.CDLL(str(FOLDER / name), ctypes.RTLD_GLOBAL)
    sys.meta_path.insert(0, _Finder())
