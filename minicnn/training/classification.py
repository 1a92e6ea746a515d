"""What a network says of a photograph, which is of any size, and larger than it was trained with.

    one crop     the middle of it                                                     the usual
    ten crops    its corners and middle, and the mirror images of these               Krizhevsky et al. 2012, 4.1
    scales       all of it, in several sizes, each place by itself, and mirrored      Simonyan and Zisserman 2014, 3.2

Of several views the probabilities are averaged.  The more the network is shown, the rarer it errs: VGG-19 25.5 % of the time
with whole pictures of one size, 24.8 % with three sizes (tables 3 and 4 there).
"""
import numpy as np

from .. import images
from ..layers.activation import softmax
from ..models import fully_convolutional
from ..models.imagenet import RESIZED
from .prediction import predict


def classify(model, picture, crops=1, scales=()):
    """The probabilities of a network's classes for one picture: (classes,) float32.

    picture  (H, W, C), float 0..1 or uint8, of any size; in colour also for a network that knows only grey
    crops    1, or 10
    scales   lengths of the picture's shorter side in pixels, instead of crops: 224, 256, 288
    Raises ValueError for another number of crops, for scales smaller than the pictures that the network was built for, and
    for a network without classes.
    """
    if not model.class_names:
        raise ValueError("this network ends in feature maps and knows no classes: build it without features_only")
    if crops not in (1, 10):
        raise ValueError(f"classify: crops must be 1 or 10, not {crops}")
    if scales:
        return _in_several_sizes(model, picture, scales)
    views = ten_crops(picture, model.input_shape) if crops == 10 else middle(model, picture)[None]
    return softmax(predict(model, in_channels(views, model.input_shape[2]))).numpy().mean(axis=0)


def _in_several_sizes(model, picture, scales):
    least = min(model.input_shape[:2])
    if min(scales) < least:
        raise ValueError(f"classify: scale {min(scales)} is smaller than the pictures that the network was built for: "
                         f"use {least} or more")
    network, shares = fully_convolutional(model), []
    for side in scales:
        whole = in_channels(_with_shorter_side(picture, side), model.input_shape[2])
        shares.append(softmax(predict(network, _and_mirrored([whole]))).numpy())
    return np.concatenate(shares).mean(axis=0)


# ---- Views of a picture, all float32 in 0..1 ---------------------------------------------------------------------------

def middle(model, picture):
    """What a network is shown of a picture, in its input_shape but for the channels: see Classifier.shorter_side."""
    if model.shorter_side is None:
        return in_size(images.square(picture), model.input_shape)
    return _cut(_with_shorter_side(picture, model.shorter_side), model.input_shape)


def ten_crops(picture, shape):
    """(10, H, W, C): four corners and the middle of its middle square, and their mirror images; shape is (H, W, ...).

    The middle square is made 256/224 as large as a crop first: 256x256 pixels for crops of 224x224.
    """
    H, W = shape[:2]
    square = in_size(images.square(picture), [round(RESIZED * side) for side in (H, W)])
    corners = [square[rows, columns] for rows in (slice(H), slice(-H, None)) for columns in (slice(W), slice(-W, None))]
    return _and_mirrored([*corners, _cut(square, shape)])


def in_size(picture, shape):
    """A picture in the height and width of `shape`, whatever that does to its proportions."""
    return np.clip(images.resize(picture, shape[:2], "lanczos"), 0, 1)


def in_channels(pictures, channels):
    """(..., 3) in grey, (..., 1), where one channel is wanted."""
    return (pictures @ images.GREY.astype(np.float32))[..., None] if channels == 1 and pictures.shape[-1] == 3 else pictures


def _with_shorter_side(picture, side):
    """In its own proportions, the longer side rounded down."""
    height, width = picture.shape[:2]
    shorter = min(height, width)
    return images.resize(picture, (height * side // shorter, width * side // shorter), "bilinear")


def _cut(picture, shape):
    """The middle of a picture, `shape` high and wide."""
    top, left = (round((whole - part) / 2) for whole, part in zip(picture.shape, shape[:2]))
    return picture[top:top + shape[0], left:left + shape[1]]


def _and_mirrored(pictures):
    """(2 n, H, W, C)"""
    pictures = np.stack(pictures)
    return np.concatenate([pictures, pictures[:, :, ::-1]])
