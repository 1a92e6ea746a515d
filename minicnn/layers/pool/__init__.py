"""Pooling: each output pixel is the maximum, or the mean, of a window of input pixels, channel by channel.

    max.py  average.py      over windows, which windows.py lays out          naive.py     both as their definition
    adaptive.py             the mean over the whole image, or over bins
"""
from .adaptive import AdaptiveAvgPool2d, GlobalAvgPool2d, adaptive_avg_pool2d, global_avg_pool2d
from .average import AvgPool2d, avg_pool2d
from .max import MaxPool2d, max_pool2d
