"""NVIDIA's compiler takes every kernel, for every architecture, within what a multiprocessor has."""
import importlib.util

import nvrtc
import pytest
import sources
from emulator.text import kernels_in

installed = pytest.mark.skipif(importlib.util.find_spec("nvidia") is None or nvrtc.missing() is not None,
                               reason=str(nvrtc.missing()))
SPILLS = {  # (kernel, architecture): bytes that may spill, seen with NVRTC 13.0 to 13.5.  Of all others none.
    **{("convolve_wide", architecture): 96 for architecture in ("75", "80", "86", "89", "90")},
    **{("weigh_wide", architecture): 32 for architecture in ("75", "80", "86", "89", "90")},
    ("group_constants", "100"): 4,
}


def complaints(kernel, architecture, resources, spills=SPILLS):
    """What is wrong with a kernel that compiles."""
    allowed = spills.get((kernel, architecture), 0)
    if resources.spills > allowed:
        yield f"{kernel}, sm_{architecture}: {resources.spills} bytes spill, {allowed} may"
    if resources.registers * resources.threads > nvrtc.REGISTERS:
        yield f"{kernel}, sm_{architecture}: {resources.threads} threads of {resources.registers} registers do not fit"
    if resources.shared > nvrtc.STATIC_SHARED:
        yield f"{kernel}, sm_{architecture}: {resources.shared} bytes of shared memory"


@installed
@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
@pytest.mark.parametrize("path", sources.FILES, ids=sources.name_of)
def test_kernels_compile_and_fit(path, architecture):
    if architecture not in nvrtc.architectures():
        pytest.skip(f"NVRTC {nvrtc.version()} does not know sm_{architecture}")
    text = path.read_text(encoding="utf-8")
    found = nvrtc.compiled(text, architecture, sources.name_of(path))
    assert found.keys() == kernels_in(text).keys()                       # none is left out
    assert not [line for kernel in found for line in complaints(kernel, architecture, found[kernel])]


@installed
def test_no_exception_is_out_of_date():
    kernels = {kernel for path in sources.FILES for kernel in kernels_in(path.read_text(encoding="utf-8"))}
    assert all(kernel in kernels and architecture in nvrtc.ARCHITECTURES for kernel, architecture in SPILLS)


KERNEL = 'extern "C" __global__ void {} k(float* x) {{ {} }}'
SPILLING = "float v[64]; for (int i = 0; i < 64; i++) v[i] = x[i]; for (int k = 64; k < 1000; k++) " \
           "for (int i = 0; i < 64; i++) v[i] = v[i] * v[(i + 7) % 64] + x[k]; for (int i = 0; i < 64; i++) x[i] = v[i];"


@installed
@pytest.mark.parametrize("bounds, body, said", [
    ("", "x[0] = INFINITY;", "planted.cu(1): error: identifier \"INFINITY\" is undefined"),
    ("", "__shared__ float s[12289]; s[threadIdx.x] = x[0]; __syncthreads(); x[1] = s[7];", "uses too much shared data")])
def test_a_text_that_does_not_compile_says_so(bounds, body, said):
    with pytest.raises(nvrtc.CompileError) as raised:
        nvrtc.compiled(KERNEL.format(bounds, body), "80", "planted.cu")
    assert said in str(raised.value)


@installed
def test_spills_are_found():
    found = nvrtc.compiled(KERNEL.format("__launch_bounds__(1024, 2)", SPILLING), "80")["k"]
    assert found.threads == 1024 and found.registers <= 32
    assert [line for line in complaints("k", "80", found) if "bytes spill, 0 may" in line]
    assert not list(complaints("k", "80", found, {("k", "80"): found.spills}))


@pytest.mark.parametrize("registers, shared, threads, said", [
    (128, 0, 512, None), (129, 0, 512, "512 threads of 129 registers"), (8, 49152, 32, None), (8, 49153, 32, "49153 bytes")])
def test_what_does_not_fit_is_said(registers, shared, threads, said):
    found = list(complaints("k", "80", nvrtc.Resources(registers, shared, 0, 0, threads)))
    assert len(found) == bool(said) and (not said or said in found[0])
