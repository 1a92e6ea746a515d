"""Layers by the names that people call them: conv4_2, relu5, fc7, fire3, beside their paths: features.21, classifier.1.

A name is what a layer does and the number of the convolution, fire module or dense layer that it is or follows: relu3 comes
after conv3, pool2 after conv2.  In VGG the convolutions between two poolings are a block, conv4_2 is the second of the
fourth, pool4 ends it, and the dense layers go on counting: fc6, fc7, fc8.  (The names of Caffe's model files.)
"""
KINDS = {"Conv2d": "conv", "BatchNorm2d": "bn", "LocalResponseNorm": "norm", "ReLU": "relu", "MaxPool2d": "pool",
         "GlobalAvgPool2d": "pool", "Fire": "fire", "Dense": "fc", "Dropout": "drop"}
COUNTED = ("conv", "fire", "fc")
SOME = 8                                         # paths that an error names


def names_in_a_row(features, classifier=None):
    """{name: path} of a network like AlexNet or SqueezeNet; classifier None: of its features alone."""
    return _in_a_row(_layers(features=features, classifier=classifier))


def names_in_blocks(features, classifier=None):
    """{name: path} of a network like VGG, or `small`."""
    names, block, inside = {}, 1, 0
    for kind, path in _layers(features=features):
        if kind == "pool":
            names[f"pool{block}"] = path
            block, inside = block + 1, 0
            continue
        inside += kind == "conv"
        names[f"{kind}{block}_{inside}"] = path
    blocks = block if inside else block - 1                      # the last one of `small` has no pooling of its own
    after = [(kind, path) for kind, path in _layers(classifier=classifier) if kind != "pool"]
    return {**names, **_in_a_row(after, before=blocks)}


def _in_a_row(layers, before=0):
    names, number = {}, before
    for kind, path in layers:
        number += kind in COUNTED
        names[f"{kind}{number}"] = path
    return names


def _layers(**parts):
    """(kind, path) of the layers in each part, one after the other; without those that nobody has a name for."""
    return [(KINDS[type(layer).__name__], f"{part}.{i}")
            for part, layers in parts.items() if layers is not None for i, layer in enumerate(layers)
            if type(layer).__name__ in KINDS]


def layer_path(model, name):
    """The path of a layer, as in model.named_modules(), from that path or a name: "relu4_2", "fire3.squeeze".

    Raises ValueError, with the names and paths that there are, when there is none.
    """
    head, dot, rest = name.partition(".")
    path = getattr(model, "layer_names", {}).get(head, head) + dot + rest
    modules = dict(model.named_modules())
    if not path or path not in modules:
        raise ValueError(f"this network has no layer {name!r}; it has {_what_there_is(model, modules)}")
    return path


def _what_there_is(model, modules):
    """'conv1_1 to conv5_4, pool1 to pool5, features.0, features.1, ... (minicnn summary shows all)'"""
    kinds = {}
    for name in getattr(model, "layer_names", {}):
        kinds.setdefault(name.rstrip("0123456789_"), []).append(name)
    ranges = [f"{names[0]} to {names[-1]}" if len(names) > 4 else ", ".join(names) for names in kinds.values()]
    paths = [path for path, module in modules.items() if path and not module.children()]
    more = ", ..." if len(paths) > SOME else ""
    return f"{', '.join(ranges + paths[:SOME])}{more} (minicnn summary shows all)"
