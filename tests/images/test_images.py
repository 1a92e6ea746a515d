"""Every kind of picture is read with the right values, and what cannot be read says why."""
import errno
import json
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

from conftest import data_folder
from minicnn import images
from minicnn.core.tensor import tensor
from minicnn.files.atomic import WriteError
from minicnn.images import (ImageError, contact_sheet, read_alpha, read_image, read_settings, read_square, reading, resize,
                            resizing, square, write_animation, write_image)


@pytest.fixture
def pixels():
    """A small colour picture, every value random: uint8 (6, 5, 3)."""
    return np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def saved(image, path, **options):
    image.save(path, **options)
    return path


def gray(values):
    """(H, W) -> float32 (H, W, 3), all channels alike."""
    return np.repeat(np.float32(values)[..., None], 3, axis=2)


def png_header(width, height, bits=8, colour=2):
    """A PNG that promises width x height pixels and holds none."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))


# ---- Reading: every kind of picture --------------------------------------------------------------------------------

@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "tga"])
def test_colour(tmp_path, pixels, suffix):
    picture = read_image(saved(Image.fromarray(pixels), tmp_path / f"a.{suffix}"))
    assert picture.dtype == np.float32 and picture.shape == (6, 5, 3)
    np.testing.assert_array_equal(picture, pixels.astype(np.float32) / 255)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif", "jp2"])
def test_lossy_colour_is_about_right(tmp_path, suffix):
    if Image.registered_extensions().get(f".{suffix}") not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {suffix}")
    slope = np.uint8(np.mgrid[0:64, 0:96, 0:3][1] * 2)
    picture = read_image(saved(Image.fromarray(slope), tmp_path / f"a.{suffix}"))
    np.testing.assert_allclose(picture, slope / 255, atol=.03)


def test_gray(tmp_path, pixels):
    picture = read_image(saved(Image.fromarray(pixels[..., 0]), tmp_path / "a.png"))
    np.testing.assert_array_equal(picture, gray(pixels[..., 0]) / 255)


def test_one_bit(tmp_path):
    bits = np.array([[0, 1, 1], [1, 0, 1]], bool)
    np.testing.assert_array_equal(read_image(saved(Image.fromarray(bits), tmp_path / "a.png")), gray(bits))


def test_palette(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 51, 204])
    image.putdata([1, 0])
    np.testing.assert_array_equal(read_image(saved(image, tmp_path / "a.png")), np.float32([[[0, .2, .8], [1, 0, 0]]]))


def test_palette_with_a_transparent_colour_lies_on_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 51, 204])
    image.putdata([1, 0])
    picture = read_image(saved(image, tmp_path / "a.gif", transparency=0))
    np.testing.assert_allclose(picture, [[[0, .2, .8], [1, 1, 1]]], atol=1e-6)


def test_alpha_is_composited_on_white(tmp_path):
    image = Image.fromarray(np.uint8([[[255, 0, 0, 255], [255, 0, 0, 51], [9, 9, 9, 0]]]))
    picture = read_image(saved(image, tmp_path / "a.png"))
    np.testing.assert_allclose(picture, [[[1, 0, 0], [1, .8, .8], [1, 1, 1]]], atol=1e-6)


def test_gray_with_alpha(tmp_path):
    image = Image.fromarray(np.uint8([[[0, 255], [0, 102]]]), mode="LA")
    np.testing.assert_allclose(read_image(saved(image, tmp_path / "a.png")), gray([[0, .6]]), atol=1e-6)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bit_gray_keeps_all_its_levels(tmp_path, suffix):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    image = Image.fromarray(levels).convert("I") if suffix == "pgm" else Image.fromarray(levels)
    picture = read_image(saved(image, tmp_path / f"a.{suffix}"))
    np.testing.assert_allclose(picture, gray(levels / 65535), rtol=1e-6)
    assert len(np.unique(picture)) == 65536


def test_16_bit_colour_is_scaled_to_one(tmp_path):
    levels = np.array([[[0, 13107, 65535], [32768, 39321, 52428]]])       # 1/5, 3/5, 4/5 of 65535 among them
    (tmp_path / "a.ppm").write_bytes(b"P6 2 1 65535\n" + levels.astype(">u2").tobytes())
    rows = b"\0" + levels.astype(">u2").tobytes()
    head = png_header(2, 1, bits=16)[:33]                                  # signature and IHDR
    data = zlib.compress(rows)
    body = struct.pack(">I", len(data)) + b"IDAT" + data + struct.pack(">I", zlib.crc32(b"IDAT" + data))
    (tmp_path / "a.png").write_bytes(head + body + struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND")))
    for name in ("a.ppm", "a.png"):
        np.testing.assert_allclose(read_image(tmp_path / name), levels / 65535, atol=1 / 255)


def test_floating_gray(tmp_path):
    values = np.float32([[0, .25], [.5, 1]])
    np.testing.assert_array_equal(read_image(saved(Image.fromarray(values), tmp_path / "a.tif")), gray(values))


@pytest.mark.parametrize("values", [np.float32([[0, 7]]), np.float32([[0, np.nan]]), np.int32([[-1, 5]])])
def test_gray_without_a_known_white_is_refused(tmp_path, values):
    with pytest.raises(ImageError, match="save it with 8 or 16 bits"):
        read_image(saved(Image.fromarray(values), tmp_path / "a.tif"))


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_cmyk(tmp_path, suffix):
    inks = np.zeros((16, 48, 4), np.uint8)
    inks[:, :16, 0], inks[:, 16:32, 1], inks[:, 32:, 3] = 255, 255, 128    # cyan, magenta, half black
    picture = read_image(saved(Image.fromarray(inks, mode="CMYK"), tmp_path / f"a.{suffix}"))
    expected = [[0, 1, 1], [1, 0, 1], [.5, .5, .5]]
    np.testing.assert_allclose(picture[8, [8, 24, 40]], expected, atol=.03)


@pytest.mark.parametrize("orientation, turned", [
    (1, lambda a: a), (2, lambda a: a[:, ::-1]), (3, lambda a: a[::-1, ::-1]), (4, lambda a: a[::-1]),
    (5, lambda a: a.swapaxes(0, 1)), (6, lambda a: np.rot90(a, -1)), (8, np.rot90)])
def test_exif_orientation(tmp_path, pixels, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read_image(saved(Image.fromarray(pixels), tmp_path / "a.png", exif=exif))
    np.testing.assert_array_equal(picture, np.float32(turned(pixels)) / 255)


def test_exif_orientation_of_a_photo(tmp_path):
    """Orientation 6: the camera was held so that the stored left side is the top."""
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:, :32, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = read_image(saved(Image.fromarray(stored), tmp_path / "a.jpg", exif=exif, quality=95))
    assert picture.shape == (64, 32, 3)
    np.testing.assert_allclose(picture[4, 16], [1, 0, 0], atol=.03)
    np.testing.assert_allclose(picture[60, 16], [0, 0, 0], atol=.03)


def test_damaged_exif_does_not_spoil_a_good_picture(tmp_path, pixels):
    path = saved(Image.fromarray(pixels), tmp_path / "a.png", exif=b"Exif\0\0MM not a table of tags")
    np.testing.assert_array_equal(read_image(path), pixels.astype(np.float32) / 255)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_the_first_frame_of_an_animation(tmp_path, suffix):
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    path = saved(first, tmp_path / f"a.{suffix}", save_all=True, append_images=[second])
    np.testing.assert_allclose(read_image(path), np.broadcast_to([1., 0, 0], (8, 8, 3)), atol=.01)


def colour_profile():
    """sRGB with red and blue exchanged, under another name: a profile whose effect cannot be overlooked."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "RBXX".encode("utf-16-be"))
    return profile.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")


