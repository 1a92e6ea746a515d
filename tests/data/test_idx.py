"""Reading MNIST and Fashion-MNIST: IDX files, whole and damaged, and telling the two apart."""
import gzip

import numpy as np
import pytest

from conftest import data_folder
from minicnn.data import load_fashion_mnist, load_mnist
from minicnn.data.idx import FILES, FIRST_LABELS, read_idx


@pytest.fixture
def pictures():
    """Twelve training and twelve test pictures, and labels that begin like those of neither data set."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (24, 28, 28), dtype=np.uint8), np.arange(24) % 10


def idx_bytes(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def write_idx(folder, images, labels, packed=True, rename=lambda name: name):
    folder.mkdir(parents=True, exist_ok=True)
    half = len(images) // 2
    for split, part in (("train", slice(half)), ("test", slice(half, None))):
        for name, array in zip(FILES[split], (images[part], labels[part])):
            content = idx_bytes(array)
            path = folder / (rename(name) + (".gz" if packed else ""))
            path.write_bytes(gzip.compress(content) if packed else content)
    return folder


def beginning_like(labels, name):
    """The labels, the first ten of each half replaced with those that a data set begins with."""
    labels = labels.copy()
    labels[:10], labels[12:22] = FIRST_LABELS[name]
    return labels


# ---- whole files --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("packed", [True, False])
def test_the_pictures_come_back(packed, pictures, tmp_path):
    images, labels = pictures
    folder = write_idx(tmp_path, images, labels, packed)
    train, test = (load_mnist(folder, split) for split in ("train", "test"))
    np.testing.assert_array_equal(train.images, images[:12, :, :, None])
    np.testing.assert_array_equal(test.images, images[12:, :, :, None])
    np.testing.assert_array_equal(train.labels, labels[:12])
    np.testing.assert_array_equal(test.labels, labels[12:])
    assert train.images.dtype == np.uint8 and train.labels.dtype == np.int64 and train.images.flags.writeable
    assert train.class_names == list("0123456789")


@pytest.mark.parametrize("packed", [True, False])
def test_a_limit_reads_the_first_pictures_only(packed, pictures, tmp_path):
    folder = write_idx(tmp_path, *pictures, packed)
    path = folder / ("train-images-idx3-ubyte" + (".gz" if packed else ""))
    content = idx_bytes(pictures[0][:12])
    path.write_bytes(gzip.compress(content[:16 + 5 * 784]) if packed else content[:16 + 5 * 784])
    limited = load_mnist(folder, limit=5)
    np.testing.assert_array_equal(limited.images[..., 0], pictures[0][:5])
    assert limited.labels.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"train-images.*3920 bytes follow its header, which speaks of 9408"):
        load_mnist(folder)
    assert len(load_mnist(folder, "test", limit=100)) == 12


def test_other_names_that_go_about(pictures, tmp_path):
    dotted = write_idx(tmp_path / "dotted", *pictures, packed=False, rename=lambda name: name.replace("-idx", ".idx"))
    assert len(load_mnist(dotted)) == 12
    misnamed = write_idx(tmp_path / "misnamed", *pictures, packed=False, rename=lambda name: name + ".gz")
    assert len(load_mnist(misnamed)) == 12                      # unpacked by a browser that kept the name


@pytest.mark.parametrize("load, inside", [(load_mnist, "mnist"), (load_mnist, "MNIST/raw"),
                                          (load_fashion_mnist, "fashion-mnist"),
                                          (load_fashion_mnist, "fashion_mnist"),
                                          (load_fashion_mnist, "FashionMNIST/raw")])
def test_the_environment_may_name_the_parent_folder(load, inside, pictures, tmp_path, monkeypatch):
    write_idx(tmp_path / inside, *pictures)
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path))
    assert len(load()) == 12


@pytest.mark.parametrize("load, own, other", [(load_mnist, "MNIST", "Fashion-MNIST"),
                                              (load_fashion_mnist, "Fashion-MNIST", "MNIST")])
def test_the_two_data_sets_are_told_apart_by_their_labels(load, own, other, pictures, tmp_path):
    images, labels = pictures
    write_idx(tmp_path / "own", images, beginning_like(labels, own))
    write_idx(tmp_path / "other", images, beginning_like(labels, other))
    assert len(load(tmp_path / "own", "test")) == 12
    with pytest.raises(FileNotFoundError, match=f"^{own} was not found; looked in"):
        load(tmp_path / "other", "test")


def test_nothing_found_says_where_it_looked(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_fashion_mnist(tmp_path)
    for part in ("Fashion-MNIST was not found", str(tmp_path / "fashion-mnist"), "train-images-idx3-ubyte", "t10k"):
        assert part in str(caught.value)
    with pytest.raises(FileNotFoundError, match="MNIST: no folder was named"):
        load_mnist()


def test_a_missing_split_is_named(pictures, tmp_path):
    folder = write_idx(tmp_path, *pictures)
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    assert len(load_mnist(folder)) == 12
    with pytest.raises(FileNotFoundError, match="t10k-images-idx3-ubyte.gz is missing"):
        load_mnist(folder, "test")


def test_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match="load_mnist: split must be 'train' or 'test', not 'val'"):
        load_mnist(tmp_path, "val")
    with pytest.raises(ValueError, match="load_fashion_mnist: limit must be 1 or more, not 0"):
        load_fashion_mnist(tmp_path, limit=0)


# ---- damaged files ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kept", [0, 3, 10, .5, -1])
def test_a_truncated_file_is_named(which, packed, kept, pictures, tmp_path):
    folder = write_idx(tmp_path, *pictures, packed)
    path = folder / (FILES["train"][which] + (".gz" if packed else ""))
    content = path.read_bytes()
    path.write_bytes(content[:int(kept * len(content)) if kept == .5 else kept])
    with pytest.raises(ValueError, match=path.name):
        load_mnist(folder)


def test_a_changed_byte_in_a_packed_file_is_found(pictures, tmp_path):
    """Gzip keeps a checksum.  Whatever byte is damaged: a clear error, or the same pictures (a comment, a time)."""
    folder = write_idx(tmp_path, *pictures)
    path, rng = folder / "train-images-idx3-ubyte.gz", np.random.default_rng(0)
    whole = path.read_bytes()
    for place in [*range(20), *rng.integers(20, len(whole), 100), *range(len(whole) - 8, len(whole))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1:])
        try:
            np.testing.assert_array_equal(load_mnist(folder).images[..., 0], pictures[0][:12])
        except ValueError as error:
            assert path.name in str(error)


@pytest.mark.parametrize("content, message", [
    (b"<html>not found</html>", "not an IDX file of bytes with 3 axes"),
    (idx_bytes(np.zeros(5)), "not an IDX file of bytes with 3 axes"),
    (b"\0\0\x0d\x03" + bytes(12), "not an IDX file"),                      # floats
    (idx_bytes(np.zeros((3, 28, 28))) + b"x", "more than 2352 bytes follow its header, which speaks of 2352"),
    (b"\0\0\x08\x03" + np.array([2**32 - 1, 28, 28], ">u4").tobytes(), "speaks of 4294967295 x 28 x 28 numbers"),
    (b"\0\0\x08\x03" + np.array([3, 0, 28], ">u4").tobytes(), "speaks of 3 x 0 x 28 numbers"),
    (idx_bytes(np.zeros((12, 28, 30))), "pictures of 30x28 pixels; those of MNIST have 28x28"),
    (idx_bytes(np.zeros((3, 28, 28))), "has 3 pictures, but .*train-labels.* has 12 labels")])
def test_another_file_is_explained(content, message, pictures, tmp_path):
    folder = write_idx(tmp_path, *pictures, packed=False)
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_mnist(folder)
    assert "train-images-idx3-ubyte" in str(caught.value)


def test_labels_above_nine_are_refused(pictures, tmp_path):
    folder = write_idx(tmp_path, pictures[0], pictures[1] + 1, packed=False)
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte: its labels are not in 0\.\.9"):
        load_mnist(folder)


def test_read_idx_gives_any_shape(tmp_path):
    array = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    (tmp_path / "a").write_bytes(idx_bytes(array))
    np.testing.assert_array_equal(read_idx(tmp_path / "a", 3), array)
    np.testing.assert_array_equal(read_idx(tmp_path / "a", 3, limit=2), array[:2])


# ---- the real data ------------------------------------------------------------------------------------------------

def test_the_real_mnist():
    """Counts of each digit as in the files of LeCun, and the mean and deviation that everyone subtracts."""
    folder = data_folder("mnist")
    train, test = load_mnist(folder), load_mnist(folder, "test")
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.images.shape == (60000, 28, 28, 1)
    assert abs(train.images.mean() / 255 - .1307) < 1e-4 and abs(train.images.std() / 255 - .3081) < 1e-4


def test_the_real_fashion_mnist():
    test = load_fashion_mnist(data_folder("fashion_mnist"), "test")
    assert np.bincount(test.labels).tolist() == [1000] * 10 and test.images.shape == (10000, 28, 28, 1)
    assert test.class_names[9] == "Ankle boot" and test.labels[0] == 9
    assert len(load_fashion_mnist(data_folder("fashion_mnist").parent, "test", limit=3)) == 3
    with pytest.raises(FileNotFoundError, match="^MNIST was not found"):
        load_mnist(data_folder("fashion_mnist"), "test")
