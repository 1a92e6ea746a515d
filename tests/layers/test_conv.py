"""Convolution: the definition against numbers worked out by hand, the other algorithms against the definition."""
import itertools
import os
import subprocess
import sys
import textwrap
import threading
import weakref

import numpy as np
import pytest

import minicnn as mc
from minicnn.core import tuning
from minicnn.layers.conv import depthwise, im2col, naive, pointwise, tiling, winograd
from minicnn.layers.conv.choice import choose
from minicnn.layers.conv.geometry import Geometry, pair

FOR_3X3 = ["naive", "im2col", "winograd"]


def run(operation, x, weight, bias=None, dy=None, seed=0, **options):
    """[y, dx, dweight, dbias] as arrays; dy is random when not given.  The very arrays go in, contiguous or not."""
    inputs = [mc.Tensor(a, requires_grad=True) for a in (x, weight, bias) if a is not None]
    y = operation(*inputs, **options)
    if dy is None:
        dy = np.random.default_rng(seed).standard_normal(y.shape).astype(y.dtype)
    y.backward(dy)
    return [y.data] + [tensor.grad for tensor in inputs]


def assert_close(ours, truth, tolerance):
    for a, b in zip(ours, truth, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, np.abs(b).max()))


def normal(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# ---- the definition ------------------------------------------------------------------------------------------------

IMAGE = np.array([[1., 2, 3], [4, 5, 6], [7, 8, 9]]).reshape(1, 3, 3, 1)
FILTER = np.array([[1., 0], [2, -1]]).reshape(2, 2, 1, 1)


def test_the_definition_by_hand():
    """1*1 + 0*2 + 2*4 - 1*5 = 4, and so on: the filter is laid on the picture as it stands, not turned."""
    y, dx, dw, db = run(mc.conv2d, IMAGE, FILTER, np.array([10.]), np.array([[1., 2], [3, 4]]).reshape(1, 2, 2, 1),
                        algorithm="naive")
    assert y.reshape(2, 2).tolist() == [[14, 16], [20, 22]]
    assert dx.reshape(3, 3).tolist() == [[1, 2, 0], [5, 7, -2], [6, 5, -4]]
    assert dw.reshape(2, 2).tolist() == [[37, 47], [67, 77]]
    assert db.tolist() == [10]


def test_the_definition_by_hand_with_stride_padding_and_dilation():
    """Stride 2, padding 1, dilation 2: the filter's four numbers stand two pixels apart, the first on the padding."""
    y = mc.conv2d(IMAGE, FILTER, stride=2, padding=1, dilation=2, algorithm="naive").data
    assert y.reshape(2, 2).tolist() == [[-5, 10], [0, 5]]


@pytest.mark.parametrize("algorithm", ["naive", "im2col"])
def test_groups_do_not_see_each_other(algorithm):
    """Two channels, two filters, two groups: filter k is multiplied with channel k alone."""
    x = np.array([[1., 10], [2, 20]]).reshape(1, 1, 2, 2)
    weight = np.array([3., 5]).reshape(1, 1, 1, 2)
    y = mc.conv2d(x, weight, groups=2, algorithm=algorithm).data
    assert y.reshape(2, 2).tolist() == [[3, 50], [6, 100]]


# ---- the other algorithms against it -------------------------------------------------------------------------------

def draw(rng):
    """Shapes and options of one convolution, every size small and most of them awkward: ([x, weight, bias], options)."""
    groups = int(rng.choice([1, 1, 2, 3]))
    C, K = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 3))
    kernel = rng.integers(1, 4, 2)
    options = dict(stride=rng.integers(1, 4, 2), padding=rng.integers(0, 4, 2), dilation=rng.integers(1, 4, 2))
    span = options["dilation"] * (kernel - 1) + 1
    smallest = np.maximum(1, span - 2 * options["padding"])          # an image no larger than the kernel is drawn too
    size = smallest + rng.integers(0, 5, 2) * rng.integers(0, 2)
    shapes = (int(rng.integers(1, 3)), *size, C), (*kernel, C // groups, K), (K,)
    return [rng.standard_normal(shape) for shape in shapes], {**{k: tuple(v.tolist()) for k, v in options.items()},
                                                              "groups": groups}


@pytest.mark.parametrize("seed", range(60))
def test_im2col_against_the_definition(seed):
    arrays, options = draw(np.random.default_rng(seed))
    truth = run(mc.conv2d, *arrays, **options, algorithm="naive")
    assert_close(run(mc.conv2d, *arrays, **options, algorithm="im2col"), truth, 1e-12)


@pytest.mark.parametrize("N, H, W, C, K, padding", [
    (1, 3, 3, 1, 1, 0), (1, 3, 3, 2, 3, 1), (2, 4, 4, 3, 2, 1), (1, 8, 8, 2, 2, 1), (2, 5, 6, 3, 4, 0), (1, 7, 9, 2, 3, 2),
    (1, 1, 1, 3, 2, 1), (1, 1, 4, 2, 2, 2), (3, 6, 3, 1, 4, (2, 0)), (1, 11, 2, 2, 2, (0, 1)), (2, 10, 13, 2, 3, (1, 2))])
def test_winograd_against_the_definition(N, H, W, C, K, padding):
    arrays = normal((N, H, W, C), 1), normal((3, 3, C, K), 2), normal((K,), 3)
    truth = run(mc.conv2d, *arrays, padding=padding, algorithm="naive")
    assert_close(run(mc.conv2d, *arrays, padding=padding, algorithm="winograd"), truth, 1e-10)


@pytest.mark.parametrize("algorithm, block_bytes", [*itertools.product(["im2col", "winograd"], [1, 3000, 20000])])
def test_blocks_of_any_size_make_the_same_convolution(monkeypatch, algorithm, block_bytes):
    """One row of one image at a time, some rows, some images: no seam shows."""
    arrays = normal((5, 18, 11, 3), 1), normal((3, 3, 3, 4), 2)
    truth = run(mc.conv2d, *arrays, padding=1, algorithm="im2col")       # here one block is enough for everything
    monkeypatch.setattr(tuning, f"{algorithm.upper()}_BLOCK_BYTES", block_bytes)
    assert_close(run(mc.conv2d, *arrays, padding=1, algorithm=algorithm), truth, 1e-11)


VIEWS = {"transposed": lambda a: np.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1),
         "flipped": lambda a: np.ascontiguousarray(a[:, ::-1])[:, ::-1],
         "sliced": lambda a: np.repeat(np.repeat(a, 2, axis=1), 3, axis=3)[:, ::2, :, 1::3],
         "Fortran": np.asfortranarray,
         "broadcast": lambda a: np.broadcast_to(a[:, :1], a.shape)}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("algorithm", ["im2col", "winograd"])