def test_a_colour_profile_is_converted_to_srgb(tmp_path):
    image = Image.new("RGB", (1, 1), (255, 128, 0))
    path = saved(image, tmp_path / "a.png", icc_profile=colour_profile())
    np.testing.assert_allclose(read_image(path)[0, 0], [0, .5, 1], atol=.02)


def test_a_transparent_picture_with_a_profile(tmp_path):
    image = Image.new("RGBA", (1, 1), (255, 128, 0, 102))
    path = saved(image, tmp_path / "a.png", icc_profile=colour_profile())
    np.testing.assert_allclose(read_image(path)[0, 0], [.6, .8, 1], atol=.02)


def test_srgb_and_damaged_profiles_change_nothing(tmp_path, pixels):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile"):
        path = saved(Image.fromarray(pixels), tmp_path / "a.png", icc_profile=profile)
        np.testing.assert_array_equal(read_image(path), pixels.astype(np.float32) / 255)


def test_reading_in_another_size(tmp_path, pixels):
    path = saved(Image.fromarray(pixels), tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(path, (3, 4)), resize(read_image(path), (3, 4)))
    assert read_image(path, 12).shape == (12, 10, 3)


def test_a_photograph():
    picture = read_image(data_folder("images") / "content" / "chelsea.png")
    assert picture.shape == (300, 451, 3)
    np.testing.assert_allclose(picture.mean(axis=(0, 1)), [.579, .437, .340], atol=.002)


