"""Optimizers, schedules, clipping and averages: what they promise, without PyTorch."""
import math

import numpy as np
import pytest
from safetensors.numpy import load, save

import minicnn.core.arithmetic  # noqa: F401  gives tensors their operators
from minicnn import optim
from minicnn.core import tuning
from minicnn.core.tensor import Tensor, check_finite, tensor
from minicnn.optim.line_search import Point

OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, .02),
    "momentum": lambda p: optim.SGD(p, .02, momentum=.9, weight_decay=.01),
    "Nesterov": lambda p: optim.SGD(p, .02, momentum=.9, nesterov=True),
    "Adam": lambda p: optim.Adam(p, .05),
    "AdamW": lambda p: optim.AdamW(p, .05),
    "LBFGS": lambda p: optim.LBFGS(p, max_iter=2, history=3),
    "LBFGS without line search": lambda p: optim.LBFGS(p, .2, max_iter=2, history=3, line_search=None),
}
every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)


def leaves(dtype="float64"):
    rng = np.random.default_rng(1)
    return [tensor(rng.normal(size=shape).astype(dtype), requires_grad=True) for shape in ((3, 4), (4,), ())]


def loss_of(weight, bias, scale):
    x = np.linspace(-1, 1, 15, dtype=weight.dtype).reshape(5, 3)
    y = x @ weight + bias
    return (y ** 2 + (y - 1) ** 4 * .1).mean() + (scale - 2.) ** 2


def run(optimizer, parameters, steps):
    def closure():
        optimizer.zero_grad()
        loss = loss_of(*parameters)
        loss.backward()
        return loss
    for _ in range(steps):
        if isinstance(optimizer, optim.LBFGS):
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()


# ---- what all of them promise --------------------------------------------------------------------------------------

@every_optimizer
def test_the_loss_goes_down(make):
    parameters = leaves()
    before = loss_of(*parameters).item()
    run(make(parameters), parameters, 20)
    assert loss_of(*parameters).item() < .8 * before


@every_optimizer
def test_arrays_are_changed_in_place(make):
    parameters = leaves()
    arrays = [p.data for p in parameters]
    before = [array.copy() for array in arrays]
    run(make(parameters), parameters, 2)
    for parameter, array, old in zip(parameters, arrays, before):
        assert parameter.data is array
        assert (array != old).all()


@every_optimizer
def test_float32_stays_float32(make):
    parameters = leaves("float32")
    optimizer = make(parameters)
    optimizer.lr = np.float64(.01)                          # as a schedule written with NumPy gives it
    run(optimizer, parameters, 3)
    assert {p.dtype for p in parameters} == {np.dtype("float32")}
    floating = [array.dtype for array in optimizer.state_dict().values() if array.dtype != np.int64]
    assert set(floating) <= {np.dtype("float32")}


@every_optimizer
def test_gradients_are_not_modified(make):
    parameters = leaves()
    optimizer = make(parameters)
    gradients = [np.full(p.shape, .3) for p in parameters]

    def closure():
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient
        return tensor(1.)
    if isinstance(optimizer, optim.LBFGS):
        optimizer.step(closure)
    else:
        for _ in range(3):
            closure()
            optimizer.step()
    assert all((gradient == .3).all() for gradient in gradients)


@every_optimizer
def test_a_restored_state_goes_on_bit_for_bit(make):
    """Weights and state go through a safetensors file into new tensors and a new optimizer."""
    parameters = leaves()
    optimizer = make(parameters)
    run(optimizer, parameters, 4)
    weights = [p.data.copy() for p in parameters]
    state = load(save(optimizer.state_dict()))
    run(optimizer, parameters, 5)

    others = [Tensor(w, requires_grad=True) for w in weights]
    resumed = make(others)
    resumed.load_state_dict(state)
    run(resumed, others, 5)
    for a, b in zip(parameters, others):
        np.testing.assert_array_equal(a.data, b.data)
    for name, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, resumed.state_dict()[name])


@pytest.mark.parametrize("name", ["momentum", "Nesterov", "Adam", "AdamW", "LBFGS"])
def test_without_its_state_a_run_goes_on_differently(name):
    """Or the test above would prove nothing."""
    parameters = leaves()
    optimizer = OPTIMIZERS[name](parameters)
    run(optimizer, parameters, 4)
    others = [tensor(p, requires_grad=True) for p in parameters]
    run(optimizer, parameters, 2)
    run(OPTIMIZERS[name](others), others, 2)
    assert (parameters[0].data != others[0].data).any()


