"""The networks for photographs: their sizes as published, what they do to pixels, layers by name, dense evaluation."""
import sys

import numpy as np
import pytest

import minicnn as mc
from minicnn.files import weights
from minicnn.models.classifier import standardize
from minicnn.models.vgg import CONFIGURATIONS, vgg

FIVE = ["a", "b", "c", "d", "e"]
# Options that make an instance of little work.
TINY = {"alexnet": dict(width=4, hidden=6), "alexnet-2012": dict(width=6, hidden=6), "squeezenet1-1": dict(width=4),
        **{name: dict(width=4, hidden=6) for name in mc.models.IMAGENET if name.startswith("vgg")}}


def tiny(name, **options):
    return mc.models.build(name, FIVE, rng=0, **{**TINY[name], **options})


def blank(name, **options):
    """The whole network, of weights that are zeros and take no memory."""
    with mc.init.skipped():
        return mc.models.build(name, **options)


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def count(module):
    return sum(parameter.size for parameter in module.parameters())


def conv(k, inputs, outputs):
    return k * k * inputs * outputs + outputs


def dense(*sizes):
    return sum(inputs * outputs + outputs for inputs, outputs in zip(sizes, sizes[1:]))


# ---- sizes by arithmetic, and as published -------------------------------------------------------------------------

def vgg_features(configuration):
    total, channels = 0, 3
    for word in configuration.split():
        if word not in "LM":
            filters, _, one = word.partition("/")
            total, channels = total + conv(1 if one else 3, channels, int(filters)), int(filters)
    return total


VGG_DENSE = dense(7 * 7 * 512, 4096, 4096, 1000)
ALEXNET = conv(11, 3, 64) + conv(5, 64, 192) + conv(3, 192, 384) + conv(3, 384, 256) + conv(3, 256, 256)
ALEXNET_2012 = conv(11, 3, 96) + conv(5, 48, 256) + conv(3, 256, 384) + conv(3, 192, 384) + conv(3, 192, 256)
ALEXNET_DENSE = dense(6 * 6 * 256, 4096, 4096, 1000)


def fire(inputs, squeezed, expanded):
    return conv(1, inputs, squeezed) + conv(1, squeezed, expanded) + conv(3, squeezed, expanded)


SQUEEZENET = (conv(3, 3, 64) + fire(64, 16, 64) + fire(128, 16, 64) + fire(128, 32, 128) + fire(256, 32, 128)
              + fire(256, 48, 192) + fire(384, 48, 192) + fire(384, 64, 256) + fire(512, 64, 256))


@pytest.mark.parametrize("name, features, rest, published_features, published", [
    *[(name, vgg_features(CONFIGURATIONS[letter]), VGG_DENSE, features, total) for name, letter, features, total in [
        ("vgg11", "A", 9_220_480, 132_863_336), ("vgg11-lrn", "A-LRN", 9_220_480, 132_863_336),
        ("vgg13", "B", 9_404_992, 133_047_848), ("vgg16-c", "C", 9_996_096, 133_638_952),
        ("vgg16", "D", 14_714_688, 138_357_544), ("vgg19", "E", 20_024_384, 143_667_240)]],
    ("vgg11-bn", vgg_features(CONFIGURATIONS["A"]) + 2 * 2752, VGG_DENSE, 9_225_984, 132_868_840),
    ("vgg13-bn", vgg_features(CONFIGURATIONS["B"]) + 2 * 2944, VGG_DENSE, 9_410_880, 133_053_736),
    ("vgg16-bn", vgg_features(CONFIGURATIONS["D"]) + 2 * 4224, VGG_DENSE, 14_723_136, 138_365_992),
    ("vgg19-bn", vgg_features(CONFIGURATIONS["E"]) + 2 * 5504, VGG_DENSE, 20_035_392, 143_678_248),
    ("alexnet", ALEXNET, ALEXNET_DENSE, 2_469_696, 61_100_840),
    ("alexnet-2012", ALEXNET_2012, ALEXNET_DENSE, 2_334_080, 60_965_224),
    ("squeezenet1-1", SQUEEZENET, conv(1, 512, 1000), 722_496, 1_235_496)])
