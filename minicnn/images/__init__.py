"""Pictures: reading any kind of file, resizing, writing, contact sheets and animations.

A picture is an array (height, width, 3), (height, width, 1) or (height, width), float with values 0..1, or uint8 with
values 0..255.  Every picture that is read becomes float32 (height, width, 3).
"""
import contextlib
import io
import json
import math
import textwrap
import threading
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageDraw, ImageFont, ImageOps, PngImagePlugin, UnidentifiedImageError

from ..core.backend import to_numpy
from ..core.tensor import Tensor
from ..files.atomic import atomic_write

LARGEST_PICTURE = 200_000_000                    # pixels; as float32 RGB that is 2.4 GB
READABLE = ("PNG", "JPEG", "MPO", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "PPM", "TGA", "JPEG2000")
PICTURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
ANIMATION_FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG"}
GREY = np.array([.299, .587, .114])              # what red, green and blue add to the brightness (ITU-R BT.601)
FILTERS = {"nearest": Image.Resampling.NEAREST, "box": Image.Resampling.BOX, "bilinear": Image.Resampling.BILINEAR,
           "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
_opening = threading.Lock()


class ImageError(ValueError):
    """A picture cannot be read or written.  The message names the file, the reason and the mend, in one line."""


# ---- Reading -------------------------------------------------------------------------------------------------------

def read_image(path, size=None):
    """The picture in a file as float32 (H, W, 3) in 0..1, sRGB; of an animation the first frame.

    size   None, (height, width), or one number for the longer side: see `resize`

    Gray and palette pictures become RGB, transparent ones lie on white, CMYK and pictures with a colour profile are
    converted to sRGB, and the camera's orientation (EXIF) is applied.  16-bit gray keeps its precision; 16-bit colour
    is read with 8 bits, which is what Pillow can do.
    Raises ImageError for everything that cannot be read: absent, a folder, empty, no picture, broken or cut short, or
    more than LARGEST_PICTURE pixels (seen in the header, before any memory is taken).
    """
    with _opened(path) as image:
        image.load()
        picture = _rgb(_upright(image), path)
    return picture if size is None else resize(picture, size)


def read_alpha(path):
    """How opaque each pixel of the picture in a file is: float32 (H, W) in 0..1, or None where all are and always were.

    Turned as the camera was held, so that it fits what `read_image` gives.  Raises ImageError as that does.
    """
    with _opened(path) as image:
        image.load()
        image = _upright(image)
        if not image.has_transparency_data:
            return None
        return _as_float(np.asarray(image.convert("RGBA").getchannel("A")))


def read_square(path, size):
    """The middle square of the picture in a file, `size` x `size` pixels, as float32 (size, size, 3) in 0..1, sRGB.

    As `read_image`, `square` and `resize` one after the other (on average within one level of 255), but the picture is
    made small before it becomes float32: a photograph of 12 megapixels takes a twentieth of the time.
    Raises ImageError as `read_image` does, ValueError for a size below 1.
    """
    if size < 1:
        raise ValueError(f"read_square: size must be 1 or more, not {size}")
    with _opened(path) as image:
        image.draft(None, (3 * size, 3 * size))              # a JPEG is unpacked at 1/2, 1/4 or 1/8, if that is enough
        image.load()
        return _rgb(_upright(_small_square(image, size)), path)


def _small_square(image, size):
    """The middle square in Pillow's own numbers, averaged to three times the size and from there by `bilinear`."""
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    if side < max(image.size):
        image = image.crop((left, top, left + side, top + side))
    if image.mode in ("P", "PA", "1"):                       # numbers of colours cannot be averaged
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode.startswith("I;"):
        image = image.convert("I")
    return image.resize((size, size), FILTERS["bilinear"], reducing_gap=3)


@contextlib.contextmanager
def _opened(path):
    """The picture file, its header read.  Damaged files make decoders raise anything: all of it becomes ImageError."""
    _raise_unless_filled_file(Path(path))
    try:
        with _open(path) as image:
            _raise_if_too_large(image, path)
            yield image
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{path} is not a picture that can be read, or damaged from its first bytes; "
                         "give a PNG, JPEG, GIF, WebP, AVIF, BMP or TIFF file") from error
    except PermissionError as error:
        raise ImageError(f"no permission to read {path}; change it (chmod +r), or copy the file") from error
    except MemoryError as error:
        raise ImageError(f"not enough memory to read {path}; make the picture smaller first") from error
    except Exception as error:
        reason = textwrap.shorten(str(error) or type(error).__name__, 200)
        raise ImageError(f"{path} is broken or cut short ({reason}); fetch or save it again") from error


