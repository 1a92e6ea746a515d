"""From the names and layouts of others to ours: which array becomes which, and how its axes turn."""
import numpy as np
import pytest
from conftest import data_folder

import minicnn as mc
from minicnn.files import foreign
from minicnn.models.adapt import adapt


def vgg(name="vgg11", **options):
    """A VGG of tiny widths."""
    return mc.models.build(name, list("abcde"), rng=0, **{"width": 8, "hidden": 6, **options})


def theirs(model, seed=0):
    """Random weights for the model, in the names of torchvision and the layouts of PyTorch."""
    rng, state = np.random.default_rng(seed), {}
    for name, array in model.state_dict().items():
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim, (0,))
        state[name] = rng.standard_normal([array.shape[axis] for axis in axes]).astype(np.float32)
    return state


def renamed(state, table):
    """The state with the beginnings of its names changed, {old: new}."""
    return {next((new + name[len(old):] for old, new in table.items() if name.startswith(old)), name): array
            for name, array in state.items()}


def assert_adapted(state, model, expected):
    found = adapt(state, model)
    assert found.keys() == model.state_dict().keys()
    for name, array in adapt(expected, model).items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


# ---- layouts -------------------------------------------------------------------------------------------------------

def test_filters_and_dense_weights_turn_and_biases_stay():
    model = vgg("vgg11-bn")
    state = theirs(model)
    ours = adapt(state, model)
    assert {name: array.shape for name, array in ours.items()} == {
        name: array.shape for name, array in model.state_dict().items()}
    for o, i, y, x in [(0, 1, 2, 0), (7, 2, 0, 1)]:
        assert ours["features.0.weight"][y, x, i, o] == state["features.0.weight"][o, i, y, x]
    assert ours["classifier.3.weight"][1, 4] == state["classifier.3.weight"][4, 1]
    for name in ("features.0.bias", "features.1.running_var", "classifier.6.bias"):
        np.testing.assert_array_equal(ours[name], state[name])
    assert all(array.flags.c_contiguous for array in ours.values())


def test_the_first_dense_layer_sees_flattened_maps_in_another_order():
    model = vgg()
    weight = theirs(model)["classifier.0.weight"]                # (6, 64 * 7 * 7), channel by channel
    ours = adapt(theirs(model), model)["classifier.0.weight"]    # (7 * 7 * 64, 6), pixel by pixel
    for c, y, x in [(0, 0, 0), (63, 6, 6), (5, 2, 4)]:
        np.testing.assert_array_equal(ours[(y * 7 + x) * 64 + c], weight[:, (c * 7 + y) * 7 + x])


def test_grouped_and_transposed_convolutions():
    model = mc.Sequential(mc.Conv2d(4, 6, 3, groups=2), mc.ConvTranspose2d(6, 4, 2, groups=2))
    rng = np.random.default_rng(0)
    state = {"0.weight": rng.random((6, 2, 3, 3)), "0.bias": np.zeros(6),
             "1.weight": rng.random((6, 2, 2, 2)), "1.bias": np.zeros(4)}
    ours = adapt(state, model)
    assert ours["0.weight"][2, 1, 0, 5] == state["0.weight"][5, 0, 2, 1]
    assert ours["1.weight"][1, 0, 1, 4] == state["1.weight"][4, 1, 1, 0]


def test_maps_of_one_pixel_need_no_order():
    model = mc.Sequential(mc.Conv2d(3, 5, 3), mc.GlobalAvgPool2d(), mc.Dense(5, 2))
    weight = np.arange(10.).reshape(2, 5)
    state = {"0.weight": np.zeros((5, 3, 3, 3)), "0.bias": np.zeros(5), "2.weight": weight, "2.bias": np.zeros(2)}
    np.testing.assert_array_equal(adapt(state, model)["2.weight"], weight.T)


def flattening(**attributes):
    model = mc.Sequential(mc.Conv2d(1, 2, 3), mc.Flatten(), mc.Dense(2 * 4 * 3, 2), mc.Dense(2, 24), mc.Dense(24, 2))
    vars(model).update(attributes)
    return model


def test_a_network_that_flattens_without_a_word_is_refused():
    for model in (flattening(), flattening(flattened=(2, 5, 3)), flattening(flattened=(24,))):
        with pytest.raises(ValueError, match="2 of this network takes 24 numbers, but nothing says of which.*`flattened`"):
            adapt(theirs(model), model)


def test_only_the_first_dense_layer_takes_feature_maps():
    model = flattening(flattened=(2, 4, 3))
    state = theirs(model)
    ours = adapt(state, model)
    np.testing.assert_array_equal(ours["4.weight"], state["4.weight"].T)
    assert ours["2.weight"][(2 * 3 + 1) * 2 + 1, 0] == state["2.weight"][0, (1 * 4 + 2) * 3 + 1]


# ---- names ---------------------------------------------------------------------------------------------------------

TIMM = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc"}


@pytest.mark.parametrize("name", ["vgg11", "vgg13", "vgg16", "vgg19", "vgg19-bn"])
def test_timm_keeps_the_dense_layers_as_convolutions(name):
    model = vgg(name)
    state = theirs(model)
    other = renamed(state, TIMM)
    other["pre_logits.fc1.weight"] = state["classifier.0.weight"].reshape(6, 64, 7, 7)
    other["pre_logits.fc2.weight"] = state["classifier.3.weight"].reshape(6, 6, 1, 1)
    assert_adapted(other, model, state)


