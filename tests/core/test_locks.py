"""Arrays changed in place between the forward pass and backward: refused, or without effect; and buffers that are shared."""
import dataclasses
import functools
import gc
import threading
import tracemalloc
from collections import deque

import numpy as np
import pytest

import minicnn
import minicnn as mc
from minicnn.checking import samples
from minicnn.core import locks
from minicnn.core import threads as core_threads

rng = np.random.default_rng


def leaf(shape, seed=0):
    return mc.tensor(rng(seed).standard_normal(shape), requires_grad=True)


@pytest.fixture
def nothing_held():
    """What is held when the test ends, and was not when it began: nothing."""
    gc.collect()
    before = set(locks._entries)
    yield lambda: not set(locks._entries) - before


# ---- changed in place ----------------------------------------------------------------------------------------------

CASES = [pytest.param(name, i, id=f"{name}, {label}") for name in samples.SAMPLES
         for i, (label, _, _) in enumerate(samples.SAMPLES[name](rng(0)))]


def forward_and_gradients(name, i, meddle=lambda arrays: None):
    """(the arrays of a sample and its output, their gradients); meddle gets the arrays between forward and backward."""
    _, operation, drawn, _ = samples._from_package(name, vars(minicnn), rng(0))
    _, arrays, options = drawn[i]
    leaves = [mc.tensor(a, requires_grad=True) if np.asarray(a).dtype.kind == "f" else a for a in arrays]
    y = operation(*leaves, **options)
    dy = rng(1).standard_normal(y.shape)
    everything = [t.data for t in leaves if isinstance(t, mc.Tensor)] + [y.data]
    meddle(everything)
    y.backward(dy)
    return everything, [t.grad for t in leaves if isinstance(t, mc.Tensor)]


