"""`cp`: the CuPy that a test of kernels runs on.  Here a stand-in on NumPy, its kernels on the CPU with every access checked."""
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
    import standin
    standin.MODE = getattr(request.module, "MODE", "check")              # "fast" in a test file of whole runs
    yield standin.install()
    for name in [name for name in sys.modules if name.partition(".")[0] == "cupy"]:
        del sys.modules[name]