def test_caffes_vgg_counts_the_dense_layers_from_one():
    model = vgg("vgg19")
    state = theirs(model)
    assert_adapted(renamed(state, {"classifier.0": "classifier.1", "classifier.3": "classifier.4"}), model, state)


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1-1"])
def test_networks_whose_dense_layers_are_counted_so_stay_as_they_are(name):
    model = mc.models.build(name, list("abc"), rng=0, width=16, **({"hidden": 5} if name == "alexnet" else {}))
    state = theirs(model)
    assert_adapted(state, model, state)


@pytest.mark.parametrize("weight, bias", [(".weight", ".bias"), ("/w", "/b")])
def test_layers_by_their_numbers_in_blocks(weight, bias):
    model = vgg("vgg16")
    state = theirs(model)
    layers = {path: called for called, path in model.layer_names.items() if f"{path}.weight" in state}
    other = {}
    for name, array in state.items():
        layer, _, ending = name.rpartition(".")
        other[layers[layer] + (weight if ending == "weight" else bias)] = array
    assert {"conv1_1" + weight, "conv5_3" + bias, "fc6" + weight, "fc8" + bias} <= set(other)
    assert_adapted(other, model, state)


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod."])
def test_wrappers_around_a_network(prefix):
    model = vgg()
    state = theirs(model)
    assert_adapted({prefix + name: array for name, array in state.items()}, model, state)


def test_a_network_of_ones_own(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import minicnn as mc\n\ndef build(class_names, rng):\n"
        "    net = mc.Sequential(mc.Conv2d(1, 2, 3), mc.Flatten(), mc.Dense(8, len(class_names)))\n"
        "    net.flattened = 2, 2, 2\n    return net\n")
    model = mc.models.build(f"{tmp_path / 'mine.py'}:build", ["a", "b", "c"])
    state = {"0.weight": np.zeros((2, 1, 3, 3)), "0.bias": np.ones(2),
             "2.weight": np.arange(24.).reshape(3, 8), "2.bias": np.zeros(3)}
    ours = adapt(state, model)
    assert ours.keys() == model.state_dict().keys() and ours["network.2.weight"][1, 0] == 4


def test_what_nothing_needs_is_left_out():
    model = vgg("vgg11-bn")
    state = theirs(model)
    assert_adapted({**state, "features.1.num_batches_tracked": np.array(3), "lpips_lin0/w": np.ones(64)}, model, state)


def test_two_names_for_one_array_are_shown_as_they_are():
    model = vgg()
    state = theirs(model)
    with pytest.raises(ValueError, match="unexpected +head.fc.weight"):
        adapt({**state, "head.fc.weight": state["classifier.6.weight"]}, model)


def test_the_features_alone():
    model, whole = vgg(features_only=True), vgg()
    for state in (theirs(whole), renamed(theirs(whole), TIMM), theirs(model)):
        found = adapt(state, model, only="features.")
        assert found.keys() == model.state_dict().keys()


# ---- what does not fit ---------------------------------------------------------------------------------------------

def test_all_that_differs_stands_side_by_side_in_the_layout_of_the_file():
    model = vgg()
    state = theirs(model)
    del state["features.3.bias"]
    state["features.0.weight"], state["extra"] = np.zeros((8, 3, 5, 5), np.float32), np.zeros(3)
    state["classifier.6.weight"], state["classifier.3.weight"] = np.zeros((9, 6)), np.zeros((6, 6, 2, 2))
    with pytest.raises(ValueError) as caught:
        adapt(state, model, "net.pth")
    first, *table = str(caught.value).splitlines()
    assert "net.pth does not fit this model of 22 arrays (5 differ)" in first
    assert [" ".join(line.split()) for line in table[1:]] == [
        "missing features.3.bias - (16,)", "unexpected extra (3,) -",
        "other shape features.0.weight (8, 3, 5, 5) (8, 3, 3, 3)", "other shape classifier.3.weight (6, 6, 2, 2) (6, 6)",
        "other shape classifier.6.weight (9, 6) (5, 6)"]


def test_another_network_is_not_mistaken():
    for ours, others in [("vgg16", "vgg19"), ("vgg16", "vgg16-bn"), ("vgg11-bn", "vgg11"), ("alexnet", "vgg11")]:
        with pytest.raises(ValueError, match="does not fit this model"):
            adapt(theirs(vgg(others)), vgg(ours, width=16))


# ---- real weights --------------------------------------------------------------------------------------------------

def real(name):
    path = data_folder("weights") / name
    return foreign.opened(path).arrays if path.is_file() else pytest.skip(f"no {path}")


def test_the_features_of_vgg16_by_block_names():
    arrays = real("vgg16_features_lpips_fp16.npz")
    with mc.init.skipped():
        model = mc.models.build("vgg16", features_only=True)
    found = adapt(arrays, model)
    assert found.keys() == model.state_dict().keys()
    np.testing.assert_array_equal(found["features.28.weight"], np.asarray(arrays["conv5_3/w"]).transpose(2, 3, 1, 0))


def test_squeezenet_sees_a_cat():
    with mc.init.skipped():
        model = mc.models.build("squeezenet1-1").eval()
    model.load_state_dict(adapt(real("squeezenet1_1_torchvision.npz"), model))
    shares = mc.classify(model, mc.read_image(data_folder("images") / "content" / "chelsea.png"))
    assert shares.argmax() in (281, 282, 285)                    # tabby, tiger cat, Egyptian cat