@every_optimizer
def test_the_state_is_a_copy(make):
    parameters = leaves()
    optimizer = make(parameters)
    run(optimizer, parameters, 2)
    state = optimizer.state_dict()
    kept = {name: array.copy() for name, array in state.items()}
    run(optimizer, parameters, 2)
    assert all((state[name] == kept[name]).all() for name in state)


@pytest.mark.parametrize("name", ["momentum", "Adam", "LBFGS"])
@pytest.mark.parametrize("shapes, message", [
    ([(3, 4), (4,)], "another number of parameters"),
    ([(3, 4), (4,), (), (2,)], "another number of parameters"),
    ([(4, 3), (4,), ()], r"shape \(.*3, 4\).*needs \(.*4, 3\)")], ids=["fewer", "more", "other shape"])
def test_a_state_of_other_parameters_is_refused(name, shapes, message):
    parameters = leaves()
    saved = OPTIMIZERS[name](parameters)
    run(saved, parameters, 3)
    optimizer = OPTIMIZERS[name]([Tensor(np.zeros(shape), requires_grad=True) for shape in shapes])
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(saved.state_dict())
    after = optimizer.state_dict()
    assert all((before[key] == after[key]).all() for key in before)


def test_a_state_of_another_optimizer_is_refused():
    with pytest.raises(ValueError, match="SGD: .*another optimizer.*missing: momentum.0.*not expected: count.0"):
        OPTIMIZERS["momentum"](leaves()).load_state_dict(OPTIMIZERS["Adam"](leaves()).state_dict())


@pytest.mark.parametrize("name", ["SGD", "momentum", "Adam", "AdamW"])
def test_parameters_without_gradient_are_skipped(name):
    parameters = leaves()
    before = parameters[0].data.copy()
    optimizer = OPTIMIZERS[name](parameters)
    parameters[1].grad = np.ones(4)
    optimizer.step()
    np.testing.assert_array_equal(parameters[0].data, before)
    assert all((array == 0).all() for key, array in optimizer.state_dict().items() if key.endswith(".0"))
    assert (parameters[1].data != leaves()[1].data).all()


def test_zero_grad():
    parameters = leaves()
    optimizer = optim.SGD(parameters, .1)
    loss_of(*parameters).backward()
    assert all(p.grad is not None for p in parameters)
    optimizer.zero_grad()
    assert all(p.grad is None for p in parameters)


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW, optim.LBFGS])
def test_bad_parameters_and_learning_rates(kind):
    x = tensor(np.ones(3), requires_grad=True)
    for lr in (0, -.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="lr must be"):
            kind([x], lr=lr)
    for parameters, error, message in (([], ValueError, "empty"), (x, TypeError, r"write \[x\]"),
                                       ([x, np.ones(3)], TypeError, "parameter 1 is a ndarray"),
                                       ([x, x * 2], ValueError, r"parameter 1 of shape \(3,\) is the result"),
                                       ([tensor(np.ones(3))], ValueError, "requires_grad=True"),
                                       ([x, x], ValueError, "twice")):
        with pytest.raises(error, match=message):
            kind(parameters, lr=.1)


@pytest.mark.parametrize("make, message", [
    (lambda p: optim.SGD(p, .1, momentum=1), "momentum must be"),
    (lambda p: optim.SGD(p, .1, nesterov=True), "nesterov"),
    (lambda p: optim.SGD(p, .1, weight_decay=-1), "weight_decay"),
    (lambda p: optim.Adam(p, betas=(.9, 1.)), "betas"),
    (lambda p: optim.Adam(p, eps=0), "eps"),
    (lambda p: optim.AdamW(p, weight_decay=-1), "AdamW: weight_decay"),
    (lambda p: optim.LBFGS(p, max_iter=0), "max_iter"),
    (lambda p: optim.LBFGS(p, history=0), "history"),
    (lambda p: optim.LBFGS(p, max_evaluations=0), "max_evaluations"),
    (lambda p: optim.LBFGS(p, line_search="armijo"), "line_search"),
    (lambda p: setattr(optim.SGD(p, .1), "lr", -1.), "lr must be"),
    (lambda p: optim.WeightAverage(p, 1.), "decay"),
    (lambda p: optim.clip_grad_norm(p, 0), "max_norm"),
    (lambda p: optim.clip_grad_value(p, -1), "limit")])
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make(leaves())


