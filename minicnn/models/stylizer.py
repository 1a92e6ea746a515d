"""A network that takes a picture and gives one: trained for a single style, it does in one pass what a style transfer does
in hundreds of steps (Johnson, Alahi and Fei-Fei 2016, Perceptual Losses for Real-Time Style Transfer).

The picture is made smaller, changed there by residual blocks, where a 3x3 filter sees far, and made larger again by copying
pixels and convolving.  A transposed convolution would leave a checkerboard (Odena et al. 2016).
"""
import json

from ..files import weights
from ..layers.activation import ReLU, sigmoid
from ..layers.conv import Conv2d
from ..layers.init import generator, skipped
from ..layers.module import Module, Sequential
from ..layers.norm import GroupNorm
from ..layers.resample import upsample

KEY = "stylizer"                                 # under which the file says how the network is built


def step(channels, width, kernel, stride=1, rng=None):
    """Convolution that sees a mirror beyond the edges, and instance norm, for (N, H, W, channels): a list of layers.

    Instance norm is a group norm with a group for each channel: every picture by itself, so its contrast plays no part.
    """
    return [Conv2d(channels, width, kernel, stride, kernel // 2, bias=False, padding_mode="reflect", rng=rng),
            GroupNorm(width, width)]


class Change(Module):
    """y = x + change(x), (N, H, W, width) -> the same; no ReLU behind the sum, as in Johnson et al."""

    def __init__(self, width, rng):
        super().__init__()
        self.change = Sequential(*step(width, width, 3, rng=rng), ReLU(), *step(width, width, 3, rng=rng))

    def forward(self, x):
        return x + self.change(x)


class Stylizer(Module):
    """Pictures (N, H, W, 3) in 0..1, each side at least LEAST pixels  ->  pictures like them in 0..1.

    width    channels of the first convolution; then twice and four times as many
    blocks   residual blocks in the middle
    rng      a Generator, a seed or None, see layers/init.py

    Raises ValueError for more than WIDEST channels or MOST_BLOCKS blocks, and in use for pictures that are too small.
    """
    LEAST, WIDEST, MOST_BLOCKS = 24, 128, 32

    def __init__(self, width=16, blocks=3, rng=None):
        super().__init__()
        if width not in range(1, self.WIDEST + 1) or blocks not in range(self.MOST_BLOCKS + 1):
            raise ValueError(f"a stylizer has a width of 1 to {self.WIDEST} and 0 to {self.MOST_BLOCKS} blocks, "
                             f"not {width!r:.20} and {blocks!r:.20}")
        rng, self.options = generator(rng), {"width": width, "blocks": blocks}
        self.first = Sequential(*step(3, width, 9, rng=rng), ReLU())
        self.half = Sequential(*step(width, 2 * width, 3, 2, rng), ReLU())
        self.quarter = Sequential(*step(2 * width, 4 * width, 3, 2, rng), ReLU(),
                                  *(Change(4 * width, rng) for _ in range(blocks)))
        self.back_to_half = Sequential(*step(4 * width, 2 * width, 3, rng=rng), ReLU())
        self.back = Sequential(*step(2 * width, width, 3, rng=rng), ReLU())
        self.last = Conv2d(width, 3, 9, padding=4, padding_mode="reflect", rng=rng)

    def forward(self, x):
        """Pictures (N, H, W, 3) in 0..1  ->  the same in the style; ValueError for too small ones."""
        if min(x.shape[1:3]) < self.LEAST:
            raise ValueError(f"a stylizer takes pictures of at least {self.LEAST} x {self.LEAST} pixels, not "
                             f"{x.shape[2]} x {x.shape[1]}: enlarge it first")
        full = self.first((x - .5) * 4)
        half = self.half(full)
        y = self.quarter(half)
        y = self.back_to_half(upsample(y, size=half.shape[1:3]))
        y = self.back(upsample(y, size=full.shape[1:3]))
        return sigmoid(self.last(y))


def save_stylizer(model, path, metadata=None):
    """Write a Stylizer as float16 safetensors, whole or not at all; `metadata` is kept beside it."""
    weights.save(model, path, {**(metadata or {}), KEY: json.dumps(model.options)}, "float16")


def load_stylizer(path):
    """A Stylizer from a file that `save_stylizer` wrote, in evaluation mode.

    Raises FileNotFoundError, or ValueError for a file that holds something else.
    """
    with weights.enough_memory(path):
        state, metadata = weights.read(path)
        if KEY not in metadata:
            raise ValueError(f"{path} holds no network that stylises: train one with `minicnn style-train`")
        try:
            with skipped(weights.parameter_limit(state)):
                model = Stylizer(**json.loads(metadata[KEY]), rng=0)
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} describes a network that this version cannot build ({error})") from None
        weights.put(state, model, path)
    return model.eval()


def is_stylizer(path):
    """Whether a safetensors file holds a Stylizer."""
    return KEY in weights.read(path)[1]
