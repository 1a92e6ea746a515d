"""The frozen form of a network: evaluation without weight gradients, joined layers, kept filters; and the model as it was."""
import gc
import threading
import weakref

import numpy as np
import pytest

import minicnn as mc
from minicnn.core import tuning
from minicnn.layers.conv import winograd
from minicnn.layers.conv.filters import FrozenFilters, frozen_filters, is_frozen
from minicnn.layers.frozen import original_of, twin_of
from minicnn.layers.watching import watching


def rng(seed=0):
    return np.random.default_rng(seed)


class Net(mc.Module):
    """Layers in a Sequential, in a list and in a dictionary, and a Tensor of its own."""

    def __init__(self):
        super().__init__()
        self.features = mc.Sequential(mc.Conv2d(3, 8, 3, padding=1, bias=False, rng=0), mc.BatchNorm2d(8), mc.ReLU(),
                                      mc.MaxPool2d(2), mc.Conv2d(8, 8, 3, padding=1, rng=1), mc.ReLU(), mc.Dropout(.5, seed=0))
        self.scale = mc.tensor(np.full(8, 2, np.float32), requires_grad=True)
        self.head = mc.Dense(8, 4, rng=2)

    def forward(self, x):
        return self.head(mc.global_avg_pool2d(self.features(x)) * self.scale)


def trained(model, steps=3, seed=0):
    """The model after some steps, so that no statistic is what it was at first."""
    optimizer, model = mc.SGD(model.parameters(), .1), model.train()
    for step in range(steps):
        x, labels = rng([seed, step]).random((8, 8, 8, 3), dtype=np.float32), np.arange(8) % 4
        optimizer.zero_grad()
        mc.cross_entropy(model(x), labels).backward()
        optimizer.step()
    model.zero_grad()
    return model


def state(model):
    modes = [module.training for _, module in model.named_modules()]
    return modes, [p.requires_grad for p in model.parameters()], [array.tobytes() for array in model.state_dict().values()]


# ---- what it is ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("keep_filters", [True, False])
def test_it_is_the_network_in_evaluation_and_the_picture_alone_gets_a_gradient(keep_filters):
    model, x = trained(Net()), rng(9).random((2, 8, 8, 3), dtype=np.float32)
    before, leaves = state(model), [mc.tensor(x, requires_grad=True) for _ in range(2)]
    with model.frozen(keep_filters) as same:
        found = model(leaves[0])
    assert same is model and state(model) == before
    model.eval().requires_grad(False)
    expected = model(leaves[1])
    np.testing.assert_allclose(found.data, expected.data, atol=1e-6)
    for y in (found, expected):
        (y * y).sum().backward()                                 # the graph outlives the block
    np.testing.assert_allclose(leaves[0].grad, leaves[1].grad, rtol=1e-4, atol=1e-6)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_part_that_is_called_by_itself_is_frozen_too():
    model, x = trained(Net()), rng(9).random((2, 8, 8, 3), dtype=np.float32)
    with model.frozen():
        y = model.features[:3](mc.tensor(x, requires_grad=True))
        (y * y).sum().backward()
        assert np.array_equal(model.features(x).data, model.features(x).data)        # no dropout
    assert all(parameter.grad is None for parameter in model.parameters())


def test_it_ends_with_the_block_also_after_an_error_and_inside_another():
    model = trained(Net())
    before = state(model)
    with pytest.raises(KeyError), model.frozen():
        outer = twin_of(model)
        with model.frozen():
            assert twin_of(model) not in (model, outer)
        assert twin_of(model) is outer is not model and original_of(outer) is model
        raise KeyError("in the middle")
    assert twin_of(model) is model and state(model) == before
    model(np.zeros((1, 8, 8, 3), np.float32)).sum().backward()
    assert model.head.weight.grad is not None


def test_it_may_be_entered_again_and_is_the_network_as_it_was():
    model, x = trained(Net()), rng(9).random((2, 8, 8, 3), dtype=np.float32)
    frozen = model.frozen()
    with frozen:
        first = model(x).data
    trained(model, seed=1)
    with frozen, frozen:
        assert np.array_equal(model(x).data, first)
    with model.frozen():
        assert not np.array_equal(model(x).data, first)
    with model.frozen(keep_filters=False):
        model.head.weight.data[...] = model.head.bias.data[...] = 0                  # then they are the model's own
        assert not model(x).data.any()


def test_another_thread_sees_the_network_itself_but_the_threads_of_this_block_its_frozen_form():
    model, seen = trained(Net()), {}
    with model.frozen():
        mc.core.threads.in_parallel(lambda i: seen.setdefault(i, twin_of(model)), range(8))
        assert set(map(id, seen.values())) == {id(twin_of(model))}
        other = threading.Thread(target=lambda: seen.update(other=twin_of(model)))
        other.start()
        other.join()
    assert seen["other"] is model


