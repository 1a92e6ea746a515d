"""Activations, the dense layer, losses, Module, first weights and the summary."""
import warnings

import numpy as np
import pytest

import minicnn as mc
from minicnn.core import tuning
from minicnn.layers import init
from minicnn.layers.loss import one_hot


def normal(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# ---- activations ---------------------------------------------------------------------------------------------------

ACTIVATIONS = [mc.relu, mc.leaky_relu, mc.sigmoid, mc.tanh, mc.silu, mc.gelu, mc.elu, mc.softplus,
               lambda x: mc.gelu(x, approximate="tanh"), lambda x: mc.elu(x, alpha=.3), mc.softmax, mc.log_softmax,
               lambda x: mc.softmax(x, axis=0), lambda x: mc.log_softmax(x, axis=0)]
NAMES = ["relu", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "elu", "softplus", "gelu by tanh", "elu of alpha .3",
         "softmax", "log_softmax", "softmax of axis 0", "log_softmax of axis 0"]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=NAMES)
def test_gradient_of_an_activation(activation):
    report = mc.gradcheck(activation, normal((3, 4, 5)) * 2)
    assert report.kinks == 0 and report.inputs[0].checked == 60


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=NAMES)
def test_an_activation_keeps_float32(activation):
    x = mc.Tensor(normal((2, 3), dtype=np.float32), requires_grad=True)
    y = activation(x)
    y.backward(np.ones((2, 3), np.float32))
    assert y.dtype == x.grad.dtype == np.float32


def test_options_of_another_precision_do_not_promote():
    """A NumPy float64 among the options (NEP 50) must not turn float32 into float64."""
    x = mc.Tensor(normal((2, 3), dtype=np.float32), requires_grad=True)
    half, labels = np.float64(.5), np.array([0, 2])
    for y in (mc.leaky_relu(x, half), mc.elu(x, half), mc.cross_entropy(x, labels, half), mc.mse_loss(x, half), mc.l1_loss(x, half)):
        x.zero_grad()
        y.backward(np.ones(y.shape, np.float32))
        assert y.dtype == x.grad.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=NAMES)