def _raise_unless_filled_file(path):
    if path.is_dir():
        raise ImageError(f"{path} is a folder; name a picture in it")
    if not path.exists():
        raise ImageError(f"there is no picture {path}; check the name")
    if not path.is_file():
        raise ImageError(f"{path} is a device or a pipe; give an ordinary picture file")
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is an empty file; fetch or save it again")


def _open(path):
    """Image.open without Pillow's own limits (it warns at 89 and refuses at 179 megapixels), and only for formats that
    hold pixels: others start programs (EPS runs Ghostscript).  The limit belongs to the process, hence the lock."""
    Image.init()
    with _opening:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path, formats=[name for name in READABLE if name in Image.OPEN])
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _raise_if_too_large(image, path):
    width, height = image.size
    if width * height > LARGEST_PICTURE:
        raise ImageError(f"{path} has {width} x {height} = {width * height / 1e6:.0f} megapixels, the limit is "
                         f"{LARGEST_PICTURE / 1e6:.0f}; make the picture smaller first")
    if width * height == 0:
        raise ImageError(f"{path} has {width} x {height} pixels, that is none; save it again")


def _upright(image):
    """The picture turned as the camera was held.  A damaged EXIF block is no reason to refuse a good picture."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _rgb(image, path):
    """float32 (H, W, 3) in 0..1 of any Pillow mode."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _deep_gray(image, path)
    profile = image.info.get("icc_profile")
    if not image.has_transparency_data:
        return _as_float(np.asarray(_in_srgb(image, profile)))
    image = image.convert("RGBA")
    colour = _as_float(np.asarray(_in_srgb(image.convert("RGB"), profile)))
    alpha = _as_float(np.asarray(image.getchannel("A")))[..., None]
    return colour * alpha + (1 - alpha)


def _deep_gray(image, path):
    """Gray of more than 8 bits: whole numbers count to 65535, floating ones to 1."""
    gray, white = np.asarray(image), 1 if image.mode == "F" else 65535
    if not (gray.min() >= 0 and gray.max() <= white):        # so written, NaN is refused as well
        raise ImageError(f"{path} holds gray values {gray.min():g} to {gray.max():g}, not 0 to {white}; "
                         "save it with 8 or 16 bits")
    gray = (gray / np.float64(white)).astype(np.float32)
    return np.repeat(gray[..., None], 3, axis=2)             # (H, W, 3)


def _in_srgb(image, profile):
    """The image in mode RGB; through its colour profile if it has a sound one that is not sRGB anyway."""
    plain = image if image.mode in ("L", "RGB", "CMYK", "LAB") else image.convert("RGB")
    if not profile:
        return plain.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return plain.convert("RGB")
        return ImageCms.profileToProfile(plain, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ImportError):      # damaged, for another mode, or no LittleCMS in this Pillow
        return plain.convert("RGB")


# ---- Changing the size ---------------------------------------------------------------------------------------------

