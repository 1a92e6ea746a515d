"""What one batch does in each layer: outputs, weights, gradients."""
import copy

import numpy as np

from ..layers.loss import cross_entropy
from ..layers.watching import watching


def statistics(model, x, labels):
    """What one batch does in each layer with weights, from the first to the last.

    [{"layer": name, "kind": repr, "mean", "std", "silent": of its output, "weight", "gradient": L2 norms}, ...], the
    gradient being the loss's with respect to the weight.  Silent is the share of the output that is not above 0: what a
    ReLU behind the layer makes 0, and lets no gradient through.

    A layer whose output is the same for everything (std 0), that is silent altogether, or whose gradient is a thousandth of
    its neighbours', does not learn.  The model itself stays as it is: a copy is asked, in training mode.
    """
    model = copy.deepcopy(model).train()
    names = {id(module): name for name, module in model.named_modules()}
    seen = {}

    def note(module, _, y):
        if getattr(module, "weight", None) is not None:
            seen[names[id(module)]] = (module, y.data.mean(), y.data.std(), (y.data <= 0).mean())
    with watching(note):
        cross_entropy(model(x), labels).backward()
    return [{"layer": name, "kind": repr(module), "mean": float(mean), "std": float(std), "silent": float(silent),
             "weight": _norm(module.weight.data), "gradient": _norm(module.weight.grad)}
            for name, (module, mean, std, silent) in seen.items()]


def _norm(array):
    return float(np.linalg.norm(array)) if array is not None else 0.


def statistics_table(rows):
    """The statistics as lines of text."""
    lines = [f"{'layer':<22} {'kind':<26} {'mean':>9} {'std':>9} {'silent':>6} {'|weight|':>9} {'|gradient|':>10}"]
    lines += [f"{row['layer']:<22} {row['kind']:<26} {row['mean']:9.3g} {row['std']:9.3g} {row['silent']:6.0%} "
              f"{row['weight']:9.3g} {row['gradient']:10.3g}" for row in rows]
    return "\n".join(lines)