# ---- Reading: what cannot be read ----------------------------------------------------------------------------------

def refusal(path):
    """The one-line message with which a file is refused."""
    with pytest.raises(ImageError) as caught:
        read_image(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def test_absent_folder_and_empty(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    assert "there is no picture" in refusal(tmp_path / "cat.png")
    assert "is a folder" in refusal(tmp_path)
    assert "is an empty file" in refusal(tmp_path / "empty.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert "is a device or a pipe" in refusal(tmp_path / "pipe.png")


def test_a_text_named_png(tmp_path):
    (tmp_path / "text.png").write_text("this is no picture\n" * 100)
    assert "not a picture" in refusal(tmp_path / "text.png")


def test_formats_that_start_programs_are_not_opened(tmp_path):
    postscript = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "a.png").write_text(postscript)
    assert "not a picture" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("keep", [.02, .3, .6, .9])
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "bmp", "tif", "ppm"])
def test_truncated_files(tmp_path, suffix, keep):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / f"a.{suffix}")
    path.write_bytes(path.read_bytes()[:int(path.stat().st_size * keep)])
    assert "broken or cut short" in (message := refusal(path)) or "damaged from its first bytes" in message


def test_a_broken_file(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / "a.png")
    data = bytearray(path.read_bytes())
    data[2000:2100] = bytes(100)
    path.write_bytes(data)
    assert "broken or cut short" in refusal(path)


def forbid_decoding(monkeypatch):
    def load(self):
        pytest.fail("the pixels were decoded")
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


def test_a_bomb_is_refused_from_its_header(tmp_path, monkeypatch):
    forbid_decoding(monkeypatch)
    (tmp_path / "bomb.png").write_bytes(png_header(20000, 20000))
    assert "20000 x 20000 = 400 megapixels, the limit is 200" in refusal(tmp_path / "bomb.png")


def test_our_limit_rules_and_that_of_pillow_is_put_back(tmp_path, monkeypatch):
    """190 megapixels lie over Pillow's own limit and under ours: no error and no warning, and nothing stays changed."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    (tmp_path / "large.png").write_bytes(png_header(19000, 10000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_settings(tmp_path / "large.png") is None
    assert Image.MAX_IMAGE_PIXELS == 1_000_000


def test_the_limit_itself_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LARGEST_PICTURE", 100)
    read_image(saved(Image.new("L", (10, 10)), tmp_path / "a.png"))
    assert "10 x 11" in refusal(saved(Image.new("L", (10, 11)), tmp_path / "b.png"))


@pytest.mark.parametrize("width, height", [(0, 5), (5, 0), (0, 0)])
def test_pictures_without_pixels(tmp_path, width, height):
    (tmp_path / "a.png").write_bytes(png_header(width, height))
    refusal(tmp_path / "a.png")


# ---- Reading: the middle square, small -----------------------------------------------------------------------------

KINDS = {"colour.png": "RGB", "palette.png": "P", "gray.png": "L", "alpha.png": "RGBA", "gray_alpha.png": "LA",
         "bits.png": "1", "deep.png": "I;16", "ink.jpg": "CMYK", "photo.jpg": "RGB", "photo.webp": "RGB", "photo.tif": "RGB"}


def smooth(height, width):
    """A picture without edges, so that ways of making it small agree: uint8 (height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 40), np.cos(y / 50), np.sin((x + y) / 60)]
    return np.uint8(127.5 + 120 * np.stack(waves, axis=2))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("height, width", [(301, 640), (640, 301), (40, 35), (9, 14)])
