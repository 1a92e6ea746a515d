"""Reading CIFAR-10 in its three forms, data sets, augmentation, batches."""
import hashlib
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from conftest import data_folder
from minicnn.data import Batches, load_cifar10, random_crop, random_flip, standard
from minicnn.data.cifar10 import CLASS_NAMES
from minicnn.data.dataset import Dataset

TRAIN_FILES = [f"data_batch_{i}" for i in range(1, 6)]


@pytest.fixture
def pictures():
    """Twelve pictures and their labels: ten for five training files of two, two for the test file."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, 12)


def split_into_files(images, labels):
    for i, name in enumerate(TRAIN_FILES + ["test_batch"]):
        yield name, images[2 * i:2 * i + 2], labels[2 * i:2 * i + 2]


def planes(images):
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), 3072)


def write_binary(folder, images, labels):
    folder.mkdir(exist_ok=True)
    for name, x, y in split_into_files(images, labels):
        records = np.concatenate([y[:, None].astype(np.uint8), planes(x)], axis=1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(CLASS_NAMES) + "\n\n")
    return folder


def write_python(folder, images, labels):
    folder.mkdir(exist_ok=True)
    for name, x, y in split_into_files(images, labels):
        batch = {b"batch_label": name.encode(), b"labels": y.tolist(), b"data": planes(x), b"filenames": [b"a.png"] * 2}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {b"num_cases_per_batch": 2, b"label_names": [name.encode() for name in CLASS_NAMES], b"num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    return folder


def write_mosaic(folder, images, labels):
    """Training mosaics of 2 rows of 3 pictures and of 2 rows of 2; a test mosaic of 1 row of 2."""
    folder.mkdir(exist_ok=True)
    pieces = {"train_00": (images[:6], 2, 3), "train_01": (images[6:10], 2, 2), "test_00": (images[10:], 1, 2)}
    for name, (x, rows, columns) in pieces.items():
        mosaic = x.reshape(rows, columns, 32, 32, 3).swapaxes(1, 2).reshape(rows * 32, columns * 32, 3)
        Image.fromarray(mosaic).save(folder / f"cifar10_{name}.webp", lossless=True)
    hashes = {f"sha256_{split}": hashlib.sha256(x.tobytes()).hexdigest()
              for split, x in (("train", images[:10]), ("test", images[10:]))}
    np.savez(folder / "cifar10_labels.npz", y_train=labels[:10].astype(np.uint8), y_test=labels[10:].astype(np.uint8),
             class_names=np.array(CLASS_NAMES), **hashes)
    return folder


WRITERS = {"binary": write_binary, "python": write_python, "mosaic": write_mosaic}


# ---- CIFAR-10, all forms ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("form", WRITERS)
def test_every_form_gives_back_the_pictures(form, pictures, tmp_path):
    images, labels = pictures
    WRITERS[form](tmp_path / "data", images, labels)
    train, test = (load_cifar10(tmp_path / "data", split) for split in ("train", "test"))
    np.testing.assert_array_equal(train.images, images[:10])
    np.testing.assert_array_equal(train.labels, labels[:10])
    np.testing.assert_array_equal(test.images, images[10:])
    np.testing.assert_array_equal(test.labels, labels[10:])
    assert train.images.dtype == np.uint8 and train.labels.dtype == np.int64
    assert train.class_names == CLASS_NAMES


@pytest.mark.parametrize("form, inside", [("binary", "cifar-10-batches-bin"), ("python", "cifar-10-batches-py"),
                                          ("mosaic", "cifar10")])
def test_the_environment_may_name_the_parent_folder(form, inside, pictures, tmp_path, monkeypatch):
    WRITERS[form](tmp_path / inside, *pictures)
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path))
    assert len(load_cifar10()) == 10


def test_an_argument_wins_over_the_environment(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_DATA", str(write_binary(tmp_path / "data", *pictures)))
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        load_cifar10(tmp_path / "elsewhere")


@pytest.mark.parametrize("form, last", [("binary", "data_batch_5.bin"), ("python", "data_batch_5"),
                                        ("mosaic", "cifar10_train_01.webp")])
def test_a_missing_file_is_named_and_a_limit_does_not_need_it(form, last, pictures, tmp_path):
    folder = WRITERS[form](tmp_path / "data", *pictures)
    (folder / last).unlink()
    with pytest.raises(FileNotFoundError, match=f"{last} is missing"):
        load_cifar10(folder)
    limited = load_cifar10(folder, limit=5)
    np.testing.assert_array_equal(limited.images, pictures[0][:5])
    np.testing.assert_array_equal(limited.labels, pictures[1][:5])


def test_the_class_names_of_the_folder_are_used(pictures, tmp_path):
    folder = write_binary(tmp_path / "data", *pictures)
    translated = ["avion", "auto", "oiseau", "chat", "cerf", "chien", "grenouille", "cheval", "bateau", "camion"]
    (folder / "batches.meta.txt").write_text("\n".join(translated))
    assert load_cifar10(folder).class_names == translated
    (folder / "batches.meta.txt").unlink()
    assert load_cifar10(folder).class_names == CLASS_NAMES


def test_nothing_found_says_where_it_looked_and_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_cifar10(tmp_path)
    message = str(caught.value)
    for part in (str(tmp_path / "cifar-10-batches-bin"), "data_batch_1.bin", "mosaics", "--data DIR", "MINICNN_DATA",
                 "https://www.cs.toronto.edu/~kriz/cifar.html"):
        assert part in message
    with pytest.raises(FileNotFoundError, match="no folder was named.*--data DIR"):
        load_cifar10()


def test_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match="split must be 'train' or 'test', not 'valid'"):
        load_cifar10(tmp_path, "valid")
    with pytest.raises(ValueError, match="limit must be 1 or more, not 0"):
        load_cifar10(tmp_path, limit=0)


# ---- damaged files ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("form, name", [("binary", "data_batch_2.bin"), ("python", "data_batch_2"),
                                        ("mosaic", "cifar10_train_00.webp"), ("mosaic", "cifar10_labels.npz")])
@pytest.mark.parametrize("kept", [0, 0.5])
def test_a_truncated_file_is_named(form, name, kept, pictures, tmp_path):
    folder = WRITERS[form](tmp_path / "data", *pictures)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:int(kept * len(content)) - 7 if kept else 0])
    with pytest.raises(ValueError, match=name):
        load_cifar10(folder)


def test_the_binary_error_tells_the_sizes(pictures, tmp_path):
    folder = write_binary(tmp_path / "data", *pictures)
    (folder / "test_batch.bin").write_bytes(bytes(3072))
    with pytest.raises(ValueError, match="3072 bytes are not a multiple of 3073"):
        load_cifar10(folder, "test")


def test_labels_above_nine_are_refused(pictures, tmp_path):
    folder = write_binary(tmp_path / "data", *pictures)
    (folder / "test_batch.bin").write_bytes(bytes([10]) + bytes(3072))
    with pytest.raises(ValueError, match=r"test_batch.bin: its labels are not whole numbers in 0\.\.9"):
        load_cifar10(folder, "test")


@pytest.mark.parametrize("form, name, content", [
    ("binary", "batches.meta.txt", b"cat\ndog\n"),
    ("python", "batches.meta", pickle.dumps({b"label_names": [b"cat", b"dog"]}, protocol=2))])
def test_class_names_of_another_data_set_are_refused(form, name, content, pictures, tmp_path):
    folder = WRITERS[form](tmp_path / "data", *pictures)
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: 2 class names, CIFAR-10 has 10"):
        load_cifar10(folder)


def test_mosaics_of_the_wrong_size(pictures, tmp_path):
    folder = write_mosaic(tmp_path / "data", *pictures)
    Image.new("RGB", (70, 64)).save(folder / "cifar10_test_00.webp", lossless=True)
    with pytest.raises(ValueError, match="cannot be 70x64 pixels"):
        load_cifar10(folder, "test")
    Image.new("RGB", (96, 64)).save(folder / "cifar10_test_00.webp", lossless=True)
    with pytest.raises(ValueError, match="hold 6 pictures, but cifar10_labels.npz only 2 test labels"):
        load_cifar10(folder, "test")


def test_verify_finds_a_changed_picture(pictures, tmp_path):
    folder = write_mosaic(tmp_path / "data", *pictures)
    assert len(load_cifar10(folder, "test", verify=True)) == 2
    Image.new("RGB", (64, 32)).save(folder / "cifar10_test_00.webp", lossless=True)
    with pytest.raises(ValueError, match="SHA-256"):
        load_cifar10(folder, "test", verify=True)


def test_verify_refuses_what_it_cannot_check(pictures, tmp_path):
    with pytest.raises(ValueError, match="verify needs the mosaic form.*binary"):
        load_cifar10(write_binary(tmp_path / "binary", *pictures), verify=True)
    with pytest.raises(ValueError, match="limit: 3"):
        load_cifar10(write_mosaic(tmp_path / "mosaic", *pictures), limit=3, verify=True)


# ---- pickles ------------------------------------------------------------------------------------------------------

class Touch:
    """Pickles as a call that creates a file."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def load_pickle(folder, content):
    folder.mkdir(exist_ok=True)
    (folder / "test_batch").write_bytes(content)
    return load_cifar10(folder, "test")


