"""Watching a network at work: whoever watches is told of each layer's input and output."""
import contextlib
import contextvars

_watch = contextvars.ContextVar("watch", default=None)


class Watch:
    """Who is told of which layers.

    callback   a function of (module, x, y), called after each forward pass of a layer
    modules    the layers that are watched, or None for all
    inputs     whether x is needed; else it may be None, where the layer was computed within another one
    """

    def __init__(self, callback, modules=None, inputs=True):
        self.callback, self.inputs = callback, inputs
        self.ids = None if modules is None else frozenset(map(id, modules))

    def of(self, module):
        """Whether this layer is watched."""
        return self.ids is None or id(module) in self.ids

    def key(self):
        """Equal for those who watch the same."""
        return self.ids, self.inputs


@contextlib.contextmanager
def watching(callback, modules=None, inputs=True):
    """Within it, `callback(module, x, y)` is called after a Module's forward pass: the way to see inside a network.

    modules   which Modules are watched; None: all.  In a frozen network the others may be computed within their neighbours,
              so watch only what you need
    inputs    False if the callback does not need x, which may then be None
    """
    token = _watch.set(Watch(callback, modules, inputs))
    try:
        yield
    finally:
        _watch.reset(token)


def current_watch():
    """The Watch of this code, or None."""
    return _watch.get()


def report(module, x, y):
    """Tell whoever watches this module."""
    watch = _watch.get()
    if watch is not None and watch.of(module):
        watch.callback(module, x, y)