def test_the_small_square_is_that_of_the_long_way(tmp_path, name, height, width):
    image, mode = Image.fromarray(smooth(height, width)), KINDS[name]
    if mode == "I;16":
        image = Image.fromarray(smooth(height, width)[..., 0].astype(np.uint16) * 257)
    elif mode in ("RGBA", "LA"):
        image = image.convert(mode)
        image.putalpha(Image.fromarray(smooth(height, width)[..., 2]))
    else:
        image = image.convert(mode)
    path = saved(image, tmp_path / name)
    small, long_way = read_square(path, 16), resize(square(read_image(path)), (16, 16))
    assert small.shape == (16, 16, 3) and small.dtype == np.float32
    assert np.abs(small - long_way).mean() < .02 and np.abs(small - long_way).max() < (.3 if mode in "1P" else .1)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_small_square_is_upright(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(smooth(300, 200)), tmp_path / name, exif=exif)
    np.testing.assert_allclose(read_square(path, 8), resize(square(read_image(path)), (8, 8)), atol=.1)


def test_the_small_square_refuses_what_reading_refuses(tmp_path, monkeypatch):
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text.png", "absent.png"):
        with pytest.raises(ImageError, match=name):
            read_square(tmp_path / name, 8)
    (tmp_path / "bomb.png").write_bytes(png_header(40000, 40000))
    with pytest.raises(ImageError, match="1600 megapixels"):
        read_square(tmp_path / "bomb.png", 8)
    with pytest.raises(ValueError, match="size must be 1 or more, not 0"):
        read_square(tmp_path / "text.png", 0)


# ---- Changing the size ---------------------------------------------------------------------------------------------

def test_box_halves_to_means():
    picture = np.random.default_rng(0).random((8, 6, 3), np.float32)
    means = picture.reshape(4, 2, 3, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(picture, (4, 3), "box"), means, atol=1e-6)


def test_nearest_doubles_to_copies():
    picture = np.random.default_rng(0).random((3, 4, 2), np.float32)
    np.testing.assert_array_equal(resize(picture, (6, 8), "nearest"), picture.repeat(2, 0).repeat(2, 1))


def test_bilinear_between_two_pixels():
    np.testing.assert_allclose(resize(np.float32([[0, 1]]), (1, 4)), [[0, .25, .75, 1]], atol=1e-6)


@pytest.mark.parametrize("method", resizing.FILTERS)
def test_resizing_keeps_float32_and_a_flat_picture_flat(method):
    flat = resize(np.full((7, 5, 1), .3, np.float32), (13, 3), method)
    assert flat.dtype == np.float32 and flat.shape == (13, 3, 1)
    np.testing.assert_allclose(flat, .3, atol=1e-6)


def test_the_longer_side_keeps_proportions():
    assert resize(np.zeros((100, 50, 3)), 20).shape == (20, 10, 3)
    assert resize(np.zeros((50, 100)), 20).shape == (10, 20)
    assert resize(np.zeros((1, 1000, 3)), 10).shape == (1, 10, 3)


def test_resizing_accepts_bytes_and_tensors(pixels):
    expected = resize(pixels.astype(np.float32) / 255, (3, 3))
    np.testing.assert_array_equal(resize(pixels, (3, 3)), expected)
    np.testing.assert_array_equal(resize(tensor(pixels.astype(np.float32) / 255), (3, 3)), expected)


@pytest.mark.parametrize("size", [0, -3, (4, 0), 2.5, (4.5, 3), (1, 2, 3)])
def test_sizes_that_make_no_sense(size):
    with pytest.raises(ValueError, match="must be whole and positive"):
        resize(np.zeros((4, 4, 3)), size)