def test_arrays_that_are_not_contiguous(algorithm, view):
    views = [VIEWS[view](normal(shape, i)) for i, shape in enumerate([(2, 6, 7, 2), (3, 3, 2, 3), (2, 6, 7, 3)])]
    assert not any(array.flags.c_contiguous for array in views)
    x, weight, dy = views
    truth = run(mc.conv2d, *(array.copy() for array in (x, weight)), dy=dy.copy(), padding=1, algorithm="naive")
    assert_close(run(mc.conv2d, x, weight, dy=dy, padding=1, algorithm=algorithm), truth, 1e-11)


@pytest.mark.parametrize("mode, numpy_mode", [("reflect", "reflect"), ("replicate", "edge")])
@pytest.mark.parametrize("algorithm", FOR_3X3)
def test_padding_modes_are_a_padded_picture(algorithm, mode, numpy_mode):
    x, weight = normal((2, 5, 6, 2), 1), normal((3, 3, 2, 2), 2)
    padded = np.pad(x, ((0, 0), (2, 2), (1, 1), (0, 0)), mode=numpy_mode)
    y = mc.conv2d(x, weight, padding=(2, 1), padding_mode=mode, algorithm=algorithm).data
    np.testing.assert_allclose(y, mc.conv2d(padded, weight, algorithm="naive").data, atol=1e-12)


# ---- gradients -----------------------------------------------------------------------------------------------------

GEOMETRIES = [dict(), dict(padding=1), dict(stride=(2, 3), padding=(1, 2)), dict(dilation=(2, 1), padding=(2, 1)),
              dict(groups=2, stride=2, padding=1)]


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "replicate"])
@pytest.mark.parametrize("algorithm, options", [
    *itertools.product(["naive", "im2col"], GEOMETRIES), *itertools.product(["winograd"], [dict(padding=p) for p in (0, 1, (2, 1))])])
