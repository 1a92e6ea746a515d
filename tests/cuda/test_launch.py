"""The launch helper: arguments become what the kernel's text says, and what cannot work is told before it is started."""
from pathlib import Path

import numpy as np
import pytest
import sources
from emulator.text import kernels_in

from minicnn.core import kernels as room
from minicnn.core.kernels import Kernels, in_c_order, runs_kernels

TEXT = '''
// extern "C" __global__ void commented(int n) is no kernel
struct Pair { int first, second; };
extern "C" __global__ void fill(float* y, int n, float value) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        y[i] = value;
}
extern "C" __global__ void __launch_bounds__(32) told(const unsigned char* bytes, unsigned long long seed, unsigned word,
                                                      bool flag, Pair pair, float* __restrict__ y /* out */) {
    y[0] = bytes ? bytes[1] : -1;
    y[1] = seed >> 40;
    y[2] = word >> 24;
    y[3] = flag;
    y[4] = pair.first - pair.second;
}
'''


@pytest.fixture
def kernels(cp, tmp_path):
    (tmp_path / "some.cu").write_text(TEXT)
    return Kernels(tmp_path / "layer.py", "some.cu")


def test_signatures_are_read_from_the_text(kernels):
    assert list(kernels.signatures) == ["fill", "told"]
    assert [(p.name, p.dtype, p.pointer) for p in kernels.signatures["told"]] == [
        ("bytes", np.uint8, True), ("seed", np.uint64, False), ("word", np.uint32, False), ("flag", np.bool_, False),
        ("pair", None, False), ("y", np.float32, True)]


def test_the_sizes_of_structs_are_read_from_the_text():
    text = room._COMMENT.sub(" ", """
        struct Axis { int source, outputs,      // struct Old { int a; }; is none
                          stride; };
        struct Sizes { Axis rows, columns; int images /* of the batch; */; int channels; };
        struct Deep { Sizes all; Axis one; };
        struct Empty { };
        struct Words { unsigned at[4]; };   struct Mean { float mean; };   struct Late { Later one; };   struct Later { int a; };
        struct Spread { int at[4]; };       struct Far { int *there; };    struct Mixed { Axis rows; float scale; };
        struct Method { int a; int twice() { return 2 * a; } };""")
    assert room.structs_in(text) == {"Axis": 3, "Sizes": 8, "Deep": 11, "Later": 1}


@pytest.mark.parametrize("path", sources.FILES, ids=sources.name_of)
def test_the_parameters_of_all_kernels_are_understood(path):
    signatures = Kernels(path.with_suffix(".py"), path.name).signatures
    assert signatures.keys() == kernels_in(path.read_text(encoding="utf-8")).keys()
    for parameter in (p for parameters in signatures.values() for p in parameters):
        assert (parameter.dtype is None) == (parameter.ints > 0)


def test_the_structs_of_convolution_and_pooling_have_as_many_ints_as_they_should():
    layers = sources.PACKAGE / "layers"
    for path, kernel, ints in [("pool/pool.cu", "max_pool", 14), ("conv/depthwise.cu", None, 15), ("conv/implicit.cu", None, 22),
                               ("norm/over_pixels.cu", "normalize", 5), ("resample.cu", None, 6)]:
        signatures = Kernels(layers / path, Path(path).name).signatures
        found = {p.ints for name, parameters in signatures.items() for p in parameters if kernel in (name, None) and p.ints}
        assert found == {ints}, path


@pytest.mark.parametrize("pair, words", [
    ((1, 2, 3), "kernel told (some.cu): pair must be a tuple of 2 whole numbers, not 3 of them"),
    ((1,), "not 1 of them"), ((), "not 0 of them"), (7, "not 7"), (None, "not None"),
    ((1, 2.5), "pair must be whole numbers of 32 bits, not (1, 2.5)"),
    ((1, 2 ** 31), "pair must be whole numbers of 32 bits, not (1, 2147483648)")])
def test_a_wrong_struct_is_named(cp, kernels, pair, words):
    with pytest.raises(TypeError) as raised:
        kernels.launch("told", (1, 1), None, 0, 0, False, pair, cp.zeros(5, np.float32))
    assert words in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["Unknown", "double", "Words", "Pair*"])
def test_a_parameter_that_cannot_be_passed_is_named(tmp_path, kind):
    text = 'struct Pair { int a, b; }; struct Words { unsigned at[4]; }; '
    (tmp_path / "odd.cu").write_text(text + f'extern "C" __global__ void odd(float* y, {kind} thing) {{ }}')
    with pytest.raises(TypeError) as raised:
        Kernels(tmp_path / "layer.py", "odd.cu").launch("odd", 1, None, (1,))
    assert str(raised.value).startswith(f"kernel odd (odd.cu): parameter thing is a {kind}, which cannot be passed: take a")


