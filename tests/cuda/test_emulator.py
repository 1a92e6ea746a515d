"""The emulator finds the faults that are planted here, each by its line, and none in kernels that are right."""
import ctypes
import shutil

import emulator
import numpy as np
import pytest
from emulator.text import kernels_in, with_shared_memory

pytestmark = pytest.mark.skipif(emulator.missing() is not None, reason=str(emulator.missing()))
NUMBERS = 70                                     # of each array; two blocks of 64 threads see it all


def run(text, mode="check", blocks=2, threads=64, order=emulator.FORWARD, seed=0, given=NUMBERS, **options):
    """x = 0, 1, 2, ... and y after the kernel `k(float* x, float* y, int n)`."""
    x, y = np.arange(NUMBERS, dtype=np.float32), np.full(NUMBERS, np.nan, np.float32)
    module = emulator.Module(text, mode=mode, name="planted.cu")
    parameters = [ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data), ctypes.c_int(given)]
    arrays = [(x.ctypes.data, x.nbytes, 1), (y.ctypes.data, y.nbytes, 0)]
    module.launch("k", blocks, threads, parameters, order=order, seed=seed, arrays=arrays, **options)
    return y


def kernel(body, head=""):
    """A kernel whose body begins in line 3."""
    return f'{head}\nextern "C" __global__ void k(float* x, float* y, int n) {{\n{body}\n}}\n'


INDEX = "const int i = blockIdx.x * blockDim.x + threadIdx.x, t = threadIdx.x;\n"         # line 3 in what follows

SHARED = INDEX + "__shared__ float s[64];\n"         # lines 3 and 4

FAULTS = {  # name: (body, what the error says, its line);  found in checked mode
    "read behind an array": (INDEX + "if (i < n) y[i] = x[i + 1];", "out of bounds: read of 4 bytes, 0 bytes behind", 4),
    "write behind an array": (INDEX + "y[i] = 1;", "out of bounds: write of 4 bytes, 0 bytes behind", 4),
    "write before an array": (INDEX + "if (i < n) y[i - 1] = 1;", "out of bounds: write", 4),
    "the last float4 not whole": (
        INDEX + "if (i < n / 4 + 1) reinterpret_cast<float4*>(y)[i] = make_float4(0, 0, 0, 0);",
        "out of bounds: write of 16 bytes, of which only the first 8", 4),
    "write to an input": (INDEX + "if (i < n) x[i] = 0;", "write to a read-only array", 4),
    "behind a shared array": (
        SHARED + "s[t + 1] = 1;", "out of bounds: write of 4 bytes in shared memory, 0 bytes behind s", 5),
    "behind a shared row": (INDEX + "__shared__ float s[2][8], other[8];\ns[1][t % 9] = 1;", "out of bounds: .*behind s", 5),
    "float4 from an odd place": (
        INDEX + "if (i < 2) reinterpret_cast<float4*>(y)[i] =\nreinterpret_cast<float4*>(x + 1)[i];",
        "misaligned: read of 16 bytes", "[45]"),
    "float4 in shared memory": (
        SHARED + "if (t == 0) *reinterpret_cast<float4*>(s) = make_float4(0, 0, 0, 0);", "misaligned: write of 16 bytes", 5),
    "no barrier before a read": (
        SHARED + "s[t] = x[t];\nif (i < n) y[i] = s[63 - t];", "data race: read of what thread|uninitialised", 6),
    "no barrier before a write": (
        SHARED + "s[t] = x[t];\n__syncthreads();\nconst float v = s[(t + 1) % 64];\ns[t] = v;",
        "data race: write of what another thread of the block read", 8),
    "no __syncwarp": (SHARED + "s[t] = 1;\nif (t < 32) s[t ^ 1] = s[t] + 1;", "data race: .* of s", "[56]"),
    "all write one number": (INDEX + "y[0] = t;", "data race: write of what thread", 4),
    "sum of a block": (INDEX + "y[0] += x[t];", "data race: ", 4),
    "blocks write one number": (
        INDEX + "if (t == 0) y[0] = blockIdx.x;", "data race: write of what another block wrote", 4),
    "a block reads another's": (
        INDEX + "if (i < n) y[i] = 1;\nif (blockIdx.x == 1 && t < 6) y[i] = y[t];",
        "data race: read of what another block wrote", 5),
    "a block writes what another read": (
        INDEX + "if (t < 6) y[1 + blockIdx.x * 6 + t] = y[0];\nif (blockIdx.x == 1 && t == 0) y[0] = 1;",
        "data race: write of what another block read", 5),
    "atomic and plain": (INDEX + "if (i == 0) y[0] = 0;\natomicAdd(&y[0], x[t]);", "data race: atomic operation", 5),
    "shared memory that nobody wrote": (
        SHARED + "if (t) s[t] = 0;\n__syncthreads();\nif (i < n) y[i] = s[t];", "uninitialised: read .* of s", 7),
    "bytes beside each other": (
        INDEX + "unsigned char* b = reinterpret_cast<unsigned char*>(y);\nb[i] = 1;\nb[i + 1] = 2;", "data race: write", 5),
}