@pytest.mark.parametrize("place", ["the whole", "an entry"])
def test_a_pickle_that_runs_a_command_is_refused_and_not_run(place, tmp_path):
    hostile = Touch(os.system, f"touch {tmp_path / 'ran'}")
    content = pickle.dumps(hostile if place == "the whole" else {b"data": hostile, b"labels": [1]}, protocol=2)
    with pytest.raises(ValueError, match=f"asks for {os.system.__module__}.system.*nothing of it was run"):
        load_pickle(tmp_path / "data", content)
    assert not (tmp_path / "ran").exists()
    pickle.loads(content)                                      # the pickle is a working one
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["eval", "getattr", "__import__", "exec"])
def test_builtins_are_refused_by_name(name, tmp_path):
    content = b"\x80\x02c__builtin__\n" + name.encode() + b"\nU\x011\x85R."
    with pytest.raises(ValueError, match=f"asks for __builtin__.{name}"):
        load_pickle(tmp_path / "data", content)


def test_a_method_reached_through_an_allowed_name_is_refused(tmp_path):
    content = b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.fill\x93U\x011\x85R."
    with pytest.raises(ValueError, match="asks for numpy.ndarray.fill"):
        load_pickle(tmp_path / "data", content)


@pytest.mark.parametrize("value, message", [
    ([1, 2], "this is another file"),
    ({b"labels": [1]}, "list or array 'data'"),
    ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, r"data must be uint8 \(1, 3072\).*not uint8 \(2,"),
    ({b"data": np.zeros((1, 3072), np.int64), b"labels": [1]}, r"not int64 \(1, 3072\)"),
    ({b"data": [3] * 3072, b"labels": [1]}, "not list"),
    ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [b"cat"]}, "labels are not whole numbers"),
    ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [[1], [2, 3]]}, "labels are not whole numbers"),
    ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, r"whole numbers in 0\.\.9"),
    ({b"data": np.zeros((1, 3072), np.uint8), b"labels": np.array(1)}, "an array without axes"),
    ({b"data": np.zeros((1, 3072), object), b"labels": [1]}, "array of type 'O8'"),
    ({b"data": np.zeros((1, 3072), ">i4"), b"labels": [1]}, "big-endian"),
])
def test_a_pickle_of_something_else_is_explained(value, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load_pickle(tmp_path / "data", pickle.dumps(value, protocol=2))


def test_a_pickle_written_by_python_2_is_read(tmp_path):
    """As in the original files: byte strings (opcode T), numpy.core.multiarray, the pixels as a string."""
    def text(string):
        return b"T" + len(string).to_bytes(4, "little") + string
    pixels = bytes(i % 251 for i in range(3072))
    dtype = (b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR(K\x03" + text(b"|") +
             b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")
    array = (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") +
             b"tR(K\x01(K\x01M\x00\x0ct" + dtype + b"\x89" + text(pixels) + b"tb")
    content = b"\x80\x02}(" + text(b"data") + array + text(b"labels") + b"](K\x07eu."
    found = load_pickle(tmp_path / "data", content)
    np.testing.assert_array_equal(planes(found.images)[0], np.frombuffer(pixels, np.uint8))
    assert found.labels.tolist() == [7]


def test_random_damage_never_raises_anything_but_a_clear_error(pictures, tmp_path):
    folder = write_python(tmp_path / "data", *pictures)
    whole, rng = (folder / "test_batch").read_bytes(), np.random.default_rng(1)
    structure = np.r_[:200, len(whole) - 300:len(whole)]           # around the pixels
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[rng.choice(structure)] = rng.integers(256)
        try:
            assert load_pickle(folder, bytes(damaged)).images.shape == (2, 32, 32, 3)
        except ValueError as error:
            assert "test_batch" in str(error)


# ---- the real data ------------------------------------------------------------------------------------------------

def test_the_real_test_set_is_the_published_one():
    test = load_cifar10(data_folder("cifar10"), "test", verify=True)
    assert test.images.shape == (10000, 32, 32, 3) and test.class_names == CLASS_NAMES
    assert np.bincount(test.labels).tolist() == [1000] * 10


def test_a_real_training_mosaic_has_the_known_statistics():
    train = load_cifar10(data_folder("cifar10").parent, "train", limit=5000)
    assert np.bincount(train.labels).tolist() == [500] * 10
    x = train.images_float()
    np.testing.assert_allclose(x.mean(axis=(0, 1, 2), dtype=np.float64), [0.4914, 0.4822, 0.4465], atol=0.01)
    np.testing.assert_allclose(x.std(axis=(0, 1, 2), dtype=np.float64), [0.2470, 0.2435, 0.2616], atol=0.01)


# ---- Dataset ------------------------------------------------------------------------------------------------------

@pytest.fixture
def dataset(pictures):
    return Dataset(pictures[0], np.arange(12) % 3, ["a", "b", "c"])


def test_subset(dataset):
    assert len(dataset) == 12 and len(dataset.subset(5)) == 5 and len(dataset.subset(0)) == 0
    np.testing.assert_array_equal(dataset.subset(5).images, dataset.images[:5])
    for chosen in ([4, 1, 4], np.array([4, 1, 4])):
        np.testing.assert_array_equal(dataset.subset(chosen).images, dataset.images[[4, 1, 4]])
        assert dataset.subset(chosen).labels.tolist() == [1, 1, 1]
    assert dataset.subset(dataset.labels == 2).labels.tolist() == [2] * 4
    assert dataset.subset([True] + 11 * [False]).labels.tolist() == [0]
    assert len(dataset.subset([])) == 0
    with pytest.raises(ValueError, match="13 pictures asked of a data set of 12"):
        dataset.subset(13)


def test_images_float(dataset):
    x = dataset.images_float([3, 0])
    assert x.dtype == np.float32 and x.shape == (2, 32, 32, 3)
    np.testing.assert_array_equal(np.round(x * 255).astype(np.uint8), dataset.images[[3, 0]])
    assert dataset.images_float().max() <= 1


def test_class_means(dataset):
    means = dataset.class_means()
    assert means.shape == (3, 32, 32, 3) and means.dtype == np.float32
    np.testing.assert_allclose(means[1], dataset.images[1::3].astype(np.float64).mean(axis=0) / 255, rtol=1e-6)
    with pytest.raises(ValueError, match=r"no picture of class 1 \(b\)"):
        dataset.subset(1).class_means()


def test_a_dataset_checks_its_parts():
    images = np.zeros((2, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="uint8"):
        Dataset(images.astype(np.float32), np.zeros(2, np.int64), ["a"])
    with pytest.raises(ValueError, match=r"labels of shape \(2,\), not \(3,\)"):
        Dataset(images, np.zeros(3, np.int64), ["a"])
    with pytest.raises(ValueError, match=r"0\.\.0.*found 0\.\.1"):
        Dataset(images, np.array([0, 1]), ["a"])


# ---- augmentation -------------------------------------------------------------------------------------------------

PAD_MODES = {"reflect": {"mode": "reflect"}, "replicate": {"mode": "edge"}, "zeros": {"mode": "constant"}}


@pytest.mark.parametrize("mode", PAD_MODES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_crop_is_a_window_of_the_padded_picture(mode, dtype):
    x = np.random.default_rng(0).random((60, 6, 7, 2)).astype(dtype)
    y = random_crop(x, np.random.default_rng(1), padding=2, mode=mode)
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), **PAD_MODES[mode])
    found = set()
    for image, window in zip(padded, y):
        places = [(i, j) for i in range(5) for j in range(5) if np.array_equal(image[i:i + 6, j:j + 7], window)]
        assert len(places) == 1
        found.update(places)
    assert y.dtype == dtype and len(found) > 18              # of 25 places; 60 draws miss 2.2 on average
    assert {i for i, _ in found} == {j for _, j in found} == set(range(5))


def test_crop_without_padding_and_wrong_crops():
    x = np.random.default_rng(0).random((3, 4, 5, 1))
    np.testing.assert_array_equal(random_crop(x, np.random.default_rng(0), padding=0), x)
    with pytest.raises(ValueError, match="cannot reflect 4 pixels of a 4x5 picture.*padding <= 3"):
        random_crop(x, np.random.default_rng(0))
    with pytest.raises(ValueError, match="not 'wrap'"):
        random_crop(x, np.random.default_rng(0), mode="wrap")
    with pytest.raises(ValueError, match="not -1"):
        random_crop(x, np.random.default_rng(0), padding=-1)


def test_flip_mirrors_about_half_of_the_pictures():
    x = np.random.default_rng(0).random((400, 3, 4, 2)).astype(np.float32)
    y = random_flip(x, np.random.default_rng(1))
    mirrored = np.array([np.array_equal(a[:, ::-1], b) for a, b in zip(x, y)])
    same = np.array([np.array_equal(a, b) for a, b in zip(x, y)])
    assert (mirrored ^ same).all() and 150 < mirrored.sum() < 250 and y.dtype == np.float32


def test_augmentation_leaves_its_input_alone_and_follows_the_seed():
    x = np.random.default_rng(0).random((16, 32, 32, 3)).astype(np.float32)
    before = x.copy()
    first, again, other = (standard(x, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == x.shape and first.dtype == np.float32


# ---- batches ------------------------------------------------------------------------------------------------------

def numbered(n):
    """Pictures whose every pixel is their number, which is their label as well."""
    images = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 6, 6, 1)).copy()
    return Dataset(images, np.arange(n), [str(i) for i in range(n)])


def labels_of(epoch):
    return np.concatenate([labels for _, labels in epoch])


def test_an_epoch_shows_every_picture_once_with_its_label():
    batches = Batches(numbered(10), 4, seed=1, drop_last=False)
    epoch = list(batches.epoch(0))
    assert [len(x) for x, _ in epoch] == [4, 4, 2] and len(batches) == 3
    assert sorted(labels_of(epoch)) == list(range(10))
    for x, labels in epoch:
        assert x.dtype == np.float32 and labels.dtype == np.int64
        np.testing.assert_array_equal(np.round(x[:, 0, 0, 0] * 255), labels)


def test_the_last_small_batch_is_dropped():
    batches = Batches(numbered(10), 4)
    assert len(batches) == 2 and [len(x) for x, _ in batches.epoch(0)] == [4, 4]
    assert len(Batches(numbered(8), 4, drop_last=False)) == 2


def test_order_depends_on_seed_and_epoch_alone():
    dataset = numbered(50)
    batches = Batches(dataset, 5, seed=3)
    epochs = [labels_of(batches.epoch(e)).tolist() for e in (0, 1)]
    assert epochs[0] != epochs[1]
    assert labels_of(Batches(dataset, 5, seed=3).epoch(1)).tolist() == epochs[1]
    assert labels_of(Batches(dataset, 5, seed=4).epoch(1)).tolist() != epochs[1]
    assert labels_of(Batches(dataset, 5, shuffle=False).epoch(1)).tolist() == list(range(50))


def test_a_start_in_the_middle_sees_the_same_batches():
    def noisy(x, rng):
        return x + rng.random(x.shape, dtype=np.float32)
    whole = list(Batches(numbered(20), 4, seed=2, augment=noisy).epoch(6))
    rest = list(Batches(numbered(20), 4, seed=2, augment=noisy).epoch(6, start=3))
    assert len(rest) == 2
    for (x, labels), (x_again, labels_again) in zip(whole[3:], rest):
        np.testing.assert_array_equal(x, x_again)
        np.testing.assert_array_equal(labels, labels_again)


def test_augmentation_differs_from_batch_to_batch_and_epoch_to_epoch():
    draws = []
    batches = Batches(numbered(12), 4, augment=lambda x, rng: draws.append(rng.random()) or x)
    for epoch in (0, 1):
        list(batches.epoch(epoch))
    assert len(set(draws)) == 6
    assert np.random.default_rng([0, 0]).random() not in draws       # the stream that the order is drawn from


def test_batches_that_cannot_be():
    with pytest.raises(ValueError, match="3 pictures do not fill one batch of 4"):
        Batches(numbered(3), 4)
    with pytest.raises(ValueError, match="size must be 1 or more, not 0"):
        Batches(numbered(3), 0)
