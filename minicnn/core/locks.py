"""Arrays that a graph will read again are read-only until it has read them.

A gradient rule uses the numbers of the forward pass.  Whoever writes into one of these arrays in between would get a wrong
gradient, and no word about it.  So they are made read-only as long as a graph waits for them, and NumPy refuses to change
them ("assignment destination is read-only"); after `backward()`, or when the graph is dropped, they are as they were before.
(What a graph does not need may be changed at any time.  A slice that was taken before is an array of its own to NumPy: it
stays writable, and nobody notices.  CuPy's arrays have no such switch.)
"""
import contextlib
import threading
import types

import numpy as np

_lock = threading.RLock()
_entries = {}                     # id of an array: _Entry, for as long as a graph needs it


class _Entry:
    """An array, how many graphs need it, whether it was writable before, and views of it that wait to be so again."""

    def __init__(self, array):
        self.array, self.graphs, self.writable, self.waiting = array, 0, array.flags.writeable, []


def hold(rules):
    """Make every array that these functions will read read-only.  The list is for `release`."""
    held = [array for found in arrays_of(rules) for array in _with_bases(found)]
    with _lock:
        for array in held:
            entry = _entries.setdefault(id(array), _Entry(array))
            entry.graphs += 1
            array.flags.writeable = False
    return held


def release(held):
    """One graph less that needs these arrays."""
    with _lock:
        for array in held:
            entry = _entries[id(array)]
            entry.graphs -= 1
            if not entry.graphs:
                del _entries[id(array)]
                _restore(entry)


def _restore(entry):
    """Writable again if it was; a view only together with the array whose memory it shows."""
    base = _entries.get(id(entry.array.base))
    if entry.writable and base is not None:
        base.waiting.append(entry.array)
    elif entry.writable:
        _make_writable(entry.array)
        for view in entry.waiting:
            if id(view) not in _entries:
                _make_writable(view)


def _make_writable(array):
    with contextlib.suppress(ValueError):        # somebody made the array below it read-only meanwhile: then so it stays
        array.flags.writeable = True


def arrays_of(functions):
    """The NumPy arrays in the closures of functions, and of the functions that these call."""
    found, seen, stack = [], set(), list(functions)
    while stack:
        thing = stack.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            found.append(thing)
        elif isinstance(thing, (tuple, list)):
            stack.extend(thing)
        elif isinstance(thing, types.FunctionType):
            stack.extend(_closure(thing))
    return found


def _closure(function):
    return [cell.cell_contents for cell in function.__closure__ or () if cell != types.CellType()]


def _with_bases(array):
    """The array, and those whose memory it shows: written to through them, it would change as well."""
    while isinstance(array, np.ndarray):
        yield array
        array = array.base
