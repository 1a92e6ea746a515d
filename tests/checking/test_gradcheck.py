"""The checker is checked: right gradients pass, each planted mistake is rejected, and named where that is promised."""
import numpy as np
import pytest

import minicnn
import minicnn as mc
from minicnn.checking import samples
from minicnn.checking.gradcheck import GradientError, gradcheck
from minicnn.checking.samples import check_operation
from minicnn.core import arithmetic
from minicnn.core.tensor import Tensor, differentiable


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def mistake_found(function, *inputs, **options):
    """The message with which the checker rejects `function`."""
    with pytest.raises(GradientError) as caught:
        gradcheck(function, *inputs, **options)
    return str(caught.value)


@differentiable
def relu(x):
    return x * (x > 0), (lambda dy: dy * (x > 0),)


# ------------------------------------------------------------------------------------------ right gradients pass

RIGHT = {
    "polynomial": (lambda x: x * x * x - 2.0 * x + 1.0, [normal(3, 4)]),
    "matrix product": (lambda a, b: a @ b, [normal(3, 4), normal(4, 2)]),
    "broadcast sum": (lambda a, b, c: a + b * c, [normal(2, 3, 4), normal(3, 1), normal(4)]),
    "maximum away from ties": (lambda x: arithmetic.max(x, axis=1), [normal(3, 5)]),
    "an input used twice": (lambda x: x * arithmetic.exp(x) + x, [normal(5)]),
    "a view of its input": (lambda x: arithmetic.reshape(x, (6, 2)), [normal(3, 4)]),
    "its input": (lambda x: x, [normal(3, 4)]),
    "one number": (lambda x: arithmetic.mean(x * x), [normal(3, 4)]),
    "one number in": (lambda x: x * x, [np.array(1.5)]),
    "gradient that is zero": (lambda x: arithmetic.sum(x * 0.0), [normal(3)]),
    "large inputs": (lambda x: x * x, [1e5 * normal(3, 4)]),
    "small inputs": (lambda x: x * x, [1e-5 * normal(3, 4)]),
    "steep": (lambda x: 1e6 * arithmetic.exp(x), [normal(3, 4)]),
    "not contiguous": (lambda x: x * x, [normal(4, 3, 2).T]),
    "float32": (lambda x, y: x * y, [normal(3).astype(np.float32), normal(3).astype(np.float32)]),
    "an empty input": (lambda x, y: arithmetic.sum(x) + y, [normal(0, 3), normal(2)]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_pass(name):
    function, inputs = RIGHT[name]
    report = gradcheck(function, *inputs)
    assert report.error <= 1e-6 and report.kinks == 0
    assert [row.shape for row in report.inputs] == [x.shape for x in inputs]
    assert [row.checked for row in report.inputs] == [x.size for x in inputs]


def test_error_is_far_below_the_tolerance():
    assert gradcheck(lambda a, b: a @ b, normal(8, 8), normal(8, 8)).error < 1e-8


def test_the_cancelled_gradient_of_a_normalised_input_passes():
    """The offset before a batch norm has gradient zero; rounding alone must not be called an error, nor a kink."""
    def function(offset):
        y = normal(20, 3) + offset
        y = y - arithmetic.mean(y, axis=0)
        return y / arithmetic.sqrt(arithmetic.mean(y * y, axis=0))
    report = gradcheck(function, normal(3))
    assert report.error <= 1e-6 and report.kinks == 0


# ------------------------------------------------------------------------------------------ planted mistakes

def changed_in_one_element(dx):
    dx = dx.copy()
    dx[2, 1] *= 1.001
    return dx


def shifted(dx):
    moved = np.zeros_like(dx)
    moved[:, 1:] = dx[:, :-1]
    return moved


# What is wrong: (a rule for y = x^2 from x (4, 4) and dy, what the message must say)
MISTAKES = {
    "zero": (lambda x, dy: 0 * x, "zero everywhere"),
    "constant": (lambda x, dy: 0 * x + 1.5, "same number everywhere"),
    "wrong sign": (lambda x, dy: -2 * x * dy, "wrong sign"),
    "transposed": (lambda x, dy: (2 * x * dy).T, "transposed"),
    "factor 2": (lambda x, dy: 4 * x * dy, "constant factor: every element is 2 times"),
    "a forgotten 2": (lambda x, dy: x * dy, "every element is 1/2 times what it should be; scaled by N = 2, the 2 of"),
    "nearly right": (lambda x, dy: 2 * x * dy * (1 + 1e-5), "constant factor"),
    "scaled by the batch": (lambda x, dy: 2 * x * dy * 4, "scaled by N = 4, the length of axis 0 of the input"),
    "divided by the size": (lambda x, dy: 2 * x * dy / 16, "scaled by N = 16, the size of the input"),
    "deaf to dy": (lambda x, dy: 2 * x, "right only for an upstream gradient of ones"),
    "mean of dy": (lambda x, dy: 2 * x * dy.mean(), "right only for an upstream gradient of ones"),
    "mean of dy over the batch": (lambda x, dy: 2 * x * dy.mean(axis=0), "right only for an upstream gradient of ones"),
    "leak between images": (lambda x, dy: 2 * x * (dy + .01 * np.roll(dy, 1, axis=0)), "is wrong at"),
    "sign of dy lost": (lambda x, dy: 2 * x * abs(dy), "is wrong at"),
    "one element": (lambda x, dy: changed_in_one_element(2 * x * dy), "wrong at [2, 1]"),
    "off by one, wrapped": (lambda x, dy: np.roll(2 * x * dy, 1, axis=1), "shifted by 1 along axis 1"),
    "off by one": (lambda x, dy: shifted(2 * x * dy), "shifted by 1 along axis 1"),
    "flipped": (lambda x, dy: (2 * x * dy)[::-1], "flipped along axis 0"),
    "turned by 180 degrees": (lambda x, dy: (2 * x * dy)[::-1, ::-1], "flipped along axes 0 and 1"),
    "not a number": (lambda x, dy: x * np.nan, "NaN"),
}


def square_with(rule):
    @differentiable
    def square(x):
        return x * x, (lambda dy: rule(x, dy),)
    return square


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("seed", [0, 1])
def test_planted_mistake_is_rejected_and_named(name, seed):
    rule, hint = MISTAKES[name]
    message = mistake_found(square_with(rule), normal(4, 4, seed=seed), seed=seed)
    assert hint in message and message.startswith("square: ")
    assert "kink" not in message


@pytest.mark.parametrize("name", sorted(set(MISTAKES) - {"one element"}))
def test_a_sample_of_the_elements_is_enough(name):
    mistake_found(square_with(MISTAKES[name][0]), normal(4, 4), samples=6)


def test_the_mended_rule_passes():
    assert gradcheck(square_with(lambda x, dy: 2 * x * dy), normal(4, 4)).error < 1e-8


def test_message_tells_where_and_how_much():
    message = mistake_found(square_with(lambda x, dy: changed_in_one_element(2 * x * dy)), normal(4, 4))
    assert "the gradient of x (4, 4) is wrong at [2, 1]: analytic " in message and ", numeric " in message
    assert "relative error 1.0e-03" in message and "1 of 16 elements" in message and "only this element" in message


def convolution_with(write):
    """A one-channel convolution with stride, whose input gradient goes through `write(dx, where, patch)`."""
    @differentiable
    def convolution(x, weight, stride=1):
        kh, kw = weight.shape
        windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape)[::stride, ::stride]   # (OH, OW, kh, kw)

        def grad_x(dy):
            dx = np.zeros_like(x)
            for i, j in np.ndindex(dy.shape):
                write(dx, (slice(i * stride, i * stride + kh), slice(j * stride, j * stride + kw)), dy[i, j] * weight)
            return dx
        return np.tensordot(windows, weight, 2), (grad_x, lambda dy: np.tensordot(dy, windows, 2))
    return convolution


def add_patch(dx, where, patch):
    dx[where] += patch


def overwrite_patch(dx, where, patch):
    dx[where] = patch


@pytest.mark.parametrize("size, stride", [((5, 6), 1), ((7, 7), 2), ((1, 9), 2)])
def test_equals_for_plus_equals_in_col2im(size, stride):
    inputs = [normal(*size), normal(min(size[0], 3), 3)]
    assert gradcheck(lambda x, w: convolution_with(add_patch)(x, w, stride), *inputs).error < 1e-7
    message = mistake_found(lambda x, w: convolution_with(overwrite_patch)(x, w, stride), *inputs)
    assert "some elements right" in message and "`=` where `+=` is needed" in message


def test_overlap_does_not_matter_where_there_is_none():
    """With a stride as large as the kernel `=` is right, and so it must pass."""
    function = lambda x, w: convolution_with(overwrite_patch)(x, w, 3)
    assert gradcheck(function, normal(6, 6), normal(3, 3)).error < 1e-7


@pytest.mark.parametrize("rule, hint", [
    (lambda dy: dy, "missing sum over a broadcast axis"),
    (lambda dy: dy[0], "missing sum over a broadcast axis: this is what element 0 of the output's axis 0 gives alone"),
    (lambda dy: dy[-1], "missing sum over a broadcast axis: this is what element 4 of the output's axis 0 gives alone"),
    (lambda dy: dy.mean(axis=0), "constant factor: every element is 1/5 times what it should be; scaled by N = 5, "
                                 "the length of axis 0 of the output"),
], ids=["whole dy", "first row", "last row", "mean for sum"])
def test_missing_sum_over_a_broadcast_axis(rule, hint):
    @differentiable
    def add_row(x, row):
        return x + row, (lambda dy: dy, rule)
    message = mistake_found(add_row, normal(5, 3), normal(3))
    assert hint in message and "add_row" in message


def test_softmax_right_only_for_ones():
    """For dy = 1 the gradient of softmax is zero; this rule says zero for every dy, up to rounding."""
    @differentiable
    def softmax(x):
        y = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
        return y, (lambda dy: y * (dy.mean() - (dy.mean() * y).sum(axis=1, keepdims=True)),)
    mistake_found(softmax, normal(3, 4))


def test_a_mistake_in_the_second_input_only():
    @differentiable
    def product(a, b):
        return a * b, (lambda dy: dy * b, lambda dy: dy * b)
    message = mistake_found(product, normal(4), normal(4, seed=1))
    assert "the gradient of b (4,)" in message


def test_no_gradient_arrives():
    @differentiable
    def scale(x, factor):
        return x * factor, (lambda dy: dy * factor,)                    # no rule for factor
    assert "no gradient arrived" in mistake_found(scale, normal(3), normal(3))
    assert "no gradient arrived" in mistake_found(lambda x: x.detach() * 2.0, normal(3))


def test_the_error_is_an_assertion_error():
    assert issubclass(GradientError, AssertionError)


# ------------------------------------------------------------------------------------------ kinks

def test_relu_at_zero_is_reported_as_kink():
    x = normal(3, 4)
    x[1, 2] = 0
    report = gradcheck(relu, x)
    assert (report.inputs[0].checked, report.inputs[0].kinks) == (11, 1)


@pytest.mark.parametrize("distance", [s * d for d in np.geomspace(1e-9, 1e-5, 60) for s in (1, -1)])
def test_a_kink_at_any_distance_is_no_error(distance):
    """Nearer than the step it falsifies the difference: by little where it is far, and just there it must be seen."""
    gradcheck(relu, np.array([1.0, distance, -1.0]))


@pytest.mark.parametrize("distance", [3e-6, 1e-5, -3e-6])
def test_a_wrong_gradient_near_a_kink_is_not_excused(distance):
    @differentiable
    def relu_wrong_near_zero(x):
        y, (right,) = x * (x > 0), (lambda dy: dy * (x > 0),)
        return y, (lambda dy: right(dy) + .01 * dy * (abs(x) < 1e-4),)
    assert "kink" not in mistake_found(relu_wrong_near_zero, np.array([1.0, distance, -1.0, 2.0]))


def test_a_wrong_gradient_beside_kinks_is_not_excused():
    @differentiable
    def wrong_relu(x):
        return x * (x > 0), (lambda dy: 1.00001 * dy * (x > 0),)
    assert "2 of 2 elements are wrong" in mistake_found(wrong_relu, np.array([0.0, 1.0, 2.0, 0.0]))


def test_a_jump_does_not_set_the_scale_for_the_others():
    """At a step the difference is huge; errors of the other elements must not vanish beside it."""
    @differentiable
    def with_step(x):
        return x * x + 1e6 * (x > 0), (lambda dy: 2.001 * x * dy,)
    assert "3 of 3 elements are wrong" in mistake_found(with_step, np.array([0.0, -1.0, -2.0, -3.0]))


def test_a_wild_gradient_is_not_taken_for_a_kink():
    """Whatever the rule returns: the function is smooth, so it is the rule that is wrong."""
    for wild in (1e300, -1e300, 1e-300):
        assert "kink" not in mistake_found(square_with(lambda x, dy: 0 * x + wild), normal(2, 3))


def test_ties_of_max():
    x = np.array([[1.0, 3.0, 3.0], [4.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    assert gradcheck(lambda x: arithmetic.max(x, axis=1), x).kinks == 2


def test_too_many_kinks_fail():
    message = mistake_found(relu, np.array([0.0, 0.0, 1.0]))
    assert "hit a kink at 2 of 3 elements of x" in message
    assert gradcheck(relu, np.array([0.0, 0.0, 1.0]), kinks_allowed=0.7).kinks == 2


def test_the_edge_of_a_domain_is_a_kink():
    assert gradcheck(lambda x: arithmetic.clip(x, low=0.0) * x, np.array([0.0, 1.0, 2.0])).error < 1e-6
    assert gradcheck(arithmetic.log, np.array([1e-7, 1.0, 2.0])).kinks == 1


# ------------------------------------------------------------------------------------------ what hides a gradient

def test_random_functions_are_refused():
    rng = np.random.default_rng(0)
    message = mistake_found(lambda x: x * rng.random(3), normal(3))
    assert "fix the seed" in message


def test_modified_inputs_are_refused():
    @differentiable
    def in_place(x):
        x *= 2
        return x.copy(), (lambda dy: 2 * dy,)

    @differentiable
    def later(x):
        def grad_x(dy):
            x[0] = 0
            return 2 * dy
        return 2 * x, (grad_x,)
    assert "the forward pass modified its input x" in mistake_found(in_place, normal(3))
    assert "a gradient rule modified an array of the forward pass" in mistake_found(later, normal(3))


def test_modified_dy_is_refused():
    @differentiable
    def double(x):
        def grad_x(dy):
            dy *= 2
            return dy
        return 2 * x, (grad_x,)
    assert "modified dy" in mistake_found(double, normal(3))


kept = {}                                         # where a rule may find arrays that nobody holds


class Remembering(mc.Module):
    def forward(self, x):
        return self.squared(x)

    @differentiable
    def squared(self, x):
        self.x = x
        return x * x, (None, lambda dy: 2 * self.x * dy)


@differentiable
def through_a_global(x):
    kept["x"] = x
    return x * x, (lambda dy: 2 * kept["x"] * dy,)


@differentiable
def through_a_generator(x):
    later = (2 * x * number for number in [1])
    return x * x, (lambda dy: next(later) * dy,)


@differentiable
def through_a_view_of_its_memory(x, y):
    seen = np.asarray(memoryview(y))
    return x * y, (lambda dy: dy * seen, lambda dy: dy * x)


@pytest.mark.parametrize("function, name, inputs", [
    (Remembering(), "input 0", 1), (through_a_global, "x", 1), (through_a_generator, "x", 1),
    (through_a_view_of_its_memory, "y", 2)], ids=["Module", "global", "generator", "memoryview"])
def test_a_rule_that_reads_an_input_which_nobody_holds_is_refused(function, name, inputs):
    """What core/locks.py says that it leaves open."""
    message = mistake_found(function, *(normal(3, seed=seed) for seed in range(inputs)))
    assert f"changes when its input {name} is written over between the forward pass and backward()" in message
    assert "let the rule use the function's own variable, or a copy of it" in message and "\n" not in message
    assert message.startswith(getattr(function, "__name__", "Remembering"))


def test_a_rule_that_keeps_a_copy_passes():
    @differentiable
    def square(x):
        kept["x"] = x.copy()
        return x * x, (lambda dy: 2 * kept["x"] * dy,)
    assert gradcheck(square, normal(3)).error < 1e-7


def test_float32_inside_is_refused():
    @differentiable
    def short(x):
        return x.astype(np.float32), (lambda dy: dy.astype(np.float64),)

    @differentiable
    def short_gradient(x):
        return 2 * x, (lambda dy: 2 * dy.astype(np.float32),)

    @differentiable
    def short_inside(x):
        return (x.astype(np.float32) ** 2).astype(np.float64), (lambda dy: 2 * x * dy,)
    assert "the output is float32" in mistake_found(short, normal(3))
    assert "the gradient of x is float32" in mistake_found(short_gradient, normal(3))
    assert "float32 inside" in mistake_found(short_inside, normal(3))


def test_infinite_outputs_are_refused():
    with np.errstate(divide="ignore"):
        assert "NaN or an infinity" in mistake_found(arithmetic.log, np.array([0.0, 1.0]))


def test_nothing_to_check():
    with pytest.raises(TypeError, match="none of its 1 inputs is a floating array"):
        gradcheck(lambda x: Tensor(np.zeros(2)), np.arange(3))
    with pytest.raises(TypeError, match="must return one Tensor, not tuple"):
        gradcheck(lambda x: (x * 2.0, None), normal(3))


# ------------------------------------------------------------------------------------------ arguments and report

def test_other_arguments_are_passed_on():
    @differentiable
    def pick(x, index, factor):
        def grad_x(dy):
            dx = np.zeros_like(x)
            np.add.at(dx, index, factor * dy)
            return dx
        return factor * x[index], (grad_x,)
    report = gradcheck(pick, normal(4), np.array([0, 2, 2]), 3.0)
    assert [row.name for row in report.inputs] == ["x"]


def test_the_inputs_of_the_caller_stay_as_they_are():
    array, leaf = normal(3), Tensor(normal(3).astype(np.float32), requires_grad=True)
    before = array.copy(), leaf.data.copy()
    report = gradcheck(lambda a, b: a * b, array, leaf)
    assert (array == before[0]).all() and (leaf.data == before[1]).all()
    assert leaf.data.dtype == np.float32 and leaf.grad is None and len(report.inputs) == 2


def test_samples_limit_the_elements():
    report = gradcheck(lambda x, b: x * b, normal(10, 10), normal(3, 1, 1), samples=7)
    assert [row.checked for row in report.inputs] == [7, 3]


def test_the_seed_decides():
    def error(seed):
        return gradcheck(lambda x: x * x * x, normal(10, 10), samples=5, seed=seed).error
    assert error(3) == error(3) != error(4)


def test_report_is_a_table():
    lines = str(gradcheck(relu, np.array([0.0, 1.0, 2.0]))).splitlines()
    assert lines[0] == "relu: gradients agree with central differences"
    assert lines[2].split() == ["x", "(3,)", "2", "1", "0.0e+00"]


def test_names_of_parameters_without_names():
    report = gradcheck(lambda *parts: arithmetic.concatenate(parts), normal(2), normal(3))
    assert [row.name for row in report.inputs] == ["input 0", "input 1"]


# ------------------------------------------------------------------------------------------ from the shell

@pytest.mark.parametrize("name", samples.SAMPLES)
def test_every_public_operation(name):
    text, ok = check_operation(name, vars(minicnn), elements=20)
    assert ok, text


def test_a_broken_operation_is_shown(monkeypatch):
    @differentiable
    def exp(x):
        return np.exp(x), (lambda dy: 2 * dy * np.exp(x),)
    monkeypatch.setattr("minicnn.exp", exp, raising=False)
    text, ok = check_operation("exp", vars(minicnn))
    assert not ok and "exp: 4 of 4 samples FAILED" in text and "every element is 2 times" in text


def test_unknown_operation():
    with pytest.raises(ValueError, match="no operation 'conv3d' to check: name one of your own as file.py:function, or one of abs, .*conv2d"):
        check_operation("conv3d", vars(minicnn))


OWN_FILE = """
import numpy as np
from minicnn import differentiable

@differentiable
def product(x, weight, power=2):
    return x * weight ** power, (lambda dy: dy * weight ** power, lambda dy: dy * x * power * weight ** (power - 1))

@differentiable
def broken(x, weight):
    return x * weight, (lambda dy: dy * weight, lambda dy: -dy * x)

@differentiable
def outer(a, b):
    return np.outer(a, b), (lambda dy: dy @ b, lambda dy: a @ dy)

outer.samples = [(np.ones(3), np.arange(4.0)), (np.ones(1), np.ones(1))]

def everything_given(x=None):
    return x
"""


@pytest.fixture
def own_file(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN_FILE)
    return path


def test_function_of_a_file(own_file):
    text, ok = check_operation(f"{own_file}:product", vars(minicnn))
    assert ok and "product: all gradients right in 1 samples" in text
    assert "random arrays of shape (2, 3) for x, weight" in text


def test_broken_function_of_a_file(own_file):
    text, ok = check_operation(f"{own_file}:broken", vars(minicnn))
    assert not ok and "the gradient of weight (2, 3) is wrong" in text and "wrong sign" in text


def test_samples_of_a_function(own_file):
    text, ok = check_operation(f"{own_file}:outer", vars(minicnn))
    assert ok and "samples[1]" in text and "(4,)" in text and "random" not in text


def test_samples_of_a_file(own_file):
    own_file.write_text(OWN_FILE + "samples = [(np.ones(5), np.full(5, 2.0)), np.ones(2)]\n")
    text, ok = check_operation(f"{own_file}:outer", vars(minicnn))
    assert ok and "(3,)" in text, "the function's own samples come first"
    with pytest.raises(ValueError, match=r"product cannot be called with sample 'samples\[1\]', inputs \(2,\): Type"):
        check_operation(f"{own_file}:product", vars(minicnn))


def test_files_beside_it_can_be_imported(own_file):
    beside = own_file.with_name("uses_own_file_beside_it.py")
    beside.write_text("from own import product\n")
    assert check_operation(f"{beside}:product", vars(minicnn))[1]


@pytest.mark.parametrize("function, complaint", [
    (":nothing", "has no function 'nothing'; it has product, broken, outer, everything_given"),
    ("", "needs the name of a function"),
    (":everything_given", "no inputs can be invented"),
])
def test_functions_that_cannot_be_checked(own_file, function, complaint):
    with pytest.raises(ValueError, match=complaint):
        check_operation(f"{own_file}{function}", vars(minicnn))


def test_files_that_cannot_be_run(tmp_path, own_file):
    with pytest.raises(FileNotFoundError, match="no file .*missing.py"):
        check_operation(f"{tmp_path / 'missing.py'}:f", vars(minicnn))
    own_file.write_text("def f(:\n")
    with pytest.raises(ValueError, match="own.py cannot be run: SyntaxError"):
        check_operation(f"{own_file}:f", vars(minicnn))
    own_file.write_text("samples = []\ndef f(x): return x\n")
    with pytest.raises(ValueError, match="samples must be a list of tuples of arrays"):
        check_operation(f"{own_file}:f", vars(minicnn))
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(ValueError, match="must end in .py"):
        check_operation(f"{text}:f", vars(minicnn))


def test_a_function_without_decorator_says_so(own_file):
    own_file.write_text("def f(x): return x.data * 2, (lambda dy: 2 * dy,)\n")
    with pytest.raises(ValueError, match="decorate an operation on arrays with @differentiable"):
        check_operation(f"{own_file}:f", vars(minicnn))