def test_parameters_by_arithmetic_are_those_published(name, features, rest, published_features, published):
    model = blank(name)
    assert count(model.features) == features == published_features
    assert count(model) == features + rest == published
    alone = blank(name, features_only=True)
    assert count(alone) == features
    assert list(alone.state_dict()) == [key for key in model.state_dict() if key.startswith("features.")]


@pytest.mark.parametrize("name, published", [
    ("vgg11", 7.609), ("vgg13", 11.308), ("vgg16", 15.470), ("vgg19", 19.632)])
def test_multiply_adds_of_vgg(name, published):
    """Of 224x224 pixels 49 times as many in the convolutions as of 32x32, since every side is 7 times as long."""
    rows = mc.summary(blank(name), (32, 32, 3)).rows
    convolutions = sum(row.multiply_adds for row in rows if row.name.startswith("features"))
    dense_layers = sum(row.multiply_adds for row in rows if row.name.startswith("classifier"))
    assert dense_layers == 25088 * 4096 + 4096 * 4096 + 4096 * 1000
    assert round((49 * convolutions + dense_layers) / 1e9, 3) == published


@pytest.mark.parametrize("name, published", [("alexnet", .714), ("squeezenet1-1", .349)])
def test_multiply_adds_of_the_others(name, published):
    assert round(mc.summary(blank(name)).multiply_adds / 1e9, 3) == published


def test_the_sides_of_the_2012_paper():
    """Figure 2 and section 3.5: 55x55 after the first convolution, then 27, 13 and, after the last pooling, 6."""
    rows = {row.called: row for row in mc.summary(tiny("alexnet-2012")).rows}
    sides = {name: rows[name].output[0] for name in ("conv1", "pool1", "conv2", "pool2", "conv3", "conv5", "pool5")}
    assert sides == {"conv1": 55, "pool1": 27, "conv2": 27, "pool2": 13, "conv3": 13, "conv5": 13, "pool5": 6}
    model = blank("alexnet-2012")
    shapes = [mc.generate.layer_named(model, name).weight.shape for name in ("conv2", "conv3", "conv4")]
    assert shapes == [(5, 5, 48, 256), (3, 3, 256, 384), (3, 3, 192, 384)]


# ---- building ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", mc.models.IMAGENET)
def test_every_network_is_built_saved_and_loaded(name, tmp_path):
    model, x = tiny(name, size=72), mc.tensor(pictures(2, 72, 72, 3))
    assert model.input_shape == (72, 72, 3) and model.class_names == FIVE and model.shorter_side == 82
    model.train()(x)
    mc.save(model, tmp_path / "net.safetensors")
    back = mc.models.load(tmp_path / "net.safetensors")
    assert back.class_names == FIVE and back.input_shape == model.input_shape and not back.training
    y = back(x)
    assert y.shape == (2, 5) and y.dtype == np.float32 and np.array_equal(y.data, model.eval()(x).data)


@pytest.mark.parametrize("name", mc.models.IMAGENET)
def test_features_alone(name):
    alone, whole, x = tiny(name, features_only=True), tiny(name), pictures(1, 70, 65, 3)
    assert alone.class_names == [] and alone.flattened is None and alone.classifier is None
    alone.load_state_dict({key: array for key, array in whole.state_dict().items() if key.startswith("features.")})
    maps = alone.eval()(x)
    assert np.array_equal(maps.data, whole.features(whole.eval().preprocess(x)).data) and maps.ndim == 4
    assert "fc6" not in alone.layer_names and "conv10" not in alone.layer_names
    with pytest.raises(ValueError, match="no 'cat' here: this network ends in feature maps"):
        alone.class_index("cat")


