"""Solutions to the exercises of lesson 10, each checked.   python tutorials/solutions/10_kernel.py"""
import ast
import sys
import tempfile
from pathlib import Path

import numpy as np

import minicnn as mc
from minicnn.core.backend import to_numpy
from minicnn.core.kernels import Kernels

TUTORIALS = Path(__file__).resolve().parents[1]
sys.path += [str(TUTORIALS), str(TUTORIALS.parent / "tests" / "cuda")]
import standin                                   # the emulator's library
from run import read_blocks

cp, folder = standin.install(), Path(tempfile.mkdtemp())


def kernels_of(text, name):
    """The Kernels of a CUDA text."""
    (folder / f"{name}.cu").write_text(text, encoding="utf-8")
    return Kernels(folder / "here.py", f"{name}.cu")


# ---- 1. A layer of your own, on the card ---------------------------------------------------------------------------
# y = x s(beta x),   dx = dy (s + beta x s (1 - s)),   dbeta = sum of dy x^2 s (1 - s),   s = 1 / (1 + exp(-beta x))

swish_kernels = kernels_of('''
__device__ float sigmoid(float x) { return 1 / (1 + expf(-x)); }

extern "C" __global__ void swish(const float* x, float* y, int count, float beta) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
        y[i] = x[i] * sigmoid(beta * x[i]);
}

extern "C" __global__ void swish_gradient(const float* x, const float* dy, float* dx, int count, float beta) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        const float s = sigmoid(beta * x[i]);
        dx[i] = dy[i] * (s + beta * x[i] * s * (1 - s));
    }
}

// A block adds up its share: each thread every 256th number, then half of the threads the other half's, and so on.
extern "C" __global__ void __launch_bounds__(256) beta_gradient(const float* x, const float* dy, float* shares, int count,
                                                                float beta) {
    __shared__ float sums[256];
    float sum = 0;
    for (int i = blockIdx.x * 256 + threadIdx.x; i < count; i += gridDim.x * 256) {
        const float s = sigmoid(beta * x[i]);
        sum += dy[i] * x[i] * x[i] * s * (1 - s);
    }
    sums[threadIdx.x] = sum;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0)
        shares[blockIdx.x] = sums[0];
}
''', "swish")


@mc.differentiable
def swish(x, beta):
    """x * sigmoid(beta x) on the GPU; x float32 of any shape, beta ()."""
    y, slope = cp.empty_like(x), float(beta)
    swish_kernels.launch("swish", x.size, x, y, x.size, slope)

    def grad_x(dy):
        dx = cp.empty_like(x)
        swish_kernels.launch("swish_gradient", x.size, x, dy, dx, x.size, slope)
        return dx

    def grad_beta(dy):
        shares = cp.empty(4, np.float32)
        swish_kernels.launch("beta_gradient", (4, 256), x, dy, shares, x.size, slope)
        return shares.sum()
    return y, (grad_x, grad_beta)


@mc.differentiable
def swish_on_the_cpu(x, beta):
    """The twin, as in lesson 06."""
    s = 1 / (1 + np.exp(-beta * x))
    return x * s, (lambda dy: dy * (s + beta * x * s * (1 - s)), lambda dy: (dy * x * x * s * (1 - s)).sum())


rng = np.random.default_rng(0)
x, dy = rng.standard_normal((2, 7, 11, 13), dtype=np.float32)
found = []
for xp, operation in ((np, swish_on_the_cpu), (cp, swish)):
    leaf, beta = mc.tensor(xp.asarray(x), True), mc.tensor(xp.asarray(np.float32(1.5)), True)
    y = operation(leaf, beta)
    y.backward(xp.asarray(dy))
    found.append([y.numpy(), *(to_numpy(t.grad) for t in (leaf, beta))])
for wanted, got in zip(*found):
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


# ---- 2. A bug to plant ---------------------------------------------------------------------------------------------
# `thread / 32` for `thread / 16`: two threads write to the same place, which is a race: the emulator stops there.
# `=` for `+=`: no rule is broken, only the numbers are wrong.  So both are needed, a checked run and a comparison.

