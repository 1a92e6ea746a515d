"""Writing pictures and animations, with the settings that made them."""
import json
from pathlib import Path

from PIL import Image, PngImagePlugin

from ..files.atomic import atomic_write
from .pixels import ImageError, as_image
from .reading import opened

PICTURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
ANIMATION_FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG"}


def write_image(picture, path, settings=None):
    """Write a picture as 8-bit PNG or JPEG (by the suffix of `path`), atomically.

    picture    (H, W, 3), (H, W, 4) with the opacity last, (H, W, 1) or (H, W); uint8 as it is, float 0..1 as
               floor(255 v + 1/2), values outside clipped
    settings   a dict that is kept as JSON within the file, for `read_settings`: command, seed, version, weights hash
               (a PNG text chunk named "minicnn", a JPEG comment)
    The same picture and settings give the same bytes: no time, no name of the machine.
    Raises ImageError for NaN or infinite values, another shape or type, an unknown suffix; WriteError when the
    file cannot be written.
    """
    kind = format_of(path, PICTURE_FORMATS)
    image = as_image(picture, path)
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
    kind = format_of(path, ANIMATION_FORMATS)
    images = [as_image(frame, path).convert("RGB") for frame in frames]
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
    with opened(path) as image:
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


def format_of(path, formats):
    suffix = Path(path).suffix.lower()
    if suffix not in formats:
        raise ImageError(f"cannot write {path}: suffix {suffix!r} is unknown here; choose one of {', '.join(formats)}")
    return formats[suffix]


def _with_palette(image):
    """The image in its own 256 best colours, dithered, so that smooth skies show no bands."""
    palette = image.quantize(256, method=Image.Quantize.MEDIANCUT)
    return image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
