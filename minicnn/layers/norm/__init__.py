"""Normalisation: bring numbers to mean 0 and variance 1, then give them a learned scale (`weight`) and offset (`bias`).

    x_hat = (x - mean) / sqrt(variance + eps)          y = weight x_hat + bias

The layers differ in what they take the mean and the variance over: `batch_norm` each channel over all images and
pixels, `layer_norm` each pixel over its channels, `group_norm` each image over its pixels and a group of channels.
`local_response_norm` is older and divides by the energy of the neighbouring channels only.

    batch.py  group.py  response.py     the layers          naive.py     the first three as their definition
    affine.py                           weight and bias     over_pixels  what batch and group norm share on the GPU
"""
from .batch import BatchNorm2d, batch_norm
from .group import GroupNorm, LayerNorm, group_norm, layer_norm
from .response import LocalResponseNorm, local_response_norm