def test_predictions_in_one_thread_do_not_disturb_the_training_in_another():
    """Bit for bit: what `predict` freezes is nothing of the model's."""
    x, ends, stop = rng(1).random((4, 8, 8, 3), dtype=np.float32), [], threading.Event()
    for disturbed in (False, True):
        model = Net()

        def predicting(model=model):
            while not stop.is_set():
                mc.predict(model, x)
                with model.frozen():
                    model(x)
        asking = threading.Thread(target=predicting)
        if disturbed:
            asking.start()
        trained(model, steps=25)
        stop.set()
        if disturbed:
            asking.join()
        stop.clear()
        ends.append(state(model))
    assert ends[0] == ends[1]


def test_modules_in_lists_and_dictionaries_are_frozen():
    class Parts(mc.Module):
        def __init__(self):
            super().__init__()
            self.rows, self.named = [mc.BatchNorm2d(3)], {"drop": (mc.Dropout(.5, seed=0),)}

        def forward(self, x):
            return self.named["drop"][0](self.rows[0](x))
    model, x = Parts(), mc.tensor(rng().random((2, 4, 4, 3)), requires_grad=True)
    with model.frozen():
        y = model(x)
    np.testing.assert_allclose(y.data, x.data, atol=1e-4)        # running statistics 0 and 1, and nothing dropped
    y.sum().backward()
    assert model.rows[0].weight.grad is None and not model.rows[0].running_mean.any()


# ---- layers that are joined ------------------------------------------------------------------------------------------

def steps_of(*layers, **watched):
    """How many steps a frozen Sequential has, its output, and that of the layers one by one."""
    model, x = mc.Sequential(*layers), np.round(2 * rng(3).standard_normal((2, 12, 14, 3))) / 2
    x[:, :6, :6] = 0
    for i, layer in enumerate(layers):
        if isinstance(layer, mc.BatchNorm2d):
            layer.running_mean, layer.running_var = rng(i).standard_normal(8), rng(i + 1).random(8) + .1
            layer.weight.data, layer.bias.data = rng(i + 2).standard_normal(8), rng(i + 3).standard_normal(8)
    leaves = [mc.tensor(x, requires_grad=True) for _ in range(2)]
    with model.frozen():
        y = model(leaves[0])
        count = len(twin_of(model).steps())
    expected = model.eval()(leaves[1])
    for found in (y, expected):
        (found * found).sum().backward()
    np.testing.assert_allclose(y.data, expected.data, atol=1e-9 * np.abs(expected.data).max())
    np.testing.assert_allclose(leaves[0].grad, leaves[1].grad, atol=1e-9 * np.abs(leaves[1].grad).max())
    return count


def conv(seed=0, **options):
    layer = mc.Conv2d(3, 8, 3, padding=1, rng=seed, **options)
    layer.weight.data = layer.weight.data.astype(np.float64)
    if layer.bias is not None:
        layer.bias.data = rng(seed).standard_normal(8)
    return layer


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"stride": 2}, {"padding_mode": "reflect"}, {"algorithm": "winograd"},
                                     {"algorithm": "naive"}])
def test_batch_norm_and_relu_become_part_of_the_convolution(options):
    assert steps_of(conv(**options), mc.BatchNorm2d(8), mc.ReLU()) == 1


def test_what_cannot_be_joined_stays():
    assert steps_of(mc.ReLU(), conv()) == 2
    assert steps_of(conv(), mc.ReLU(), mc.BatchNorm2d(8)) == 2
    assert steps_of(conv(activation="relu"), mc.BatchNorm2d(8)) == 2
    assert steps_of(conv(), mc.LeakyReLU(), mc.MaxPool2d(2)) == 3
    assert steps_of(conv(), mc.Sequential(mc.ReLU())) == 2
    assert steps_of(conv(), mc.BatchNorm2d(8), mc.BatchNorm2d(8), mc.ReLU()) == 1


def test_a_relu_comes_behind_the_pooling():
    """The same maps and gradients, also where a window has nothing above zero, and equal numbers."""
    assert steps_of(conv(), mc.ReLU(), mc.MaxPool2d(2), mc.ReLU()) == 4      # convolution, pooling, ReLU, ReLU
    assert steps_of(conv(), mc.ReLU(), mc.AvgPool2d(2)) == 2