def test_an_optimizer_of_ones_own():
    class SignDescent(optim.Optimizer):
        def update(self, i, weight, gradient):
            weight -= self.lr * np.sign(gradient)
    x = tensor(np.zeros(3), requires_grad=True)
    x.grad = np.array([5., -.1, 0.])
    SignDescent([x], .5).step()
    np.testing.assert_array_equal(x.data, [-.5, .5, 0])


@every_optimizer
def test_an_array_that_a_graph_still_needs_is_not_changed(make):
    parameters = leaves()
    optimizer = make(parameters)
    before = [p.data.copy() for p in parameters]

    def closure():
        for p in parameters:
            p.grad = np.ones(p.shape)
        return tensor(1.)
    closure()
    parameters[1].data.flags.writeable = False
    with pytest.raises(RuntimeError, match=r"parameter 1 of shape \(4,\) cannot be changed: it is still needed by a graph "
                                           r".*call backward\(\) before step\(\).*no_grad\(\) or detach\(\)"):
        optimizer.step(closure) if isinstance(optimizer, optim.LBFGS) else optimizer.step()
    for p, old in zip(parameters, before):
        np.testing.assert_array_equal(p.data, old)


@pytest.mark.parametrize("name", ["SGD", "momentum", "Adam", "AdamW"])
def test_a_gradient_of_another_shape_is_refused(name):
    parameters = leaves()
    parameters[0].grad = np.ones((4, 3))
    with pytest.raises(ValueError, match=r"parameter 0 of shape \(3, 4\) has a gradient of shape \(4, 3\)"):
        OPTIMIZERS[name](parameters).step()


# ---- large arrays, in blocks ---------------------------------------------------------------------------------------

def large_run(make, order="C"):
    """Weights and state after three steps with drawn gradients: a few hundred numbers, clipped, stepped and averaged."""
    rng = np.random.default_rng(2)
    shapes = (17, 23), (40,)
    parameters = [Tensor(rng.normal(size=s).astype(np.float32).copy(order), requires_grad=True) for s in shapes]
    optimizer, average = make(parameters), optim.WeightAverage(parameters, .9)

    def closure():
        for p in parameters:
            p.grad = (p.data + rng.normal(size=p.shape).astype(np.float32)).copy(order)
        optim.clip_grad_norm(parameters, 5)
        return tensor(float(sum((p.data ** 2).sum() for p in parameters)))
    for _ in range(3):
        closure()
        optimizer.step(*[closure] if isinstance(optimizer, optim.LBFGS) else [])
        average.update()
    return {**optimizer.state_dict(), **average.state_dict(), **{f"weight.{i}": p.data for i, p in enumerate(parameters)}}


def require_equal(state, other):
    assert state.keys() == other.keys()
    for name in state:
        np.testing.assert_array_equal(state[name], other[name], err_msg=name)


@every_optimizer
def test_results_do_not_depend_on_the_number_of_threads(make, monkeypatch, threads):
    monkeypatch.setattr(tuning, "OPTIMIZER_BLOCK", 32)
    threads(1)
    once = large_run(make)
    assert any(abs(array).max() > .1 for array in once.values())
    for count in (2, 3):
        threads(count)
        require_equal(large_run(make), once)


@pytest.mark.parametrize("name", ["SGD", "momentum", "Nesterov", "Adam", "AdamW"])
def test_blocks_and_the_order_in_memory_make_no_difference(name, monkeypatch):
    """But for the norm that clips, whose partial sums are those of the blocks: here it has none to clip by."""
    monkeypatch.setattr("minicnn.optim.clip_grad_norm", lambda parameters, norm: None)
    whole = large_run(OPTIMIZERS[name])
    monkeypatch.setattr(tuning, "OPTIMIZER_BLOCK", 32)
    require_equal(large_run(OPTIMIZERS[name]), whole)
    require_equal(large_run(OPTIMIZERS[name], order="F"), whole)


def test_a_gradient_may_lie_otherwise_in_memory_than_its_parameter(monkeypatch):
    monkeypatch.setattr(tuning, "OPTIMIZER_BLOCK", 8)
    x = tensor(np.zeros((5, 7)), requires_grad=True)
    x.grad = np.arange(35.).reshape(7, 5).T
    optim.SGD([x], 1.).step()
    np.testing.assert_array_equal(x.data, -x.grad)