@pytest.mark.parametrize("name, i", CASES)
def test_an_array_changed_after_the_forward_pass_is_refused_or_makes_no_difference(name, i):
    """Every operation, each of its inputs and its output."""
    everything, truth = forward_and_gradients(name, i)
    for k in range(len(everything)):
        def meddle(arrays):
            try:
                arrays[k] += 1.5
            except ValueError as error:
                assert "read-only" in str(error)
        for ours, theirs in zip(forward_and_gradients(name, i, meddle)[1], truth, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name, i", CASES)
def test_after_backward_everything_is_writable_again(name, i, nothing_held):
    everything, _ = forward_and_gradients(name, i)
    everything = [a for a in everything if 0 not in a.strides]                # of broadcast_to: read-only by itself
    assert [a.flags.writeable for a in everything] == [a.base is None or a.base.flags.writeable for a in everything]
    assert nothing_held()


# ---- where a rule may keep an array --------------------------------------------------------------------------------

@dataclasses.dataclass
class Box:
    x: np.ndarray


class Slotted:
    __slots__ = ("__hidden", "unset")

    def __init__(self, x):
        self.__hidden = x

    def gradient(self, dy):
        return 2 * self.__hidden * dy


class Rule:
    def __init__(self, x):
        self.x, self.me = x, self

    def __call__(self, dy):
        return 2 * self.x * dy


def gradient_of_square(x, dy):
    return 2 * x * dy


def from_a_dataclass(x):
    box = Box(x)
    return lambda dy: 2 * box.x * dy


def from_a_nested_dict(x):
    kept = {"deep": [deque([{"x": x}])]}
    return lambda dy: 2 * kept["deep"][0][0]["x"] * dy


def from_a_default(x):
    return lambda dy, x=x: 2 * x * dy


def from_a_keyword_default(x):
    return lambda dy, *, x=x: 2 * x * dy


def from_a_bound_builtin(x):
    times = x.__mul__
    return lambda dy: 2 * times(dy)


def from_an_attribute_of_a_function(x):
    def rule(dy):
        return 2 * rule.x * dy
    rule.x = x
    return rule


def from_a_tensor(x):
    t = mc.Tensor(x)
    return lambda dy: 2 * t.data * dy


KEPT = [from_a_dataclass, from_a_nested_dict, from_a_default, from_a_keyword_default, from_a_bound_builtin,
        from_an_attribute_of_a_function, from_a_tensor,
        lambda x: functools.partial(gradient_of_square, x), lambda x: functools.partial(lambda dy, x: 2 * x * dy, x=x),
        lambda x: Box(Rule(x)).x, lambda x: Rule(x).__call__, lambda x: Slotted(x).gradient]


@pytest.mark.parametrize("keep", KEPT, ids=[*(f.__name__ for f in KEPT[:7]), "partial", "partial by keyword", "object",
                                            "bound method", "slots"])
def test_an_array_is_held_wherever_a_rule_keeps_it(keep, nothing_held):
    @mc.differentiable
    def square(x):
        return x * x, (keep(x),)
    x = leaf((3,))
    y = square(x)
    with pytest.raises(ValueError, match="read-only"):
        x.data[...] = 100
    y.backward(np.ones(3))
    np.testing.assert_array_equal(x.grad, 2 * x.data)
    assert x.data.flags.writeable and nothing_held()
    mc.gradcheck(square, rng(1).standard_normal(3))


def test_the_arrays_of_a_module_are_not_held():
    """Running statistics change with every forward pass, also while a graph waits."""
    model = mc.Module()
    model.register_buffer("mean", np.zeros(3))

    @mc.differentiable
    def shifted(x):
        return x - model.mean, (lambda dy: dy + 0 * len(vars(model)),)
    y = shifted(leaf((3,)))
    model.mean += 1
    y.backward(np.ones(3))


def test_the_search_for_arrays_ends():
    """What is near is found, though a data set lies beside it, and a list that holds itself."""
    x, circle = np.zeros(3), []
    circle.append(circle)
    large = [np.zeros(1) for _ in range(3 * locks.MOST)]
    found = locks.arrays_of([lambda dy: (large, circle, x)])
    assert any(array is x for array in found) and len(found) < locks.MOST


def test_what_no_gradient_needs_may_be_changed():
    x, y = leaf((2, 3)), leaf((2, 3), 1)
    total = x + y
    x.data += 1                                  # the gradient of a sum does not ask for it
    total.backward(np.ones((2, 3)))
    frozen = mc.tensor(rng(2).standard_normal((3, 3, 2, 4)))
    picture = leaf((1, 5, 5, 2))
    z = mc.conv2d(picture, frozen)
    picture.data += 1                            # only the gradient of the weight would need the picture
    with pytest.raises(ValueError, match="read-only"):
        frozen.data += 1
    z.backward(np.ones(z.shape))
    frozen.data += 1


def test_a_graph_that_is_dropped_lets_go(nothing_held):
    x = leaf((2, 3))
    y = x * x
    assert not x.data.flags.writeable
    del y
    assert x.data.flags.writeable and nothing_held()


def test_an_array_is_free_when_the_last_graph_has_read_it():
    x = leaf((4,))
    first, second = x * x, x.exp() * x
    first.backward(np.ones(4))
    assert not x.data.flags.writeable
    second.backward(np.ones(4))
    x.data += 1


def test_a_view_and_the_array_that_it_shows_are_held_together(nothing_held):
    """In whatever order the graphs end."""
    for order in ((0, 1), (1, 0)):
        x = leaf((2, 6))
        flat = x.reshape(12)
        graphs = [x * x, flat * flat]
        for i in order:
            assert not x.data.flags.writeable
            graphs[i].backward(np.ones(graphs[i].shape))
        assert x.data.flags.writeable and flat.data.flags.writeable
        assert nothing_held()


def test_the_arrays_of_others_are_held_too_and_stay_as_they_were():
    mine, locked = rng(0).standard_normal((3,)), rng(1).standard_normal((3,))
    locked.flags.writeable = False
    x = leaf((3,), 2)
    y = x * mine * locked
    with pytest.raises(ValueError, match="read-only"):
        mine[0] = 1
    y.backward(np.ones(3))
    assert mine.flags.writeable and not locked.flags.writeable


def test_an_error_in_the_middle_of_backward_loses_no_array(nothing_held):
    @mc.differentiable
    def broken(x):
        def grad_x(dy):
            raise KeyError("broken")
        return x * 1, (grad_x,)
    x = leaf((3,))
    with pytest.raises(KeyError):
        (broken(x * x) * 2).sum().backward()
    gc.collect()
    assert x.data.flags.writeable and nothing_held()


def test_an_optimizer_says_which_graph_is_in_its_way():
    x = leaf((3,))
    forgotten = (x * x).sum()
    (x * 2).sum().backward()
    with pytest.raises(RuntimeError, match=r"parameter 0 .*still needed by a graph"):
        mc.SGD([x], .1).step()
    del forgotten
    mc.SGD([x], .1).step()


# ---- buffers -------------------------------------------------------------------------------------------------------

def network(seed):
    return mc.models.build("small", list("ab"), rng=seed, widths=((16, 17), (32,)))


def trained(seed, steps=4, size=12):
    """The weights of a small network after some steps."""
    model, dice = network(seed), rng(seed)
    optimizer = mc.SGD(model.parameters(), .1, momentum=.9)
    for _ in range(steps):
        x, labels = dice.random((6 + seed, size, size + seed, 3), dtype=np.float32), dice.integers(0, 2, 6 + seed)
        optimizer.zero_grad()
        mc.cross_entropy(model(x), labels).backward()
        optimizer.step()
    return [p.data for p in model.parameters()]


def test_two_models_in_two_threads_learn_what_each_learns_alone():
    """Bit for bit, though both use the same threads and buffers of the same names."""
    alone, together, start = [trained(seed) for seed in (0, 1, 2)], {}, threading.Barrier(3)

    def learn(seed):
        start.wait()
        together[seed] = [trained(seed) for _ in range(3)]
    threads = [threading.Thread(target=learn, args=(seed,)) for seed in (0, 1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, truth in enumerate(alone):
        for weights in together[seed]:
            assert all(np.array_equal(a, b) for a, b in zip(weights, truth, strict=True))


@pytest.mark.parametrize("name, i", CASES)
def test_results_that_somebody_keeps_are_not_written_over(name, i):
    """Output and gradients of one call, after another call with other numbers of the same shapes."""
    everything, gradients = forward_and_gradients(name, i)
    kept = [a.copy() for a in (*everything, *gradients)]
    _, operation, drawn, _ = samples._from_package(name, vars(minicnn), rng(5))
    leaves = [mc.tensor(a, requires_grad=True) if np.asarray(a).dtype.kind == "f" else a for a in drawn[i][1]]
    y = operation(*leaves, **drawn[i][2])
    y.backward(rng(6).standard_normal(y.shape))
    for array, copy in zip((*everything, *gradients), kept):
        np.testing.assert_array_equal(array, copy)


def test_many_steps_need_no_more_memory_than_a_few():
    """NumPy tells tracemalloc of every array.  Pictures of ever new sizes, so that every buffer is asked to grow and shrink."""
    model = network(0)

    def steps(count):
        for size in rng(0).integers(8, 40, count):
            x = mc.tensor(np.full((2, size, size + 1, 3), .5, np.float32), requires_grad=True)
            model(x).sum().backward()
    steps(30)
    tracemalloc.start()
    try:
        steps(5)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        steps(30)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 200_000
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not hasattr(core_threads.os, "fork"), reason="a system without fork")
def test_a_forked_process_has_threads_of_its_own():
    """multiprocessing forks on Linux: the child inherits no threads, but the memory of having had some."""
    before, x = core_threads._chosen[:], rng(0).standard_normal((40, 20, 20, 16))
    core_threads.threads(2)
    try:
        truth = mc.conv2d(x, rng(1).standard_normal((3, 3, 16, 16)), padding=1).data
        child = core_threads.os.fork()
        if child == 0:
            again = mc.conv2d(x, rng(1).standard_normal((3, 3, 16, 16)), padding=1).data
            seen = set(core_threads.in_parallel(lambda i: (threading.get_ident(), threading.Event().wait(.05))[0], range(8)))
            core_threads.os._exit(0 if np.array_equal(truth, again) and len(seen) == 2 else 1)
        assert core_threads.os.waitpid(child, 0)[1] == 0
    finally:
        core_threads._chosen[:] = before
