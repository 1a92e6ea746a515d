"""The modules `cupy`, `cupy.cuda`, ... as `import` would give them."""
import importlib.machinery
import types

import numpy as np

from . import functions, kernels
from .array import API, ndarray


class _Module(types.ModuleType):
    """A module whose other names are made when they are first asked for."""

    def __init__(self, name, others=None, **content):
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, loader=None, is_package=True)
        self.__path__ = []
        self.__dict__.update(content)
        self._others = others

    def __getattr__(self, name):
        if self.__dict__.get("_others") is None or name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        setattr(self, name, found := self._others(name))
        return found


class Device:
    """The only one; all that was started has ended."""

    def __init__(self, device=0):
        self.id = device

    def synchronize(self):
        """Wait for nothing."""


def _strided(name):
    return functions.adapted(name, getattr(np.lib.stride_tricks, name))


_runtime = _Module(
    "cupy.cuda.runtime", getDeviceCount=lambda: 1, deviceSynchronize=lambda: None,
    getDeviceProperties=lambda device: {"name": b"stand-in", "multiProcessorCount": 4, "sharedMemPerBlock": 48 * 1024})
_driver = _Module("cupy.cuda.driver", CUDADriverError=kernels.CUDADriverError)
_compiler = _Module("cupy.cuda.compiler", CompileException=kernels.CompileException)
_cuda = _Module("cupy.cuda", runtime=_runtime, driver=_driver, compiler=_compiler, Device=Device, is_available=lambda: True)
_stride_tricks = _Module("cupy.lib.stride_tricks", as_strided=_strided("as_strided"),
                         sliding_window_view=_strided("sliding_window_view"))
_lib = _Module("cupy.lib", stride_tricks=_stride_tricks)
_linalg = _Module("cupy.linalg", norm=functions.adapted("linalg.norm", np.linalg.norm))
_cupy = _Module("cupy", functions.function, __version__=API["version"], ndarray=ndarray, cuda=_cuda, lib=_lib,
                linalg=_linalg, RawModule=kernels.RawModule, RawKernel=kernels.RawKernel,
                ElementwiseKernel=kernels.ElementwiseKernel, **functions.OWN)

MODULES = {module.__name__: module for module in (_cupy, _cuda, _runtime, _driver, _compiler, _lib, _stride_tricks, _linalg)}
