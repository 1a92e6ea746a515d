"""Filters that stay what they are, and what Winograd's algorithm made of them.

An optimisation of pixels runs the same network a thousand times, and its filters need to be transformed only once.  A frozen
network (see ../frozen.py) has copies of its filters that nobody else knows, and keeps their transforms beside them.
"""
import numpy as np


class FrozenFilters(np.ndarray):
    """An array of filters with its transforms: {form: array}.  What NumPy makes of it, a slice or a product, has none."""
    transforms = None


def frozen_filters(weight):
    """The same filters, read-only, to be transformed once.  Those on a GPU have no need."""
    if not isinstance(weight, np.ndarray):
        return weight
    filters = np.ascontiguousarray(weight).view(FrozenFilters)
    filters.flags.writeable, filters.transforms = False, {}
    return filters


def is_frozen(weight):
    """Whether the transforms of this array are kept."""
    return getattr(weight, "transforms", None) is not None


def transformed(weight, form, transform):
    """transform(weight, *form), kept where the filters are frozen."""
    if not is_frozen(weight):
        return transform(weight, *form)
    if form not in weight.transforms:
        weight.transforms[form] = transform(np.asarray(weight), *form)
    return weight.transforms[form]
