"""What a network says of pictures, in evaluation mode and in portions, and how often it is right."""
import numpy as np

from ..core.backend import to_device
from ..core.tensor import no_grad


def predict(model, x, batch=250):
    """Logits (N, classes) of pictures x (N, H, W, C) in 0..1, in evaluation mode and in portions."""
    with model.frozen(keep_filters=False), no_grad():
        return np.concatenate([model(to_device(x[i:i + batch], model.device)).numpy() for i in range(0, len(x), batch)])


def accuracy(model, data, attack=None, batch=250):
    """Share of the data set's pictures that are recognised, 0..1; `attack(model, x, labels)` may change them first."""
    return float(recognised(model, data, attack, batch).mean())


def recognised(model, data, attack=None, batch=250):
    """Which pictures are recognised: (N,) booleans.  `attack` as in accuracy."""
    hits = np.zeros(len(data), bool)
    for i in range(0, len(data), batch):
        part = slice(i, i + batch)
        x, labels = to_device(data.images_float(part), model.device), data.labels[part]
        x = attack(model, x, labels) if attack else x
        hits[part] = predict(model, x, batch).argmax(axis=1) == labels
    return hits