def test_resize_names_its_methods_and_shapes():
    with pytest.raises(ValueError, match="'cubic' is unknown; choose one of nearest, box, bilinear, bicubic, lanczos"):
        resize(np.zeros((4, 4, 3)), 2, "cubic")
    with pytest.raises(ValueError, match="one by one"):
        resize(np.zeros((2, 4, 4, 3)), 2)


def test_square_takes_the_middle():
    picture = np.arange(2 * 6).reshape(2, 6, 1)
    np.testing.assert_array_equal(square(picture)[..., 0], [[2, 3], [8, 9]])
    np.testing.assert_array_equal(square(picture.swapaxes(0, 1))[..., 0], [[2, 8], [3, 9]])


# ---- Writing -------------------------------------------------------------------------------------------------------

def test_round_trip_of_every_byte_value_is_exact(tmp_path):
    values = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
    write_image(values.astype(np.float32) / 255, tmp_path / "float.png")
    write_image(values, tmp_path / "bytes.png")
    for name in ("float.png", "bytes.png"):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / name)), values)
        np.testing.assert_array_equal(read_image(tmp_path / name), values.astype(np.float32) / 255)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rounding_and_clipping(tmp_path, dtype):
    values = np.array([[-3, 0, .4 / 255, .6 / 255, .5, 1, 1.7]], dtype)    # .5 * 255 = 127.5: halves go up
    write_image(values, tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), [[0, 0, 0, 1, 128, 255, 255]])


@pytest.mark.parametrize("shape, mode", [((4, 5), "L"), ((4, 5, 1), "L"), ((4, 5, 3), "RGB")])
def test_shapes(tmp_path, shape, mode):
    write_image(tensor(np.full(shape, .2)), tmp_path / "a.png")
    image = Image.open(tmp_path / "a.png")
    assert image.mode == mode and image.size == (5, 4)
    assert (np.asarray(image) == 51).all()


