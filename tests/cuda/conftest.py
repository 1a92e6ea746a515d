"""`cp`: the CuPy that a test of kernels runs on.

MINICNN_CUPY says which: `standin` (the default: tests/cuda/standin), `emulated` (the real CuPy's wheel on an emulated
driver: tests/cuda/realcupy) or `gpu` (the real CuPy on a real device, which `pytest -m gpu tests/cuda` means too).
"""
import importlib
import os
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.append(HERE)                        # at the end: there is another conftest


def pytest_configure(config):
    config.addinivalue_line("markers", "gpu: a test of kernels; `-m gpu` runs it on a real GPU, else it is emulated")
    importlib.import_module("mutants").plant()


def pytest_collection_modifyitems(items):
    """Whatever runs kernels can run on a GPU."""
    for item in items:
        if "cp" in getattr(item, "fixturenames", ()):
            item.add_marker("gpu")


def _chosen(config):
    return "gpu" if config.getoption("markexpr") == "gpu" else os.environ.get("MINICNN_CUPY", "standin")


@pytest.fixture(scope="module")
def cp(request):
    """The library `cupy`, for the tests of one file, which may say MODE = "fast" where they are whole runs."""
    yield from LIBRARIES[_chosen(request.config)](getattr(request.module, "MODE", "check"))


@pytest.fixture(params=[0, 1, 2], ids=["forward", "backward", "at random"])
def thread_order(request, cp):
    """Makes an emulator run threads and blocks in this order.  A GPU chooses the order itself: None."""
    library, order = _chosen(request.config), request.param
    mode = getattr(request.module, "MODE", "check")
    if library == "gpu" and order:
        pytest.skip("a GPU chooses the order itself")
    if library == "emulated":
        sys.modules["realcupy"].activate(mode, order)
    if library == "standin":
        sys.modules["standin"].ORDER = order
    yield None if library == "gpu" else order
    if library == "emulated":
        sys.modules["realcupy"].activate(mode)
    if library == "standin":
        sys.modules["standin"].ORDER = 0


@pytest.fixture
def few_threads(thread_order, monkeypatch):
    """At most two blocks, so that each thread takes several numbers, in each order."""
    from minicnn.core import kernels
    monkeypatch.setattr(kernels, "MOST_BLOCKS", 2)


def _standin(mode):
    standin = _emulating("standin")
    standin.MODE, standin.ORDER, standin.SEED = mode, 0, 0
    yield standin.install()
    standin.remove()
    standin.MODE = "check"                       # as it was: lesson 10 works with it, too


def _emulated(mode):
    yield _emulating("realcupy").activate(mode=mode)


def _emulating(name):
    """A module that needs the emulator."""
    import emulator
    if emulator.missing():
        pytest.skip(emulator.missing())
    return importlib.import_module(name)


def _gpu(mode):
    from minicnn.core.backend import gpu_status
    if gpu_status() != "available":
        pytest.skip(gpu_status())
    yield sys.modules["cupy"]


LIBRARIES = {"standin": _standin, "emulated": _emulated, "gpu": _gpu}