def test_features_alone_come_back_from_their_file(tmp_path):
    mc.save(tiny("vgg11", features_only=True), tmp_path / "features.safetensors", "float16")
    back = mc.models.load(tmp_path / "features.safetensors")
    assert back.classifier is None and back(pictures(1, 32, 48, 3)).shape == (1, 1, 1, 32)


@pytest.mark.parametrize("name, height, width", [("vgg16", 32, 77), ("alexnet", 63, 80), ("alexnet-2012", 90, 63),
                                                 ("squeezenet1-1", 25, 41)])
def test_pictures_of_other_sizes(name, height, width):
    assert tiny(name)(pictures(2, height, width, 3)).shape == (2, 5)


@pytest.mark.parametrize("name", mc.models.IMAGENET)
def test_one_step_lowers_the_loss(name):
    model, x, labels = tiny(name, dropout=0, size=64).train(), mc.tensor(pictures(4, 64, 64, 3)), np.arange(4)
    optimizer = mc.SGD(model.parameters(), 1e-4)
    before = mc.cross_entropy(model(x), labels)
    before.backward()
    assert all(p.grad is not None and np.isfinite(p.grad).all() for p in model.parameters())
    optimizer.step()
    assert mc.cross_entropy(model(x), labels).item() < before.item()


def test_a_thousand_classes_have_numbers_where_nobody_names_them(tmp_path):
    model = mc.models.build("squeezenet1_1", rng=0, width=4)
    assert model.class_names[281] == "class 281" and len(model.class_names) == 1000
    model.class_names = [f"thing {k}" for k in range(1000)]                      # named later, as from a list
    mc.save(model, tmp_path / "net.safetensors")
    assert mc.models.load(tmp_path / "net.safetensors").class_names[281] == "thing 281"
    with pytest.raises(ValueError, match="network 'small' needs class_names"):
        mc.models.build("small")


@pytest.mark.parametrize("written", ["vgg16_bn", "VGG16-BN", "Vgg16_BN"])
def test_names_may_be_written_as_elsewhere(written, tmp_path):
    model = mc.models.build(written, FIVE, rng=0, **TINY["vgg16-bn"])
    assert model.architecture["network"] == "vgg16-bn"
    mc.save(model, tmp_path / "net.safetensors")
    assert mc.models.load(tmp_path / "net.safetensors", network=written).class_names == FIVE


@pytest.mark.parametrize("name, options, complaint", [
    ("vgg19", dict(size=31), "VGG E: pictures of 31x31 with 3 channels; it needs at least 32x32"),
    ("alexnet", dict(size=62), "alexnet: pictures of 62x62.*at least 63x63"),
    ("alexnet-2012", dict(size=62), "alexnet-2012: pictures of 62x62.*at least 63x63"),
    ("alexnet-2012", dict(width=16), "alexnet-2012: width must be a multiple of 6, not 16"),
    ("squeezenet1-1", dict(size=24), "squeezenet1-1: pictures of 24x24.*at least 25x25"),
    ("squeezenet1-1", dict(width=6), "squeezenet1-1: width must be a multiple of 4, not 6"),
    ("vgg11", dict(channels=1), "preprocessing 'torchvision' is of red, green and blue, and pictures of 1 channels"),
    ("vgg11", dict(preprocessing="bgr"), "no preprocessing 'bgr'; there are torchvision, caffe, caffe-rgb"),
    ("vgg11", dict(depth=3), "vgg11 cannot be called with .*depth.*it takes .*batch_norm=False, width=64")])