def test_far_out_nothing_overflows(activation, dtype):
    """1000 and -1000: finite values and gradients, and not one warning."""
    x = mc.Tensor(np.array([[1000., -1000], [-1000, -1000], [0, 1000]], dtype), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = activation(x)
        y.backward(np.ones((3, 2), dtype))
    assert np.isfinite(y.data).all() and np.isfinite(x.grad).all()


@pytest.mark.parametrize("function", [*ACTIVATIONS, lambda x: mc.dropout(x, .4, 3)], ids=[*NAMES, "dropout"])
def test_blocks_and_threads_change_nothing(monkeypatch, threads, function):
    """Also with an array that is not contiguous.  Each number is computed alone, so the blocks do not show at all."""
    def run():
        x = mc.Tensor(normal((6, 5, 4)).T, requires_grad=True)
        y = function(x)
        y.backward(normal((6, 5, 4), 1).T)
        return y.data, x.grad
    at_once = run()
    for name, size in (("ACTIVATION_BLOCK", 7), ("DROPOUT_BLOCKS", 3)):
        monkeypatch.setattr(tuning, name, size)
    for count in (1, 2, 3):
        threads(count)
        for a, whole in zip(run(), at_once):
            np.testing.assert_allclose(a, whole, rtol=1e-14)
            assert a.shape == (4, 5, 6)


def test_where_activations_end():
    ends = np.array([-1000., 0, 1000])
    assert mc.relu(ends).data.tolist() == [0, 0, 1000]
    assert mc.leaky_relu(ends, .2).data.tolist() == [-200, 0, 1000]
    assert mc.elu(ends).data.tolist() == [-1, 0, 1000]
    assert mc.softplus(ends).data.tolist() == [0, np.log(2), 1000]
    assert mc.sigmoid(ends).data.tolist() == [0, .5, 1]
    assert mc.tanh(ends).data.tolist() == [-1, 0, 1]
    for gate in (mc.silu, mc.gelu, lambda x: mc.gelu(x, approximate="tanh")):
        assert gate(ends).data.tolist() == [0, 0, 1000]
    assert mc.softmax(ends).data.tolist() == [0, 0, 1]
    assert mc.log_softmax(ends).data.tolist() == [-2000, -1000, 0]


def test_the_gradient_of_relu_at_zero_is_zero_and_nan_stays():
    x = mc.Tensor(np.array([0., -0., np.nan, 1]), requires_grad=True)
    y = mc.relu(x)
    y.backward(np.ones(4))
    assert x.grad.tolist() == [0, 0, 0, 1] and np.isnan(y.data[2])


def test_softmax_sums_to_one_and_does_not_mind_a_shift():
    x = normal((4, 7)) * 10
    np.testing.assert_allclose(mc.softmax(x).data.sum(axis=1), 1, atol=1e-14)
    np.testing.assert_allclose(mc.softmax(x + 500).data, mc.softmax(x).data, rtol=1e-11)
    np.testing.assert_allclose(mc.log_softmax(x).data, np.log(mc.softmax(x).data), atol=1e-10)


def test_softmax_over_any_axis():
    """As over the last with the axes moved, forward and back; of one axis that does not exist it says so."""
    x, dy = normal((3, 4, 5)), normal((3, 4, 5), 1)
    for operation in (mc.softmax, mc.log_softmax):
        for axis in (0, 1, 2, -2):
            given, moved = mc.Tensor(x, requires_grad=True), mc.Tensor(np.moveaxis(x, axis, -1), requires_grad=True)
            y, expected = operation(given, axis=axis), operation(moved)
            y.backward(dy)
            expected.backward(np.moveaxis(dy, axis, -1))
            np.testing.assert_allclose(y.data, np.moveaxis(expected.data, -1, axis), rtol=1e-13)
            np.testing.assert_allclose(given.grad, np.moveaxis(moved.grad, -1, axis), rtol=1e-12, atol=1e-15)
        with pytest.raises(ValueError, match="axis 3 is out of bounds for array of dimension 3"):
            operation(x, axis=3)


def test_gelu_names_its_approximations():
    with pytest.raises(ValueError, match="gelu: approximate must be 'none' or 'tanh', not 'fast'"):
        mc.gelu(np.zeros(3), approximate="fast")


@pytest.mark.parametrize("module, function, text", [
    (mc.ReLU(), mc.relu, "ReLU()"), (mc.LeakyReLU(slope=.3), lambda x: mc.leaky_relu(x, .3), "LeakyReLU(slope=0.3)"),
    (mc.Sigmoid(), mc.sigmoid, "Sigmoid()"), (mc.Tanh(), mc.tanh, "Tanh()"), (mc.SiLU(), mc.silu, "SiLU()"),
    (mc.ELU(), mc.elu, "ELU()"), (mc.ELU(alpha=.5), lambda x: mc.elu(x, .5), "ELU(alpha=0.5)"),
    (mc.Softplus(), mc.softplus, "Softplus()"), (mc.Softmax(axis=0), lambda x: mc.softmax(x, 0), "Softmax(axis=0)"),
    (mc.LogSoftmax(axis=0), lambda x: mc.log_softmax(x, 0), "LogSoftmax(axis=0)"),
    (mc.GELU(approximate="tanh"), lambda x: mc.gelu(x, "tanh"), "GELU(approximate=tanh)"),
    (mc.Softmax(), mc.softmax, "Softmax()"), (mc.LogSoftmax(), mc.log_softmax, "LogSoftmax()")], ids=lambda v: str(v)[:12])
def test_activations_as_modules(module, function, text):
    x = normal((2, 5))
    np.testing.assert_array_equal(module(x).data, function(x).data)
    assert repr(module) == text and module.parameters() == []


# ---- dense ---------------------------------------------------------------------------------------------------------

def test_dense_by_hand():
    y = mc.dense(np.array([[1., 2]]), np.array([[1., 2, 3], [10, 20, 30]]), np.array([100., 200, 300]))
    assert y.data.tolist() == [[121, 242, 363]]


@pytest.mark.parametrize("bias", [normal((3,)), None])
def test_gradient_of_dense(bias):
    mc.gradcheck(mc.dense, normal((5, 4), 1), normal((4, 3), 2), *([] if bias is None else [bias]))


def test_dense_keeps_float32_and_modifies_nothing():
    arrays = [normal(shape, dtype=np.float32) for shape in ((2, 4), (4, 3), (3,))]
    for array in arrays:
        array.flags.writeable = False
    tensors = [mc.Tensor(array, requires_grad=True) for array in arrays]
    y = mc.dense(*tensors)
    y.backward(np.ones((2, 3), np.float32))
    assert {y.dtype, *(t.grad.dtype for t in tensors)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("shapes, message", [
    (((2, 5), (4, 3), (3,)), r"dense: x \(2, 5\) and weight \(4, 3\) do not fit: x is \(N, in\)"),
    (((2, 2, 2), (4, 3), (3,)), r"dense: x \(2, 2, 2\) and .* flatten images first"),
    (((2, 4), (4, 3), (4,)), r"dense: bias \(4,\) should be \(3,\)")])
def test_dense_says_what_is_wrong(shapes, message):
    with pytest.raises(ValueError, match=message):
        mc.dense(*map(np.zeros, shapes))


def test_dense_as_a_module():
    layer = mc.Dense(4, 3, rng=0)
    assert {name: array.shape for name, array in layer.state_dict().items()} == {"weight": (4, 3), "bias": (3,)}
    x = normal((2, 4), dtype=np.float32)
    np.testing.assert_array_equal(layer(x).data, x @ layer.weight.data)
    assert repr(layer) == "Dense(4, 3)" and layer.multiply_adds((2, 4), (2, 3)) == 12
    assert list(mc.Dense(4, 3, bias=False).state_dict()) == ["weight"]


# ---- losses --------------------------------------------------------------------------------------------------------

def test_cross_entropy_by_hand():
    """A network that knows nothing of 4 classes: log 4.  One that is sure and right: 0.  Sure and wrong: the difference."""
    assert mc.cross_entropy(np.zeros((3, 4)), np.array([0, 1, 3])).item() == pytest.approx(np.log(4))
    assert mc.cross_entropy(np.array([[1000., 0]]), np.array([0])).item() == 0
    assert mc.cross_entropy(np.array([[1000., 0]]), np.array([1])).item() == 1000
    assert mc.cross_entropy(np.zeros((1, 2)), np.array([[.5, .5]])).item() == pytest.approx(np.log(2))


def test_label_smoothing_by_hand():
    """e = .2 over two classes: targets .9 and .1."""
    logits = np.log(np.array([[.75, .25]]))
    expected = -(.9 * np.log(.75) + .1 * np.log(.25))
    assert mc.cross_entropy(logits, np.array([0]), label_smoothing=.2).item() == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", [0., .3])
def test_gradient_of_cross_entropy(smoothing):
    logits, labels = normal((4, 5)), np.array([0, 4, 2, 2])
    assert len(mc.gradcheck(lambda x: mc.cross_entropy(x, labels, smoothing), logits).inputs) == 1
    probabilities = np.random.default_rng(0).random((4, 5))
    assert len(mc.gradcheck(lambda x, p: mc.cross_entropy(x, p, smoothing), logits, probabilities).inputs) == 2


def test_cross_entropy_takes_labels_of_any_whole_type_and_lists():
    logits = normal((3, 4))
    expected = mc.cross_entropy(logits, np.array([1, 0, 3])).item()
    for labels in ([1, 0, 3], np.array([1, 0, 3], np.uint8), mc.Tensor(np.array([1, 0, 3], np.int32))):
        assert mc.cross_entropy(logits, labels).item() == expected


@pytest.mark.parametrize("labels, smoothing, message", [
    (np.array([0, 1, 4]), 0, r"class labels must be in 0\.\.3, these reach from 0 to 4"),
    (np.array([0, -1, 2]), 0, r"class labels must be in 0\.\.3, these reach from -1 to 2"),
    (np.array([0., 1, 2]), 0, "class labels must be whole numbers, not float64"),
    (np.array([0, 1]), 0, r"cross_entropy: .* labels \(N,\) or \(N, classes\), not \(3, 4\) and \(2,\)"),
    (np.zeros((3, 5)), 0, r"not \(3, 4\) and \(3, 5\)"),
    (np.array([0, 1, 2]), 1.5, r"label_smoothing must be in \[0, 1\), not 1.5"),
    (np.array([0, 1, 2]), -.1, r"label_smoothing must be in \[0, 1\), not -0.1")])
def test_cross_entropy_says_what_is_wrong(labels, smoothing, message):
    with pytest.raises(ValueError, match=message):
        mc.cross_entropy(np.zeros((3, 4)), labels, smoothing)


def test_one_hot():
    rows = one_hot(np.array([2, 0]), 3, np.float32)
    assert rows.tolist() == [[0, 0, 1], [1, 0, 0]] and rows.dtype == np.float32
    assert one_hot(np.zeros(0, int), 3, np.float64).shape == (0, 3)
    with pytest.raises(ValueError, match=r"class labels must be in 0\.\.2"):
        one_hot(np.array([3]), 3, np.float32)


def test_distances_by_hand():
    x, target = np.array([[1., 2], [3, 4]]), np.array([[1., 0], [0, 8]])
    assert mc.mse_loss(x, target).item() == (0 + 4 + 9 + 16) / 4
    assert mc.l1_loss(x, target).item() == (0 + 2 + 3 + 4) / 4
    assert mc.mse_loss(x, 1).item() == (0 + 1 + 4 + 9) / 4
    assert mc.l1_loss(x, 1).item() == (0 + 1 + 2 + 3) / 4


@pytest.mark.parametrize("loss", [mc.mse_loss, mc.l1_loss])
def test_gradients_of_distances(loss):
    mc.gradcheck(loss, normal((3, 4), 1), normal((3, 4), 2))
    mc.gradcheck(lambda x: loss(x, .1), normal((3, 4), 1))
    with pytest.raises(ValueError, match=r"loss: x \(3, 1\) and target \(3,\) must have one shape"):
        loss(np.zeros((3, 1)), np.zeros(3))


@pytest.mark.parametrize("loss", [mc.mse_loss, mc.l1_loss])
def test_distances_keep_float32(loss):
    x, target = (mc.Tensor(normal((3, 4), seed, np.float32), requires_grad=True) for seed in (1, 2))
    y = loss(x, target)
    y.backward()
    assert y.dtype == x.grad.dtype == target.grad.dtype == np.float32


# ---- Module --------------------------------------------------------------------------------------------------------

class Net(mc.Module):
    """Two parts, a parameter and a buffer of its own: `features.0.weight`, as PyTorch would write it."""

    def __init__(self, rng=0):
        super().__init__()
        self.features = mc.Sequential(mc.Conv2d(3, 4, 3, padding=1, rng=rng), mc.BatchNorm2d(4), mc.ReLU(),
                                      mc.Dropout(.5, seed=1))
        self.classifier = mc.Sequential(mc.GlobalAvgPool2d(), mc.Dense(4, 2, rng=rng))
        self.scale = mc.tensor(2., requires_grad=True)
        self.register_buffer("seen", np.zeros(1, np.float32))

    def forward(self, x):
        return self.classifier(self.features(x)) * self.scale


PARAMETERS = ["scale", "features.0.weight", "features.0.bias", "features.1.weight", "features.1.bias",
              "classifier.1.weight", "classifier.1.bias"]
BUFFERS = ["seen", "features.1.running_mean", "features.1.running_var"]


def test_names_are_pytorchs():
    model = Net()
    assert [name for name, _ in model.named_parameters()] == PARAMETERS
    assert [name for name, _ in model.named_buffers()] == BUFFERS
    assert list(model.state_dict()) == PARAMETERS + BUFFERS
    assert [p.shape for p in model.parameters()] == [(), (3, 3, 3, 4), (4,), (4,), (4,), (4, 2), (2,)]
    assert [name for name, _ in model.named_modules()][:3] == ["", "features", "features.0"]


def test_a_layer_used_twice_has_its_parameters_once():
    """An optimizer that got a weight twice would move it twice."""
    shared = mc.Dense(4, 4)
    model = mc.Sequential(shared, mc.ReLU(), shared)
    assert [id(p) for p in model.parameters()] == [id(shared.weight), id(shared.bias)]


class Branches(mc.Module):
    """Parts in lists, tuples and dicts, in one another too; two Tensors in a list; and what is neither."""

    def __init__(self, rng=0):
        super().__init__()
        rng = np.random.default_rng(rng)
        self.blocks = [mc.Dense(3, 3, rng=rng), mc.BatchNorm2d(3)]
        self.heads = {"cat": mc.Dense(3, 2, bias=False, rng=rng), 64: (mc.Dropout(.5), [mc.Dense(3, 2, rng=rng)])}
        self.scales = [mc.tensor(rng.random(3, np.float32), requires_grad=True) for _ in range(2)]
        self.names, self.empty = ("a", 1, None, np.zeros(2)), []

    def forward(self, x):
        for block, scale in zip(self.blocks, self.scales):
            x = block(x) * scale
        return self.heads["cat"](x) + self.heads[64][1][0](x)


BRANCHES = ["scales.0", "scales.1", "blocks.0.weight", "blocks.0.bias", "blocks.1.weight", "blocks.1.bias",
            "heads.cat.weight", "heads.64.1.0.weight", "heads.64.1.0.bias"]


def test_parts_in_lists_tuples_and_dicts_are_seen():
    model = Branches()
    assert [name for name, _ in model.named_parameters()] == BRANCHES and len(model.parameters()) == 9
    assert list(model.children()) == ["blocks.0", "blocks.1", "heads.cat", "heads.64.0", "heads.64.1.0"]
    assert list(model.state_dict()) == [*BRANCHES, "blocks.1.running_mean", "blocks.1.running_var"]
    assert model.eval() and not model.heads[64][0].training and not model.blocks[1].training
    assert not any(p.requires_grad for p in model.requires_grad(False).parameters())
    assert repr(model).splitlines()[1:3] == ["  (blocks.0) Dense(3, 3)", "  (blocks.1) BatchNorm2d(3)"]


def test_parts_in_lists_are_saved_loaded_and_summed_up(tmp_path):
    one, other = Branches(rng=0), Branches(rng=1)
    mc.save(one, tmp_path / "branches.safetensors")
    mc.load_into(other, tmp_path / "branches.safetensors")
    assert all(np.array_equal(other.state_dict()[name], array) for name, array in one.state_dict().items())
    table = mc.summary(mc.Sequential(mc.GlobalAvgPool2d(), one), (4, 4, 3))
    assert [row.name for row in table.rows] == ["0", "1.blocks.0", "1.blocks.1", "1.heads.cat", "1.heads.64.1.0"]
    assert table.parameters == sum(p.size for p in one.parameters())


def test_a_part_in_two_lists_has_its_parameters_once():
    model = Branches()
    model.again = [model.blocks[0]]
    assert len(model.parameters()) == 9 and len(list(model.named_parameters())) == 11


def test_parts_beside_the_layers_of_a_sequential_are_seen():
    net = mc.Sequential(mc.ReLU(), mc.Dense(4, 4))
    net.shortcut = mc.Dense(4, 4, bias=False)
    assert list(net.state_dict()) == ["1.weight", "1.bias", "shortcut.weight"]


def test_two_parts_of_one_name_are_refused():
    model = mc.Module()
    model.heads = {1: mc.Dense(2, 2), "1": mc.Dense(2, 2)}
    with pytest.raises(ValueError, match="two parts of a module are called 'heads.1': give them keys that differ as text"):
        model.parameters()


def test_state_goes_round():
    first, second = Net(rng=1), Net(rng=2)
    first(normal((2, 5, 5, 3), dtype=np.float32))                # moves the running statistics
    copies = {name: array.copy() for name, array in first.state_dict().items()}
    own = second.state_dict()
    second.load_state_dict(copies)
    for name, array in second.state_dict().items():
        np.testing.assert_array_equal(array, copies[name])
        assert array is own[name] and not np.shares_memory(array, copies[name])
    x = normal((2, 5, 5, 3), dtype=np.float32)
    np.testing.assert_array_equal(first.eval()(x).data, second.eval()(x).data)


def test_loading_keeps_the_dtype_of_the_network():
    model = Net()
    model.load_state_dict({name: array.astype(np.float64) for name, array in model.state_dict().items()})
    assert {array.dtype for array in model.state_dict().values()} == {np.dtype(np.float32)}


def test_weights_of_another_network_are_refused_whole():
    """Every missing, unexpected and misshapen name in one message, and nothing copied, not even what would fit."""
    model = Net()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    state = {name: array + 1 for name, array in model.state_dict().items()}
    del state["scale"], state["features.1.running_mean"]
    state["classifier.1.weight"] = np.zeros((4, 1000), np.float32)
    state["head.bias"] = np.zeros(7, np.float32)
    with pytest.raises(ValueError) as caught:
        model.load_state_dict(state)
    lines = str(caught.value).splitlines()
    assert sorted(line.split()[:2] for line in lines[1:]) == [
        ["misshapen", "classifier.1.weight"], ["missing", "features.1.running_mean"], ["missing", "scale"],
        ["unexpected", "head.bias"]]
    assert "(4, 1000), the network has (4, 2)" in str(caught.value) and "head.bias (7,)" in str(caught.value)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def modes(model):
    return {module.training for _, module in model.named_modules()}


def wishes(model):
    return [parameter.requires_grad for parameter in model.parameters()]


def test_training_mode_and_gradients_are_independent():
    model = Net()
    assert modes(model) == {True} and all(wishes(model))
    assert model.eval() is model and modes(model) == {False} and all(wishes(model))
    assert model.requires_grad(False) is model and not any(wishes(model)) and modes(model) == {False}
    assert model.train() is model and modes(model) == {True} and not any(wishes(model))


def test_a_frozen_network_gives_the_picture_a_gradient_and_nothing_else():
    model = Net()
    statistics = model.features[1].running_mean.copy()
    x = mc.Tensor(normal((2, 5, 5, 3), dtype=np.float32), requires_grad=True)
    with model.frozen():
        mc.sum(model(x)).backward()
    assert np.abs(x.grad).max() > 0 and all(parameter.grad is None for parameter in model.parameters())
    np.testing.assert_array_equal(model.features[1].running_mean, statistics)


def test_zero_grad_forgets_all_gradients():
    model = Net()
    mc.sum(model(normal((2, 5, 5, 3), dtype=np.float32))).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_watching_sees_every_layer_with_what_went_in_and_came_out():
    model, seen = Net().eval(), []
    x = mc.Tensor(normal((1, 5, 5, 3), dtype=np.float32))
    with mc.watching(lambda module, x, y: seen.append((module, x.shape, y.shape))):
        y = model(x)
    assert [module for module, *_ in seen] == [*model.features, model.features, *model.classifier, model.classifier, model]
    assert seen[0][1:] == ((1, 5, 5, 3), (1, 5, 5, 4)) and seen[-1][1:] == ((1, 5, 5, 3), y.shape)
    model(x)
    assert len(seen) == 9                                        # outside nobody watches


def test_watching_ends_with_an_error():
    seen = []
    with pytest.raises(ZeroDivisionError), mc.watching(lambda *call: seen.append(call)):
        raise ZeroDivisionError
    mc.ReLU()(np.zeros(3))
    assert seen == []


def test_sequential_is_a_list():
    net = mc.Sequential(mc.Conv2d(3, 4, 3), mc.ReLU(), mc.MaxPool2d(2), mc.Flatten(), mc.Dense(4, 2))
    assert len(net) == 5 and list(net) == net.layers
    assert net[0] is net.layers[0] and net[-1] is net.layers[4]
    part = net[1:3]
    assert isinstance(part, mc.Sequential) and list(part) == net.layers[1:3]
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "4.weight", "4.bias"]
    x = normal((1, 4, 4, 3), dtype=np.float32)
    np.testing.assert_array_equal(net[3:](net[:3](x)).data, net(x).data)


def test_flatten_and_its_gradient():
    assert mc.Flatten()(mc.Tensor(normal((2, 3, 4, 5)))).shape == (2, 60)
    mc.gradcheck(mc.Flatten(), normal((2, 3, 1, 2)))


def test_a_module_without_forward_says_so():
    class Nothing(mc.Module):
        pass
    with pytest.raises(TypeError, match=r"Nothing defines no forward\(self, x\)"):
        Nothing()(np.zeros(3))


def test_repr_is_the_tree_of_parts():
    assert repr(Net()) == """\
Net(
  (features) Sequential(
    (0) Conv2d(3, 4, 3x3)
    (1) BatchNorm2d(4)
    (2) ReLU()
    (3) Dropout(0.5)
  )
  (classifier) Sequential(
    (0) GlobalAvgPool2d()
    (1) Dense(4, 2)
  )
)"""


def test_to_the_device_where_it_is_already_and_to_one_that_is_none():
    model = Net()
    arrays = model.state_dict()
    assert model.to("cpu") is model
    assert all(array is arrays[name] for name, array in model.state_dict().items())
    with pytest.raises(ValueError, match="device must be 'cpu' or 'cuda', not 'tpu'"):
        model.to("tpu")


# ---- first weights -------------------------------------------------------------------------------------------------

CONV, DENSE = (5, 5, 40, 60), (300, 200)


@pytest.mark.parametrize("function, shape, variance", [
    (init.kaiming, CONV, 2 / (25 * 40)), (init.kaiming, DENSE, 2 / 300),
    (init.xavier, CONV, 2 / (25 * 40 + 25 * 60)), (init.xavier, DENSE, 2 / 500),
    (init.alexnet, CONV, .01 ** 2), (init.vgg, CONV, .01)], ids=lambda v: getattr(v, "__name__", None))
def test_variance_of_first_weights(function, shape, variance):
    weight = function(shape, rng=0)
    assert weight.shape == shape and weight.dtype == np.float32
    assert weight.astype(float).var() == pytest.approx(variance, rel=.02)
    assert abs(weight.astype(float).mean()) < 5 * np.sqrt(variance / weight.size)


def test_kaiming_keeps_the_variance_through_layers_with_relu():
    """Of what a layer sums: the mean square.  Without the factor 2 it would fall to a thousandth in ten layers."""
    x = normal((100, 512), dtype=np.float32)
    for seed in range(10):
        x = mc.relu(mc.dense(x, init.kaiming((512, 512), rng=100 + seed))).data
    assert .5 < (x ** 2).mean() < 2


def test_xavier_is_uniform_and_bounded():
    weight, bound = init.xavier(DENSE, rng=0), np.sqrt(6 / 500)
    assert .99 * bound < np.abs(weight).max() <= np.float32(bound)


@pytest.mark.parametrize("function", [init.kaiming, init.xavier, init.alexnet, init.vgg])
def test_a_seed_gives_the_same_weights(function):
    np.testing.assert_array_equal(function((3, 4), rng=5), function((3, 4), rng=5))
    assert (function((3, 4), rng=5) != function((3, 4), rng=6)).all()
    rng = np.random.default_rng(5)
    np.testing.assert_array_equal(function((3, 4), rng=rng), function((3, 4), rng=5))
    assert (function((3, 4), rng=rng) != function((3, 4), rng=5)).all()      # a Generator goes on
    assert (function((3, 4)) != function((3, 4))).all()                      # and so does the common one


def test_fans():
    assert init.fans((3, 5, 4, 6)) == (60, 90) and init.fans((7, 2)) == (7, 2)
    with pytest.raises(ValueError, match=r"\(5,\) has no fan"):
        init.kaiming((5,))
    assert init.zeros((2,)).tolist() == [0, 0] and init.ones((2,)).tolist() == [1, 1]
    assert init.zeros((2,)).dtype == init.ones((2,)).dtype == np.float32


# ---- summary -------------------------------------------------------------------------------------------------------

def stack():
    return mc.Sequential(mc.Conv2d(3, 8, 3, padding=1), mc.Conv2d(8, 8, 3, padding=1), mc.MaxPool2d(2),
                         mc.Conv2d(8, 16, 3, padding=1), mc.Flatten(), mc.Dense(16 * 16 * 16, 10))


def test_parameters_and_multiply_adds_by_arithmetic():
    table = mc.summary(stack(), (32, 32, 3))
    assert [row.parameters for row in table.rows] == [3 * 8 * 9 + 8, 8 * 8 * 9 + 8, 0, 8 * 16 * 9 + 16, 0, 4096 * 10 + 10]
    assert [row.multiply_adds for row in table.rows] == [1024 * 216, 1024 * 576, 0, 256 * 1152, 0, 40960]
    assert table.parameters == sum(row.parameters for row in table.rows) == sum(p.size for p in stack().parameters())
    assert table.multiply_adds == sum(row.multiply_adds for row in table.rows)
    assert [row.output for row in table.rows] == [(32, 32, 8), (32, 32, 8), (16, 16, 8), (16, 16, 16), (4096,), (10,)]
    assert [row.name for row in table.rows] == ["0", "1", "2", "3", "4", "5"]


def test_receptive_field_of_a_known_stack():
    """3x3, 3x3, pooling by 2, 3x3: a pixel sees 3, 5, 6 and 10 pixels; what flattens sees the whole picture."""
    assert [row.receptive_field for row in mc.summary(stack(), (32, 32, 3)).rows] == [3, 5, 6, 10, 32, 32]


def test_receptive_field_agrees_with_the_gradient():
    """The pixels that one output in the middle has a gradient for: strides, dilation and overlapping pooling."""
    net = mc.Sequential(mc.Conv2d(1, 1, 5, stride=2), mc.Conv2d(1, 1, 3, dilation=2), mc.AvgPool2d(3, stride=2),
                        mc.Conv2d(1, 1, 3))
    x = mc.Tensor(normal((1, 61, 61, 1), dtype=np.float32), requires_grad=True)
    y = net(x)
    dy = np.zeros(y.shape, np.float32)
    dy[0, y.shape[1] // 2, y.shape[2] // 2] = 1
    y.backward(dy)
    touched = np.flatnonzero(np.abs(x.grad).sum(axis=(0, 2, 3)))
    assert mc.summary(net, (61, 61, 1)).rows[-1].receptive_field == len(touched) == touched[-1] - touched[0] + 1


def test_summary_counts_a_shared_layer_once_and_leaves_the_network_as_it_was():
    shared = mc.Conv2d(4, 4, 3, padding=1, bias=False)
    model = mc.Sequential(shared, mc.ReLU(), shared, mc.BatchNorm2d(4))
    table = mc.summary(model, (6, 6, 4))
    assert table.parameters == 144 + 8 and table.multiply_adds == 2 * 36 * 144
    assert modes(model) == {True} and all(wishes(model))
    assert not model[3].running_mean.any()


def test_summary_counts_parameters_that_belong_to_no_layer():
    """Net.scale is a parameter of the whole, and no row shows it."""
    table = mc.summary(Net(), (8, 8, 3))
    assert table.parameters == sum(row.parameters for row in table.rows) + 1


def test_summary_as_text():
    lines = str(mc.summary(stack(), (32, 32, 3))).splitlines()
    assert lines[0].split() == ["name", "layer", "output", "parameters", "multiply-adds", "sees"]
    assert lines[2].split() == ["1", "Conv2d(8,", "8,", "3x3)", "32", "x", "32", "x", "8", "584", "589,824", "5"]
    assert lines[-1].split() == ["total", "42,946", "1,146,880"]
    assert len({line.index("Conv2d") for line in lines if "Conv2d" in line}) == 1
