"""Learning curves of a training run, as a table and as a picture."""
import csv
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..files.atomic import atomic_write
from ..images import FAINT_INK, INK, PAPER

PANEL, MARGIN, GAP = (520, 300), 64, 40          # pixels of a diagram, and around it
COLOURS = {"train": (26, 102, 194), "test": (197, 34, 31), "loss": (26, 102, 194)}


def write_csv(history, path):
    """A line an epoch: the history of a Training, epoch,loss,train,test,seconds."""
    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def learning_curves(history):
    """The loss, and the shares recognised in training and test, over the epochs: a picture (H, W, 3) uint8."""
    (width, height), names = PANEL, [name for name in ("train", "test") if name in history[0]]
    sheet = Image.new("RGB", (2 * width + 3 * MARGIN + GAP, height + 2 * MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    highest = max(row["loss"] for row in history)
    _diagram(draw, MARGIN, history, ["loss"], "loss", _above(highest), "{:.3g}")
    _diagram(draw, 2 * MARGIN + width + GAP, history, names, "recognised", 1., "{:.0%}")
    return np.asarray(sheet)


def _above(value):
    """Where an axis ends: the next number whose quarters are round, 1, 1.2, 1.6, 2 and so on, times a power of ten."""
    power = 10. ** math.floor(math.log10(max(value, 1e-12)))
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * power >= value)


def _diagram(draw, left, history, names, title, top, form):
    """One line for each name, from 0 to `top`, on a grid of five lines."""
    (width, height), font, epochs = PANEL, ImageFont.load_default(14), len(history)
    for i in range(5):
        y = MARGIN + height * (4 - i) / 4
        draw.line((left, y, left + width, y), (222, 222, 220))
        draw.text((left - 8, y), form.format(top * i / 4), FAINT_INK, font, anchor="rm")
    for epoch in sorted({1, (1 + epochs) // 2, epochs}):
        draw.text((_across(left, epoch, epochs), MARGIN + height + 8), f"epoch {epoch}", FAINT_INK, font, anchor="ma")
    draw.text((left, MARGIN - 34), title, INK, ImageFont.load_default(18), anchor="la")
    for i, name in enumerate(names):
        points = [(_across(left, row["epoch"], epochs), MARGIN + height * (1 - row[name] / top)) for row in history]
        draw.line(points, COLOURS[name], 3)
        for x, y in points if epochs <= 60 else points[-1:]:
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), COLOURS[name])
        if len(names) > 1:
            draw.text((left + width - 70 * (len(names) - 1 - i), MARGIN - 34), name, COLOURS[name], font, anchor="ra")


def _across(left, epoch, epochs):
    return left + PANEL[0] * ((epoch - 1) / (epochs - 1) if epochs > 1 else .5)
