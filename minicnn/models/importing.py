"""Weights of others become weights of a network here: from a file, or downloaded from where they were published."""
import contextlib
import json
from pathlib import Path

import numpy as np

from ..files import foreign
from ..files.atomic import sha256_of
from ..files.download import DownloadError, is_it
from ..files.download import download as download_file
from ..files.userfile import is_place
from ..layers import init
from .adapt import adapt, renamed
from .classifier import Standardize, numbered_classes
from .networks import build, network_name
from .published import PUBLISHED, cached, downloads, known
from .storing import save

FEATURES = "features."                           # how the names of all arrays of the feature maps begin


def download(name, features_only=False, dtype=None, class_names=None):
    """The path of published weights (a name in PUBLISHED): downloaded, checked, converted and kept, unless they are there.

    Then `load(name)` finds them.  A file that was downloaded by other means is taken from the folder that the error names.
    features_only, dtype, class_names   as in `convert`; of weights that are there they stay as they were

    Raises ValueError for an unknown name and for a file that is not what was published, DownloadError when it
    cannot be had, WriteError when it cannot be written.
    """
    name, weights = known(name)
    if not is_here(name, features_only):
        original = _lying_there(weights) or _downloaded(weights)
        convert(original, None, cached(name), features_only, dtype, class_names)
        original.unlink()
    return cached(name)


def is_here(name, features_only=False):
    """Whether these weights were downloaded: all of them, or at least the features."""
    path = cached(name)
    return path.is_file() and (features_only or not are_features_only(path))


def are_features_only(path):
    """Whether a weights file of ours has the feature maps alone, without the layers that know classes."""
    architecture = json.loads(foreign.opened(path).metadata.get("architecture", "{}"))
    return bool(architecture.get("options", {}).get("features_only"))


def _lying_there(weights):
    """The published file if somebody put it into the folder for downloads, else None."""
    for remote in weights.files:
        path = downloads() / remote.name
        if path.is_file():
            if not is_it(path, remote):
                raise ValueError(f"{path} is not the file that was published under this name: its size or SHA-256 is "
                                 "another; remove it, and download it again")
            return path
    return None


def _downloaded(weights):
    """The first of the files that can be had.  The error tells of the first one, so that it stays short."""
    failures = []
    for remote in weights.files:
        try:
            return download_file(remote, downloads())
        except DownloadError as error:
            failures.append(error)
    raise failures[0]


def convert(path, network=None, output=None, features_only=False, dtype=None, class_names=None, preprocessing=None,
            **options):
    """Write the weights in a file of others as weights of a network here, and return the path of what was written.

    path           .safetensors, .pth, .pt or .npz: see minicnn/foreign
    network        a name in NETWORKS or "file.py:function" (which is run); None if the file is one of PUBLISHED
    output         None for the place where `load(network)` looks for it
    features_only  True for the feature maps without the layers that know classes: of VGG-19 80 MB instead of 575
    dtype          "float16" halves the file
    class_names    a list, or a function of how many there are, or None for numbers
    preprocessing  what was done to the pixels, a name in PREPROCESSING; None for what is known of the file or the network
    options        what the network takes besides, size and channels for example

    Raises foreign.UnreadableWeights for a file that cannot be read; ValueError for one that is of another network, with
    all that differs, that holds no finite numbers, or of which nobody says of which network it is.
    """
    contents = foreign.opened(path)
    if "architecture" in contents.metadata:
        raise ValueError(f"{path} is a file of minicnn already: use it as it is, with --model or models.load")
    source = {"file": Path(path).name, "sha256": sha256_of(path)}
    if network is None:
        name, weights = recognised(path, source["sha256"])
        network, preprocessing, source["licence"] = weights.network, preprocessing or weights.preprocessing, weights.licence
    else:
        name = network = network_name(network)
    options |= {"features_only": True} if features_only else {}
    options |= {"preprocessing": preprocessing} if preprocessing else {}
    output = _place(output, name)
    model = _skeleton(contents.arrays, network, class_names, options)
    _require_more_than_features(contents.arrays, model, path)
    state = adapt(contents.arrays, model, path, FEATURES if features_only else "")
    _require_finite(state, path)
    model.load_state_dict(state)
    del state                                    # half a gigabyte, and as much is needed to write the file
    save(model, output, dtype, {"source": source, **_preprocessing(model)})
    return output


def recognised(path, sha256):
    """(name in PUBLISHED, Published) of the file with this hash.  Raises ValueError when it is none of them."""
    for name, weights in PUBLISHED.items():
        if any(sha256.startswith(remote.sha256) for remote in weights.files):
            return name, weights
    raise ValueError(f"{path} is none of the published files ({', '.join(PUBLISHED)}): name the network that it is of with "
                     "--network")


def _place(output, name):
    """Where to write the weights of that name."""
    if output:
        return Path(output)
    if is_place(name):
        raise ValueError(f"weights of {name}, a network of your own, have no place of their own: name a file with -o")
    cached(name).parent.mkdir(parents=True, exist_ok=True)
    return cached(name)


def _skeleton(arrays, network, class_names, options):
    """The network with as many classes as the file has, and without numbers."""
    def built(names):
        with contextlib.nullcontext() if is_place(network) else init.skipped():
            return build(network, names, rng=0, **options)
    count = _class_count(arrays, built)
    if callable(class_names):
        class_names = class_names(count)
    return built(numbered_classes(count) if class_names is None else class_names)


def _class_count(arrays, built):
    """How many classes the weights know: the outputs of the array whose shape depends on it; where none does, a thousand."""
    two, three = built(numbered_classes(2)), built(numbered_classes(3))
    in_file, more = renamed(arrays, two), three.state_dict()
    for name, array in two.state_dict().items():
        if array.shape != more[name].shape and name in in_file and arrays[in_file[name]].shape:
            return arrays[in_file[name]].shape[0]
    return 1000


def _require_more_than_features(arrays, model, path):
    """A table of all that is missing would not say what to do."""
    def alone(names):
        return all(name.startswith(FEATURES) for name in names)
    if alone(renamed(arrays, model)) and not alone(model.state_dict()):
        raise ValueError(f"{path} holds no layers that know classes, only those that see: take these alone, with --features")


def _preprocessing(model):
    """What the network does to pixels first, for whoever reads the file without minicnn; here its options say it."""
    step = getattr(model, "preprocess", None)
    if not isinstance(step, Standardize):
        return {}
    mean, std = (np.broadcast_to(numbers, 3).astype(float).tolist() for numbers in (step.mean, step.std))
    return {"preprocessing": {"mean": mean, "std": std, "channels": "bgr" if step.bgr else "rgb", "scale": 1}}


def _require_finite(state, path):
    for name, array in state.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            what = "NaN or infinite numbers" if array.dtype.kind == "f" else "whole numbers, which were made for less memory"
            raise ValueError(f"{path}: {name} holds {what}; take another file"
                             f"{'' if name.startswith(FEATURES) else ', or the features alone (--features)'}")
