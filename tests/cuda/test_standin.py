"""The stand-in refuses what the real CuPy refuses, and gives arrays where that gives arrays.

Each line here was first tried on the real CuPy 14.2, and holds on `MINICNN_CUPY=emulated` and `-m gpu` as well, but for the
tests that name the stand-in.
"""
import importlib.util
import subprocess
import sys

import numpy as np
import pytest

NUMBERS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def a(cp):
    return cp.asarray(NUMBERS)


REFUSED = {  # what it is, done with an array `a` of the device and `n` of NumPy: the error
    "as an array of NumPy": (lambda cp, a, n: np.asarray(a), TypeError),
    "copied to NumPy": (lambda cp, a, n: np.array(a), TypeError),
    "a number of NumPy": (lambda cp, a, n: np.float32(a.sum()), TypeError),
    "n + a": (lambda cp, a, n: n + a, TypeError),
    "a + n": (lambda cp, a, n: a + n, TypeError),
    "a += n": (lambda cp, a, n: a.__iadd__(n), TypeError),
    "a > n": (lambda cp, a, n: a > n, TypeError),
    "n @ a": (lambda cp, a, n: n @ a.T, TypeError),
    "an array of one number": (lambda cp, a, n: np.array(2.0) * a, TypeError),
    "into a": (lambda cp, a, n: a.__setitem__(0, n[0]), ValueError),
    "into n": (lambda cp, a, n: n.__setitem__(0, a[0]), (TypeError, ValueError)),
    "joined": (lambda cp, a, n: np.concatenate([a, n]), TypeError),
    "joined by cupy": (lambda cp, a, n: cp.concatenate([n, n]), TypeError),
    "cupy.add": (lambda cp, a, n: cp.add(n, a), TypeError),
    "cupy.exp": (lambda cp, a, n: cp.exp(n), TypeError),
    "a list": (lambda cp, a, n: a + [1, 2, 3], TypeError),
    "where=": (lambda cp, a, n: a.sum(where=True), TypeError),
    "initial=": (lambda cp, a, n: cp.max(a, initial=0), TypeError),
    "correction=": (lambda cp, a, n: a.var(correction=1), TypeError),
    "where= of a ufunc": (lambda cp, a, n: cp.add(a, a, where=a > 1), TypeError),
    "no insert": (lambda cp, a, n: cp.insert, AttributeError),
    "no block": (lambda cp, a, n: cp.block, AttributeError),
    "no ctypes": (lambda cp, a, n: a.ctypes, AttributeError),
    "an index": (lambda cp, a, n: range(a.argmax()), TypeError),
    "a list's index": (lambda cp, a, n: [1, 2][a.argmin()], TypeError),
    "true of many": (lambda cp, a, n: bool(a), ValueError),
    "a key": (lambda cp, a, n: {a: 1}, TypeError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(cp, a, name):
    act, error = REFUSED[name]
    with pytest.raises(error):
        act(cp, a, NUMBERS.copy())


GIVEN = {  # an array of the device whose numbers, dtype and shape are those of the same expression in NumPy
    "sum": lambda xp, a: a.sum(),
    "one number": lambda xp, a: a[0, 1],
    "a row": lambda xp, a: list(a)[1],
    "compared": lambda xp, a: a.max() > 3,
    "axes": lambda xp, a: a.mean(axis=1, keepdims=True),
    "a number of NumPy times": lambda xp, a: np.float32(2) * a,
    "float64 times": lambda xp, a: np.float64(2) * a,
    "a Python number times": lambda xp, a: 2.0 * a,
    "numpy.exp": lambda xp, a: np.exp(a),
    "numpy.where": lambda xp, a: np.where(a > 1, a, 0),
    "numpy.concatenate": lambda xp, a: np.concatenate([a, a]),
    "NumPy's index": lambda xp, a: a[np.array([1, 0])],
    "NumPy's mask": lambda xp, a: a[NUMBERS > 1],
    "argmax": lambda xp, a: a.argmax(axis=1),
    "matmul": lambda xp, a: xp.matmul(a, a.T),
    "einsum": lambda xp, a: xp.einsum("ri,ri->i", a, a),
    "allclose": lambda xp, a: xp.asarray(xp.allclose(a, a)),
    "from arrays of one number": lambda xp, a: xp.asarray([a[0, 0], a[0, 1]]),
    "out": lambda xp, a: xp.multiply(a, 2, out=xp.empty((2, 3), np.float32)),
    "out of a sum": lambda xp, a: xp.sum(a, axis=0, out=xp.empty(3, np.float32)),
    "astype": lambda xp, a: a.astype(np.int32),
    "a view": lambda xp, a: a.T.reshape(3, 2)[1:],
}


@pytest.mark.parametrize("name", GIVEN)
def test_given(cp, a, name):
    got, wanted = GIVEN[name](cp, a), np.asarray(GIVEN[name](np, NUMBERS))
    assert type(got) is cp.ndarray and got.dtype == wanted.dtype and got.shape == wanted.shape
    np.testing.assert_allclose(got.get(), wanted)


def test_python_numbers_when_asked_for(a):
    assert float(a.sum()) == 15 and int(a.max()) == 5 and bool(a.sum() > 1) and f"{a.sum():.1f}" == "15.0"
    assert a.tolist() == NUMBERS.tolist() and type(a.sum().item()) is float


def test_views_share_memory_and_copies_do_not(cp, a):
    a.reshape(3, 2)[0, 0] = 9
    cp.ravel(a)[1] = 8
    (a * 1)[0, 2] = 7
    assert a.get()[0].tolist() == [9, 8, 2]


def test_add_at(cp):
    for xp in (cp, np):                          # NumPy's hands over to CuPy's
        counts = cp.zeros(3, np.float32)
        xp.add.at(counts, cp.asarray([1, 1, 2]), cp.ones(3, np.float32))
        assert counts.get().tolist() == [0, 2, 1]


@pytest.mark.parametrize("make", [
    lambda cp, a: cp.empty_like(a), lambda cp, a: cp.zeros_like(a), lambda cp, a: cp.copy(a), lambda cp, a: cp.array(a),
    lambda cp, a: a.astype(np.int32), lambda cp, a: cp.asarray(a, np.int32), lambda cp, a: cp.roll(a, 1, axis=0),
    lambda cp, a: cp.nan_to_num(a)])
def test_some_keep_the_order_of_memory(cp, make):
    a = cp.asarray(NUMBERS).T
    assert a.strides == make(cp, a).strides == (4, 12)


@pytest.mark.parametrize("make", [
    lambda cp, a: a * 2, lambda cp, a: a + a, lambda cp, a: -a, lambda cp, a: np.exp(a), lambda cp, a: cp.maximum(a, 0),
    lambda cp, a: cp.where(a > 1, a, 0), lambda cp, a: a.clip(0, 1), lambda cp, a: cp.concatenate([a, a], axis=1)[:, :2],
    lambda cp, a: a[cp.asarray([0, 1, 2])], lambda cp, a: cp.stack([a, a])[0], lambda cp, a: cp.sort(a, axis=0)])
def test_others_make_c_order(cp, make):
    """Where NumPy keeps the order."""
    made = make(cp, cp.asarray(NUMBERS).T)
    assert made.shape == (3, 2) and made.strides[1] == made.itemsize


def test_a_line_of_cpp_for_each_number(cp, a):
    step = cp.ElementwiseKernel("T x, T bias", "T y", "y = x * 2 + bias", "planted_step")
    np.testing.assert_array_equal(step(a, a[:1]).get(), NUMBERS * 2 + NUMBERS[:1])
    assert step(a, 1, a) is a and a.get()[1, 2] == 11
    with pytest.raises(TypeError):
        step(a, a.astype(np.float64))


LAST = """extern "C" __global__ void last(int* x, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicExch(x, i);
}"""


def test_threads_run_in_the_order_that_is_wanted(cp, thread_order):
    """Who comes last?"""
    if thread_order is None:
        pytest.skip("a GPU chooses the order itself")
    x = cp.zeros(1, np.int32)
    cp.RawKernel(LAST, "last")((4,), (64,), (x, np.int32(256)))
    last = int(x[0])
    assert 0 <= last < 256 and (last == 255) == (thread_order == 0) and (last == 0) == (thread_order == 1)


# ---- the stand-in by name

ADD = 'extern "C" __global__ void add(float* x, float s, int n) { for (int i = threadIdx.x; i < n; i += 32) x[i] += s; }'


@pytest.fixture
def standin(cp):
    if not hasattr(cp, "_others"):
        pytest.skip("of the stand-in alone")
    import standin
    yield standin
    standin.MODE, standin.ORDER, standin.SEED = "check", 0, 0


@pytest.mark.parametrize("arguments, said", [
    ((2.5, np.int32(3)), "8 bytes of kind 'f', but the kernel reads 4"), ((np.float32(2), 3.0), "kind 'f'"),
    ((np.float32(2), np.int16(3)), "2 bytes"), ((np.float32(2),), "takes 3 arguments, not 2")])
def test_an_argument_that_would_arrive_as_something_else(cp, standin, arguments, said):
    kernel = cp.RawKernel(ADD, "add")
    with pytest.raises(TypeError, match=said):
        kernel((1,), (32,), (cp.zeros(3, np.float32), *arguments))


@pytest.mark.parametrize("mode", ["fast", "check"])
def test_a_write_beside_an_array_is_found(cp, standin, mode):
    standin.MODE = mode
    kernel = cp.RawModule(code=ADD).get_function("add")
    x, beside = cp.zeros(3, np.float32), cp.zeros(3, np.float32)
    kernel((1,), (32,), (x, np.float32(1), np.int32(3)))
    assert x.get().tolist() == [1, 1, 1] and not beside.get().any()
    with pytest.raises(cp.cuda.driver.CUDADriverError, match="out of bounds"):
        kernel((1,), (32,), (x, np.float32(1), np.int32(4)))


def test_a_kernel_may_touch_only_what_it_was_given(cp, standin):
    """Not the rest of the memory that a view lies in."""
    kernel, x = cp.RawModule(code=ADD).get_function("add"), cp.zeros(8, np.float32)
    with pytest.raises(cp.cuda.driver.CUDADriverError, match=r"16 bytes at add\.cu:1|out of bounds"):
        kernel((1,), (32,), (x[:4], np.float32(1), np.int32(5)))


def test_errors_name_the_file_of_minicnn(cp, standin):
    from minicnn.layers.pool import windows
    text = windows.kernels.text
    broken = text.replace("y[at] = maximum;", "y[at + 1] = maximum;", 1)
    kernel = cp.RawModule(code=broken).get_function("max_pool")
    sizes = np.array([1, 1, 1, 0, 1, 1] * 2 + [1, 1], np.int32).view(np.dtype((np.void, 56)))
    line = broken[:broken.index("y[at + 1]")].count("\n") + 1
    x, y = cp.zeros(1, np.float32), cp.zeros(1, np.float32)
    with pytest.raises(cp.cuda.driver.CUDADriverError, match=f"at layers/pool/pool.cu:{line}$"):
        kernel((1,), (32,), (x, y, np.uintp(0), sizes))


def test_it_can_be_found_like_any_module(cp, standin):
    assert importlib.util.find_spec("cupy").name == "cupy"
    from cupy.cuda.driver import CUDADriverError
    assert CUDADriverError is cp.cuda.driver.CUDADriverError


def test_it_can_be_taken_away_again(standin):
    before = {name for name in sys.modules if name.partition(".")[0] == "cupy"}
    standin.remove()
    assert before and not [name for name in sys.modules if name.partition(".")[0] == "cupy"]
    standin.install()


def test_a_marked_test_asks_for_a_gpu():
    """`-m gpu` selects the tests of kernels, and without a GPU skips them with a reason."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-m", "gpu",
               f"{__file__}::test_add_at", f"{__file__}::test_a_marked_test_asks_for_a_gpu"]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    assert "1 deselected" in said and ("1 skipped" in said and "SKIPPED" in said and "CuPy is" in said or "1 passed" in said)
