"""Optimizers, schedules and clipping, step by step beside PyTorch's."""
import numpy as np
import pytest

from minicnn import optim
from minicnn.core.tensor import Tensor, differentiable, tensor

torch = pytest.importorskip("torch")

STEPS = 20
TOLERANCE = {"float64": dict(rtol=1e-10, atol=1e-12), "float32": dict(rtol=1e-3, atol=1e-4)}


@differentiable
def squared_error_of_small_net(w1, b1, w2, x, target):
    """mean((tanh(x w1 + b1) w2 - target)^2).   w1 (5, 8)   b1 (8,)   w2 (8, 3)   x (16, 5)   target (16, 3)"""
    hidden = np.tanh(x @ w1 + b1)
    error = hidden @ w2 - target

    def d_hidden(dy):
        return dy * 2 / error.size * error @ w2.T * (1 - hidden * hidden)
    return (error * error).mean(), (lambda dy: x.T @ d_hidden(dy), lambda dy: d_hidden(dy).sum(axis=0),
                                    lambda dy: hidden.T @ (dy * 2 / error.size * error))


def problem(dtype):
    rng = np.random.default_rng(0)
    shapes = (5, 8), (8,), (8, 3), (16, 5), (16, 3)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def our_run(make, dtype, steps=STEPS):
    """The weights after each step, flat: (steps, 72)."""
    *weights, x, target = problem(dtype)
    weights = [tensor(w, requires_grad=True) for w in weights]
    optimizer = make(weights)

    def closure():
        optimizer.zero_grad()
        loss = squared_error_of_small_net(*weights, x, target)
        loss.backward()
        return loss
    return np.stack([advance(optimizer, closure, [w.data for w in weights]) for _ in range(steps)])


def torch_run(make, dtype, steps=STEPS):
    *weights, x, target = map(torch.tensor, problem(dtype))
    weights = [torch.nn.Parameter(w) for w in weights]
    optimizer = make(weights)

    def closure():
        optimizer.zero_grad()
        w1, b1, w2 = weights
        loss = ((torch.tanh(x @ w1 + b1) @ w2 - target) ** 2).mean()
        loss.backward()
        return loss
    arrays = [w.detach().numpy() for w in weights]          # share memory with the parameters
    return np.stack([advance(optimizer, closure, arrays) for _ in range(steps)])


def advance(optimizer, closure, arrays):
    if "LBFGS" in type(optimizer).__name__:
        optimizer.step(closure)
    else:
        closure()
        optimizer.step()
    return np.concatenate([array.ravel() for array in arrays])


def hold_together(make, torch_make, dtype, **tolerance):
    ours, theirs = our_run(make, dtype), torch_run(torch_make, dtype)
    assert ours.dtype == theirs.dtype == dtype
    assert abs(ours[-1] - ours[0]).max() > .01              # the run went somewhere
    np.testing.assert_allclose(ours, theirs, **(tolerance or TOLERANCE[dtype]))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", [
    dict(), dict(momentum=.9), dict(momentum=.9, nesterov=True), dict(weight_decay=.05),
    dict(momentum=.8, weight_decay=.05), dict(momentum=.9, nesterov=True, weight_decay=.05)], ids=str)
def test_sgd(options, dtype):
    hold_together(lambda w: optim.SGD(w, .05, **options), lambda w: torch.optim.SGD(w, .05, **options), dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", [
    dict(), dict(betas=(.5, .9), eps=1e-3), dict(weight_decay=.1), dict(lr=.3, betas=(0., .99))], ids=str)
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_adam(name, options, dtype):
    options = {"lr": .02, **options}
    hold_together(lambda w: getattr(optim, name)(w, **options),
                  lambda w: getattr(torch.optim, name)(w, **options), dtype)


def test_defaults_are_pytorchs():
    for name in ("Adam", "AdamW"):
        hold_together(lambda w: getattr(optim, name)(w), lambda w: getattr(torch.optim, name)(w), "float64")


@pytest.mark.parametrize("history", [1, 3, 100])
@pytest.mark.parametrize("search, lr", [("strong_wolfe", 1.), ("strong_wolfe", 20.), ("strong_wolfe", .01), (None, .3)])
def test_lbfgs_iteration_by_iteration(search, lr, history):
    """One iteration a step, so that every point is compared; lr 20 and .01 make the line search work.

    It interpolates between losses that differ little, so rounding grows faster than in the other optimizers.
    """
    hold_together(
        lambda w: optim.LBFGS(w, lr, max_iter=1, history=history, line_search=search),
        lambda w: torch.optim.LBFGS(w, lr, max_iter=1, max_eval=25, history_size=history, line_search_fn=search),
        "float64", rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("search, lr", [("strong_wolfe", 1.), (None, .3)])
def test_lbfgs_several_iterations_a_step(search, lr):
    ours = our_run(lambda w: optim.LBFGS(w, lr, line_search=search), "float64", steps=2)
    theirs = torch_run(lambda w: torch.optim.LBFGS(w, lr, history_size=10, line_search_fn=search), "float64", 2)
    np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


def test_lbfgs_in_float32():
    """Rounding grows from iteration to iteration, so the first few are held together, and the loss at the end."""
    ours = our_run(lambda w: optim.LBFGS(w, max_iter=1, history=100), "float32")
    options = dict(max_iter=1, max_eval=25, line_search_fn="strong_wolfe")
    theirs = torch_run(lambda w: torch.optim.LBFGS(w, **options), "float32")
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours[:8], theirs[:8], rtol=1e-2, atol=1e-3)
    assert loss_at(ours[-1]) == pytest.approx(loss_at(theirs[-1]), rel=.05)


