"""The one door: names, folders in known forms, folders of pictures, where it looks and when it downloads."""
import numpy as np
import pytest
from PIL import Image

from conftest import data_folder
from minicnn import data
from minicnn.data import catalogue, class_balance, load, load_cifar10, load_shapes
from minicnn.data.dataset import Dataset
from minicnn.data.download import REMOTES
from minicnn.data.idx import FIRST_LABELS
from minicnn.files.download import DownloadError
from test_data import write_binary, write_mosaic, write_python
from test_cifar100 import write_binary as write_cifar100
from test_download import archive, remote
from test_idx import write_idx


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No folder is named, the cache is empty, the current folder is too, and a download is a mistake."""
    monkeypatch.delenv("MINICNN_DATA", raising=False)
    monkeypatch.setenv("MINICNN_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(catalogue, "download_files", lambda *arguments: pytest.fail(f"downloads {arguments}"))


RNG = np.random.default_rng(0)
COLOUR, LABELS = RNG.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8), RNG.integers(0, 10, 12)
GRAY = RNG.integers(0, 256, (24, 28, 28), dtype=np.uint8)


def write_gray(folder, name):
    labels = np.zeros(24, int)
    labels[:10], labels[12:22] = FIRST_LABELS[name]
    return write_idx(folder, GRAY, labels)


def write_digits(folder):
    return write_gray(folder, "MNIST")


def write_clothes(folder):
    return write_gray(folder, "Fashion-MNIST")


def write_pictures(folder):
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(5):
            Image.fromarray(COLOUR[i]).save(folder / name / f"{i}.png")
    return folder


# ---- folders ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("write", [write_binary, write_python, write_mosaic])
@pytest.mark.parametrize("inside", ["", "cifar10"])
def test_a_folder_of_cifar10_is_read_as_load_cifar10_does(write, inside, tmp_path):
    write(tmp_path / "data", COLOUR, LABELS) if not inside else write(tmp_path / inside, COLOUR, LABELS)
    folder = tmp_path if inside else tmp_path / "data"
    for split in ("train", "test"):
        found, expected = load(folder, split), load_cifar10(folder, split)
        np.testing.assert_array_equal(found.images, expected.images)
        np.testing.assert_array_equal(found.labels, expected.labels)
        assert found.class_names == expected.class_names
    assert len(load(str(folder), limit=3)) == 3


@pytest.mark.parametrize("write, shape, first_class", [
    (write_digits, (28, 28, 1), "0"), (write_clothes, (28, 28, 1), "T-shirt/top"), (write_pictures, (32, 32, 3), "cat"),
    (lambda folder: write_cifar100(folder, COLOUR, LABELS, LABELS), (32, 32, 3), "fine_0")])
def test_other_folders_are_recognised(write, shape, first_class, tmp_path):
    found = load(write(tmp_path / "data"))
    assert isinstance(found, Dataset) and found.images.shape[1:] == shape and found.class_names[0] == first_class


def test_options_reach_the_function_that_reads(tmp_path):
    pictures, many = write_pictures(tmp_path / "pictures"), write_cifar100(tmp_path / "many", COLOUR, LABELS, LABELS)
    assert load(pictures, "test", size=16, test_share=.4, seed=3).images.shape == (4, 16, 16, 3)
    assert len(load(many, coarse=True).class_names) == 20
    assert load("shapes", limit=2, size=20).images.shape == (2, 20, 20, 3)


@pytest.mark.parametrize("source, options, message", [
    ("mnist", {"size": 64}, "load_mnist has no option 'size'; it has none"),
    ("shapes", {"coarse": True}, "load_shapes has no option 'coarse'; it has size, seed"),
    ("cifar10", {"folders": "x"}, "load_cifar10 has no option 'folders'; it has verify")])
def test_an_option_of_another_data_set_is_refused(source, options, message):
    with pytest.raises(ValueError, match=message):
        load(source, **options)


def test_folders_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder minst .*check the name.*cifar10, cifar100, fashion-"):
        load("minst")
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="it is a file: unpack it"):
        load(tmp_path / "cifar-10-python.tar.gz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty has no folders with pictures in them"):
        load(tmp_path / "empty")


def test_wrong_arguments():
    with pytest.raises(ValueError, match="load: split must be 'train' or 'test', not 'val'"):
        load("shapes", "val")
    with pytest.raises(ValueError, match="load: limit must be 1 or more, not 0"):
        load("shapes", limit=0)


# ---- names --------------------------------------------------------------------------------------------------------

def test_shapes_need_nothing():
    np.testing.assert_array_equal(load("shapes", "test").images, load_shapes("test").images)


@pytest.mark.parametrize("name", ["fashion-mnist", "Fashion_MNIST", "FashionMNIST"])
def test_names_are_understood_in_several_spellings(name, tmp_path):
    write_clothes(tmp_path / "data" / "fashion_mnist")
    assert load(name, folder=tmp_path / "data").class_names[9] == "Ankle boot"
    assert set(data.NAMES) == {"cifar10", "cifar100", "fashion-mnist", "mnist", "shapes"}


def test_a_name_is_looked_for_in_one_place_after_the_other(tmp_path, monkeypatch):
    places = {"home/data/cifar10": 1, "elsewhere/cifar10": 2, "here/cifar10": 3, "named": 4}
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "elsewhere"))
    (tmp_path / "named").mkdir()
    for place, label in places.items():
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        write_binary(tmp_path / place, COLOUR, np.full(12, label))
        assert set(load("cifar10", folder=tmp_path / "named" if label == 4 else None).labels) == {label}
    assert set(load("CIFAR-10").labels) == {3}


def test_a_folder_that_is_called_like_a_data_set(tmp_path):
    write_pictures(tmp_path / "here" / "shapes")
    assert len(load("shapes", limit=1).class_names) == 8
    assert load("./shapes").class_names == ["cat", "dog"]


def test_what_is_not_there_is_not_downloaded_if_so_wished(tmp_path):
    with pytest.raises(FileNotFoundError, match="MNIST was not found.*home/data/mnist.*not to be downloaded"):
        load("mnist", download=False)
    with pytest.raises(FileNotFoundError, match="there is no folder .*typo to look for mnist in"):
        load("mnist", folder=tmp_path / "typo")


def test_a_damaged_file_is_an_error_and_no_reason_to_look_on(tmp_path):
    folder = write_digits(tmp_path / "data")
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8bdamaged")
    with pytest.raises(ValueError, match="train-images-idx3-ubyte.gz: cannot be read"):
        load("mnist", folder=folder)


# ---- downloads ----------------------------------------------------------------------------------------------------

def test_a_name_is_downloaded_into_the_cache_once(tmp_path, mirror, monkeypatch):
    files = write_python(tmp_path / "source", COLOUR, LABELS)
    content = archive({f"cifar-10-batches-py/{path.name}": path.read_bytes() for path in files.iterdir()})
    server = mirror({"data.bin": content})
    members = tuple(f"cifar-10-batches-py/{path.name}" for path in files.iterdir())
    monkeypatch.setitem(REMOTES, "cifar10", (remote(server.url, content=content, members=members),))
    monkeypatch.setattr(catalogue, "download_files", data.download.download)
    for split, expected in (("train", COLOUR[:10]), ("test", COLOUR[10:])):
        np.testing.assert_array_equal(load("cifar10", split).images, expected)
    assert len(server.asked) == 1
    assert sorted(path.name for path in (tmp_path / "home" / "data" / "cifar10").iterdir()) == sorted(
        path.name for path in files.iterdir())


def test_without_a_connection_the_error_says_where_to_put_the_files(tmp_path, mirror, monkeypatch):
    gone = mirror({})
    monkeypatch.setitem(REMOTES, "mnist", (remote(gone.url, split="train"),))
    monkeypatch.setattr(catalogue, "download_files", data.download.download)
    with pytest.raises(DownloadError, match=f"download {gone.url}data.bin elsewhere and put it into .*home/data/mnist"):
        load("mnist")
    write_digits(tmp_path / "home" / "data" / "mnist")
    assert len(load("mnist")) == 12


# ---- class balance ------------------------------------------------------------------------------------------------

def test_class_balance():
    dataset = Dataset(COLOUR[:4], np.array([2, 0, 2, 2]), ["a", "b", "c", "d"])
    assert class_balance(dataset) == {"a": 1, "b": 0, "c": 3, "d": 0}


# ---- the real data ------------------------------------------------------------------------------------------------

def test_the_real_folders():
    parent = data_folder("mnist").parent
    assert load(data_folder("mnist"), limit=3).labels.tolist() == [5, 0, 4]
    assert load(data_folder("fashion_mnist"), "test", limit=3).labels.tolist() == [9, 2, 1]
    assert load("fashion-mnist", "test", limit=3, folder=parent).labels.tolist() == [9, 2, 1]
    assert load("cifar10", limit=3, folder=parent).images.shape == (3, 32, 32, 3)