def test_gradients(algorithm, options, padding_mode):
    groups = options.get("groups", 1)
    x, weight, bias = normal((2, 6, 5, 2), 1), normal((3, 3, 2 // groups, 2), 2), normal((2,), 3)
    report = mc.gradcheck(
        lambda x, weight, bias: mc.conv2d(x, weight, bias, padding_mode=padding_mode, algorithm=algorithm, **options),
        x, weight, bias, samples=12, step=1e-4)          # linear in each input: a larger step only rounds less
    assert [row.checked for row in report.inputs] == [12, 12, 2]


@pytest.mark.parametrize("algorithm, options", [
    *itertools.product(["naive", "im2col"], [
        dict(), dict(stride=2, padding=1), dict(stride=(3, 2), output_padding=(2, 1), padding=(0, 1)),
        dict(stride=1, dilation=3, output_padding=2), dict(stride=2, dilation=(3, 1), output_padding=(2, 1)),
        dict(groups=2, stride=2, output_padding=1)]),
    ("winograd", dict()), ("winograd", dict(padding=2)), ("winograd", dict(padding=(1, 0)))])
def test_gradients_of_the_transposed_convolution(algorithm, options):
    x, weight, bias = normal((2, 3, 4, 2), 1), normal((3, 3, 2, 2), 2), normal((2 * options.get("groups", 1),), 3)
    mc.gradcheck(lambda x, weight, bias: mc.conv_transpose2d(x, weight, bias, algorithm=algorithm, **options),
                 x, weight, bias, samples=16, step=1e-4)


@pytest.mark.parametrize("seed", range(30))
def test_the_transposed_convolution_is_the_adjoint(seed):
    """<conv(x), y> = <x, conv_transpose(y)>, whatever the sizes: what output_padding is for."""
    (x, weight, _), options = draw(np.random.default_rng(seed))
    y = normal(mc.conv2d(x, weight, **options).shape, seed)
    span = [d * (k - 1) + 1 for k, d in zip(weight.shape, options["dilation"])]
    left_over = tuple((n + 2 * p - e) % s for n, p, e, s in zip(x.shape[1:3], options["padding"], span, options["stride"]))
    back = mc.conv_transpose2d(y, weight, output_padding=left_over, **options).data
    assert back.shape == x.shape
    assert np.vdot(mc.conv2d(x, weight, **options).data, y) == pytest.approx(np.vdot(x, back), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("algorithm", FOR_3X3)
def test_where_windows_overlap_col2im_adds_plus_equals_and_not_equals(algorithm):
    """All weights and all dy are 1, so dx counts the windows over each pixel: 9 inside.  With `=` for `+=` it is 1."""
    _, dx, _ = run(mc.conv2d, np.zeros((1, 4, 4, 1)), np.ones((3, 3, 1, 1)), dy=np.ones((1, 4, 4, 1)), padding=1,
                   algorithm=algorithm)
    np.testing.assert_allclose(dx.reshape(4, 4), [[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]], atol=1e-12)


# ---- dtypes and rounding -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("operation", [mc.conv2d, mc.conv_transpose2d])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("algorithm", FOR_3X3)
def test_a_dtype_stays_what_it_is(algorithm, dtype, operation):
    arrays = [normal(shape, dtype=dtype) for shape in ((1, 4, 5, 2), (3, 3, 2, 2), (2,))]
    assert [a.dtype for a in run(operation, *arrays, padding=1, algorithm=algorithm)] == [dtype] * 4


@pytest.mark.parametrize("padding_mode", ["reflect", "replicate"])
def test_padding_modes_keep_float32(padding_mode):
    arrays = [normal(shape, dtype=np.float32) for shape in ((1, 4, 5, 2), (2, 3, 2, 2), (2,))]
    results = run(mc.conv2d, *arrays, stride=2, padding=1, padding_mode=padding_mode)
    assert [a.dtype for a in results] == [np.float32] * 4


@pytest.mark.parametrize("channels", [16, 64, 128])
@pytest.mark.parametrize("algorithm, error", [("im2col", 3e-6), ("winograd", 3e-5)])
def test_error_in_float32(algorithm, error, channels):
    """Against the same in float64, as part of the largest value: what a faster algorithm costs in digits."""
    x, weight = normal((2, 17, 22, channels), 1), normal((3, 3, channels, channels), 2) / np.sqrt(9 * channels)
    truth = run(mc.conv2d, x, weight, dy=normal((2, 17, 22, channels), 3), padding=1, algorithm="im2col")
    single = [a.astype(np.float32) for a in (x, weight, normal((2, 17, 22, channels), 3))]
    ours = run(mc.conv2d, *single[:2], dy=single[2], padding=1, algorithm=algorithm)
    for a, b in zip(ours, truth, strict=True):
        assert np.abs(a - b).max() <= error * np.abs(b).max()


# ---- what is computed, and what is kept ----------------------------------------------------------------------------

@pytest.fixture
def calls(monkeypatch):
    """Which of the three functions of an algorithm were called, in order."""
    called = []

    def counted(name, function):
        return lambda *arguments: called.append(name) or function(*arguments)
    for module, name in itertools.product((im2col, winograd), ("forward", "input_gradient", "weight_gradient")):
        monkeypatch.setattr(module, name, counted(name, getattr(module, name)))
    return called


@pytest.mark.parametrize("algorithm", ["im2col", "winograd"])
@pytest.mark.parametrize("trained, expected", [
    ("picture", "input_gradient"), ("weight", "weight_gradient"), ("bias", None)])
def test_only_what_is_wanted_is_computed(calls, algorithm, trained, expected):
    """A picture optimised through a frozen network costs no weight gradient, training the first layer no input gradient."""
    x, weight, bias = (mc.Tensor(normal(shape), requires_grad=name == trained) for name, shape in
                       (("picture", (1, 5, 5, 2)), ("weight", (3, 3, 2, 2)), ("bias", (2,))))
    y = mc.conv2d(x, weight, bias, algorithm=algorithm)
    assert calls == ["forward"]
    y.backward(np.ones((1, 3, 3, 2)))
    in_backward = set(calls[1:]) - {"forward"}           # an input gradient may be a convolution itself
    assert in_backward == ({expected} if expected else set())


def test_a_frozen_network_of_convolutions_computes_no_weight_gradient(calls):
    model = mc.Sequential(mc.Conv2d(3, 4, 3), mc.ReLU(), mc.Conv2d(4, 2, 3))
    x = mc.Tensor(normal((1, 8, 8, 3), dtype=np.float32), requires_grad=True)
    with model.frozen():
        model(x).backward(np.ones((1, 4, 4, 2), np.float32))
    assert x.grad is not None and calls == ["forward", "forward", "input_gradient", "input_gradient"]
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("operation, algorithm", [*itertools.product([mc.conv2d], FOR_3X3),
                                                  (mc.conv_transpose2d, "im2col")])
def test_a_frozen_convolution_keeps_no_picture(operation, algorithm):
    """Only the weight gradient needs the input; without one, feature maps are free as soon as nobody else wants them."""
    for frozen in (True, False):
        hidden = mc.Tensor(normal((1, 4, 4, 2)), requires_grad=True) + 1
        alive = weakref.ref(hidden.data)
        y = operation(hidden, mc.Tensor(normal((3, 3, 2, 2)), requires_grad=not frozen), algorithm=algorithm)
        del hidden
        assert (alive() is None) == frozen
        y.backward(np.ones(y.shape))
        assert alive() is None


@pytest.mark.parametrize("operation", [mc.conv2d, mc.conv_transpose2d])
@pytest.mark.parametrize("algorithm", FOR_3X3)
def test_no_array_is_modified(algorithm, operation):
    """Arrays that must not be written to are enough: a write would raise."""
    arrays = [normal(shape, i) for i, shape in enumerate([(2, 5, 4, 2), (3, 3, 2, 2), (2,), (2, 5, 4, 2)])]
    for array in arrays:
        array.flags.writeable = False
    *inputs, dy = arrays
    assert len(run(operation, *inputs, dy=dy, padding=1, algorithm=algorithm)) == 4


# ---- threads -------------------------------------------------------------------------------------------------------

HASHES = textwrap.dedent("""
    import hashlib
    import numpy as np
    import minicnn as mc
    rng = np.random.default_rng(0)
    cases = [("im2col", (5, 40, 40, 32), (3, 3, 32, 48), {}), ("im2col", (1, 64, 64, 32), (3, 3, 32, 48), {}),
             ("im2col", (9, 32, 32, 12), (5, 5, 4, 24), dict(groups=3, stride=2)),
             ("im2col", (300, 5, 5, 7), (3, 3, 7, 9), {}),
             ("im2col", (2, 64, 64, 64), (1, 1, 64, 100), {}), ("winograd", (5, 40, 40, 32), (3, 3, 32, 48), {}),
             ("winograd", (1, 100, 100, 64), (3, 3, 64, 64), {}), ("winograd", (40, 13, 9, 17), (3, 3, 17, 33), {}),
             ("winograd", (1, 20, 20, 200), (3, 3, 200, 150), {}), ("winograd", (1, 9, 30, 200), (3, 3, 200, 90), {}),
             ("winograd", (1, 100, 100, 24), (3, 3, 24, 32), {}), ("im2col", (20, 32, 32, 3), (3, 3, 3, 24), {}),
             ("depthwise", (6, 40, 40, 32), (3, 3, 1, 32), dict(groups=32)), ("depthwise", (1, 90, 90, 32), (3, 3, 1, 32),
                                                                              dict(groups=32, stride=2))]
    for algorithm, *shapes, options in cases:
        for dtype in (np.float32, np.float64):
            x, weight = (mc.Tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True) for shape in shapes)
            y = mc.conv2d(x, weight, padding=1, algorithm=algorithm, **options)
            y.backward(rng.standard_normal(y.shape).astype(dtype))
            print(algorithm, shapes, dtype.__name__,
                  *(hashlib.sha256(a.tobytes()).hexdigest() for a in (y.data, x.grad, weight.grad)))
""")


def test_results_do_not_depend_on_the_number_of_threads():
    """Bit for bit, forwards and both gradients: the same seed gives the same picture."""
    printed = [subprocess.run([sys.executable, "-c", HASHES], env={**os.environ, "MINICNN_THREADS": str(threads)},
                              capture_output=True, text=True, check=True).stdout.splitlines() for threads in (1, 2, 3)]
    assert len(printed[0]) == 28 and printed[0] == printed[1] == printed[2]


@pytest.mark.parametrize("algorithm", ["im2col", "winograd"])
def test_two_convolutions_at_once_do_not_disturb_each_other(algorithm):
    """Two threads of the caller: each has its own buffers.  Shapes differ, so a shared buffer would show at once."""
    jobs = [(normal((3, 9, 14, 6), i), normal((3, 3, 6, 5), i)) for i in (1, 2)]
    jobs.append((normal((1, 21, 8, 6), 3), normal((3, 3, 6, 5), 3)))
    alone = [run(mc.conv2d, *job, padding=1, algorithm=algorithm) for job in jobs]
    failures, start = [], threading.Barrier(len(jobs))

    def repeat(job, truth):
        start.wait()
        for _ in range(20):
            together = run(mc.conv2d, *job, padding=1, algorithm=algorithm)
            failures.extend(1 for a, b in zip(together, truth) if not np.allclose(a, b, rtol=0, atol=1e-11))
    threads = [threading.Thread(target=repeat, args=pair) for pair in zip(jobs, alone)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# ---- which algorithm -----------------------------------------------------------------------------------------------

def test_auto_does_not_transform_filters_for_a_handful_of_tiles():
    assert choose("conv2d", "auto", normal((8, 4, 4, 64)), (3, 3, 64, 128), Geometry(padding=(1, 1))) is im2col
    assert choose("conv2d", "auto", normal((128, 4, 4, 64)), (3, 3, 64, 128), Geometry(padding=(1, 1))) is winograd


@pytest.mark.parametrize("weight_shape, options, expected", [
    ((3, 3, 64, 128), dict(padding=1), winograd), ((3, 3, 64, 64), dict(padding=1), winograd),
    ((3, 3, 16, 16), dict(), winograd), ((3, 3, 64, 10), dict(), im2col), ((3, 3, 3, 64), dict(padding=1), im2col),
    ((1, 1, 32, 48), dict(), pointwise), ((1, 1, 32, 48), dict(stride=2), im2col), ((3, 3, 1, 32), dict(groups=32), depthwise),
    ((3, 3, 1, 32), dict(groups=32, stride=2), depthwise), ((3, 3, 1, 64), dict(groups=32), im2col),
    ((3, 3, 64, 64), dict(stride=2), im2col),
    ((3, 3, 64, 64), dict(dilation=2), im2col), ((3, 3, 64, 64), dict(groups=2), im2col),
    ((3, 3, 64, 64), dict(padding=3), im2col), ((5, 5, 64, 64), dict(), im2col), ((3, 1, 64, 64), dict(), im2col)])
def test_auto_takes_what_fits(weight_shape, options, expected):
    geometry = Geometry.of("conv2d", **{**dict(stride=1, padding=0, dilation=1, groups=1), **options})
    x = normal((2, 16, 16, weight_shape[2] * geometry.groups))
    assert choose("conv2d", "auto", x, weight_shape, geometry) is expected
    truth = mc.conv2d(x, normal(weight_shape, 1), algorithm="im2col", **options).data
    y = mc.conv2d(x, normal(weight_shape, 1), **options).data
    np.testing.assert_allclose(y, truth, rtol=0, atol=1e-10 * np.abs(truth).max())


@pytest.mark.parametrize("weight_shape, options", [
    ((3, 3, 4, 4), dict(stride=2)), ((3, 3, 4, 4), dict(dilation=2)), ((3, 3, 2, 4), dict(groups=2)),
    ((3, 3, 4, 4), dict(padding=3)), ((5, 5, 4, 4), dict())])
def test_winograd_is_refused_where_it_does_not_fit(weight_shape, options):
    with pytest.raises(ValueError, match=r"conv2d: winograd cannot do weight .*3x3, stride 1.* use algorithm='auto'"):
        mc.conv2d(normal((1, 8, 8, 4)), normal(weight_shape), algorithm="winograd", **options)


def test_the_choice_of_algorithm_belongs_to_the_operation_that_is_named():
    with pytest.raises(ValueError, match="conv2d: algorithm must be 'auto' or one of .*'winograd'.*, not 'fft'"):
        mc.conv2d(IMAGE, FILTER, algorithm="fft")
    with pytest.raises(ValueError, match="conv_transpose2d: winograd cannot do"):
        mc.conv_transpose2d(IMAGE, FILTER, algorithm="winograd")
    with pytest.raises(ValueError, match="mode must be one of .*, not 'circular'"):
        mc.conv2d(IMAGE, FILTER, padding=1, padding_mode="circular")


def test_within_exact_nothing_rounds_like_winograd():
    """Winograd's is not chosen there; asked for by name it still is, and elsewhere again."""
    x, geometry = normal((2, 16, 16, 128)), Geometry(padding=(1, 1))
    with mc.exact():
        assert choose("conv2d", "auto", x, (3, 3, 128, 128), geometry) is im2col
        assert choose("conv2d", "winograd", x, (3, 3, 128, 128), geometry) is winograd
    assert choose("conv2d", "auto", x, (3, 3, 128, 128), geometry) is winograd


# ---- the small ones, and what follows a convolution ----------------------------------------------------------------

@pytest.mark.parametrize("algorithm, weight_shape, options", [
    ("pointwise", (1, 1, 6, 5), dict()), ("depthwise", (3, 3, 1, 6), dict(groups=6, padding=1)),
    ("depthwise", (3, 2, 1, 6), dict(groups=6, stride=(2, 3), padding=(2, 1))),
    ("depthwise", (2, 3, 1, 6), dict(groups=6, dilation=2, padding=2))])
@pytest.mark.parametrize("size", [(1, 5, 7), (3, 9, 6), (2, 12, 17)])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_special_algorithms_against_the_definition(algorithm, weight_shape, options, size, activation):
    x, weight, bias = normal((*size, 6), 1), normal(weight_shape, 2), normal(weight_shape[3:], 3)
    options = dict(options, activation=activation)
    truth = run(mc.conv2d, x, weight, bias, algorithm="naive", **options)
    assert_close(run(mc.conv2d, x, weight, bias, algorithm=algorithm, **options), truth, 1e-11)


@pytest.mark.parametrize("algorithm", ["im2col", "winograd"])
@pytest.mark.parametrize("channels", [(3, 5), (5, 3), (70, 130)])
def test_activation_is_a_relu_behind_the_convolution(algorithm, channels):
    arrays = normal((2, 9, 10, channels[0]), 1), normal((3, 3, *channels), 2), normal(channels[1:], 3)

    def apart(*arrays, **options):
        return mc.relu(mc.conv2d(*arrays, **options))
    together = run(mc.conv2d, *arrays, padding=1, algorithm=algorithm, activation="relu")
    assert_close(together, run(apart, *arrays, padding=1, algorithm="im2col"), 1e-10)
    assert (together[0] >= 0).all() and (together[0] == 0).any()
    with pytest.raises(ValueError, match="conv2d: activation must be one of .*'relu'.*, not 'sine'"):
        mc.conv2d(*arrays, padding=1, activation="sine")


@pytest.mark.parametrize("stride, dilation, channels", [(1, 1, 3), (1, 1, 6), (1, 2, 3), (2, 1, 3), (2, 2, 6)])
def test_the_ways_of_im2col_to_the_input_gradient(monkeypatch, stride, dilation, channels):
    """By planes where there are few channels, as a convolution where the stride is 1, else tap by tap; blocks of any size."""
    arrays = normal((3, 11, 8, channels), 1), normal((3, 2, channels, 4), 2), normal((4,), 3)
    options = dict(stride=stride, dilation=dilation, padding=(2, 1), activation="relu")
    truth = run(mc.conv2d, *arrays, algorithm="naive", **options)
    for block_bytes in (1, 3000, 1 << 20):
        monkeypatch.setattr(tuning, "IM2COL_BLOCK_BYTES", block_bytes)
        assert_close(run(mc.conv2d, *arrays, algorithm="im2col", **options), truth, 1e-11)


@pytest.mark.parametrize("setting", [
    dict(WINOGRAD_TILE_WEIGHTS=100, WINOGRAD_BLOCK_BYTES=1), dict(WINOGRAD_PORTION=2),
    dict(WINOGRAD_PORTION=7, WINOGRAD_PARTS=1), dict(WINOGRAD_PARTS=50), dict(WINOGRAD_GRADIENT_BYTES=3000),
    dict(WINOGRAD_TILE_WEIGHTS=9, WINOGRAD_BLOCK_BYTES=1, WINOGRAD_GRADIENT_BYTES=3000), dict(BLAS_SMALL_PRODUCT=1000),
    dict(LARGEST=36000), dict(WINOGRAD_PORTION=2, WINOGRAD_BLOCK_BYTES=1), dict(WINOGRAD_MANY_TILES=1),
    dict(WINOGRAD_MANY_TILES=1, WINOGRAD_BLOCK_BYTES=1),
    dict(WINOGRAD_MANY_TILES=1, WINOGRAD_PORTION=2, WINOGRAD_PARTS=50)])
def test_every_way_through_winograd(monkeypatch, setting):
    arrays = normal((2, 13, 10, 5), 1), normal((3, 3, 5, 7), 2), normal((7,), 3)
    truth = run(mc.conv2d, *arrays, padding=1, activation="relu", algorithm="naive")
    for name, value in setting.items():
        monkeypatch.setattr(winograd if name == "LARGEST" else tuning, name, value)
    assert_close(run(mc.conv2d, *arrays, padding=1, activation="relu", algorithm="winograd"), truth, 1e-10)


@pytest.mark.parametrize("m", [4, 6])
def test_the_matrices_make_a_correlation_of_three_taps(m):
    """In one dimension, exactly:   A^T [(G w) * (B^T x)] = the m outputs of a correlation of m + 2 numbers with 3."""
    x, w = normal((m + 2,), 1), normal((3,), 2)
    y = winograd.A_T[m] @ ((winograd.G[m] @ w) * (winograd.B_T[m] @ x))
    np.testing.assert_allclose(y, np.correlate(x, w), rtol=1e-12)
    assert winograd.A_T[m][:, winograd.CONSTANT].tolist() == [1] * m


def test_large_tiles_where_there_are_many_and_they_fit():
    def side(*shape, padding=(1, 1)):
        return tiling.Tiling((*shape, 64), 64, padding).m
    assert side(1, 288, 288) == side(1, 106, 106) == side(8, 36, 36) == 6
    assert side(1, 36, 36) == 4                                  # 36 tiles of 8x8 are not many
    assert side(128, 32, 32) == side(128, 8, 8) == 4             # 6 divides neither: as many multiplications, or more


@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (2, 0), (1, 2)])
def test_large_tiles_on_sizes_that_they_do_not_divide(monkeypatch, padding):
    monkeypatch.setattr(tiling.Tiling, "_best_side", lambda self: 6)
    weight = normal((3, 3, 2, 3), 1)
    for H, W in [(3, 3), (3, 14), (6, 5), (7, 13), (12, 8), (19, 6)]:
        arrays = normal((2, H, W, 2)), weight
        truth = run(mc.conv2d, *arrays, padding=padding, algorithm="naive")
        assert_close(run(mc.conv2d, *arrays, padding=padding, algorithm="winograd"), truth, 1e-11)


@pytest.mark.parametrize("shape, weight_shape, options", [
    ((1, 5, 6, 8), (3, 3, 8, 6), dict(padding=1)), ((1, 7, 12, 9), (5, 3, 9, 7), dict(padding=(0, 1), stride=2)),
    ((1, 9, 9, 5), (3, 3, 5, 8), dict(padding=2, dilation=2)), ((2, 6, 6, 8), (3, 3, 8, 6), dict()),
    ((1, 6, 6, 8), (3, 3, 4, 6), dict(groups=2))])
def test_few_pixels_and_many_filters(monkeypatch, shape, weight_shape, options):
    """One product that the threads share, and a gradient in slices of the channels."""
    monkeypatch.setattr(tuning, "THREAD_PRODUCT", 1)
    arrays = normal(shape), normal(weight_shape, 1), normal(weight_shape[3:], 2)
    truth = run(mc.conv2d, *arrays, algorithm="naive", **options)
    assert_close(run(mc.conv2d, *arrays, algorithm="im2col", **options), truth, 1e-10)


# ---- errors --------------------------------------------------------------------------------------------------------

def error_of(operation, x_shape, weight_shape, bias_shape=None, error=ValueError, dtype=np.float64, **options):
    arrays = [np.zeros(x_shape, dtype), np.zeros(weight_shape)] + ([np.zeros(bias_shape)] if bias_shape else [])
    with pytest.raises(error) as caught:
        operation(*arrays, **options)
    return str(caught.value)


@pytest.mark.parametrize("arguments, parts", [
    (((8, 8, 3), (3, 3, 3, 4)), ["(N, H, W, C)", "(8, 8, 3)", "(kh, kw, C/groups, K)"]),
    (((1, 8, 8, 4), (3, 3, 3, 4)), ["(1, 8, 8, 4)", "4 channels", "(3, 3, 3, 4)", "groups=1 takes 3", "in/groups, out"]),
    (((1, 3, 8, 8), (3, 3, 3, 4)), ["(1, 3, 8, 8)", "8 channels", "images (N, H, W, C)"]),
    (((1, 8, 8, 4), (3, 3, 2, 5), None, dict(groups=2)), ["5 filters", "2 groups", "(3, 3, 2, 5)"]),
    (((1, 8, 8, 3), (3, 3, 3, 4), (3,)), ["bias (3,) should be (4,)", "(3, 3, 3, 4)"]),
    (((1, 4, 4, 3), (3, 3, 3, 4), None, dict(dilation=2)),
     ["(3, 3) spans (5, 5)", "dilation (2, 2)", "(4, 4)", "(0, 0)", "pad more"]),
    (((0, 4, 4, 3), (3, 3, 3, 4)), ["(0, 4, 4, 3)", "empty", "at least 1"]),
    (((1, 4, 4, 3), (3, 3, 3, 4), None, dict(stride=0)), ["stride", "from 1 on", "0, 1, 1"]),
    (((1, 4, 4, 3), (3, 3, 3, 4), None, dict(groups=1.5)), ["groups", "whole numbers", "1.5"]),
    (((1, 4, 4, 3), (3, 3, 3, 4), None, dict(stride=.5)), ["stride must be", "pair (rows, columns)", "0.5"]),
    (((1, 4, 4, 3), (3, 3, 3, 4), None, dict(padding=-1)), ["padding must be", "not negative", "-1"]),
    (((1, 4, 4, 3), (3, 3, 3, 4), None, dict(dilation=(1, 1, 1))), ["dilation must be", "(1, 1, 1)"])])
def test_conv2d_says_what_is_wrong(arguments, parts):
    *shapes, options = arguments if isinstance(arguments[-1], dict) else (*arguments, {})
    message = error_of(mc.conv2d, *shapes, **options)
    assert message.startswith("conv2d: ") and all(part in message for part in parts), message


@pytest.mark.parametrize("arguments, parts", [
    (((8, 8, 3), (3, 3, 4, 3)), ["(N, H, W, C)", "(8, 8, 3)", "(kh, kw, K/groups, C)"]),
    (((1, 8, 8, 4), (3, 3, 4, 3)), ["(1, 8, 8, 4) has 4 channels", "(3, 3, 4, 3) takes 3", "out/groups, in"]),
    (((1, 8, 8, 3), (3, 3, 4, 3), None, dict(groups=2)), ["3 channels", "2 groups"]),
    (((1, 8, 8, 3), (3, 3, 4, 3), (3,)), ["bias (3,) should be (4,)", "(3, 3, 4, 3)"]),
    (((1, 8, 8, 3), (3, 3, 4, 3), None, dict(stride=2, output_padding=2)),
     ["output_padding (2, 2)", "less than stride (2, 2)"]),
    (((1, 1, 1, 3), (3, 3, 4, 3), None, dict(padding=2)), ["padding (2, 2)", "(-1, -1)", "(1, 1)", "(3, 3)", "pad less"]),
    (((1, 8, 8, 3), (3, 3, 4, 3), None, dict(output_padding=-1)), ["output_padding must be", "-1"]),
    (((1, 8, 8, 3), (3, 3, 4, 3), None, dict(dilation=0)), ["dilation", "from 1 on"]),
    (((1, 8, 8, 0), (3, 3, 4, 0)), ["(1, 8, 8, 0)", "empty"])])
def test_conv_transpose2d_says_what_is_wrong(arguments, parts):
    *shapes, options = arguments if isinstance(arguments[-1], dict) else (*arguments, {})
    message = error_of(mc.conv_transpose2d, *shapes, **options)
    assert message.startswith("conv_transpose2d: ") and all(part in message for part in parts), message


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_pictures_of_another_dtype_than_the_weights(dtype):
    message = error_of(mc.conv2d, (1, 8, 8, 3), (3, 3, 3, 4), error=TypeError, dtype=dtype)
    assert f"conv2d: x (1, 8, 8, 3) is {np.dtype(dtype)}, weight (3, 3, 3, 4) is float64" in message
    assert "x.astype('float64')" in message


def test_a_pair_is_rows_and_columns():
    assert pair(2, "stride") == (2, 2) and pair([1, 2], "stride") == (1, 2)
    assert [type(v) for v in pair(np.int64(3), "stride")] == [int, int]
    y = mc.conv2d(np.zeros((1, 7, 7, 1)), np.zeros((1, 3, 1, 1)), stride=(2, 3), padding=(0, 1))
    assert y.shape == (1, 4, 3, 1)


# ---- modules -------------------------------------------------------------------------------------------------------

def test_conv2d_as_a_module():
    layer = mc.Conv2d(4, 6, (3, 5), stride=2, padding=(1, 2), groups=2, rng=0)
    assert {name: array.shape for name, array in layer.state_dict().items()} == {"weight": (3, 5, 2, 6), "bias": (6,)}
    assert not layer.bias.data.any() and repr(layer) == "Conv2d(4, 6, 3x5)"
    x = normal((2, 9, 8, 4), dtype=np.float32)
    y = layer(x)
    assert y.shape == (2, 5, 4, 6)
    truth = mc.conv2d(x, layer.weight, layer.bias, stride=2, padding=(1, 2), groups=2)
    np.testing.assert_array_equal(y.data, truth.data)
    assert layer.multiply_adds(x.shape, y.shape) == 5 * 4 * 6 * (3 * 5 * 2)
    np.testing.assert_array_equal(mc.Conv2d(4, 6, (3, 5), groups=2, rng=0).weight.data, layer.weight.data)


def test_conv_transpose2d_as_a_module():
    layer = mc.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False, rng=0)
    assert {name: array.shape for name, array in layer.state_dict().items()} == {"weight": (3, 3, 2, 6)}
    assert layer.bias is None and repr(layer) == "ConvTranspose2d(6, 4, 3x3)"
    x = normal((2, 5, 4, 6), dtype=np.float32)
    y = layer(x)
    assert y.shape == (2, 10, 8, 4)
    assert layer.multiply_adds(x.shape, y.shape) == 5 * 4 * 6 * (3 * 3 * 2)


@pytest.mark.parametrize("layer", [mc.Conv2d, mc.ConvTranspose2d])
def test_channels_that_do_not_split_into_groups(layer):
    with pytest.raises(ValueError, match=f"{layer.__name__}: 4 input and 6 output channels .* multiples of groups, 4"):
        layer(4, 6, 3, groups=4)
    with pytest.raises(ValueError, match=f"{layer.__name__}: kernel must be"):
        layer(4, 6, 2.5)


def test_naive_is_what_it_says_and_nothing_faster():
    """The oracle takes part in no shortcut: `auto` never picks it, and it shares no line with the algorithms it judges."""
    assert naive not in (choose("conv2d", "auto", IMAGE, shape, Geometry()) for shape in ((1, 1, 1, 1), (3, 3, 64, 64)))
    assert not {"im2col", "winograd", "pad_array", "in_parallel", "np"} & set(vars(naive))