def test_the_norm_over_blocks(monkeypatch):
    monkeypatch.setattr(tuning, "OPTIMIZER_BLOCK", 8)
    x, y = (tensor(np.zeros(shape), requires_grad=True) for shape in ((5, 7), (3,)))
    x.grad, y.grad = np.arange(35.).reshape(7, 5).T, np.ones(3)
    assert optim.clip_grad_norm([x, y], 1e9) == pytest.approx(math.sqrt(sum(i * i for i in range(35)) + 3), rel=1e-15)


# ---- L-BFGS --------------------------------------------------------------------------------------------------------

def counted(loss_function, counter):
    """A closure that leaves the zeroing of gradients to the optimizer and counts its calls."""
    def closure():
        counter.append(1)
        loss = loss_function()
        loss.backward()
        return loss
    return closure


def rosenbrock(x):
    """sum of 100 (b - a^2)^2 + (1 - a)^2 over neighbours a, b: a curved valley with its end at 1, 1, ..."""
    a, b = x[:-1], x[1:]
    return ((b - a ** 2) ** 2 * 100. + (1. - a) ** 2).sum()


@pytest.mark.parametrize("start, iterations, evaluations", [([-1.2, 1.], 36, 50), ([-1.2, 1.] * 10, 150, 190)],
                         ids=["2 unknowns", "20 unknowns"])
def test_lbfgs_on_rosenbrock(start, iterations, evaluations):
    """From the classical start to 1e-8 within so many iterations; gradient descent needs tens of thousands."""
    x = tensor(np.array(start), requires_grad=True)
    optimizer, calls = optim.LBFGS([x], max_iter=iterations, max_evaluations=1000), []
    first = optimizer.step(counted(lambda: rosenbrock(x), calls))
    assert first.item() == pytest.approx(rosenbrock(np.array(start)).item())
    assert rosenbrock(x).item() < 1e-8
    assert len(calls) <= evaluations


def test_lbfgs_on_a_picture():
    """Denoising: |x - noisy|^2 / 2 + smoothed total variation.

    The Hessian is at least the identity, so the picture is no farther from the best one than its gradient is long.
    """
    rng = np.random.default_rng(0)
    clean = np.zeros((1, 24, 24, 3))
    clean[:, 6:18, 8:20] = [1., .5, .2]
    noisy = clean + .2 * rng.normal(size=clean.shape)
    picture = tensor(noisy, requires_grad=True)

    def loss_function():
        right, down = picture[:, :-1, 1:] - picture[:, :-1, :-1], picture[:, 1:, :-1] - picture[:, :-1, :-1]
        variation = (right ** 2 + down ** 2 + 1e-4).sqrt().sum()
        return ((picture - noisy) ** 2).sum() * .5 + variation * .3
    optimizer, calls = optim.LBFGS([picture], max_iter=150, tolerance_change=0), []
    optimizer.step(counted(loss_function, calls))
    loss_function().backward()
    assert len(calls) < 190
    assert np.linalg.norm(picture.grad) < 1e-3
    assert abs(picture.data - clean).mean() < .4 * abs(noisy - clean).mean()


def test_lbfgs_takes_several_tensors_and_some_without_gradient():
    a, b, unused = (tensor(np.full(shape, 3.), requires_grad=True) for shape in ((2, 2), (), (3,)))
    optimizer = optim.LBFGS([a, unused, b], tolerance_change=0)
    for _ in range(3):
        optimizer.step(counted(lambda: ((a - 1.) ** 2).sum() + (b + a.sum()) ** 2, []))
    np.testing.assert_allclose(a.data, 1, atol=1e-6)
    np.testing.assert_allclose(b.data, -4, atol=1e-6)
    np.testing.assert_array_equal(unused.data, 3)


def test_lbfgs_turns_back_where_the_loss_is_nan():
    """x - log x has its minimum at 1; the first trial, at 3 - 67, has no logarithm."""
    x = tensor(np.array([3.]), requires_grad=True)
    tried = []

    def closure():
        tried.append(x.data[0])
        with np.errstate(invalid="ignore"):
            loss = (x - x.log()).sum()
        loss.backward()
        return loss
    optim.LBFGS([x], lr=100.).step(closure)
    assert min(tried) < 0
    assert x.data[0] == pytest.approx(1, abs=1e-5)


def test_lbfgs_keeps_the_parameters_when_the_loss_is_nan():
    x = tensor(np.array([-1.]), requires_grad=True)
    with np.errstate(invalid="ignore"), pytest.raises(FloatingPointError, match="loss is nan"):
        optim.LBFGS([x]).step(counted(lambda: x.log().sum(), []))
    np.testing.assert_array_equal(x.data, [-1])


