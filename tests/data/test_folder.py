"""Pictures of one's own, in one folder a class: kinds, division, what is missing or broken."""
import os
import warnings

import numpy as np
import pytest
from PIL import Image

from conftest import data_folder
from minicnn.data import class_balance, load_folder

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def write_picture(path, colour, size=(40, 30), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Ten red, ten green and five blue pictures; the last digits of their colours number them."""
    for name, colour in COLOURS.items():
        for i in range(5 if name == "blue" else 10):
            write_picture(tmp_path / "pictures" / name / f"{i:02d}.png", tuple(abs(c - i) for c in colour))
    return tmp_path / "pictures"


@pytest.fixture
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def names_of(dataset):
    """(class name, number of the picture) of each, as the colours of `folder` tell."""
    pixels = dataset.images[:, 0, 0].astype(int)
    return [(dataset.class_names[k], min(255 - p.max(), 9)) for k, p in zip(dataset.labels, pixels)]


# ---- division -----------------------------------------------------------------------------------------------------

def test_each_class_is_divided_and_nothing_is_lost(folder, no_warnings):
    train, test = load_folder(folder), load_folder(folder, "test")
    assert train.class_names == ["blue", "green", "red"]
    assert class_balance(train) == {"blue": 4, "green": 8, "red": 8}
    assert class_balance(test) == {"blue": 1, "green": 2, "red": 2}
    assert train.images.shape == (20, 32, 32, 3) and train.images.dtype == np.uint8 and train.labels.dtype == np.int64
    for dataset in (train, test):
        brightest = np.array(["red", "green", "blue"])[dataset.images[:, 0, 0].argmax(axis=1)]
        assert brightest.tolist() == [dataset.class_names[k] for k in dataset.labels]
    everything = names_of(train) + names_of(test)
    assert len(set(everything)) == len(everything) == 25


def test_the_seed_decides_the_division(folder):
    first, again = load_folder(folder, seed=3), load_folder(folder, seed=3)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.labels, again.labels)
    tests = {tuple(sorted(names_of(load_folder(folder, "test", seed=seed)))) for seed in range(5)}
    assert len(tests) > 1


def test_the_share_of_the_test(folder):
    assert class_balance(load_folder(folder, "test", test_share=.5)) == {"blue": 2, "green": 5, "red": 5}
    assert class_balance(load_folder(folder, "test", test_share=.01)) == {"blue": 1, "green": 1, "red": 1}
    assert class_balance(load_folder(folder, "train", test_share=.99)) == {"blue": 1, "green": 1, "red": 1}


def test_a_limit_is_the_beginning_of_an_order_that_mixes_the_classes(folder):
    whole, some = load_folder(folder), load_folder(folder, limit=8)
    np.testing.assert_array_equal(some.images, whole.images[:8])
    np.testing.assert_array_equal(some.labels, whole.labels[:8])
    assert len(set(some.labels.tolist())) > 1 and some.class_names == whole.class_names


@pytest.mark.parametrize("test_name", ["test", "val", "Validation"])
def test_train_and_test_folders_are_taken_as_they_are(test_name, tmp_path, no_warnings):
    for part, count in (("Train", 3), (test_name, 1)):
        for name in ("green", "red"):
            for i in range(count):
                write_picture(tmp_path / part / name / f"{i}.png", COLOURS[name])
    write_picture(tmp_path / "Train" / "blue" / "0.png", COLOURS["blue"])
    assert class_balance(load_folder(tmp_path)) == {"blue": 1, "green": 3, "red": 3}
    test = load_folder(tmp_path, "test")
    assert class_balance(test) == {"blue": 0, "green": 1, "red": 1}
    assert [test.images[i, 0, 0].argmax() for i in test.labels.argsort()] == [1, 0]


def test_a_class_of_the_test_that_is_not_learnt(tmp_path):
    for path in ("train/cat/1", "train/dog/1", "test/cat/1", "test/cow/1"):
        write_picture(tmp_path / f"{path}.png", "red")
    assert class_balance(load_folder(tmp_path)) == {"cat": 1, "dog": 1}
    with pytest.raises(ValueError, match="test has a class 'cow' that .*train does not have"):
        load_folder(tmp_path, "test")


def test_only_a_train_folder_is_divided(tmp_path):
    for name in ("cat", "dog"):
        for i in range(5):
            write_picture(tmp_path / "train" / name / f"{i}.png", "red")
    assert class_balance(load_folder(tmp_path)) == {"cat": 4, "dog": 4}
    assert class_balance(load_folder(tmp_path, "test")) == {"cat": 1, "dog": 1}


def test_trains_may_be_a_class(tmp_path):
    for name in ("train", "test", "plane"):
        for i in range(2):
            write_picture(tmp_path / name / f"{i}.png", "red")
    assert load_folder(tmp_path).class_names == ["plane", "test", "train"]


# ---- kinds of pictures --------------------------------------------------------------------------------------------

def test_all_kinds_of_pictures(tmp_path, no_warnings):
    """Gray becomes gray RGB, transparent lies on white, CMYK becomes sRGB; of an animation the first frame is taken."""
    kinds = tmp_path / "kinds"
    write_picture(tmp_path / "other" / "0.png", "red")
    write_picture(tmp_path / "other" / "1.png", "red")
    kinds.mkdir()
    Image.new("L", (20, 30), 128).save(kinds / "gray.png")
    Image.new("P", (300, 200), 0).save(kinds / "palette.gif")
    Image.new("RGBA", (500, 40), (0, 0, 0, 0)).save(kinds / "transparent.png")
    Image.new("CMYK", (64, 64), (0, 255, 255, 0)).save(kinds / "ink.jpg")
    Image.new("I;16", (50, 50), 65535).save(kinds / "deep.png")
    Image.new("RGB", (100, 100), "blue").save(kinds / "colour.webp", lossless=True)
    frames = [Image.new("RGB", (30, 30), colour) for colour in ("lime", "red")]
    frames[0].save(kinds / "moving.gif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (31, 33), "yellow").save(kinds / "without suffix", "PNG")
    both = [load_folder(tmp_path, split, size=16) for split in ("train", "test")]
    x = np.concatenate([dataset.images[dataset.labels == 0] for dataset in both])
    assert x.shape == (8, 16, 16, 3)
    expected = [(0, 0, 0), (0, 0, 255), (0, 255, 0), (128,) * 3, (255, 255, 0), (255, 255, 255), (255, 255, 255)]
    found = sorted(tuple(pixel) for pixel in x[:, 8, 8].tolist())
    red = [pixel for pixel in found if pixel[0] > 200 and max(pixel[1:]) < 60]
    assert len(red) == 1 and [pixel for pixel in found if pixel not in red] == expected


def test_a_picture_is_turned_as_the_camera_was_held_and_cut_in_the_middle(tmp_path):
    photo = np.zeros((60, 120, 3), np.uint8)
    photo[:30, 30:90], photo[30:, 30:90] = (255, 0, 0), (0, 0, 255)      # the square: red above blue; black beside it
    exif = Image.Exif()
    exif[0x0112] = 3                                                    # upside down
    for name in ("a", "b"):
        for i in range(2):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(photo).save(tmp_path / name / f"{i}.png", exif=exif)
    image = load_folder(tmp_path, size=20).images[0]
    assert (image[2] == (0, 0, 255)).all() and (image[-3] == (255, 0, 0)).all()


# ---- what is missing or broken ------------------------------------------------------------------------------------

def test_unreadable_files_are_named_and_left_out(folder):
    whole = load_folder(folder)
    for name in ("a", "b", "c"):
        (folder / "red" / f"{name}.txt").write_text("no picture")
    (folder / "red" / "empty.jpg").touch()
    broken = (folder / "green" / "00.png").read_bytes()
    (folder / "green" / "broken.png").write_bytes(broken[:len(broken) // 2])
    with pytest.warns(UserWarning) as caught:
        train, test = load_folder(folder), load_folder(folder, "test")
    assert len(train) + len(test) == 25 and train.images.shape[1:] == whole.images.shape[1:]
    text = " ".join(str(warning.message) for warning in caught)
    for part in (str(folder), "could not be read and were left out", "a.txt", "empty.jpg is an empty file", "broken.png"):
        assert part in text


def test_a_warning_names_some_and_counts_the_rest(folder):
    for i in range(40):
        (folder / "red" / f"x{i}.txt").write_text("no picture")
    with pytest.warns(UserWarning, match=r"\d+ of \d+ files could not be read.*; and \d+ more$"):
        load_folder(folder)


def test_hidden_files_and_folders_are_not_looked_at(folder, no_warnings):
    (folder / ".hidden").mkdir()
    (folder / "__MACOSX").mkdir()
    for path in (".hidden/1.png", ".DS_Store", "red/.DS_Store", "red/._01.png", "__MACOSX/1.png", "notes.txt"):
        (folder / path).write_text("no picture")
    (folder / "nothing yet").mkdir()
    assert load_folder(folder).class_names == ["blue", "green", "red"]


def test_bombs_are_left_out(folder, monkeypatch):
    monkeypatch.setattr("minicnn.images.reading.LARGEST_PICTURE", 10_000)
    for i in range(3):
        write_picture(folder / "red" / f"bomb{i}.png", "red", size=(200, 200))
    with pytest.warns(UserWarning, match="megapixels, the limit is"):
        both = load_folder(folder), load_folder(folder, "test")
    assert sum(map(len, both)) == 25


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_among_the_pictures_is_not_waited_for(folder, no_warnings):
    os.mkfifo(folder / "red" / "pipe.png")
    assert len(load_folder(folder)) == 20


def test_no_folder_no_classes_no_pictures(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*absent; check the name"):
        load_folder(tmp_path / "absent")
    write_picture(tmp_path / "flat" / "1.png", "red")
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    for name in ("flat", "empty"):
        with pytest.raises(ValueError, match=f"{name} has no folders with pictures in them; make one a class"):
            load_folder(tmp_path / name)


def test_one_class_only(tmp_path):
    for i in range(3):
        write_picture(tmp_path / "cat" / f"{i}.png", "red")
    with pytest.raises(ValueError, match="pictures of one class only, 'cat'; at least two"):
        load_folder(tmp_path)


def test_too_few_pictures_of_a_class(tmp_path):
    for path in ("cat/1", "cat/2", "dog/1"):
        write_picture(tmp_path / f"{path}.png", "red")
    with pytest.raises(ValueError, match="one picture only of class 'dog'; at least two are needed"):
        load_folder(tmp_path)


def test_a_class_of_which_nothing_can_be_read(tmp_path):
    for path in ("cat/1", "cat/2", "cat/3"):
        write_picture(tmp_path / f"{path}.png", "red")
    (tmp_path / "dog").mkdir()
    for i in range(3):
        (tmp_path / "dog" / f"{i}.txt").write_text("no picture")
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="no picture to learn 'dog' from can be read"):
        load_folder(tmp_path)
    for i in range(1, 4):
        (tmp_path / "cat" / f"{i}.png").write_text("no picture")
    with pytest.raises(ValueError, match="none of its 4 files can be read; the first: .*is not a picture"):
        load_folder(tmp_path)


def test_wrong_arguments(folder):
    with pytest.raises(ValueError, match="split must be 'train' or 'test', not 'val'"):
        load_folder(folder, "val")
    for options in ({"size": 0}, {"test_share": 0}, {"test_share": 1}, {"test_share": float("nan")}):
        with pytest.raises(ValueError, match="size must be 1 or more and test_share between 0 and 1"):
            load_folder(folder, **options)


# ---- real photographs ---------------------------------------------------------------------------------------------

def test_photographs_of_clothing(tmp_path, no_warnings):
    """372 photographs, cut from a mosaic into one folder a class, come back but for the loss of a second JPEG."""
    source = data_folder("clothing64")
    with np.load(source / "clothing64_labels.npz", allow_pickle=False) as stored:
        labels, class_names = stored["y_test"], [str(name) for name in stored["class_names"]]
    mosaic = np.asarray(Image.open(source / "clothing64_test.jpg").convert("RGB"))
    tiles = mosaic.reshape(-1, 64, 50, 64, 3).swapaxes(1, 2).reshape(-1, 64, 64, 3)[:len(labels)]
    for i, (tile, label) in enumerate(zip(tiles, labels)):
        path = tmp_path / class_names[label] / f"{i:03d}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(tile).save(path, quality=98, subsampling=0)
    train, test = load_folder(tmp_path, size=64), load_folder(tmp_path, "test", size=64)
    assert train.class_names == sorted(class_names) and len(train) + len(test) == 372
    counts = np.bincount(labels, minlength=10)
    assert class_balance(test) == {name: max(1, round(.2 * counts[k])) for k, name in sorted(
        enumerate(class_names), key=lambda pair: pair[1])}
    for dataset in (train, test):
        for image, label in list(zip(dataset.images, dataset.labels))[:40]:
            distance = np.abs(tiles.astype(np.int16) - image).mean(axis=(1, 2, 3))
            assert distance.min() < 4 and class_names[labels[distance.argmin()]] == dataset.class_names[label]