def resize(picture, size, method="bilinear"):
    """The picture in another size, float32 in the same shape: (height, width, channels) or (height, width).

    size     (height, width), or one number: the longer side, proportions kept
    method   "nearest", "box", "bilinear", "bicubic" or "lanczos".  The last two are sharper and may step a little
             outside 0..1 beside an edge.  All but "nearest" average over what they shrink, so nothing flickers.
    Raises ValueError for another shape, another method or a size that is not positive.
    """
    picture = _as_float(_as_array(picture))
    if method not in FILTERS:
        raise ValueError(f"resize: method {method!r} is unknown; choose one of {', '.join(FILTERS)}")
    if picture.ndim not in (2, 3) or 0 in picture.shape:
        raise ValueError(f"resize: a picture is (height, width, channels) or (height, width), not {picture.shape}; "
                         "resize the pictures of a batch one by one")
    height, width = _target_size(picture, size)
    if picture.ndim == 2:
        return _resize_channel(picture, height, width, method)
    channels = [_resize_channel(picture[:, :, c], height, width, method) for c in range(picture.shape[2])]
    return np.stack(channels, axis=2)


def _resize_channel(channel, height, width, method):
    """Pillow's mode "F" holds float32, so nothing is rounded to 8 bits on the way."""
    return np.array(Image.fromarray(np.ascontiguousarray(channel)).resize((width, height), FILTERS[method]))


def _target_size(picture, size):
    """(height, width) of the result."""
    wanted = np.atleast_1d(size)
    if len(wanted) > 2 or not (wanted >= 1).all() or not (wanted == wanted.astype(int)).all():
        raise ValueError(f"resize: size {size} must be whole and positive: (height, width), or the longer side")
    if len(wanted) == 2:
        return int(wanted[0]), int(wanted[1])
    scale = int(size) / max(picture.shape[:2])
    return tuple(max(1, round(side * scale)) for side in picture.shape[:2])


def square(picture):
    """The largest square from the middle of the picture: a view of shape (side, side, ...)."""
    picture = _as_array(picture)
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top:top + side, left:left + side]


# ---- Writing -------------------------------------------------------------------------------------------------------

def write_image(picture, path, settings=None):
    """Write a picture as 8-bit PNG or JPEG (by the suffix of `path`), atomically.

    picture    (H, W, 3), (H, W, 4) with the opacity last, (H, W, 1) or (H, W); uint8 as it is, float 0..1 as
               floor(255 v + 1/2), values outside clipped
    settings   a dict that is kept as JSON within the file, for `read_settings`: command, seed, version, weights hash
               (a PNG text chunk named "minicnn", a JPEG comment)
    The same picture and settings give the same bytes: no time, no name of the machine.
    Raises ImageError for NaN or infinite values, another shape or type, an unknown suffix; files.WriteError when the
    file cannot be written.
    """
    kind = _format(path, PICTURE_FORMATS)
    image = _image(picture, path)
    if kind == "JPEG" and image.mode == "RGBA":                  # which knows no opacity: on white, as it is read
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"compress_level": 6}
    with atomic_write(path) as temporary:
        image.save(temporary, kind, **options, **_settings_options(settings, kind, path))


def write_animation(frames, path, duration_ms=60, hold_last_ms=1000, settings=None):
    """Write pictures of one size as an endless GIF, WebP or animated PNG (by the suffix), atomically.

    frames         pictures as for `write_image`, first to last
    duration_ms    milliseconds each is shown (GIF counts in hundredths of a second), hold_last_ms that of the last
    settings       as for `write_image`, kept in GIF and PNG
    The same frames give the same bytes.  Raises as `write_image` does, and ImageError for no frames or unequal sizes.
    """
    kind = _format(path, ANIMATION_FORMATS)
    images = [_image(frame, path).convert("RGB") for frame in frames]
    sizes = sorted({image.size for image in images})
    if len(sizes) != 1:
        raise ImageError(f"cannot write {path}: the frames have {len(sizes)} sizes (width, height) {sizes[:4]}, "
                         "they need exactly one; resize them")
    if kind == "GIF":
        images = [_with_palette(image) for image in images]
    options = {"lossless": True} if kind == "WEBP" else {}
    durations = [duration_ms] * (len(images) - 1) + [hold_last_ms]
    with atomic_write(path) as temporary:
        images[0].save(temporary, kind, save_all=True, append_images=images[1:], duration=durations, loop=0,
                       **options, **_settings_options(settings, kind, path))