def test_lbfgs_puts_the_parameters_back_when_a_trial_fails():
    x = tensor(np.array([3.]), requires_grad=True)
    with np.errstate(invalid="ignore"), check_finite(), pytest.raises(FloatingPointError, match="log"):
        optim.LBFGS([x], lr=100.).step(counted(lambda: (x - x.log()).sum(), []))
    np.testing.assert_array_equal(x.data, [3])


def test_lbfgs_puts_back_even_what_the_failed_graph_needed():
    """A graph that is begun and not used keeps its parameters read-only for as long as it lives."""
    x, calls = tensor(np.array([3.]), requires_grad=True), []

    def closure():
        calls.append(x.data[0])
        loss = (x * x).sum()
        if len(calls) == 2:
            raise KeyError(loss.shape)
        loss.backward()
        return loss
    with pytest.raises(KeyError):
        optim.LBFGS([x]).step(closure)
    assert calls[1] != 3 and x.data[0] == 3


def test_lbfgs_keeps_so_many_pairs_and_saves_them_oldest_first():
    x = tensor(np.array([[-1.2, 1.]]), requires_grad=True)
    optimizer = optim.LBFGS([x], max_iter=1, history=3)
    moves = []
    for _ in range(6):
        before = x.data.copy()
        optimizer.step(counted(lambda: rosenbrock(x[0]), []))
        moves.append(x.data - before)
    state = optimizer.state_dict()
    assert state["moves.0"].shape == state["changes.0"].shape == (3, 1, 2)
    np.testing.assert_allclose(state["moves.0"], moves[2:5], rtol=1e-9)
    np.testing.assert_allclose(state["move.0"], moves[5], rtol=1e-9)


def test_lbfgs_says_when_backward_was_forgotten():
    x = tensor(np.ones(2), requires_grad=True)
    with pytest.raises(RuntimeError, match="no gradient.*backward"):
        optim.LBFGS([x]).step(lambda: (x ** 2).sum())


def test_lbfgs_stops_at_its_number_of_evaluations():
    x, calls = tensor(np.array([-1.2, 1.]), requires_grad=True), []
    optimizer = optim.LBFGS([x], max_iter=100, max_evaluations=10)
    optimizer.step(counted(lambda: rosenbrock(x), calls))
    assert 10 <= len(calls) <= 11


