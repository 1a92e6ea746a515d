"""What emulates CUDA under the real CuPy (MINICNN_CUPY=emulated) finds what it is for."""
import os

import numpy as np
import pytest

from minicnn.core.backend import gpu_status

pytestmark = pytest.mark.skipif(os.environ.get("MINICNN_CUPY") != "emulated", reason="of the emulated driver")

ADD_ONE = """extern "C" __global__ void add_one(float* x, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] += 1;
}"""


@pytest.fixture
def add_one(cp):
    return cp.RawKernel(ADD_ONE, "add_one")


@pytest.fixture
def fast(cp):
    import realcupy
    realcupy.activate("fast")
    yield
    realcupy.activate("check")


def test_it_is_cupy(cp):
    assert cp.__version__ == "14.2.0" and cp.cuda.runtime.getDeviceCount() == 1 and gpu_status() == "available"
    assert b"emulated" in cp.cuda.runtime.getDeviceProperties(0)["name"]


def test_memory_that_nobody_wrote_is_nan(cp):
    assert np.isnan(cp.empty(7, np.float32).get()).all()


def test_a_kernel_runs(cp, add_one):
    x = cp.arange(7, dtype=np.float32)
    add_one((2,), (4,), (x, np.int32(7)))
    np.testing.assert_array_equal(x.get(), np.arange(7) + 1)


def test_a_kernel_that_reaches_too_far_is_told(cp, add_one):
    x = cp.zeros(7, np.float32)
    with pytest.raises(cp.cuda.driver.CUDADriverError, match="add_one: .*out of bounds.*:3"):
        add_one((2,), (4,), (x, np.int32(8)))


def test_a_fast_kernel_that_writes_beside_an_array_is_told(cp, fast):
    x = cp.zeros(64, np.float32)
    beside = cp.RawKernel('extern "C" __global__ void beside(float* x) { x[64] = 1; }', "beside")
    with pytest.raises(cp.cuda.driver.CUDADriverError, match="written beside an array of 256 bytes"):
        beside((1,), (1,), (x,))
    np.testing.assert_array_equal((cp.ones(3) + 1).get(), [2, 2, 2])       # once


def test_what_a_device_refuses(cp, add_one):
    x = cp.zeros(7, np.float32)
    with pytest.raises(cp.cuda.driver.CUDADriverError, match="invalid configuration"):
        add_one((1,), (2048,), (x, np.int32(7)))
    with pytest.raises(cp.cuda.driver.CUDADriverError, match="NOT_FOUND: there is no kernel other"):
        cp.RawKernel(ADD_ONE, "other")((1,), (1,), ())
    with pytest.raises(cp.cuda.compiler.CompileException, match="nothing"):
        cp.RawKernel('extern "C" __global__ void wrong(float* x) { nothing; }', "wrong")((1,), (1,), (x,))
    with pytest.raises(cp.cuda.memory.OutOfMemoryError):
        cp.empty(1 << 40)


def test_what_is_not_there_says_so(cp):
    with pytest.raises(NotImplementedError, match="Generator"):
        cp.random.default_rng(0)
    with pytest.raises(Exception):               # noqa: B017   whatever CuPy says of a library that is not there
        cp.random.uniform(size=3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_of_matrices(cp, dtype):
    a, b = (np.random.default_rng(0).standard_normal(shape).astype(dtype) for shape in ((3, 5, 7), (3, 7, 4)))
    x, y = cp.asarray(a), cp.asarray(b)
    products = [lambda xp, a, b: a @ b, lambda xp, a, b: a[0] @ b[0], lambda xp, a, b: b[0].T @ a[0].T,
                lambda xp, a, b: a[0] @ b[0, :, 0], lambda xp, a, b: xp.dot(a[0, 0], b[0, :, 0]),
                lambda xp, a, b: xp.einsum("nij,njk->ik", a, b), lambda xp, a, b: xp.tensordot(a, a, ((0, 2), (0, 2)))]
    for product in products:
        got, wanted = product(cp, x, y), product(np, a, b)
        assert got.dtype == dtype
        np.testing.assert_allclose(got.get(), wanted, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-12)


def test_sorting(cp):
    a = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    np.testing.assert_array_equal(cp.sort(cp.asarray(a)).get(), np.sort(a))
    np.testing.assert_array_equal(cp.argsort(cp.asarray(a), axis=0).get(), np.argsort(a, axis=0))


def test_sums_along_an_axis(cp):
    """Of CuPy's own kernels some let threads go before a barrier."""
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.testing.assert_array_equal(cp.cumsum(cp.asarray(a), axis=1).get(), a.cumsum(axis=1))
