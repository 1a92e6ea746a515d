"""Transformed filters, kept from one call to the next while the weight stays the same.

An optimisation of pixels runs the same network a thousand times, and its filters need to be transformed only once.  Who
knows that its weights stay what they are makes them `Frozen`: read-only, and their filters are kept as long as that lives.

Mostly nobody tells us, and anybody may write into a weight's array.  Then the weight is compared with a copy of what it was,
number by number, which takes less time than to transform it, but not nothing.  Its filters are kept from the second time on
that it is seen unchanged, so that training, which changes it in every step, keeps nothing but the copy.
"""
import threading
import weakref

import numpy as np

from ...core.locks import hold, release

KEEP_BYTES = 64 << 20             # copies and filters of weights that are not frozen; beyond that they are transformed anew

_lock = threading.RLock()
_entries = {}                     # (id of the weight's array, form of its filters): _Entry
_frozen = {}                      # id of a frozen weight's array: [how many Frozen have it, {form: its filters}]


class Frozen:
    """Weights, NumPy arrays, that are read-only for as long as this lives: their filters are transformed once, and kept.

    That takes four or seven times the memory of the weights, for each direction in which they are used.
    """

    def __init__(self, weights):
        weights = [weight for weight in weights if isinstance(weight, np.ndarray)]       # what lies on a GPU has no need
        with _lock:
            for weight in weights:
                _frozen.setdefault(id(weight), [0, {}])[0] += 1
        weakref.finalize(self, _thaw, [id(weight) for weight in weights], hold(weights))


def _thaw(ids, held):
    with _lock:
        for key in ids:
            _frozen[key][0] -= 1
            if not _frozen[key][0]:
                del _frozen[key]
    release(held)


def is_frozen(weight):
    """Whether somebody has this array in a Frozen."""
    return id(weight) in _frozen


class _Entry:
    """What a weight was, and its transformed filters, or None so far."""

    def __init__(self, key, weight):
        self.weight = weakref.ref(weight, lambda _: _forget(key))
        self.copy, self.filters = weight.copy(), None

    def nbytes(self):
        return self.copy.nbytes + (self.filters.nbytes if self.filters is not None else 0)

    def unchanged(self, weight):
        return self.weight() is weight and np.array_equal(self.copy, weight)


def kept(weight, form, transform):
    """transform(weight, *form), or what it was the last time if the weight still has the same numbers."""
    key = (id(weight), form)
    with _lock:
        entry, (_, filters) = _entries.get(key), _frozen.get(id(weight), (0, None))
    if filters is not None:
        if form not in filters:
            filters[form] = transform(weight, *form)
        return filters[form]
    known = entry is not None and entry.unchanged(weight)
    if known and entry.filters is not None:
        return entry.filters
    filters = transform(entry.copy if known else weight, *form)
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
