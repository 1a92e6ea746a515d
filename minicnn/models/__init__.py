"""Networks by name, and their weights: the ones that ship with the package, and files of your own.

    For small pictures                                                    For photographs (ImageNet)
    small.py     3x3 convolutions with batch norm: those that ship        alexnet.py     the paper's, and torchvision's
    lenet.py     the network that read cheques                            vgg.py         VGG-11 to VGG-19
    alexnet.py   large filters, overlapping pooling, dropout              squeezenet.py  as good as AlexNet, 5 MB
    vgg.py       the same idea as small, larger                           imagenet.py    what they share
    resnet.py    residual blocks                                          names.py       layers by name: conv4_2, fc7
    own.py       one of your own, from a file

    published.py   weights that others trained, and where they can be had      importing.py   fetching and converting them
"""
import contextlib
import json
from pathlib import Path

from ..files import weights
from ..files.userfile import is_place
from ..inside.names import layer_path
from ..layers import init
from . import stylizer
from .alexnet import alexnet, alexnet_2012, alexnet_small
from .classifier import Classifier, Standardize, numbered_classes, read_class_names
from .imagenet import PREPROCESSING, ImageNetClassifier, fully_convolutional
from .lenet import lenet5
from .own import bound, own_network
from .published import PUBLISHED, cached, is_known
from .resnet import resnet20
from .small import SMALL_WIDTHS, small
from .squeezenet import squeezenet1_1
from .start import ClassGaussian
from .vgg import vgg11, vgg11_bn, vgg11_lrn, vgg11_small, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg16_c, vgg19, vgg19_bn

# builders: network(class_names, rng=None, channels=3, size=32, **options) -> Classifier
SMALL = {"small": small, "lenet5": lenet5, "alexnet-small": alexnet_small, "vgg11-small": vgg11_small, "resnet20": resnet20}
# the same with size=224, and class_names=None for a thousand numbers
IMAGENET = {"alexnet": alexnet, "alexnet-2012": alexnet_2012, "vgg11": vgg11, "vgg11-lrn": vgg11_lrn, "vgg11-bn": vgg11_bn,
            "vgg13": vgg13, "vgg13-bn": vgg13_bn, "vgg16-c": vgg16_c, "vgg16": vgg16, "vgg16-bn": vgg16_bn, "vgg19": vgg19,
            "vgg19-bn": vgg19_bn, "squeezenet1-1": squeezenet1_1}
NETWORKS = {**SMALL, **IMAGENET}
CHECKPOINTS = ("training", "style", "stylizing")     # what else a safetensors file may be, by what it says of itself
PRETRAINED = Path(__file__).parent / "pretrained"


def network_name(text):
    """The name in NETWORKS that is meant: "vgg16_bn" and "VGG16-BN" are "vgg16-bn".  Another text comes back as it is."""
    name = text.lower().replace("_", "-")
    return name if name in NETWORKS else text


def build(network, class_names=None, rng=None, **options):
    """A new Classifier: a network by name, or "file.py:function", one of your own (see own.py), whose file is run.

    class_names   a string a class; of the networks in IMAGENET None stands for a thousand numbers
    rng           a Generator, a seed or None (see layers/init.py)
    options       channels and size of the pictures, and what else the network takes: see its function

    What it was built with is remembered as `model.architecture`, so that `save` can write it and `load` build it again.
    Within `init.skipped()` nothing is drawn, and a network of half a gigabyte takes no time.
    Raises ValueError for an unknown network, with the names of the known ones, and for an option that it does not take;
    FileNotFoundError for a missing file.
    """
    network = network_name(network)
    if class_names is None and (network in SMALL or is_place(network)):
        raise ValueError(f"network {network!r} needs class_names, a string for each class")
    if is_place(network):
        model = own_network(network, class_names, rng, **options)
    elif network in NETWORKS:
        call = bound(network, NETWORKS[network], class_names, rng=rng, **options)
        model = NETWORKS[network](*call.args, **call.kwargs)
    else:
        raise ValueError(f"there is no network {network!r}; there are {', '.join(NETWORKS)}, or name a function of your "
                         "own as file.py:function")
    model.architecture = {"network": network, "class_names": model.class_names, "options": options}
    return model


def save(model, path, dtype=None, metadata=None):
    """Write a model's weights as safetensors, whole or not at all.

    A model from `build` is described in the file, so that `load(path)` gives it back; of one's own network the description
    names file and function, but not the folder.  Of any other Module the weights alone are kept, for `load_into`.
    dtype "float16" halves the file.
    Raises ValueError for options that JSON has no words for, files.WriteError when the file cannot be written.
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

    name_or_path   one that ships ("robust", "standard"), published weights that were fetched ("vgg19", see
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
        model = _from_description(description, named, path, weights.allowance(state))
        weights.put(state, model, path)
    return model.eval()


def _what_else(metadata, path):
    """What a file is that describes no classifier, and what to do with it."""
    if stylizer.KEY in metadata:
        return f"is a network that stylises, no classifier: minicnn style photo.jpg --model {path} -o out.png"
    if any(key in metadata for key in CHECKPOINTS):
        return "is a checkpoint, no network: the command that wrote it goes on from there with --resume"
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
    """The path of a shipped network's weights, of fetched ones, or of a file.

    Raises FileNotFoundError that lists the shipped ones, or says how to fetch published ones.
    """
    for path in (PRETRAINED / f"{name_or_path}.safetensors", cached(name_or_path), Path(name_or_path)):
        if path.is_file():
            return path
    if is_known(name_or_path):
        raise FileNotFoundError(f"the weights of {name_or_path} are not here yet: minicnn weights fetch {name_or_path}")
    raise FileNotFoundError(f"there is no network {name_or_path}: neither a file nor one that ships with minicnn "
                            f"({', '.join(shipped_names())}); minicnn weights list shows what can be fetched")


def shipped_names():
    """The names of the networks in the package."""
    return sorted(path.stem for path in PRETRAINED.glob("*.safetensors"))


# It builds, saves and loads, and so has to stand below.
from .importing import convert, fetch            # noqa: E402
