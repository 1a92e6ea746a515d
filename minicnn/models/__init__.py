"""Networks by name, and their weights: the ones that ship with the package, and files of your own."""
import json
from pathlib import Path

from .. import weights
from .small import SMALL_WIDTHS, Classifier, Standardize, small
from .start import ClassGaussian

NETWORKS = {"small": small}                      # builders: network(class_names, rng=None, **options) -> Classifier
PRETRAINED = Path(__file__).parent / "pretrained"


def build(network, class_names, rng=None, **options):
    """A new Classifier.  Raises ValueError for an unknown network, with the names of the known ones.

    What it was built with is remembered as `model.architecture`, so that `save` can write it and `load` build it again.
    """
    if network not in NETWORKS:
        raise ValueError(f"there is no network {network!r}; there are {', '.join(NETWORKS)}")
    model = NETWORKS[network](class_names, rng=rng, **options)
    model.architecture = {"network": network, "class_names": list(class_names), "options": options}
    return model


def save(model, path, dtype=None, metadata=None):
    """Write a model's weights as safetensors, whole or not at all.

    A model from `build` is described in the file, so that `load(path)` gives it back; of any other Module the weights alone
    are kept, for `load_into`.  dtype "float16" halves the file.
    """
    metadata = dict(metadata or {})
    if hasattr(model, "architecture"):
        metadata["architecture"] = {**model.architecture, "start": model.start is not None}
    weights.save(model, path, metadata, dtype)


def load(name_or_path):
    """A network with its weights, in evaluation mode: one that ships with the package ("robust"), or a .safetensors file.

    Raises FileNotFoundError for a name that is neither, ValueError for a file that describes no network of ours.
    """
    path = find(name_or_path)
    state, metadata = weights.read(path)
    if "architecture" not in metadata:
        raise ValueError(f"{path} holds weights but does not say of which network: build the network yourself and use "
                         "minicnn.load_into(model, path)")
    model = _from_description(json.loads(metadata["architecture"]), path)
    model.load_state_dict(state)
    return model.eval()


def _from_description(description, path):
    try:
        model = build(description["network"], description["class_names"], rng=0, **description["options"])
        model.start = ClassGaussian(len(model.class_names)) if description["start"] else None
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} describes a network that this version cannot build ({error}); "
                         "train it again, or use the version that wrote it") from error
    return model


def find(name_or_path):
    """The path of a shipped network's weights, or of a file.  Raises FileNotFoundError that lists the shipped ones."""
    shipped = PRETRAINED / f"{name_or_path}.safetensors"
    if shipped.is_file():
        return shipped
    if Path(name_or_path).is_file():
        return Path(name_or_path)
    raise FileNotFoundError(f"there is no network {name_or_path}: neither a file nor one that ships with minicnn "
                            f"({', '.join(shipped_names())})")


def shipped_names():
    """The names of the networks in the package."""
    return sorted(path.stem for path in PRETRAINED.glob("*.safetensors"))
