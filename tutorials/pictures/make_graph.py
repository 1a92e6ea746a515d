"""Draw 01-graph.png: y = (a + b) * a with its values (green, forwards) and its gradients (red, backwards).

    python tutorials/pictures/make_graph.py
"""
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SCALE = 2                                   # drawn large, for sharp screens
PAPER, INK, LINE = "white", "#222222", "#9aa0a6"
VALUE, GRADIENT = "#12803c", "#c5221f"
RADIUS = 26
NODES = {                                   # name: (x, y), what stands in the circle
    "a": ((70, 70), "a"), "b": ((70, 230), "b"),
    "s": ((300, 190), "+"), "y": ((530, 110), "*"), "end": ((700, 110), "")}
EDGES = [                                   # from, to, value going right, gradient coming back
    ("a", "s", "3", "3"), ("b", "s", "2", "3"), ("a", "y", "3", "5"), ("s", "y", "5", "3"), ("y", "end", "y = 15", "1")]


def main():
    image = Image.new("RGB", (760 * SCALE, 310 * SCALE), PAPER)
    draw = ImageDraw.Draw(image)
    for start, end, value, gradient in EDGES:
        draw_edge(draw, NODES[start][0], NODES[end][0], value, gradient)
    for (x, y), label in NODES.values():
        if label:
            draw_node(draw, x, y, label)
    text(draw, 70, 112, "5 + 3 = 8", GRADIENT)
    text(draw, 70, 272, "3", GRADIENT)
    text(draw, 610, 222, "values go right", VALUE, 15)
    text(draw, 610, 246, "gradients come back", GRADIENT, 15)
    image.save(Path(__file__).parent / "01-graph.png", optimize=True)


def draw_edge(draw, start, end, value, gradient):
    """A line from circle to circle with an arrow head, the value above its middle and the gradient below."""
    (x0, y0), (x1, y1) = start, end
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** .5
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    tip = x1 - ux * RADIUS, y1 - uy * RADIUS
    draw.line(scaled((x0, y0), tip), LINE, 2 * SCALE)
    wings = [(tip[0] - 12 * ux + s * 6 * uy, tip[1] - 12 * uy - s * 6 * ux) for s in (1, -1)]
    draw.polygon(scaled(tip, *wings), LINE)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    text(draw, x + 16 * uy, y - 16 * ux, value, VALUE)
    text(draw, x - 16 * uy, y + 16 * ux, gradient, GRADIENT)


def draw_node(draw, x, y, label):
    draw.ellipse(scaled((x - RADIUS, y - RADIUS), (x + RADIUS, y + RADIUS)), PAPER, INK, 2 * SCALE)
    text(draw, x, y + (-4 if label == "*" else 0), label, INK, 36 if label == "*" else 24)


def text(draw, x, y, words, colour, size=18):
    draw.text((x * SCALE, y * SCALE), words, colour, ImageFont.load_default(size * SCALE), anchor="mm")


def scaled(*points):
    return [(x * SCALE, y * SCALE) for x, y in points]


if __name__ == "__main__":
    main()
