"""What a network is made of: one row a layer, with its output, its weights, its work and what it sees."""
from dataclasses import dataclass

import numpy as np

from ..core.tensor import Tensor, no_grad
from ..layers.watching import watching


@dataclass(frozen=True)
class Row:
    """One layer.  Shapes without the batch; multiply_adds for one picture; receptive_field the side in input pixels.

    called   what people call the layer where it has such a name (see models/names.py): "conv4_2"
    """
    name: str
    layer: str
    output: tuple
    parameters: int
    multiply_adds: int
    receptive_field: int
    called: str = ""


class Summary:
    """The rows of a network, and as text the table of them.  The parameters of a layer with two rows count once."""

    def __init__(self, rows, parameters):
        self.rows, self.parameters = rows, parameters
        self.multiply_adds = sum(row.multiply_adds for row in rows)

    def __str__(self):
        cells = [("name", "layer", "output", "parameters", "multiply-adds", "sees")]
        cells += [(row.name, row.layer, " x ".join(map(str, row.output)), f"{row.parameters:,}", f"{row.multiply_adds:,}",
                   str(row.receptive_field)) for row in self.rows]
        cells.append(("total", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}", ""))
        if any(row.called for row in self.rows):
            cells = [(*row, name) for row, name in zip(cells, ["called", *(row.called for row in self.rows), ""])]
        widths = [max(map(len, column)) for column in zip(*cells)]
        return "\n".join("  ".join(cell.rjust(width) if i > 2 else cell.ljust(width)
                                   for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in cells)


def summary(model, input_shape=None):
    """Run `model` on one empty picture of `input_shape` (H, W, C) and describe every layer that was called.

    input_shape   None: what the model was built for, its own input_shape, else (32, 32, 3)

    Only layers without parts are rows: of a residual block those of its branch, its shortcut, which sees less, and what
    comes after the sum.  The receptive field grows by (span - 1) * jump with each window, and the jump by its stride
    (Araujo et al. 2019); between layers that are joined by other operations, such as a sum, the larger one counts.
    """
    input_shape = input_shape or getattr(model, "input_shape", (32, 32, 3))
    names = {id(module): name for name, module in model.named_modules()}
    called = {path: name for name, path in getattr(model, "layer_names", {}).items()}
    seen, rows = {}, []                          # {id of a tensor: (field, jump, the tensor, so that its id stays its own)}

    def note(module, x, y):
        if module.children():
            return
        field, jump, _ = seen.get(id(x)) or max(seen.values(), key=lambda s: s[0], default=(1, 1, None))
        span, stride = module.window()[:2] if hasattr(module, "window") else (1, 1)
        field, jump = field + (span - 1) * jump, jump * stride
        if y.ndim < 4:                           # no rows and columns left: it sees the whole picture
            field = max(input_shape[:2])
        seen[id(y)] = field, jump, y
        name = names.get(id(module), "")
        rows.append(_row(name, module, x, y, field, called.get(name, "")))
    with model.frozen(keep_filters=False), no_grad(), watching(note):
        model(Tensor(np.zeros((1, *input_shape), np.float32)).to(model.device))
    return Summary(rows, sum(parameter.size for parameter in model.parameters()))


def _row(name, module, x, y, field, called):
    parameters = sum(p.size for p in module.parameters())
    work = module.multiply_adds(x.shape, y.shape) if hasattr(module, "multiply_adds") else 0
    return Row(name, repr(module), y.shape[1:], parameters, work, field, called)
