"""Arrays that a graph will read again are read-only until it has read them.

A gradient rule uses the numbers of the forward pass.  Whoever writes into one of these arrays in between would get a wrong
gradient, and no word about it.  So they are made read-only as long as a graph waits for them, and NumPy refuses to change
them ("assignment destination is read-only"); after `backward()`, or when the graph is dropped, they are as they were before.
What a graph does not need may be changed at any time.

Which arrays a rule reads is not known before it runs, so all are held that it has at hand: what `arrays_of` finds.  Open
stays, and nobody notices,

    what a rule finds elsewhere     a global variable, a file, a set or a generator, the arrays of a Module (which change
                                    for good reasons: running statistics)
    what was taken before           a slice that somebody took is an array of its own to NumPy, and stays writable
    CuPy's arrays                   which have no such switch

`gradcheck` writes over the inputs of a function before it runs the rules, and so finds those that read them from there.
"""
import contextlib
import functools
import threading
import types
from collections import deque

import numpy as np

MOST = 10_000                     # things that are looked through for the arrays of one operation: some milliseconds
_EMPTY = {int, float, bool, str, bytes, type(None), type, types.ModuleType}          # kinds in which there are no arrays
_BOUND = (types.MethodType, types.BuiltinMethodType, types.MethodWrapperType)

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
    """The NumPy arrays that functions have at hand.

    That is: in their closures and default arguments, in what a functools.partial or a bound method binds, in tuples, lists
    and dicts, in the attributes of objects (a dataclass, a rule that is an object with __call__), and in whatever is found
    there, functions included.  A class may say which of its attributes count, `held_attributes`: of a Tensor its data, of a
    Module none.  Classes and Python's modules are not entered, and the search, which goes from the near to the far, ends
    after MOST things: a rule that has a whole data set at hand must not make every step wait.
    """
    found, seen, waiting = [], {}, deque(functions)
    for _ in range(MOST):
        if not waiting:
            break
        thing = waiting.popleft()
        if id(thing) in seen or type(thing) in _EMPTY:
            continue
        seen[id(thing)] = thing                  # kept, so that no other thing gets its id meanwhile
        if isinstance(thing, np.ndarray):
            found.append(thing)
        else:
            waiting.extend(_contents(thing))
    return found


def _contents(thing):
    """What it has at hand itself; arrays and all else (see `arrays_of`)."""
    if isinstance(thing, types.FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or () if cell != types.CellType()]
        return [*cells, *(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values(), *vars(thing).values()]
    if isinstance(thing, (tuple, list, deque)):
        return thing
    if isinstance(thing, dict):
        return thing.values()
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, _BOUND):                # of a built-in, weight.dot, there is no __func__
        return [getattr(thing, "__func__", None), thing.__self__]
    return () if isinstance(thing, (type, types.ModuleType)) else _attributes(thing)


def _attributes(thing):
    """The values of an object's attributes: those that its class names, else all, in slots too."""
    kind = type(thing)
    if hasattr(kind, "held_attributes"):
        return [getattr(thing, name) for name in kind.held_attributes]
    members = [member for base in kind.__mro__ if "__slots__" in vars(base) for member in vars(base).values()]
    slots = [getattr(thing, m.__name__, None) for m in members if isinstance(m, types.MemberDescriptorType)]
    return [*slots, *getattr(thing, "__dict__", {}).values()]


def _with_bases(array):
    """The array, and those whose memory it shows: written to through them, it would change as well."""
    while isinstance(array, np.ndarray):
        yield array
        array = array.base