@pytest.mark.parametrize("shape", [(5,), (4, 5, 2), (4, 5, 5), (0, 5, 3), (1, 4, 5, 3)])
def test_other_shapes_are_refused(tmp_path, shape):
    with pytest.raises(ImageError, match="a picture is .height, width, 3."):
        write_image(np.zeros(shape), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_named(tmp_path, value):
    picture = np.zeros((4, 5, 3))
    picture[2, 3, 1] = value
    with pytest.raises(ImageError, match=rf"1 of 60 values .* {value} at \(row, column, channel\) \(2, 3, 1\)"):
        write_image(picture, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_whole_numbers_are_refused(tmp_path):
    with pytest.raises(ImageError, match="type int64; give float 0..1 or uint8"):
        write_image(np.zeros((4, 5, 3), np.int64), tmp_path / "a.png")


@pytest.mark.parametrize("name", ["cat.xyz", "cat", "cat.gif"])
def test_unknown_suffix(tmp_path, name):
    with pytest.raises(ImageError, match="choose one of .png, .jpg, .jpeg"):
        write_image(np.zeros((4, 5, 3)), tmp_path / name)


def test_jpeg_is_close(tmp_path):
    slope = np.mgrid[0:64, 0:96, 0:3][1] / 96
    write_image(slope, tmp_path / "a.JPG")
    np.testing.assert_allclose(read_image(tmp_path / "a.JPG"), slope, atol=.02)


SETTINGS = {"command": "minicnn invert cat -o 'kätzchen.png'", "seed": 7, "version": "0.1", "weights": "0123456789ab",
            "size": [32, 32], "prior": True}


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_settings_come_back(tmp_path, pixels, name):
    write_image(pixels, tmp_path / name, SETTINGS)
    assert read_settings(tmp_path / name) == SETTINGS


def test_settings_are_json_in_a_png_text_chunk(tmp_path, pixels):
    write_image(pixels, tmp_path / "a.png", {"seed": np.int64(7), "rate": np.float32(.5), "file": tmp_path})
    assert json.loads(Image.open(tmp_path / "a.png").text["minicnn"]) == {"seed": 7, "rate": .5, "file": str(tmp_path)}


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_picture_without_settings(tmp_path, pixels, name):
    write_image(pixels, tmp_path / name)
    assert read_settings(tmp_path / name) is None


def test_a_foreign_comment_is_no_settings(tmp_path, pixels):
    assert read_settings(saved(Image.fromarray(pixels), tmp_path / "a.jpg", comment="a holiday")) is None


def test_damaged_settings(tmp_path, pixels):
    path = saved(Image.fromarray(pixels), tmp_path / "a.jpg", comment="minicnn {broken")
    with pytest.raises(ImageError, match="settings in .*a.jpg are damaged"):
        read_settings(path)


def test_settings_too_long_for_a_jpeg(tmp_path, pixels):
    settings = {"note": "x" * 70000}
    with pytest.raises(ImageError, match="write a PNG"):
        write_image(pixels, tmp_path / "a.jpg", settings)
    write_image(pixels, tmp_path / "a.png", settings)
    assert read_settings(tmp_path / "a.png") == settings


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_the_same_picture_gives_the_same_bytes(tmp_path, pixels, name):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_image(pixels, tmp_path / folder / name, SETTINGS)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_failed_write_leaves_the_old_picture(tmp_path, pixels, monkeypatch):
    path = tmp_path / "cat.png"
    write_image(pixels, path)
    before = path.read_bytes()

    def run_out_of_space(self, temporary, *arguments, **options):
        temporary.write_bytes(b"half a pict")
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(Image.Image, "save", run_out_of_space)
    with pytest.raises(WriteError, match="cannot write .*cat.png: the disk is full"):
        write_image(255 - pixels, path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["cat.png"]


# ---- Animations ----------------------------------------------------------------------------------------------------

def shades(count=5):
    return [np.full((6, 8, 3), i / (count - 1), np.float32) for i in range(count)]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "apng"])
def test_animation(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write_animation(iter(shades()), path, duration_ms=80, hold_last_ms=500)
    image, durations = Image.open(path), []
    assert image.n_frames == 5
    for i in range(5):
        image.seek(i)
        image.load()
        durations.append(image.info["duration"])
        np.testing.assert_allclose(np.asarray(image.convert("RGB")) / 255, i / 4, atol=.005)
    assert durations == [80, 80, 80, 80, 500]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_the_same_animation_gives_the_same_bytes(tmp_path, suffix):
    noise = np.random.default_rng(0).random((4, 12, 12, 3))
    for name in ("one", "two"):
        write_animation(noise, tmp_path / f"{name}.{suffix}", settings=SETTINGS)
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", ["gif", "png"])
def test_animations_keep_settings(tmp_path, suffix):
    write_animation(shades(), tmp_path / f"a.{suffix}", settings=SETTINGS)
    assert read_settings(tmp_path / f"a.{suffix}") == SETTINGS


def test_gif_colours_are_near_the_truth(tmp_path):
    slope = np.mgrid[0:64, 0:64, 0:3][1] / 64 * [1, .6, .2]
    write_animation([slope], tmp_path / "a.gif")
    assert np.abs(read_image(tmp_path / "a.gif") - slope).mean() < .01


@pytest.mark.parametrize("frames, words", [([], "0 sizes"), ([np.zeros((2, 2)), np.zeros((3, 2))], "2 sizes")])
def test_frames_must_have_one_size(tmp_path, frames, words):
    with pytest.raises(ImageError, match=words):
        write_animation(frames, tmp_path / "a.gif")


def test_unknown_animation(tmp_path):
    with pytest.raises(ImageError, match="choose one of .gif, .webp, .png, .apng"):
        write_animation(shades(), tmp_path / "a.mp4")


# ---- Contact sheets ------------------------------------------------------------------------------------------------

def test_pictures_stand_where_they_should():
    """Without captions the geometry is plain: margin, picture, margin, picture, margin."""
    colours = np.float32([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    pictures = [np.broadcast_to(colour, (4, 6, 3)) for colour in colours]
    sheet = contact_sheet(pictures, columns=2, scale=2, margin=5, method="nearest")
    assert sheet.dtype == np.uint8 and sheet.shape == (5 + 2 * (8 + 5), 5 + 2 * (12 + 5), 3)
    expected = np.full_like(sheet, images.PAPER)
    for (y, x), colour in zip([(5, 5), (5, 22), (18, 5)], colours):
        expected[y:y + 8, x:x + 12] = 255 * colour
    np.testing.assert_array_equal(sheet, expected)


def test_captions_are_written_below_and_nothing_is_cut():
    picture = np.zeros((10, 10), np.float32)
    plain = contact_sheet([picture], margin=8)
    sheet = contact_sheet([picture], ["a caption much wider than its picture\nand a second line"], margin=8)
    assert sheet.shape[0] > plain.shape[0] and sheet.shape[1] > plain.shape[1]
    paper = (sheet == images.PAPER).all(axis=2)
    assert paper[:8].all() and paper[-6:].all() and paper[:, :6].all() and paper[:, -6:].all()
    first, second = ~paper[18 + 7:18 + 25], ~paper[18 + 25:]
    assert first.any() and second.any()
    assert sheet[18:18 + 25].min() < 60 < images.FAINT_INK[0] - 20 < sheet[18 + 25:].min()


def test_a_title_adds_a_line_on_top():
    pictures = [np.zeros((20, 40))] * 2
    plain, titled = contact_sheet(pictures), contact_sheet(pictures, title="cats")
    height = titled.shape[0] - plain.shape[0]
    np.testing.assert_array_equal(titled[height:], plain)
    assert titled[:height].min() < 60


@pytest.mark.parametrize("count, columns", [(1, 1), (3, 3), (4, 2), (8, 4), (9, 3), (10, 5), (100, 10)])
def test_columns(count, columns):
    assert contact_sheet([np.zeros((10, 10))] * count, margin=0).shape[1] == 10 * columns


def test_pictures_of_several_sizes_and_kinds():
    sheet = contact_sheet([np.zeros((10, 20, 3)), np.full((30, 10, 1), 255, np.uint8)], columns=2, margin=0)
    assert sheet.shape == (30, 40, 3)
    assert (sheet[:10, :20] == 0).all() and (sheet[:, 25:35] == 255).all() and (sheet[15, 5] == images.PAPER).all()


def test_contact_sheets_need_pictures_and_matching_captions():
    with pytest.raises(ValueError, match="0 pictures"):
        contact_sheet([])
    with pytest.raises(ValueError, match="2 pictures and 1 captions"):
        contact_sheet([np.zeros((2, 2))] * 2, ["one"])
    with pytest.raises(ImageError, match="NaN"):
        contact_sheet([np.full((2, 2), np.nan)])


# ---- Opacity -------------------------------------------------------------------------------------------------------------

def test_opacity_is_read_and_written(tmp_path, pixels):
    alpha = np.arange(30, dtype=np.uint8).reshape(6, 5) * 8
    write_image(np.concatenate([pixels, alpha[..., None]], axis=2), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "RGBA" and np.array_equal(np.asarray(image), np.dstack([pixels, alpha]))
    assert np.array_equal(read_alpha(tmp_path / "a.png"), alpha.astype(np.float32) / 255)
    assert read_alpha(saved(Image.fromarray(pixels), tmp_path / "b.png")) is None


def test_a_jpeg_shows_what_is_transparent_on_white(tmp_path):
    picture = np.zeros((16, 16, 4), np.float32)
    picture[:, 8:, 3] = 1                                        # clear on the left, black on the right
    write_image(picture, tmp_path / "a.jpg")
    read = read_image(tmp_path / "a.jpg")
    assert read[:, :6].min() > .95 and read[:, 10:].max() < .05


def test_opacity_is_turned_with_the_picture(tmp_path):
    image = Image.fromarray(np.dstack([np.zeros((2, 3, 3), np.uint8), np.arange(6, dtype=np.uint8).reshape(2, 3)]))
    exif = image.getexif()
    exif[0x112] = 6                                              # the camera was held on its side
    saved(image, tmp_path / "a.png", exif=exif)
    assert read_alpha(tmp_path / "a.png").shape == read_image(tmp_path / "a.png").shape[:2] == (3, 2)
