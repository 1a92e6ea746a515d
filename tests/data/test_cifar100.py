"""Reading CIFAR-100 in its two original forms, with fine and coarse labels."""
import pickle

import numpy as np
import pytest

from minicnn.data import load_cifar100

FINE, COARSE = [f"fine_{i}" for i in range(100)], [f"coarse_{i}" for i in range(20)]


@pytest.fixture
def pictures():
    """Ten pictures, their fine and their coarse labels: seven to learn from, three to test with."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8), rng.integers(0, 100, 10), rng.integers(0, 20, 10)


def parts(images, fine, coarse):
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), 3072)
    for split, part in (("train", slice(7)), ("test", slice(7, None))):
        yield split, planes[part], fine[part], coarse[part]


def write_binary(folder, *pictures):
    folder.mkdir(parents=True, exist_ok=True)
    for split, planes, fine, coarse in parts(*pictures):
        records = np.concatenate([coarse[:, None], fine[:, None], planes], axis=1).astype(np.uint8)
        (folder / f"{split}.bin").write_bytes(records.tobytes())
    (folder / "fine_label_names.txt").write_text("\n".join(FINE) + "\n")
    (folder / "coarse_label_names.txt").write_text("\n".join(COARSE) + "\n")
    return folder


def write_python(folder, *pictures):
    folder.mkdir(parents=True, exist_ok=True)
    for split, planes, fine, coarse in parts(*pictures):
        batch = {b"filenames": [b"a.png"] * len(fine), b"batch_label": b"batch 1 of 1", b"fine_labels": fine.tolist(),
                 b"coarse_labels": coarse.tolist(), b"data": planes}
        (folder / split).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {b"fine_label_names": [name.encode() for name in FINE],
            b"coarse_label_names": [name.encode() for name in COARSE]}
    (folder / "meta").write_bytes(pickle.dumps(meta, protocol=2))
    return folder


WRITERS = {"binary": write_binary, "python": write_python}


@pytest.mark.parametrize("form", WRITERS)
def test_both_forms_give_back_the_pictures(form, pictures, tmp_path):
    images, fine, coarse = pictures
    folder = WRITERS[form](tmp_path / "data", *pictures)
    train, test = load_cifar100(folder), load_cifar100(folder, "test")
    np.testing.assert_array_equal(train.images, images[:7])
    np.testing.assert_array_equal(test.images, images[7:])
    np.testing.assert_array_equal(train.labels, fine[:7])
    np.testing.assert_array_equal(test.labels, fine[7:])
    assert train.class_names == FINE and train.labels.dtype == np.int64
    grouped = load_cifar100(folder, "test", coarse=True)
    np.testing.assert_array_equal(grouped.labels, coarse[7:])
    np.testing.assert_array_equal(grouped.images, images[7:])
    assert grouped.class_names == COARSE
    np.testing.assert_array_equal(load_cifar100(folder, limit=2).labels, fine[:2])


@pytest.mark.parametrize("form, inside", [("binary", "cifar-100-binary"), ("python", "cifar-100-python"),
                                          ("python", "cifar100")])
def test_the_environment_may_name_the_parent_folder(form, inside, pictures, tmp_path, monkeypatch):
    WRITERS[form](tmp_path / inside, *pictures)
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path))
    assert len(load_cifar100()) == 7


@pytest.mark.parametrize("form, name", [("binary", "train.bin"), ("binary", "fine_label_names.txt"),
                                        ("python", "train"), ("python", "meta")])
def test_a_missing_file_is_named(form, name, pictures, tmp_path):
    folder = WRITERS[form](tmp_path / "data", *pictures)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"CIFAR-100: {name} is missing"):
        load_cifar100(folder)


@pytest.mark.parametrize("form, name", [("binary", "train.bin"), ("binary", "fine_label_names.txt"),
                                        ("python", "train"), ("python", "meta")])
@pytest.mark.parametrize("kept", [0, .5])
def test_a_truncated_file_is_named(form, name, kept, pictures, tmp_path):
    folder = WRITERS[form](tmp_path / "data", *pictures)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:int(kept * len(content))])
    with pytest.raises(ValueError, match=name):
        load_cifar100(folder)


def test_files_of_another_data_set_are_refused(pictures, tmp_path):
    folder = write_binary(tmp_path / "data", *pictures)
    (folder / "test.bin").write_bytes(bytes([3, 100]) + bytes(3072))
    with pytest.raises(ValueError, match=r"test.bin: its labels are not whole numbers in 0\.\.99"):
        load_cifar100(folder, "test")
    (folder / "test.bin").write_bytes(bytes([20, 3]) + bytes(3072))
    assert load_cifar100(folder, "test").labels.tolist() == [3]
    with pytest.raises(ValueError, match=r"in 0\.\.19"):
        load_cifar100(folder, "test", coarse=True)
    (folder / "fine_label_names.txt").write_text("cat\ndog\n")
    with pytest.raises(ValueError, match="fine_label_names.txt: 2 class names, CIFAR-100 has 100"):
        load_cifar100(folder)
    (folder / "fine_label_names.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="fine_label_names.txt: not a list of class names"):
        load_cifar100(folder)


def test_a_cifar10_pickle_is_refused(pictures, tmp_path):
    folder = write_python(tmp_path / "data", *pictures)
    batch = {b"labels": [1], b"data": np.zeros((1, 3072), np.uint8)}
    (folder / "train").write_bytes(pickle.dumps(batch, protocol=2))
    with pytest.raises(ValueError, match="list or array 'fine_labels'"):
        load_cifar100(folder)


def test_a_pickle_that_names_a_function_is_refused(pictures, tmp_path):
    folder = write_python(tmp_path / "data", *pictures)
    (folder / "meta").write_bytes(b"\x80\x02cos\nsystem\nU\x01x\x85R.")
    with pytest.raises(ValueError, match="asks for os.system.*nothing of it was run"):
        load_cifar100(folder)


def test_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match="load_cifar100: split must be"):
        load_cifar100(tmp_path, "val")
    with pytest.raises(FileNotFoundError, match="CIFAR-100 was not found.*cifar-100-python.*train.bin"):
        load_cifar100(tmp_path)