ALWAYS_FAULTS = {  # found in every mode
    "a barrier for some": ("if (t < 32) __syncthreads();", "barrier divergence: 32 threads wait .* 32 have exited", 4),
    "two barriers": (
        "if (t < 32) __syncthreads();\nelse\n__syncthreads();", "barrier divergence: .* line 4, some of line 6", 4),
    "early return": ("if (i >= n) return;\n__syncthreads();", "barrier divergence: 6 threads wait", 5),
    "a lane that has left": (
        "if (t == 5) return;\ny[0] = __shfl_down_sync(0xffffffffu, 1, 1);",
        "warp operation: waits for lane 5, .* exited", 5),
    "a lane that is nowhere": ("if (t < 8) y[0] = __shfl_sync(0xffu, 1, 9);", "shuffle: reads lane 9", 4),
    "a mask without the caller": (
        "y[0] = __any_sync(0xffffu, 1);", "warp operation: the mask does not name the lane 16", 4),
    "a warp waits, others at a barrier": ("if (t < 16) __syncthreads(); else __syncwarp();", "deadlock: ", 4),
    "too much shared memory": ("__shared__ float s[12289];\ns[t] = 0;", "shared memory: s brings .* 49156 bytes", 4),
    "__trap": ("if (i == 3) __trap();", r"__trap\(\) was called", 4),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_its_line(name):
    body, said, line = FAULTS[name]
    with pytest.raises(emulator.KernelError, match=f"k: ({said}).* at planted.cu:{line}$"):
        run(kernel(body))


@pytest.mark.parametrize("mode", ["fast", "check"])
@pytest.mark.parametrize("name", ALWAYS_FAULTS)
def test_a_fault_is_found_in_every_mode(name, mode):
    body, said, line = ALWAYS_FAULTS[name]
    with pytest.raises(emulator.KernelError, match=f"k: {said}.* at planted.cu:{line}$"):
        run(kernel(INDEX + body), mode)


REVERSED = INDEX + """__shared__ float s[64];
s[t] = i < n ? x[i] : 0;
__syncthreads();
const float v = s[63 - t];
__syncthreads();
s[t] = v;
__syncthreads();
if (i < n) y[i] = s[t];"""
SUMMED = INDEX + """__shared__ float sums[2];
float sum = x[t];
for (int step = 16; step > 0; step /= 2) sum += __shfl_down_sync(0xffffffffu, sum, step);
if (t % 32 == 0) sums[t / 32] = sum;
__syncthreads();
if (i < n) y[i] = sums[0] + sums[1];"""
PASSED_ON = INDEX + """__shared__ float s[64];
s[t] = t;
__syncwarp();
const float v = s[t ^ 1];
__syncwarp();
s[t ^ 2] = v;
__syncwarp();
if (i < n) y[i] = s[t];"""
FOURS = INDEX + """__shared__ __align__(16) float s[64];
if (t < 16)
    reinterpret_cast<float4*>(s)[t] = reinterpret_cast<float4*>(x)[t];
__syncthreads();
if (i < n) y[i] = s[t];"""
BYTES = INDEX + """__shared__ unsigned char s[64];
s[t] = t;
__syncthreads();
if (i < n) y[i] = s[63 - t];"""
COUNTING = np.arange(NUMBERS) % 64
RIGHT = {  # name: (body, y)
    "reversed": (REVERSED, [*range(63, -1, -1)] + [0] * 6),              # the second block has its six numbers at its end
    "summed": (SUMMED, [2016] * NUMBERS),
    "passed on": (PASSED_ON, COUNTING ^ 3),
    "fours": (FOURS, COUNTING),
    "bytes": (BYTES, 63 - COUNTING),
}


@pytest.mark.parametrize("order, seed", [(0, 0), (1, 0), (2, 1), (2, 2)])
@pytest.mark.parametrize("mode", ["fast", "check", "profile"])
@pytest.mark.parametrize("name", RIGHT)
def test_no_false_alarm(name, mode, order, seed):
    body, y = RIGHT[name]
    np.testing.assert_array_equal(run(kernel(body), mode, order=order, seed=seed), y)


def test_atomic_operations_do_not_race():
    body = "atomicAdd(&y[threadIdx.x], 1.f);\natomicAdd(&y[0], 1.f);"
    assert np.isnan(run(kernel(body))[0])                                # NaN + 1: y held no number
    assert run(kernel("atomicExch(&y[threadIdx.x], x[threadIdx.x]);"))[5] == 5


@pytest.mark.parametrize("order, first", [(emulator.FORWARD, 0), (emulator.REVERSE, 127)])
def test_threads_and_blocks_run_in_order(order, first):
    """The first to come takes a ticket."""
    body = INDEX + "if (atomicCAS(reinterpret_cast<int*>(y), -1, 1000 + i) == -1) {}"
    started = run(kernel(body).replace("y), -1, 1", "y), 0x7fc00000, 1").replace("== -1", "== 0"), order=order)
    assert started.view(np.int32)[0] == 1000 + first


def test_a_random_order_is_one_per_seed_and_meets_every_thread():
    body = INDEX + "if (i < n) atomicExch(&y[i], x[i]);\nif (i < n) y[i] = atomicExch(&x[0], i);"
    text = kernel("__syncwarp();\n" + body)
    found = [run(text, "fast", order=emulator.RANDOM, seed=seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any() and all(np.isfinite(y).all() for y in found)


@pytest.mark.parametrize("grid, block", [((0, 1), 32), (1, 1025), (1, (32, 32, 2)), (1, (1, 1, 65)), ((1, 65536), 32)])
def test_sizes_that_no_driver_takes(grid, block):
    with pytest.raises(emulator.KernelError, match="invalid configuration"):
        run(kernel("y[0] = 1;"), blocks=grid, threads=block)


def test_dynamic_shared_memory():
    body = INDEX + "extern __shared__ float s[];\ns[t] = x[t];\n__syncthreads();\nif (i < n) y[i] = s[63 - t];"
    assert run(kernel(body), shared_mem=256)[0] == 63
    with pytest.raises(emulator.KernelError, match="out of bounds: write"):
        run(kernel(body), shared_mem=252)
    with pytest.raises(emulator.KernelError, match="dynamic bytes, the limit"):
        run(kernel(body), shared_mem=50000)


def test_templates_and_several_shared_variables():
    text = """template <int N, bool TWICE>
    __global__ void f(float* y) {
      __shared__ __align__(16) float a[N][2], b, c[N]; // read me; not a declaration: __shared__ x;
      if (threadIdx.x < N) { a[threadIdx.x][1] = 1; c[threadIdx.x] = 2; }
      if (threadIdx.x == 0) b = TWICE ? 2 : 1;
      __syncthreads();
      if (threadIdx.x < N) y[threadIdx.x] = (a[N - 1 - threadIdx.x][1] + c[threadIdx.x]) * b;
    }"""
    module = emulator.Module(text, name_expressions=["f<3, true>", "f<4, false>"], mode="check")
    y = np.zeros(4, np.float32)
    for name in module.names:
        module.launch(name, 1, 32, [ctypes.c_void_p(y.ctypes.data)], arrays=[(y.ctypes.data, y.nbytes, 0)])
    np.testing.assert_array_equal(y, [3, 3, 3, 3])
    assert module.signature("f<3, true>") == [(8, "p")]


def test_what_the_text_says():
    text = 'extern "C" __global__ void __launch_bounds__(64, 2) a(int);\n// __global__ void no();\ntemplate <int N> ' \
           "__global__ void b(float* x)"
    assert kernels_in(text) == {"a": False, "b": True}
    with pytest.raises(ValueError, match="cannot read the declaration"):
        with_shared_memory("__shared__ float (*x)[8];")


BANKS = {  # which words of shared memory the lanes of a warp write: turns that it takes
    "t": 1, "t * 2": 2, "t * 8 % 32": 1, "t * 32": 32, "t + t / 16 * 16": 2}


@pytest.mark.parametrize("index", BANKS)
def test_bank_conflicts_are_counted(index):
    written = f"__shared__ float s[1024];\nif (t < 32) s[{index}] = 1;" if "%" not in index else \
        f"__shared__ float s[32];\ns[t] = 0;\n__syncthreads();\ny[t] = s[{index}];"              # one word for several lanes
    row = counted(kernel(INDEX + written), shared=1)[-1]
    assert (row["requests"], row["units"], row["ideal"]) == (1, BANKS[index], 1)


def counted(text, shared):
    """The profile of one block of one warp, by line."""
    x, y = np.zeros(2048, np.float32), np.zeros(2048, np.float32)
    module = emulator.Module(text, mode="profile", name="planted.cu")
    parameters = [ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data), ctypes.c_int(NUMBERS)]
    module.launch("k", 1, 32, parameters, arrays=[(a.ctypes.data, a.nbytes, 0) for a in (x, y)])
    rows = [row for row in module.profile() if row["shared"] == shared]
    return sorted(rows, key=lambda row: int(row["line"].rpartition(":")[2]))


@pytest.mark.parametrize("index, least, most", [("t", 4, 5), ("t * 8", 32, 32), ("0", 1, 1)])
def test_sectors_are_counted(index, least, most):
    row = counted(kernel(INDEX + f"const float v = x[{index}];\nif (v > 1) y[t] = v;"), shared=0)[0]
    assert row["requests"] == 1 and least <= row["units"] <= most


def test_what_the_compiler_says_of_a_wrong_text_names_file_and_line():
    with pytest.raises(emulator.CompileError, match=r"planted.cu:3:.*undeclared"):
        run(kernel("y[0] = undeclared;"))


def test_without_a_compiler_the_reason_is_known(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    emulator.missing.cache_clear()
    assert "need g++" in emulator.missing()
    monkeypatch.undo()
    emulator.missing.cache_clear()
