"""Saving a network with what it is, and loading it again: those that ship, downloaded ones, files of your own."""
import contextlib
import json
from pathlib import Path

from ..files import checkpoint, weights
from ..files.userfile import is_place
from ..layers import init
from . import stylizer
from .networks import build, network_name
from .published import cached, is_known
from .start import ClassGaussian

PRETRAINED = Path(__file__).parent / "pretrained"


def save(model, path, dtype=None, metadata=None):
    """Write a model's weights as safetensors, whole or not at all.

    A model from `build` is described in the file, so that `load(path)` gives it back; of one's own network the description
    names file and function, but not the folder.  Of any other Module the weights alone are kept, for `load_into`.
    dtype "float16" halves the file.
    Raises ValueError for options that JSON has no words for, WriteError when the file cannot be written.
    """
    metadata = dict(metadata or {})
    if hasattr(model, "architecture"):
        metadata["architecture"] = _described(model)
    weights.save(model, path, metadata, dtype)


def _described(model):
    network = _without_folder(model.architecture["network"])
    try:
        return json.dumps({**model.architecture, "network": network, "class_names": list(model.class_names),
                           "start": model.start is not None})
    except TypeError as error:
        raise ValueError(f"the options of network {network} cannot be written into a file ({error}): "
                         "use plain numbers, strings, booleans and lists of them") from error


def _without_folder(network):
    """"nets/my.py:build"  ->  "my.py:build": where a file lies is nobody else's business, and differs there."""
    path, colon, function = network.rpartition(":")
    return f"{Path(path).name}:{function}" if colon else network


def load(name_or_path, network=None):
    """A network with its weights, in evaluation mode.

    name_or_path   one that ships ("robust", "standard"), published weights that were downloaded ("vgg19", see
                   published.py), or a .safetensors file

    network   "file.py:function" for a network of one's own: that file is run.  A weights file says which function built
              it, but is only data: what it names is never run unless it is named here, too.

    Raises FileNotFoundError for a name that is none of them, or a missing file.py; ValueError for a file that describes no
    network of ours, or one of one's own when `network` is not given; MemoryError, which names the file.
    """
    path = find(name_or_path)
    with weights.enough_memory(path):
        state, metadata = weights.read(path)
        if "architecture" not in metadata:
            raise ValueError(f"{path} {_what_else(metadata, path)}")
        description = _description(metadata["architecture"], path)
        named = _named_by_caller(description["network"], network, path)
        model = _from_description(description, named, path, weights.parameter_limit(state))
        weights.put(state, model, path)
    return model.eval()


def _what_else(metadata, path):
    """What a file is that describes no classifier, and what to do with it."""
    if stylizer.KEY in metadata:
        return f"is a network that stylises, no classifier: minicnn style photo.jpg --model {path} -o out.png"
    if kind := checkpoint.kind_of(metadata):
        return f"is the checkpoint of a {kind} run, no network: the command that wrote it goes on from there with --resume"
    return (f"holds weights but does not say of which network: for weights of others, minicnn weights import {path} "
            "--network NAME -o new.safetensors; in Python, build the network, and minicnn.load_into(model, path)")


def _description(text, path):
    """What `save` wrote: {"network": str, "class_names": [str, ...], "options": {str: ...}, "start": bool}."""
    kinds = {"network": str, "class_names": list, "options": dict, "start": bool}
    try:
        description = json.loads(text)
        wrong = [name for name, kind in kinds.items() if not isinstance(description[name], kind)]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _cannot_build(path, f"{type(error).__name__}: {error}") from error
    if wrong or not all(isinstance(name, str) for name in description["class_names"]):
        raise _cannot_build(path, f"wrong {', '.join(wrong) or 'class_names'}")
    return description


def _named_by_caller(described, network, path):
    """The network to build.  A function in a file comes only from the caller, never from the weights file."""
    if is_place(described) and network is None:
        raise ValueError(f"{path} holds the weights of a network of one's own, {described!r}: to run that file, name it, "
                         f"minicnn.models.load(path, network={described!r})")
    network = network and network_name(network)
    if network is not None and network != described and not (is_place(network) and is_place(described)):
        raise ValueError(f"{path} holds the weights of network {described!r}, not of {network!r}: load it without network")
    return described if network is None else network


def _from_description(description, network, path, most):
    """most   numbers that may be asked for: a description of a network with more costs neither time nor memory"""
    # Nothing need be drawn, for all weights are read next; only a function of one's own may do something with them first.
    drawing = contextlib.nullcontext() if is_place(network) else init.skipped(most)
    try:
        with drawing:
            model = build(network, description["class_names"], rng=0, **description["options"])
            model.start = ClassGaussian(len(model.class_names), channels=model.input_shape[2]) \
                if description["start"] else None
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} needs the network that {description['network']!r} built: {error}; "
                                "its weights alone are no network") from error
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        if is_place(network):                    # the caller's own file: what is wrong with it, it says itself
            raise
        raise _cannot_build(path, error) from error
    return model


def _cannot_build(path, reason):
    return ValueError(f"{path} describes a network that this version cannot build ({reason}); "
                      "train it again, or use the version that wrote it")


def find(name_or_path):
    """The path of a shipped network's weights, of downloaded ones, or of a file.

    Raises FileNotFoundError that lists the shipped ones, or says how to download published ones.
    """
    for path in (PRETRAINED / f"{name_or_path}.safetensors", cached(name_or_path), Path(name_or_path)):
        if path.is_file():
            return path
    if is_known(name_or_path):
        raise FileNotFoundError(f"the weights of {name_or_path} are not here yet: minicnn weights download {name_or_path}")
    raise FileNotFoundError(f"there is no network {name_or_path}: neither a file nor one that ships with minicnn "
                            f"({', '.join(shipped_names())}); minicnn weights list shows what can be downloaded")


def shipped_names():
    """The names of the networks in the package."""
    return sorted(path.stem for path in PRETRAINED.glob("*.safetensors"))