def read_settings(path):
    """The settings that `write_image` or `write_animation` kept in a file, as a dict; None if there are none.

    Raises ImageError when the file is no picture, or its settings are damaged.
    """
    with _opened(path) as image:
        text = image.info.get("minicnn") or _from_comment(image.info.get("comment"))
    if text is None:
        return None
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise ImageError(f"the settings in {path} are damaged: they are no JSON object") from error


def _settings_options(settings, kind, path):
    """How Pillow is told to keep the settings.  The JSON is plain ASCII, so it fits into the simplest chunk."""
    if settings is None or kind == "WEBP":
        return {}
    text = json.dumps(settings, default=_plain)
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_text("minicnn", text)
        return {"pnginfo": chunks}
    if kind == "JPEG" and len(text) > 65000:
        raise ImageError(f"cannot write {path}: {len(text)} characters of settings do not fit into a JPEG; write a PNG")
    return {"comment": f"minicnn {text}".encode()}


def _plain(value):
    """What JSON does not know: numbers and arrays of NumPy become Python's, a path becomes its text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _from_comment(comment):
    text = comment.decode("utf-8", "replace") if isinstance(comment, bytes) else comment or ""
    return text.removeprefix("minicnn ") if text.startswith("minicnn ") else None


def _format(path, formats):
    suffix = Path(path).suffix.lower()
    if suffix not in formats:
        raise ImageError(f"cannot write {path}: suffix {suffix!r} is unknown here; choose one of {', '.join(formats)}")
    return formats[suffix]


def _with_palette(image):
    """The image in its own 256 best colours, dithered, so that smooth skies show no bands."""
    palette = image.quantize(256, method=Image.Quantize.MEDIANCUT)
    return image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


# ---- Between arrays and Pillow's images ----------------------------------------------------------------------------

def _as_array(picture):
    """A NumPy array from a tensor, an array on the CPU or GPU, or nested lists."""
    return picture.numpy() if isinstance(picture, Tensor) else to_numpy(picture)


def _as_float(array):
    """float32; uint8 becomes 0..1."""
    return array.astype(np.float32) / 255 if array.dtype == np.uint8 else array.astype(np.float32, copy=False)


def _image(picture, path):
    """An 8-bit Pillow image, gray or RGB, of a picture that will be written to `path`."""
    picture = _as_array(picture)
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[:, :, 0]
    if 0 in picture.shape or not (picture.ndim == 2 or picture.ndim == 3 and picture.shape[2] in (3, 4)):
        hint = "; take one picture of the batch, pictures[0]" if picture.ndim == 4 else ""
        raise ImageError(f"cannot write {path}: a picture is (height, width, 3 or 4), (height, width, 1) or (height, "
                         f"width), not {picture.shape}{hint}")
    return Image.fromarray(_eight_bits(picture, path))


def _eight_bits(picture, path):
    if picture.dtype == np.uint8:
        return np.ascontiguousarray(picture)
    if picture.dtype.kind != "f":
        raise ImageError(f"cannot write {path}: values of type {picture.dtype}; give float 0..1 or uint8 0..255")
    _raise_unless_finite(picture, path)
    scaled = np.clip(picture.astype(np.float32, copy=False), 0, 1)
    scaled *= 255
    scaled += .5
    return scaled.astype(np.uint8)


def _raise_unless_finite(picture, path):
    bad = np.argwhere(~np.isfinite(picture))
    if len(bad):
        first = tuple(bad[0].tolist())
        raise ImageError(f"cannot write {path}: {len(bad)} of {picture.size} values are NaN or infinite, the first is "
                         f"{picture[first]} at (row, column{', channel' if len(first) == 3 else ''}) {first}; "
                         "a smaller learning rate or step often helps")


# ---- Contact sheets ------------------------------------------------------------------------------------------------

PAPER, INK, FAINT_INK = (250, 250, 248), (34, 34, 34), (112, 112, 112)


def contact_sheet(pictures, captions=None, columns=None, scale=1, margin=16, title=None, method="bicubic",
                  font_size=14):
    """Many pictures on one sheet, captions below them, as a uint8 array (height, width, 3).

    pictures   float 0..1 or uint8, not necessarily of one size
    captions   a text for each, several lines allowed; lines after the first are fainter
    columns    None chooses a sheet that is wider than high with few empty places
    scale      enlargement of each picture, by `method`: "bicubic" is smooth, "nearest" shows the pixels
    margin     pixels around and between;  title: a larger line on top;  font_size: of the captions, in pixels
    Raises ValueError when there are no pictures or another number of captions.
    """
    images = [_enlarged(picture, scale, method) for picture in pictures]
    captions = [""] * len(images) if captions is None else [str(caption) for caption in captions]
    if not images or len(captions) != len(images):
        raise ValueError(f"contact_sheet: {len(images)} pictures and {len(captions)} captions; "
                         "give at least one picture, and a caption for each or none")
    columns = min(columns or _columns(len(images)), len(images))
    cells = [_cell(image, caption, font_size) for image, caption in zip(images, captions)]
    return np.asarray(_with_title(_grid(cells, columns, margin), title, margin, round(font_size * 1.5)))


def _columns(count):
    """Between a square and twice as wide as high, the number that leaves the fewest places of the last row empty."""
    root = math.ceil(math.sqrt(count))
    return min(range(root, max(root, math.isqrt(4 * count)) + 1), key=lambda columns: -count % columns)


def _enlarged(picture, scale, method):
    picture = _as_array(picture)
    image = _image(picture, "the contact sheet")
    if scale == 1:
        return image.convert("RGB")
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    return _image(resize(picture, (height, width), method), "the contact sheet").convert("RGB")


def _cell(image, caption, font_size):
    """The picture with its caption centred below it, on a piece of paper just large enough."""
    lines, font, line_height = caption.splitlines(), ImageFont.load_default(font_size), round(font_size * 1.3)
    width = max([image.width] + [math.ceil(font.getlength(line)) for line in lines])
    text_height = len(lines) * line_height + (font_size // 2 if lines else 0)
    cell = Image.new("RGB", (width, image.height + text_height), PAPER)
    cell.paste(image, ((width - image.width) // 2, 0))
    draw = ImageDraw.Draw(cell)
    for i, line in enumerate(lines):
        y = image.height + font_size // 2 + i * line_height
        draw.text((width / 2, y), line, INK if i == 0 else FAINT_INK, font, anchor="ma")
    return cell


def _grid(cells, columns, margin):
    """Cells in rows; all columns as wide as the widest cell, each row as high as its highest."""
    rows = [cells[i:i + columns] for i in range(0, len(cells), columns)]
    cell_width = max(cell.width for cell in cells)
    heights = [max(cell.height for cell in row) for row in rows]
    size = margin + columns * (cell_width + margin), margin + sum(height + margin for height in heights)
    sheet, y = Image.new("RGB", size, PAPER), margin
    for row, height in zip(rows, heights):
        for i, cell in enumerate(row):
            sheet.paste(cell, (margin + i * (cell_width + margin) + (cell_width - cell.width) // 2, y))
        y += height + margin
    return sheet


def _with_title(sheet, title, margin, font_size):
    if not title:
        return sheet
    font, band = ImageFont.load_default(font_size), margin + round(font_size * 1.3)
    width = max(sheet.width, math.ceil(font.getlength(title)) + 2 * margin)
    titled = Image.new("RGB", (width, sheet.height + band), PAPER)
    titled.paste(sheet, ((width - sheet.width) // 2, band))
    ImageDraw.Draw(titled).text((margin, margin), title, INK, font, anchor="la")
    return titled