def test_what_does_not_fit_is_refused(name, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        tiny(name, **options)


def test_vgg_of_another_column():
    with pytest.raises(ValueError, match="vgg: there is no configuration 'F'; there are A, A-LRN, B, C, D, E"):
        vgg("F")


# ---- nothing drawn -------------------------------------------------------------------------------------------------

def test_within_skipped_weights_are_zeros_and_after_it_they_are_drawn():
    with mc.init.skipped():
        arrays = tiny("vgg11-bn").state_dict()
        assert not mc.init.xavier((3, 4)).any()
    assert not any(array.any() for name, array in arrays.items() if array.ndim > 1)
    assert arrays["features.1.weight"].all() and arrays["features.1.running_var"].all()          # batch norm begins at 1
    assert tiny("vgg11-bn").state_dict()["features.0.weight"].all()


def test_within_skipped_no_more_numbers_are_to_be_had_than_are_allowed():
    with mc.init.skipped(20):
        mc.init.ones((4, 5))
        with pytest.raises(ValueError, match="more numbers than there are"):
            mc.init.zeros((1,))
    with mc.init.skipped(20), mc.init.skipped(), pytest.raises(ValueError, match="more numbers than there are"):
        mc.init.normal((10 ** 9, 10 ** 9), 1.)
    assert mc.init.ones((21,)).all()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system does not tell how much memory is in use")
def test_half_a_gigabyte_of_zeros_takes_no_memory():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    before = resident()
    model = blank("vgg19")
    assert count(model) * 4 > 570_000_000 and resident() - before < 60_000_000


def test_the_start_values_of_the_2012_paper():
    """Section 5: weights of standard deviation .01; biases 1 in conv2, conv4, conv5 and the hidden dense layers, else 0."""
    model = mc.models.build("alexnet-2012", FIVE, rng=0, width=24, hidden=64)
    ones = set()
    for name, path in model.layer_names.items():
        if name.startswith(("conv", "fc")):
            layer = mc.generate.layer_named(model, path)
            assert layer.weight.data.std() == pytest.approx(.01, rel=.1)
            assert len(set(layer.bias.data)) == 1
            ones |= {name} if layer.bias.data[0] == 1 else set()
    assert ones == {"conv2", "conv4", "conv5", "fc6", "fc7"}
    same, other = (mc.models.build("alexnet-2012", FIVE, rng=seed, width=24, hidden=64).state_dict() for seed in (0, 1))
    assert np.array_equal(same["classifier.0.weight"], model.state_dict()["classifier.0.weight"])
    assert not np.array_equal(other["classifier.0.weight"], same["classifier.0.weight"])


# ---- what is done to pixels ----------------------------------------------------------------------------------------

def test_preprocessing_by_the_numbers():
    x = pictures(2, 3, 4, 3).astype(np.float64)
    done = {name: tiny("vgg11", preprocessing=name).preprocess(x).data for name in mc.models.PREPROCESSING}
    np.testing.assert_allclose(done["torchvision"], (x - [.485, .456, .406]) / [.229, .224, .225])
    np.testing.assert_allclose(done["caffe"], 255 * x[..., ::-1] - [103.939, 116.779, 123.68])
    np.testing.assert_allclose(done["caffe-rgb"], 255 * x - [123.68, 116.779, 103.939])
    kinds = {kind: standardize(pictures(1, 2, 2, 3).astype(kind), (.1, .2, .3), .5).dtype for kind in ("f", "d")}
    assert kinds == {"f": np.float32, "d": np.float64}
    np.testing.assert_allclose(standardize(np.full((1, 1, 1, 1), 200, np.uint8), 100, .5).data, 200)


@pytest.mark.parametrize("mean, std, bgr", [
    (.47, .25, False), ((.1, .2, .3), (.4, .5, .6), False), ((.1, .2, .3), .5, True)])
def test_gradient_of_the_preprocessing(mean, std, bgr):
    mc.gradcheck(lambda x: standardize(x, mean, std, bgr), np.random.default_rng(0).random((2, 3, 2, 3)))


def test_preprocessing_travels_with_the_network_and_holds_no_weights(tmp_path):
    model, x = tiny("vgg11", preprocessing="caffe"), pictures(1, 40, 40, 3)
    mc.save(model, tmp_path / "net.safetensors")
    back = mc.models.load(tmp_path / "net.safetensors")
    assert back.preprocess.bgr and np.array_equal(back(x).data, model.eval()(x).data)
    state, _ = weights.read(tmp_path / "net.safetensors")
    assert {name.partition(".")[0] for name in state} == {"features", "classifier"}


def test_response_norm_is_the_papers():
    """Section 3.3, as it stands there: alpha 1e-4 is not divided by the n = 5 channels of the window."""
    n, k, alpha, beta = 5, 2, 1e-4, .75
    norm = mc.generate.layer_named(tiny("alexnet-2012"), "norm2")
    a = 300 * np.random.default_rng(0).standard_normal((1, 2, 2, 9))
    expected = np.empty_like(a)
    for i in range(9):
        window = a[..., max(0, i - n // 2):min(8, i + n // 2) + 1]
        expected[..., i] = a[..., i] / (k + alpha * (window ** 2).sum(axis=-1)) ** beta
    np.testing.assert_allclose(norm(a).data, expected, rtol=1e-12)
    assert repr(norm) == repr(mc.generate.layer_named(tiny("vgg11-lrn"), "norm1_1"))


# ---- layers by name ------------------------------------------------------------------------------------------------

VGG19 = {"conv1_1": 0, "relu1_1": 1, "conv1_2": 2, "pool1": 4, "conv2_1": 5, "relu2_1": 6, "pool2": 9, "conv3_1": 10,
         "relu3_1": 11, "pool3": 18, "conv4_1": 19, "relu4_1": 20, "conv4_2": 21, "relu4_2": 22, "pool4": 27, "conv5_1": 28,
         "relu5_1": 29, "pool5": 36}
VGG16 = {"relu1_2": 3, "pool1": 4, "relu2_2": 8, "pool2": 9, "relu3_3": 15, "pool3": 16, "relu4_3": 22, "pool4": 23,
         "relu5_3": 29, "pool5": 30}


@pytest.mark.parametrize("network, indices", [("vgg19", VGG19), ("vgg16", VGG16)])
def test_the_indices_of_vgg(network, indices):
    model = tiny(network)
    assert {name: mc.models.layer_path(model, name) for name in indices} == {
        name: f"features.{i}" for name, i in indices.items()}
    assert [mc.models.layer_path(model, name) for name in ("fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8")] == [
        f"classifier.{i}" for i in range(7)]


@pytest.mark.parametrize("network, names", [
    ("alexnet", {"conv1": "features.0", "pool1": "features.2", "conv2": "features.3", "relu5": "features.11",
                 "pool5": "features.12", "fc6": "classifier.1", "relu6": "classifier.2", "fc7": "classifier.4",
                 "fc8": "classifier.6"}),
    ("alexnet-2012", {"norm1": "features.2", "pool1": "features.3", "norm2": "features.6", "conv5": "features.12",
                      "pool5": "features.14", "fc6": "classifier.0", "drop6": "classifier.2", "fc8": "classifier.6"}),
    ("squeezenet1-1", {"conv1": "features.0", "pool1": "features.2", "fire2": "features.3", "fire3": "features.4",
                       "pool3": "features.5", "fire5": "features.7", "fire9": "features.12", "conv10": "classifier.1",
                       "fire2.squeeze": "features.3.squeeze", "fire9.expand3x3": "features.12.expand3x3"}),
    ("vgg13-bn", {"conv1_1": "features.0", "bn1_1": "features.1", "relu1_1": "features.2", "pool1": "features.6"}),
    ("vgg11-lrn", {"conv1_1": "features.0", "norm1_1": "features.2", "pool1": "features.3"}),
    ("vgg16-c", {"conv3_3": "features.14", "fc8": "classifier.6"})])
def test_names_of_the_other_networks(network, names):
    model = tiny(network)
    modules = dict(model.named_modules())
    for name, path in names.items():
        assert mc.models.layer_path(model, name) == mc.models.layer_path(model, path) == path
        assert mc.generate.layer_named(model, name) is modules[path]


@pytest.mark.parametrize("network", mc.models.IMAGENET)
def test_every_layer_has_a_name(network):
    model = tiny(network)
    paths = {f"{part}.{i}" for part in ("features", "classifier") for i in range(len(getattr(model, part)))}
    assert set(model.layer_names.values()) == paths and len(model.layer_names) == len(paths)


def test_an_unknown_layer_is_told_with_what_there_is():
    with pytest.raises(ValueError, match="no layer 'conv6_1'; it has conv1_1 to conv5_4, relu1_1 to relu7, pool1 to pool5, "
                                         r"fc6, fc7, fc8, drop6, drop7, preprocess, features.0, .*summary shows all\)"):
        mc.generate.layer_named(tiny("vgg19"), "conv6_1")
    for name in ("", "fire2.", "fire2.expand5x5", "features.99"):
        with pytest.raises(ValueError, match=f"no layer '{name}'; it has conv1, conv10, relu1, relu10, pool1, pool3, pool5, "
                                             "pool10, fire2 to fire9, drop9, preprocess"):
            mc.models.layer_path(tiny("squeezenet1-1"), name)
    small = mc.models.build("small", FIVE, rng=0, widths=((4,),))
    assert mc.models.layer_path(small, "features.1") == "features.1"
    with pytest.raises(ValueError, match="no layer 'conv1'; it has conv1_1, bn1_1, relu1_1, fc2, features.0, features.1"):
        mc.models.layer_path(small, "conv1")


# ---- dense evaluation ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, flattened", [("vgg16", (32, 7, 7)), ("alexnet", (16, 6, 6)), ("alexnet-2012", (16, 6, 6))])
def test_dense_evaluation_of_a_picture_of_its_own_size_is_the_network(name, flattened):
    model, x = tiny(name).eval(), pictures(2, 224, 224, 3)
    assert model.flattened == flattened
    everywhere = mc.models.fully_convolutional(model)
    assert everywhere.score_map(x).shape == (2, 1, 1, 5)
    np.testing.assert_allclose(everywhere(x).data, model(x).data, rtol=1e-4, atol=1e-6)


def test_dense_evaluation_scores_each_window_of_the_feature_maps_and_averages():
    model, x = tiny("vgg11").eval(), pictures(1, 256, 300, 3)
    everywhere = mc.models.fully_convolutional(model).eval()
    maps, scores = model.features(model.preprocess(x)).data, everywhere.score_map(x).data
    assert maps.shape[1:3] == (8, 9) and scores.shape == (1, 2, 3, 5)
    for i in range(2):
        for j in range(3):
            window = model.classifier(maps[:, i:i + 7, j:j + 7].reshape(1, -1)).data
            np.testing.assert_allclose(scores[:, i, j], window, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(everywhere(x).data, scores.mean(axis=(1, 2)), rtol=1e-5)


def test_dense_evaluation_shares_the_weights():
    model, x = tiny("vgg11").eval(), pictures(1, 224, 224, 3)
    everywhere = mc.models.fully_convolutional(model)
    assert {id(p) for p in everywhere.parameters()} == {id(p) for p in model.parameters()}
    model.classifier[6].bias.data += 3
    np.testing.assert_allclose(everywhere(x).data, model(x).data, rtol=1e-4)


def test_dense_evaluation_of_networks_that_average_themselves_and_of_small_pictures():
    for model in (tiny("squeezenet1-1"), mc.models.build("small", FIVE, rng=0, widths=((4,),)),
                  tiny("vgg11", features_only=True)):
        assert mc.models.fully_convolutional(model) is model
    with pytest.raises(ValueError, match="kernel of .7, 7.*more than the image of .6, 7"):
        mc.models.fully_convolutional(tiny("vgg11"))(pictures(1, 223, 224, 3))