def observed(model, x, **watched):
    """What is told of the layers in the frozen network, [(layer, whether x came with it, y)]."""
    told = []
    with model.frozen(), watching(lambda layer, x, y: told.append((layer, x is not None, y.data)), **watched):
        model(x)
    return told


def test_what_is_watched_is_not_joined_away():
    layers = [conv(), mc.BatchNorm2d(8), mc.ReLU(), mc.MaxPool2d(2), mc.GlobalAvgPool2d()]
    model, x, alone = mc.Sequential(*layers), rng(3).standard_normal((2, 6, 6, 3)), []
    y = x
    for layer in model.eval():
        y = layer(y)
        alone.append(y.data)
    told = observed(model, x)
    assert [layer for layer, _, _ in told] == [*layers, model] and all(has_x for _, has_x, _ in told)
    for i, layer in enumerate(layers):
        for inputs in (True, False):
            (found, has_x, y), = observed(model, x, modules=[layer], inputs=inputs)
            assert found is layer and (has_x or not inputs)
            np.testing.assert_allclose(y, alone[i], atol=1e-12)
    assert not observed(model, x, modules=[layers[1]], inputs=False)[0][1]       # then it is computed within the convolution


# ---- filters that are kept -------------------------------------------------------------------------------------------

@pytest.fixture
def transformations(monkeypatch):
    """The transforms that were made of filters, one entry a call: whether they were turned."""
    calls, transform = [], winograd.transform_filters
    monkeypatch.setattr(tuning, "WINOGRAD_BLOCK_BYTES", 1)

    def counted(weight, m, turned):
        calls.append(turned)
        return transform(weight, m, turned)
    monkeypatch.setattr(winograd, "transform_filters", counted)
    return calls


def layer_and_picture(seed=0):
    layer = mc.Conv2d(16, 16, 3, padding=1, bias=False, algorithm="winograd", rng=seed)
    layer.weight.data = layer.weight.data.astype(np.float64)
    return layer, mc.tensor(rng(seed).standard_normal((1, 40, 40, 16)), requires_grad=True)


def step(layer, picture):
    y = layer(picture)
    picture.zero_grad()
    y.backward(np.ones(y.shape))
    truth = mc.conv2d(picture.data, twin_of(layer).weight.data, padding=1, algorithm="im2col").data
    np.testing.assert_allclose(y.data, truth, atol=1e-10 * np.abs(truth).max())


def test_frozen_filters_are_transformed_once_for_each_direction(transformations):
    layer, picture = layer_and_picture()
    with layer.frozen():
        for _ in range(4):
            step(layer, picture)
    assert transformations == [False, True]


def test_those_of_a_layer_with_few_tiles_too(monkeypatch, transformations):
    monkeypatch.setattr(tuning, "WINOGRAD_BLOCK_BYTES", 1 << 30)
    layer, picture = layer_and_picture()
    with layer.frozen():
        for _ in range(4):
            step(layer, picture)
    assert transformations == [False, True]


def test_large_and_small_tiles_have_their_own(monkeypatch, transformations):
    layer, picture = layer_and_picture()
    with layer.frozen():
        for many in (1, 1000, 1, 1000):
            monkeypatch.setattr(tuning, "WINOGRAD_MANY_TILES", many)
            step(layer, picture)
    assert transformations == [False, True] * 2


def test_nothing_is_kept_without_freezing_and_without_keep_filters(transformations):
    layer, picture = layer_and_picture()
    for _ in range(2):
        step(layer, picture)
    with layer.frozen(keep_filters=False):
        step(layer, picture)
    assert transformations == [False, True] * 3


def test_a_changed_weight_is_seen_by_the_next_frozen_form(transformations):
    layer, picture = layer_and_picture()
    for _ in range(2):
        with layer.frozen():
            step(layer, picture)
        layer.weight.data *= 2
    assert transformations == [False, True] * 2


def test_kept_filters_go_with_their_frozen_form():
    layer, picture = layer_and_picture()
    frozen = layer.frozen()
    with frozen:
        step(layer, picture)
        kept = [weakref.ref(array) for array in twin_of(layer).weight.data.transforms.values()]
    assert len(kept) == 2 and all(reference() is not None for reference in kept)
    del frozen
    gc.collect()
    assert all(reference() is None for reference in kept)


def test_frozen_filters_are_read_only_and_what_is_made_of_them_is_not_frozen():
    weight = frozen_filters(rng().standard_normal((3, 3, 2, 4)))
    assert isinstance(weight, FrozenFilters) and is_frozen(weight)
    with pytest.raises(ValueError, match="read-only"):
        weight[0] = 1
    assert not any(map(is_frozen, (weight * 2, weight[..., :2], weight.copy(), np.asarray(weight))))