def test_arguments_arrive_as_the_text_says(cp, kernels):
    y = cp.zeros(5, np.float32)
    kernels.launch("told", (1, 1), cp.asarray([7, 9], dtype=np.uint8), 2 ** 63 + 5, 2 ** 32 - 1, True, (30, 4), y)
    np.testing.assert_array_equal(y.get(), [9, 2 ** 23, 255, 1, 26])
    kernels.launch("told", (1, 1), None, 0, 0, False, (-3, 4), y)
    np.testing.assert_array_equal(y.get(), [-1, 0, 0, 0, -7])


def test_a_python_float_is_passed_as_a_float(cp, kernels):
    y = cp.zeros(1000, np.float32)
    kernels.launch("fill", y.size, y, y.size, 2.5)
    np.testing.assert_array_equal(y.get(), np.full(1000, 2.5, np.float32))


def test_more_work_than_blocks(cp, kernels, monkeypatch):
    monkeypatch.setattr(room, "MOST_BLOCKS", 2)
    y = cp.zeros(3 * 2 * room.THREADS + 5, np.float32)
    kernels.launch("fill", y.size, y, y.size, 1)
    assert y.get().all()


def test_no_work_is_no_launch(cp, kernels):
    kernels.launch("fill", 0, cp.zeros(0, np.float32), 0, 1.)
    kernels.launch("fill", ((0, 4), 32), cp.zeros(0, np.float32), 0, 1.)


@pytest.mark.parametrize("arguments, error, words", [
    (lambda cp: (cp.zeros(4, np.float64), 4, 1.), TypeError, "y must be a float32 array on the GPU in C order, not float64(4,)"),
    (lambda cp: (cp.zeros((4, 2), np.float32).T, 4, 1.), TypeError, "C order"),
    (lambda cp: (np.zeros(4, np.float32), 4, 1.), TypeError, "on the GPU"),
    (lambda cp: (cp.zeros(4, np.float32), 2 ** 31, 1.), OverflowError, "n = 2147483648 does not fit into int32"),
    (lambda cp: (cp.zeros(4, np.float32), 4), TypeError, "kernel fill (some.cu) takes 3 arguments, not 2"),
    (lambda cp: (cp.zeros(4, np.float32), 2.5, 1.), TypeError, "n must be a int32, not 2.5"),
    (lambda cp: (cp.zeros(4, np.float32), 4, (1.,)), TypeError, "value must be a float32, not (1.0,)"),
    (lambda cp: (cp.zeros(4, np.float32), cp.zeros(1), 1.), TypeError, "n must be a int32, not float64(1,)"),
], ids=["dtype", "order", "device", "whole number", "how many", "a half", "a tuple", "an array"])
def test_wrong_arguments_are_named(cp, kernels, arguments, error, words):
    with pytest.raises(error) as raised:
        kernels.launch("fill", 4, *arguments(cp))
    assert words in str(raised.value) and "fill" in str(raised.value)


def test_an_array_that_32_bits_cannot_count_is_refused(cp, kernels, monkeypatch):
    monkeypatch.setattr(room, "LARGEST", 3)
    with pytest.raises(OverflowError, match=r"fill.*y \(4,\) has more than 3 numbers: take a smaller batch"):
        kernels.launch("fill", 4, cp.zeros(4, np.float32), 4, 1.)


def test_what_fails_in_the_launch_names_kernel_and_arguments(cp, kernels):
    with pytest.raises(RuntimeError, match=r"kernel fill \(some.cu\) on \(1,\) blocks of \(4096,\) threads, arguments "
                                           r"\(float32\(4,\), 4, 1.0\): "):
        kernels.launch("fill", (1, 4096), cp.zeros(4, np.float32), 4, 1.)


def test_a_text_that_does_not_compile_says_so(cp, tmp_path):
    (tmp_path / "bad.cu").write_text('extern "C" __global__ void bad(float* y) { y[0] = nothing; }')
    with pytest.raises(RuntimeError, match=r"kernel bad \(bad.cu\)(.|\n)*nothing"):
        Kernels(tmp_path / "layer.py", "bad.cu").launch("bad", 1, cp.zeros(1, np.float32))


def test_float64_and_numpy_arrays_go_the_general_way(cp):
    x = cp.zeros(2, np.float32)
    assert runs_kernels(x) and runs_kernels(x, None)
    assert not runs_kernels(x, np.zeros(2, np.float32)) and not runs_kernels(x.astype(np.float64))


def test_c_order_and_the_address_of_a_float4(cp):
    x = cp.arange(12, dtype=np.float32).reshape(3, 4)
    assert in_c_order(x) is x and in_c_order(None) is None
    for view in (x.T, x.reshape(-1)[1:]):
        copy = in_c_order(view)
        assert copy.flags.c_contiguous and copy.data.ptr % 16 == 0
        np.testing.assert_array_equal(copy.get(), view.get())
