"""Weights of others as networks here: downloaded from a mirror on this machine, found by name, converted from a file."""
import functools
import hashlib
import json
import re

import numpy as np
import pytest
from conftest import data_folder

import minicnn as mc
from minicnn.files import foreign, weights
from minicnn.files.download import DownloadError, Remote
from minicnn.models.adapt import adapt
from minicnn.models.importing import are_features_only
from minicnn.models.published import PUBLISHED, Published, cached, known
from minicnn.models.vgg import vgg
from mirrors import dead
from test_adapt import TIMM, renamed, theirs
from torchfiles import save_legacy, save_zip

CLASSES = 7


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("MINICNN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def state(monkeypatch):
    """Weights for "tiny", a VGG-11 of few filters that is a network for the time of a test, in the layout of PyTorch."""
    monkeypatch.setitem(mc.models.NETWORKS, "tiny", functools.partial(vgg, "A", width=8, hidden=6))
    return theirs(mc.models.build("tiny", mc.models.numbered_classes(CLASSES)))


def published(monkeypatch, *files, **options):
    """Make the files, (Remotes), the published weights of "tiny"."""
    entry = Published("tiny", files, 1, 50., "a licence", **options)
    monkeypatch.setitem(PUBLISHED, "tiny", entry)
    return entry


def remote(content, *addresses, name="tiny.pth", digits=64):
    return Remote(name, len(content), hashlib.sha256(content).hexdigest()[:digits], addresses)


def content_of(path):
    data = path.read_bytes()
    path.unlink()
    return data


def assert_holds(model, state, names=""):
    found = model.state_dict()
    for name, array in adapt(state, model, only=names).items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


# ---- downloading --------------------------------------------------------------------------------------------------

def test_published_weights_are_downloaded_converted_and_found_by_name(mirror, state, tmp_path, home, monkeypatch):
    content = content_of(save_legacy(tmp_path / "tiny.pth", state))
    server = mirror({"tiny.pth": content})
    published(monkeypatch, remote(content, server.url, digits=8), preprocessing="caffe")
    path = mc.models.download("tiny")
    assert path == home / "weights" / "tiny.safetensors"
    assert [p.name for p in (home / "weights" / "downloads").iterdir()] == []
    model = mc.models.load("tiny")
    assert_holds(model, state)
    assert model.class_names == mc.models.numbered_classes(CLASSES) and model.preprocess.bgr
    metadata = weights.read(path)[1]
    assert json.loads(metadata["source"]) == {"file": "tiny.pth", "sha256": hashlib.sha256(content).hexdigest(),
                                              "licence": "a licence"}
    assert mc.models.download("TINY") == path and len(server.asked) == 1


def test_the_preprocessing_is_told_to_those_who_read_the_file_otherwise(mirror, state, tmp_path, monkeypatch):
    content = content_of(save_zip(tmp_path / "tiny.pth", state))
    for name, mean, std, channels in [("caffe", [103.939, 116.779, 123.68], 1, "bgr"),
                                      ("torchvision", [255 * .485, 255 * .456, 255 * .406], 255 * .229, "rgb")]:
        published(monkeypatch, remote(content, mirror({"tiny.pth": content}).url), preprocessing=name)
        metadata = weights.read(mc.models.download("tiny"))[1]
        assert json.loads(metadata["architecture"])["options"] == {"preprocessing": name}
        found = json.loads(metadata["preprocessing"])
        np.testing.assert_allclose(255 * np.array(found["mean"]), mean, rtol=1e-6)
        assert 255 * found["std"][0] == pytest.approx(std) and (found["channels"], found["scale"]) == (channels, 1)
        cached("tiny").unlink()


def test_the_features_alone_and_then_all(mirror, state, tmp_path, monkeypatch):
    content = content_of(save_zip(tmp_path / "tiny.pth", state))
    server = mirror({"tiny.pth": content})
    published(monkeypatch, remote(content, server.url))
    path = mc.models.download("tiny", features_only=True, dtype="float16")
    model, size = mc.models.load("tiny"), path.stat().st_size
    assert are_features_only(path) and model.classifier is None and model.class_names == []
    rounded = {name: array.astype(np.float16).astype(np.float32) for name, array in state.items()}
    assert_holds(model, rounded, "features.")
    assert mc.models.download("tiny", features_only=True) == path and len(server.asked) == 1
    mc.models.download("tiny")
    assert path.stat().st_size > size and not are_features_only(path) and len(server.asked) == 2
    mc.models.download("tiny", features_only=True)
    assert not are_features_only(path) and len(server.asked) == 2
    assert_holds(mc.models.load("tiny"), state)


def test_a_download_that_was_cut_goes_on(mirror, state, tmp_path, home, monkeypatch):
    content = content_of(save_zip(tmp_path / "tiny.pth", state))
    server = mirror({"tiny.pth": content})
    published(monkeypatch, remote(content, server.url))
    (home / "weights" / "downloads").mkdir(parents=True)
    (home / "weights" / "downloads" / "tiny.pth.part").write_bytes(content[:5000])
    mc.models.download("tiny")
    assert server.asked == [("tiny.pth", "bytes=5000-")]


def test_the_same_weights_in_another_file_do(mirror, state, tmp_path, monkeypatch):
    first = content_of(save_zip(tmp_path / "tiny.pth", state))
    other = {name: array[:, :, None, None] if name == "classifier.3.weight" else array for name, array in state.items()}
    weights.save(renamed(other, TIMM), tmp_path / "timm.safetensors")
    second = content_of(tmp_path / "timm.safetensors")
    server = mirror({"elsewhere/model.safetensors": second})
    published(monkeypatch, remote(first, dead()),
              remote(second, f"{server.url}elsewhere/model.safetensors", name="tiny-timm.safetensors"))
    mc.models.download("tiny")
    assert_holds(mc.models.load("tiny"), state)


def test_offline_the_error_says_what_to_put_where_and_then_it_is_found(state, tmp_path, home, monkeypatch):
    content, address = content_of(save_zip(tmp_path / "tiny.pth", state)), dead()
    published(monkeypatch, remote(content, address), remote(b"x", dead(), name="other.pth"))
    folder = home / "weights" / "downloads"
    with pytest.raises(DownloadError, match=f"download {address}tiny.pth elsewhere and put it into {folder}"):
        mc.models.download("tiny")
    (folder / "tiny.pth").write_bytes(content[:-1])
    with pytest.raises(ValueError, match="tiny.pth is not the file that was published under this name.*remove it"):
        mc.models.download("tiny")
    (folder / "tiny.pth").write_bytes(content)
    mc.models.download("tiny")
    assert_holds(mc.models.load("tiny"), state)


def test_another_file_than_the_published_one_is_refused(mirror, state, tmp_path, monkeypatch):
    content = content_of(save_zip(tmp_path / "tiny.pth", state))
    published(monkeypatch, remote(content, mirror({"tiny.pth": content[::-1]}).url, digits=8))
    with pytest.raises(DownloadError, match="it sent another file .the SHA-256 is wrong"):
        mc.models.download("tiny")
    assert not cached("tiny").exists()


def test_class_names_come_along(mirror, state, tmp_path, monkeypatch):
    content = content_of(save_zip(tmp_path / "tiny.pth", state))
    published(monkeypatch, remote(content, mirror({"tiny.pth": content}).url))
    asked = []
    mc.models.download("tiny", class_names=lambda count: asked.append(count) or list("abcdefg"))
    assert asked == [CLASSES] and mc.models.load("tiny").class_names == list("abcdefg")


def test_names_that_are_not_known_and_names_that_are_not_here():
    with pytest.raises(ValueError, match="nothing is known of published weights 'vgg20'; there are alexnet, "):
        mc.models.download("vgg20")
    with pytest.raises(FileNotFoundError, match="weights of vgg19 are not here yet: minicnn weights download vgg19"):
        mc.models.load("vgg19")
    with pytest.raises(FileNotFoundError, match="there is no network vgg20: .*minicnn weights list"):
        mc.models.load("vgg20")


def test_shipped_networks_come_first(home):
    (home / "weights").mkdir(parents=True)
    (home / "weights" / "robust.safetensors").write_bytes(b"")
    assert mc.models.find("robust").parent.name == "pretrained"


def test_a_name_in_the_spelling_of_torchvision(home):
    (home / "weights").mkdir(parents=True)
    (home / "weights" / "vgg16-bn.safetensors").write_bytes(b"")
    assert mc.models.find("vgg16_bn") == mc.models.find("VGG16-BN") == home / "weights" / "vgg16-bn.safetensors"
    assert known("vgg16_bn")[0] == "vgg16-bn"


# ---- what is published ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", PUBLISHED)
def test_the_list_of_published_weights_is_sound(name):
    """Each has a network here with as many numbers, a hash that its name promises, and at least two addresses."""
    entry = PUBLISHED[name]
    assert entry.preprocessing in mc.models.PREPROCESSING and entry.licence and (entry.top1 is None or 50 < entry.top1 < 80)
    for one in entry.files:
        assert re.fullmatch("[0-9a-f]{8}|[0-9a-f]{64}", one.sha256) and len(one.urls()) >= 2
        promised = re.search(r"-([0-9a-f]{8})\.pth$", one.name)
        assert one.sha256.startswith(promised[1]) if promised else len(one.sha256) == 64
        assert all(url.startswith("https://") for url in one.urls())
        assert one.size is None or 0 <= one.size - 4 * entry.parameters < 40_000
    with mc.init.skipped():
        model = mc.models.build(entry.network, preprocessing=entry.preprocessing)
    assert sum(parameter.size for parameter in model.parameters()) == entry.parameters


# ---- converting ----------------------------------------------------------------------------------------------------

def test_a_published_file_is_known_by_its_hash(state, tmp_path, monkeypatch):
    path = save_zip(tmp_path / "renamed.bin", state)
    published(monkeypatch, Remote("tiny.pth", None, hashlib.sha256(path.read_bytes()).hexdigest()[:8], ()),
              preprocessing="caffe-rgb")
    assert mc.models.convert(path) == cached("tiny") and path.exists()
    assert json.loads(weights.read(cached("tiny"))[1]["architecture"])["options"] == {"preprocessing": "caffe-rgb"}
    assert_holds(mc.models.load("tiny"), state)


def test_a_file_that_nobody_published_needs_the_name_of_its_network(state, tmp_path):
    path = save_zip(tmp_path / "net.pth", state)
    with pytest.raises(ValueError, match="net.pth is none of the published files .*: name the network .* with --network"):
        mc.models.convert(path)
    out = tmp_path / "out.safetensors"
    assert mc.models.convert(path, "tiny", out, preprocessing="caffe") == out
    model = mc.models.load(out)
    assert_holds(model, state)
    assert model.preprocess.bgr and len(model.class_names) == CLASSES


def test_a_network_that_was_trained_elsewhere_with_its_own_options(tmp_path):
    trained = mc.models.build("lenet5", list("0123"), rng=0, channels=1, size=28)
    path = save_zip(tmp_path / "net.pth", theirs(trained))
    mc.models.convert(path, "lenet5", tmp_path / "a.safetensors", class_names=list("0123"), channels=1, size=28)
    model = mc.models.load(tmp_path / "a.safetensors")
    assert model.input_shape == (28, 28, 1) and model.class_names == list("0123")
    assert_holds(model, theirs(trained))
    with pytest.raises(ValueError, match="does not fit this model"):
        mc.models.convert(path, "lenet5", tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()


def test_a_network_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("import minicnn as mc\n\ndef build(class_names, rng):\n    return mc.Sequential("
                                      "mc.Conv2d(3, 4, 3), mc.GlobalAvgPool2d(), mc.Dense(4, len(class_names)))\n")
    state = {"0.weight": np.ones((4, 3, 3, 3), np.float32), "0.bias": np.zeros(4, np.float32),
             "2.weight": np.arange(12, dtype=np.float32).reshape(3, 4), "2.bias": np.zeros(3, np.float32)}
    path = save_zip(tmp_path / "net.pth", state)
    with pytest.raises(ValueError, match="network of your own, have no place of their own"):
        mc.models.convert(path, "mine.py:build")
    mc.models.convert(path, "mine.py:build", "out.safetensors")
    model = mc.models.load("out.safetensors", network="mine.py:build")
    assert len(model.class_names) == 3
    np.testing.assert_array_equal(model.state_dict()["network.2.weight"], state["2.weight"].T)


def test_what_has_no_classes_is_taken_as_features(state, tmp_path):
    path = save_zip(tmp_path / "net.pth", {name: array for name, array in state.items() if name.startswith("features.")})
    with pytest.raises(ValueError, match="holds no layers that know classes.*--features"):
        mc.models.convert(path, "tiny")
    mc.models.convert(path, "tiny", features_only=True)
    assert_holds(mc.models.load("tiny"), state, "features.")


@pytest.mark.parametrize("layer, value, message", [
    ("classifier.6.bias", np.nan, "classifier.6.bias holds NaN or infinite numbers; .* or the features alone"),
    ("features.0.weight", np.inf, "features.0.weight holds NaN or infinite numbers; take another file$")])
def test_numbers_that_are_not_finite(layer, value, message, state, tmp_path):
    state[layer].flat[1] = value
    with pytest.raises(ValueError, match=message):
        mc.models.convert(save_zip(tmp_path / "net.pth", state), "tiny")
    assert not cached("tiny").exists()


def test_whole_numbers_are_no_weights(state, tmp_path):
    state["features.0.weight"] = state["features.0.weight"].astype(np.int8)
    with pytest.raises(ValueError, match="features.0.weight holds whole numbers"):
        mc.models.convert(save_zip(tmp_path / "net.pth", state), "tiny")


def test_a_file_of_ours_needs_no_conversion(state, tmp_path):
    mc.save(mc.models.build("tiny", list("ab"), rng=0), tmp_path / "ours.safetensors")
    with pytest.raises(ValueError, match="ours.safetensors is a file of minicnn already"):
        mc.models.convert(tmp_path / "ours.safetensors", "tiny")


def test_the_features_of_a_real_vgg16(home):
    path = data_folder("weights") / "vgg16_features_lpips_fp16.npz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    mc.models.convert(path, "vgg16", features_only=True, dtype="float16")
    assert cached("vgg16").stat().st_size < 30e6
    bias = mc.models.load("vgg16").state_dict()["features.0.bias"]
    np.testing.assert_allclose(bias, foreign.opened(path).arrays["conv1_1/b"], rtol=1e-3)
