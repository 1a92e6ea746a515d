"""`cp`: the CuPy that a test of kernels runs on, as the environment variable MINICNN_CUPY says.

standin   (without the variable) a stand-in on NumPy, its kernels on the CPU with every access checked
emulated  the real CuPy on an emulated driver, its kernels likewise (realcupy/README.md)
gpu       the real CuPy on a GPU
"""
import os
import sys

import pytest

sys.path.append(os.path.dirname(__file__))          # at the end: there is another conftest


@pytest.fixture(scope="module")
def cp(request):
    if os.environ.get("MINICNN_CUPY") == "gpu":
        import cupy
        yield cupy
        return
    if os.environ.get("MINICNN_CUPY") == "emulated":
        import realcupy
        yield realcupy.activate(mode=getattr(request.module, "MODE", "check"))
        return
    import standin
    standin.MODE = getattr(request.module, "MODE", "check")              # "fast" in a test file of whole runs
    yield standin.install()
    for name in [name for name in sys.modules if name.partition(".")[0] == "cupy"]:
        del sys.modules[name]