def loss_at(flat):
    *_, x, target = problem("float32")
    w1, b1, w2 = flat[:40].reshape(5, 8), flat[40:48], flat[48:].reshape(8, 3)
    return squared_error_of_small_net(w1, b1, w2, x, target).item()


def test_a_parameter_without_gradient_counts_its_own_steps():
    """Adam's correction for the start at zero depends on how often this parameter was changed, not the optimizer."""
    ours = [tensor(np.ones(3), requires_grad=True) for _ in range(2)]
    theirs = [torch.nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2)]
    a, b = optim.Adam(ours, .1), torch.optim.Adam(theirs, .1)
    for step in range(6):
        gradient = np.array([1., -.5, .1]) * (step + 1)
        for i in range(2):
            used = i == 0 or step % 3 == 2
            ours[i].grad = gradient if used else None
            theirs[i].grad = torch.tensor(gradient) if used else None
        a.step(), b.step()
    for x, y in zip(ours, theirs):
        np.testing.assert_allclose(x.data, y.detach().numpy(), rtol=1e-12)


def torch_schedule(make, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=.4)
    schedule, rates = make(optimizer), []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            schedule.step()
    return rates


@pytest.mark.parametrize("steps, warmup", [(50, .3), (97, .1), (10, .25), (7, .5), (2, .3), (1, .3)])
@pytest.mark.parametrize("anneal, name", [("cosine", "cos"), ("linear", "linear")])
def test_one_cycle(anneal, name, steps, warmup):
    theirs = torch_schedule(lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(
        optimizer, .4, total_steps=steps, pct_start=warmup, anneal_strategy=name, cycle_momentum=False), steps)
    schedule = optim.OneCycle(.4, steps, warmup, anneal)
    np.testing.assert_allclose([schedule(step) for step in range(steps)], theirs, rtol=1e-9)


def test_one_cycle_with_other_divisors():
    theirs = torch_schedule(lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(
        optimizer, .4, total_steps=30, div_factor=10, final_div_factor=50, cycle_momentum=False), 30)
    schedule = optim.OneCycle(.4, 30, start_divisor=10, end_divisor=50)
    np.testing.assert_allclose([schedule(step) for step in range(30)], theirs, rtol=1e-9)


def test_cosine():
    theirs = torch_schedule(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=40, eta_min=.01), 41)
    np.testing.assert_allclose([optim.Cosine(.4, 40, floor=.01)(step) for step in range(41)], theirs, rtol=1e-9)


def test_cosine_with_warm_up():
    def make(optimizer):
        up = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=.2, total_iters=4)
        down = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=25)
        return torch.optim.lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[5])
    schedule = optim.Cosine(.4, 30, warmup_steps=5)
    np.testing.assert_allclose([schedule(step) for step in range(30)], torch_schedule(make, 30), rtol=1e-9)


def test_step_decay():
    theirs = torch_schedule(lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=7, gamma=.5), 30)
    np.testing.assert_allclose([optim.StepDecay(.4, 7, .5)(step) for step in range(30)], theirs, rtol=1e-12)


def parameters_with_gradients(dtype):
    rng = np.random.default_rng(3)
    gradients = [rng.normal(size=shape).astype(dtype) for shape in ((4, 3), (7,), ())]
    ours = [Tensor(np.zeros_like(g), requires_grad=True) for g in gradients]
    theirs = [torch.nn.Parameter(torch.zeros(g.shape, dtype=getattr(torch, dtype))) for g in gradients]
    for x, y, gradient in zip(ours, theirs, gradients):
        x.grad, y.grad = np.array(gradient), torch.tensor(gradient)
    return ours, theirs


def hold_gradients_together(ours, theirs, dtype):
    for x, y in zip(ours, theirs):
        assert x.grad.dtype == dtype
        np.testing.assert_allclose(x.grad, y.grad.numpy(), rtol=1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("max_norm", [.5, 3., 1000.])
def test_clip_grad_norm(max_norm, dtype):
    ours, theirs = parameters_with_gradients(dtype)
    norm, their_norm = optim.clip_grad_norm(ours, max_norm), torch.nn.utils.clip_grad_norm_(theirs, max_norm)
    assert norm == pytest.approx(float(their_norm), rel=1e-6)
    hold_gradients_together(ours, theirs, dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_clip_grad_value(dtype):
    ours, theirs = parameters_with_gradients(dtype)
    optim.clip_grad_value(ours, .4)
    torch.nn.utils.clip_grad_value_(theirs, .4)
    hold_gradients_together(ours, theirs, dtype)


def test_weight_average():
    """With PyTorch's AveragedModel, given the decay of the same formula."""
    def mean(average, weight, count):
        decay = min(.9, (1 + int(count)) / (10 + int(count)))
        return decay * average + (1 - decay) * weight
    model = torch.nn.Linear(3, 2, bias=False, dtype=torch.float64)
    theirs = torch.optim.swa_utils.AveragedModel(model, avg_fn=mean)
    theirs.n_averaged += 1                                  # or its first update only copies
    weight = Tensor(model.weight.detach().numpy(), requires_grad=True)
    ours = optim.WeightAverage([weight], .9)
    ours.state["updates"] += 1
    for step in range(30):
        weight.data += np.sin(step + np.arange(6.)).reshape(2, 3)      # PyTorch's weights share these numbers
        ours.update(), theirs.update_parameters(model)
    np.testing.assert_allclose(ours.averaged()[0], theirs.module.weight.detach().numpy(), rtol=1e-12)