def test_two_loops_are_the_dense_bfgs_matrix():
    """H <- (1 - rho s y^T) H (1 - rho y s^T) + rho s s^T (Nocedal & Wright, eq. 7.16), written out as matrices."""
    rng = np.random.default_rng(5)
    vector, moves = rng.normal(size=6), rng.normal(size=(4, 6))
    root = rng.normal(size=(6, 6))
    changes = moves @ (root @ root.T + np.eye(6))           # of a convex quadratic: s.y > 0
    h = np.eye(6) * (moves[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for s, y in zip(moves, changes):
        rho = 1 / (s @ y)
        left = np.eye(6) - rho * np.outer(s, y)
        h = left @ h @ left.T + rho * np.outer(s, s)
    np.testing.assert_allclose(optim.two_loops(vector, moves, changes), h @ vector, rtol=1e-9)
    np.testing.assert_array_equal(optim.two_loops(vector, moves[:0], changes[:0]), vector)


@pytest.mark.parametrize("seed", range(30))
def test_strong_wolfe_conditions_hold_where_it_stops(seed):
    """On lines with many valleys, from first lengths between .001 and 1000."""
    rng = np.random.default_rng(seed)
    heights, waves, phases = rng.normal(size=(3, 6))
    waves *= 3

    downhill = -np.sign((heights * waves * np.cos(phases)).sum() - .4)

    def along(length):
        t = downhill * length
        loss = .05 * (t - 4) ** 2 + (heights * np.sin(waves * t + phases)).sum()
        slope = .1 * (t - 4) + (heights * waves * np.cos(waves * t + phases)).sum()
        return Point(length, float(loss), None, float(downhill * slope))
    start = along(0.)
    found = optim.strong_wolfe(along, start, length=10 ** rng.uniform(-3, 3), trials=60)
    assert found.loss <= start.loss + 1e-4 * found.length * start.slope
    assert abs(found.slope) <= .9 * abs(start.slope)


def test_a_line_search_without_tolerance_ends_where_no_length_is_left():
    """Every step is higher than the start, up to the smallest number there is."""
    start = Point(0., 0., None, -1.)
    assert optim.strong_wolfe(lambda length: Point(length, 1., None, 1.) if length else start, start, 1., 0., 5000) == start


# ---- schedules, clipping, averages ---------------------------------------------------------------------------------

def test_one_cycle_goes_up_and_down_once():
    for anneal in ("cosine", "linear"):
        rates = [optim.OneCycle(1., 100, .3, anneal)(step) for step in range(100)]
        assert rates[0] == pytest.approx(1 / 25) and max(rates) == rates[29] == 1
        assert rates[-1] == pytest.approx(1 / 25 / 1e4)
        assert (np.diff(rates[:30]) > 0).all() and (np.diff(rates[29:]) < 0).all()
        assert optim.OneCycle(1., 100, .3, anneal)(250) == rates[-1]


def test_schedules_without_warm_up_begin_at_the_peak():
    assert optim.Cosine(.3, 50)(0) == .3
    assert optim.OneCycle(.3, 50, warmup=.02)(0) == .3      # the first step is the whole warm-up
    assert .29 < optim.OneCycle(.3, 50, warmup=0)(0) < .3


def test_cosine_by_hand():
    schedule = optim.Cosine(1., 12, warmup_steps=4, floor=.2)
    np.testing.assert_allclose([schedule(step) for step in (0, 1, 2, 3, 4, 8, 12, 99)],
                               [.25, .5, .75, 1, 1, .6, .2, .2])


def test_step_decay_by_hand():
    assert [optim.StepDecay(8., 2, .5)(step) for step in range(6)] == [8, 8, 4, 4, 2, 2]


@pytest.mark.parametrize("make", [
    lambda: optim.OneCycle(0, 10), lambda: optim.OneCycle(1, 0), lambda: optim.OneCycle(1, 10, warmup=1),
    lambda: optim.OneCycle(1, 10, anneal="square"), lambda: optim.Cosine(1, 10, warmup_steps=10),
    lambda: optim.Cosine(1, 10, floor=2), lambda: optim.StepDecay(1, 0), lambda: optim.StepDecay(-1, 5)])
def test_bad_schedules(make):
    with pytest.raises(ValueError, match="OneCycle|Cosine|StepDecay"):
        make()


def test_clip_grad_norm_leaves_short_gradients_alone():
    x, frozen = tensor(np.zeros(2), requires_grad=True), tensor(np.zeros(2), requires_grad=True)
    x.grad = np.array([3., 4.])
    assert optim.clip_grad_norm([x, frozen], 10) == 5
    np.testing.assert_array_equal(x.grad, [3, 4])
    assert optim.clip_grad_norm([x, frozen], 1) == 5
    np.testing.assert_allclose(x.grad, [.6, .8], rtol=1e-5)
    assert frozen.grad is None


def test_clip_grad_norm_stops_at_nan():
    x = tensor(np.zeros(2), requires_grad=True)
    x.grad = np.array([3., math.nan])
    with pytest.raises(FloatingPointError, match="nan"):
        optim.clip_grad_norm([x], 1)
    assert x.grad[0] == 3


def test_weight_average_by_hand():
    x = tensor(np.array([0.]), requires_grad=True)
    average = optim.WeightAverage([x], decay=.15)
    x.data[:] = 1
    average.update()                                        # d = 1/10
    assert average.averaged()[0] == pytest.approx(.9)
    x.data[:] = 0
    average.update()                                        # d = min(.15, 2/11)
    assert average.averaged()[0] == pytest.approx(.9 * .15)
    assert x.data[0] == 0


def test_weight_average_is_restored_bit_for_bit():
    parameters = leaves("float32")
    average = optim.WeightAverage(parameters, .9)

    def drift(average, parameters):
        for step in range(5):
            for parameter in parameters:
                parameter.data += np.float32(.1 * step)
            average.update()
    drift(average, parameters)
    others = [tensor(p, requires_grad=True) for p in parameters]
    restored = optim.WeightAverage(others, .9)
    restored.load_state_dict(load(save(average.state_dict())))
    drift(average, parameters), drift(restored, others)
    for a, b in zip(average.averaged(), restored.averaged()):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="WeightAverage.*number of parameters"):
        restored.load_state_dict(optim.WeightAverage(parameters[:2]).state_dict())
