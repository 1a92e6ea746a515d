"""Pictures: reading any kind of file, resizing, writing, contact sheets and animations.

A picture is an array (height, width, 3), (height, width, 1) or (height, width), float with values 0..1, or uint8 with
values 0..255.  Every picture that is read becomes float32 (height, width, 3).
"""
from .pixels import GREY, ImageError
from .reading import read_alpha, read_image, read_square
from .resizing import resize, square
from .sheets import FAINT_INK, INK, PAPER, contact_sheet
from .writing import ANIMATION_FORMATS, PICTURE_FORMATS, read_settings, write_animation, write_image