TEXTS = "PIXEL", "READING", "TILE", "REGISTERS"


def texts_of_the_lesson():
    """{"PIXEL": CUDA text, ...} as the lesson writes them."""
    found = {}
    for block in read_blocks(TUTORIALS / "10-a-kernel-of-your-own.md"):
        for node in ast.parse(block.text).body if block.language == "python" else ():
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in TEXTS:
                exec(compile(ast.Module([node], []), "lesson", "exec"), found)
    return found


PIXEL, TILE, REGISTERS = (texts_of_the_lesson()[name] for name in ("PIXEL", "TILE", "REGISTERS"))
H, W, C, K = 9, 11, 5, 20
picture, filters = (rng.standard_normal(shape, dtype=np.float32) for shape in ((H, W, C), (3, 3, C, K)))
expected = mc.conv2d(picture[None], filters, padding=1).data[0]


def convolved(text, name, work):
    """y by a kernel, and the Kernels."""
    kernels, y = kernels_of(text, name), cp.zeros((H, W, K), np.float32)
    kernels.launch(name, work, cp.asarray(picture), cp.asarray(filters), y, H, W, C, K)
    return y.get(), kernels


def complaint(text, name, work):
    """What the emulator says of a run, or "" if it ran through; then whether the numbers are right."""
    try:
        return "", bool(np.allclose(convolved(text, name, work)[0], expected, atol=1e-4))
    except RuntimeError as error:
        return str(error), None


blocks = (-(-H * W // 64), -(-K // 64)), 256
assert complaint(REGISTERS, "registers", blocks) == ("", True)
assert "race" in complaint(REGISTERS.replace("thread / 16 * 4", "thread / 32 * 4"), "registers", blocks)[0]
assert complaint(REGISTERS.replace("sum[i][j] +=", "sum[i][j] ="), "registers", blocks) == ("", False)


# ---- 3. Who reads what ---------------------------------------------------------------------------------------------
# Neighbouring threads now have neighbouring rows: their numbers of x lie W C apart, and each costs a sector of 32 bytes.
# w is the same number for all of them, which costs one sector: better than before.  y is scattered like x.

def sectors(text):
    """{line of the kernel: sectors asked for, as a multiple of the least possible} of its reads and writes."""
    standin.MODE = "profile"
    y, kernels = convolved(text, "pixel", H * W * K)
    assert np.allclose(y, expected, atol=1e-4)
    rows = kernels.module.compiled().profile()
    standin.MODE = "check"
    return sum(row["units"] for row in rows) / sum(row["ideal"] for row in rows)


swapped = PIXEL.replace("const int k = at % K, c = at / K % W, r = at / K / W;",
                                  "const int r = at % H, c = at / H % W, k = at / H / W;").replace(
                                  "y[at] = sum", "y[(r * W + c) * K + k] = sum")
assert sectors(swapped) > 1.5 * sectors(PIXEL)


# ---- 4. One barrier ------------------------------------------------------------------------------------------------
# The second one can go: who brings the next numbers writes into the other buffer.  Into this one nobody writes before the
# barrier after next, and that nobody passes who still reads from it.

tiles = (-(-H * W // 16), -(-K // 16)), (16, 16)
two = TILE.replace("rows[16][16], columns[16][16]", "rows[2][16][16], columns[2][16][16]")
two = two.replace("rows[threadIdx.y]", "rows[first / 16 % 2][threadIdx.y]").replace("columns[", "columns[first / 16 % 2][")
two = two.replace("columns[first / 16 % 2][2][16][16]", "columns[2][16][16]")
first, second = ("        __syncthreads();                         // all have arrived before anybody reads\n",
                 "        __syncthreads();                         // all have read before anybody brings the next\n")
assert complaint(two.replace(first, ""), "tile", tiles)[0]                 # read before anybody has written
assert complaint(two.replace(second, ""), "tile", tiles) == ("", True)
