"""Changing the size of a picture."""
import numpy as np
from PIL import Image

from .pixels import as_array, as_float

FILTERS = {"nearest": Image.Resampling.NEAREST, "box": Image.Resampling.BOX, "bilinear": Image.Resampling.BILINEAR,
           "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}


def resize(picture, size, method="bilinear"):
    """The picture in another size, float32 in the same shape: (height, width, channels) or (height, width).

    size     (height, width), or one number: the longer side, proportions kept
    method   "nearest", "box", "bilinear", "bicubic" or "lanczos".  The last two are sharper and may step a little
             outside 0..1 beside an edge.  All but "nearest" average over what they shrink, so nothing flickers.
    Raises ValueError for another shape, another method or a size that is not positive.
    """
    picture = as_float(as_array(picture))
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
    picture = as_array(picture)
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top:top + side, left:left + side]
