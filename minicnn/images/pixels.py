"""Between arrays and Pillow's images, and what a picture may be."""
import numpy as np
from PIL import Image

from ..core.backend import to_numpy
from ..core.tensor import Tensor

GREY = np.array([.299, .587, .114])              # what red, green and blue add to the brightness (ITU-R BT.601)


class ImageError(ValueError):
    """A picture cannot be read or written.  The message names the file, the reason and the mend, in one line."""


def as_array(picture):
    """A NumPy array from a tensor, an array on the CPU or GPU, or nested lists."""
    return picture.numpy() if isinstance(picture, Tensor) else to_numpy(picture)


def as_float(array):
    """float32; uint8 becomes 0..1."""
    return array.astype(np.float32) / 255 if array.dtype == np.uint8 else array.astype(np.float32, copy=False)


def as_image(picture, path):
    """An 8-bit Pillow image, gray or RGB, of a picture that will be written to `path`."""
    picture = as_array(picture)
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
