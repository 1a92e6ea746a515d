"""Transformed filters, kept from one call to the next while the weight stays the same.

An optimisation of pixels runs the same frozen network a thousand times.  Nobody tells us that a weight is frozen, and
anybody may write into its array: so the weight is compared with a copy of what it was, number by number, which takes far
less time than to transform it.  The filters are kept from the second time on that a weight is seen unchanged, so that
training, which changes it in every step, keeps nothing but the copy.
"""
import threading
import weakref

import numpy as np

KEEP_BYTES = 64 << 20             # copies and transformed filters together; beyond that they are transformed at every call

_lock = threading.RLock()
_entries = {}                     # (id of the weight's array, turned or not): _Entry


class _Entry:
    """What a weight was, and its transformed filters, or None so far."""

    def __init__(self, key, weight):
        self.weight = weakref.ref(weight, lambda _: _forget(key))
        self.copy, self.filters = weight.copy(), None

    def nbytes(self):
        return self.copy.nbytes + (self.filters.nbytes if self.filters is not None else 0)

    def unchanged(self, weight):
        return self.weight() is weight and np.array_equal(self.copy, weight)


def kept(weight, turned, transform):
    """transform(weight, turned), or what it was the last time if the weight still has the same numbers."""
    key = (id(weight), turned)
    with _lock:
        entry = _entries.get(key)
    known = entry is not None and entry.unchanged(weight)
    if known and entry.filters is not None:
        return entry.filters
    filters = transform(entry.copy if known else weight, turned)
    _remember(key, weight, entry if known else None, filters)
    return filters


def _remember(key, weight, entry, filters):
    """The first time the weight alone, the second time its filters, if there is room."""
    with _lock:
        if entry is None:
            _entries.pop(key, None)
            if _room_for(weight.nbytes):
                _entries[key] = _Entry(key, weight)
        elif _room_for(filters.nbytes):
            entry.filters = filters


def _room_for(nbytes):
    return sum(entry.nbytes() for entry in _entries.values()) + nbytes <= KEEP_BYTES


def _forget(key):
    with _lock:
        _entries.pop(key, None)
