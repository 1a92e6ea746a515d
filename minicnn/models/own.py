"""A network of one's own, from a function in a file:

    def build(class_names, rng, width=8):        # in my_network.py; any further options have defaults
        return mc.Sequential(mc.Conv2d(3, width, 3, rng=rng), mc.ReLU(), mc.GlobalAvgPool2d(),
                             mc.Dense(width, len(class_names), rng=rng))

    model = mc.models.build("my_network.py:build", ["cat", "dog"], rng=0, width=16)
"""
import inspect

from ..files.userfile import load_function
from ..layers.init import generator
from ..layers.module import Module
from .classifier import Classifier


class OwnNetwork(Classifier):
    """Any Module with what a Classifier has besides: class_names, start, input_shape.

    network   a Module, pictures (N, H, W, C) in 0..1  ->  logits (N, classes)
    place     where it came from, for the error that another shape of logits raises
    """

    def __init__(self, network, class_names, place, input_shape):
        Module.__init__(self)
        self.network, self.place, self.class_names, self.start = network, place, list(class_names), None
        self.input_shape = tuple(input_shape)

    def forward(self, x):
        """Pictures (N, H, W, C) in 0..1  ->  logits (N, classes); ValueError for another shape."""
        logits = self.network(x)
        if logits.shape != (len(x), len(self.class_names)):
            raise ValueError(f"the network of {self.place} gives {logits.shape} for {len(x)} pictures and "
                             f"{len(self.class_names)} classes; it must give ({len(x)}, {len(self.class_names)})")
        return logits


def own_network(place, class_names, rng=None, **options):
    """The network that "file.py:function" builds, as a Classifier.  Runs the file.

    The function is called with (class_names, rng), rng a Generator, and with the options.  channels and size, which say what
    the pictures are, are left out where it does not take them.
    Raises FileNotFoundError, or ValueError for what cannot be run, takes no such option or returns no Module.
    """
    function, _, _ = load_function(place)
    taken = {name: value for name, value in options.items() if name not in ("channels", "size") or _takes(function, name)}
    call = bound(place, function, class_names, generator(rng), **taken)
    network = function(*call.args, **call.kwargs)
    if isinstance(network, Classifier):
        _require_classes(network, class_names, place)
        return network
    if not isinstance(network, Module):
        raise ValueError(f"{place} must return a Module of minicnn, not {type(network).__name__}")
    call.apply_defaults()
    size, channels = ({**options, **call.arguments}.get(name, usual) for name, usual in (("size", 32), ("channels", 3)))
    return OwnNetwork(network, class_names, place, getattr(network, "input_shape", (size, size, channels)))


def bound(name, function, *arguments, **options):
    """The arguments of a call as inspect.BoundArguments.  Raises ValueError where the function does not take them."""
    signature = inspect.signature(function)
    try:
        return signature.bind(*arguments, **options)
    except TypeError as error:
        given = ", ".join(["class_names", "rng", *(option for option in options if option != "rng")])
        raise ValueError(f"{name} cannot be called with ({given}): {error}; it takes {signature}") from None


def _takes(function, name):
    parameters = inspect.signature(function).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _require_classes(network, class_names, place):
    if network.class_names != list(class_names):
        raise ValueError(f"the network of {place} knows {', '.join(network.class_names)}; it was to know "
                         f"{', '.join(class_names)}: let it use its class_names")
