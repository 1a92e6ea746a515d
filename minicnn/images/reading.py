"""Reading any kind of picture file."""
import contextlib
import io
import textwrap
import threading
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from .pixels import ImageError, as_float
from .resizing import FILTERS, resize

LARGEST_PICTURE = 200_000_000                    # pixels; as float32 RGB that is 2.4 GB
READABLE = ("PNG", "JPEG", "MPO", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "PPM", "TGA", "JPEG2000")
_opening = threading.Lock()


def read_image(path, size=None):
    """The picture in a file as float32 (H, W, 3) in 0..1, sRGB; of an animation the first frame.

    size   None, (height, width), or one number for the longer side: see `resize`

    Gray and palette pictures become RGB, transparent ones lie on white, CMYK and pictures with a colour profile are
    converted to sRGB, and the camera's orientation (EXIF) is applied.  16-bit gray keeps its precision; 16-bit colour
    is read with 8 bits, which is what Pillow can do.
    Raises ImageError for everything that cannot be read: absent, a folder, empty, no picture, broken or cut short, or
    more than LARGEST_PICTURE pixels (seen in the header, before any memory is taken).
    """
    with opened(path) as image:
        image.load()
        picture = rgb(_upright(image), path)
    return picture if size is None else resize(picture, size)


def read_alpha(path):
    """How opaque each pixel of the picture in a file is: float32 (H, W) in 0..1, or None where all are and always were.

    Turned as the camera was held, so that it fits what `read_image` gives.  Raises ImageError as that does.
    """
    with opened(path) as image:
        image.load()
        image = _upright(image)
        if not image.has_transparency_data:
            return None
        return as_float(np.asarray(image.convert("RGBA").getchannel("A")))


def read_square(path, size):
    """The middle square of the picture in a file, `size` x `size` pixels, as float32 (size, size, 3) in 0..1, sRGB.

    As `read_image`, `square` and `resize` one after the other (on average within one level of 255), but the picture is
    made small before it becomes float32: a photograph of 12 megapixels takes a twentieth of the time.
    Raises ImageError as `read_image` does, ValueError for a size below 1.
    """
    if size < 1:
        raise ValueError(f"read_square: size must be 1 or more, not {size}")
    with opened(path) as image:
        image.draft(None, (3 * size, 3 * size))              # a JPEG is unpacked at 1/2, 1/4 or 1/8, if that is enough
        image.load()
        return rgb(_upright(_small_square(image, size)), path)


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
def opened(path):
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
        raise ImageError(f"{path} is broken or cut short ({reason}); download or save it again") from error


def _raise_unless_filled_file(path):
    if path.is_dir():
        raise ImageError(f"{path} is a folder; name a picture in it")
    if not path.exists():
        raise ImageError(f"there is no picture {path}; check the name")
    if not path.is_file():
        raise ImageError(f"{path} is a device or a pipe; give an ordinary picture file")
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is an empty file; download or save it again")


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


def rgb(image, path):
    """float32 (H, W, 3) in 0..1 of any Pillow mode."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _deep_gray(image, path)
    profile = image.info.get("icc_profile")
    if not image.has_transparency_data:
        return as_float(np.asarray(_in_srgb(image, profile)))
    image = image.convert("RGBA")
    colour = as_float(np.asarray(_in_srgb(image.convert("RGB"), profile)))
    alpha = as_float(np.asarray(image.getchannel("A")))[..., None]
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
