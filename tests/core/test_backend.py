"""Which device there is, and why not: told apart with a CuPy that is broken in each of the ways it can be."""
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import minicnn as mc
from minicnn.core import backend

HERE = Path(mc.__file__).parents[1]
RUNTIME = """
    class cuda:
        class runtime:
            @staticmethod
            def getDeviceCount(): {count}
            @staticmethod
            def driverGetVersion(): return {driver}
    class CUDARuntimeError(RuntimeError): pass
    def fail(text): raise CUDARuntimeError(text)
"""


def said(folder, cupy, code="print(mc.gpu_status())"):
    """What a process prints in which `import cupy` finds this text; None: finds nothing."""
    if cupy is not None:
        (folder / "cupy.py").write_text(textwrap.dedent(cupy))
    hidden = "" if cupy is not None else "import importlib.util as u; u.find_spec = lambda name, find=u.find_spec: " \
        "None if name == 'cupy' else find(name)\n"
    path = os.pathsep.join([str(folder), str(HERE), os.environ.get("PYTHONPATH", "")])
    return subprocess.run([sys.executable, "-c", f"{hidden}import minicnn as mc\n{code}"], text=True, check=True,
                          env={**os.environ, "PYTHONPATH": path}, capture_output=True).stdout.strip()


@pytest.mark.parametrize("cupy, words", [
    (None, ["not installed", "minicnn[cuda12]"]),
    ("raise ImportError('libcublas.so.12 is missing')", ["broken", "libcublas.so.12 is missing"]),
    ("raise RuntimeError('built for another Python')", ["broken", "RuntimeError: built for another Python"]),
    (RUNTIME.format(count="return 0", driver=13000), ["no CUDA device"]),
    (RUNTIME.format(count="fail('cudaErrorNoDevice: no CUDA-capable device')", driver=13000), ["no CUDA device"]),
    (RUNTIME.format(count="fail('cudaErrorInsufficientDriver: too old')", driver=0), ["no CUDA device"]),
    (RUNTIME.format(count="fail('cudaErrorInsufficientDriver: too old')", driver=11000), ["driver is too old", "update"]),
    (RUNTIME.format(count="fail('cudaErrorUnknown: who knows')", driver=13000), ["broken", "who knows"]),
    (RUNTIME.format(count="return 2", driver=13000), ["available"]),
], ids=lambda value: value[-1] if isinstance(value, list) else "")
def test_what_keeps_the_gpu_away_is_told_apart(tmp_path, cupy, words):
    text = said(tmp_path, cupy)
    assert all(word in text for word in words), text


def test_without_a_gpu_the_cpu_is_chosen_and_cuda_refused_with_the_reason(tmp_path):
    code = textwrap.dedent("""
        from minicnn.core.backend import chosen_device
        print(chosen_device("auto"), chosen_device("cpu"))
        try:
            chosen_device("cuda")
        except ValueError as error:
            print(error)
    """)
    first, second = said(tmp_path, "raise RuntimeError('built for another Python')", code).splitlines()
    assert first == "cpu cpu" and "built for another Python" in second and "--device" in second


def test_with_a_gpu_it_is_chosen(tmp_path):
    code = "from minicnn.core.backend import chosen_device; print(chosen_device('auto'), chosen_device('cpu'), chosen_device('cuda'))"
    assert said(tmp_path, RUNTIME.format(count="return 1", driver=13000), code) == "cuda cpu cuda"


def test_another_name_of_a_device_is_refused():
    with pytest.raises(ValueError, match="auto, cpu, cuda, not 'gpu'"):
        backend.chosen_device("gpu")
    with pytest.raises(ValueError, match="'cpu' or 'cuda', not 'gpu'"):
        mc.tensor(np.zeros(2)).to("gpu")
