"""Dropout: in training, set a random part of the numbers to zero, so that no neuron can rely on a single other one.

The random numbers come from Philox4x32-10, a *counter-based* generator: it has no running state to carry along, but is
a function that scrambles (counter, key) into four random 32-bit words.  Each word depends on its number alone, so the
words can be computed in any order, by NumPy or by thousands of threads of a GPU, and the mask is the same.
"""
import operator

import numpy as np

from ..core import tuning
from ..core.backend import array_library, is_gpu_array
from ..core.kernels import Kernels, in_c_order, runs_kernels
from ..core.tensor import differentiable
from ..core.threads import in_parallel, slices
from . import init
from .module import Module

kernels = Kernels(__file__, "dropout.cu")

MULTIPLIERS = 0xD2511F53, 0xCD9E8D57             # from Salmon et al. 2011, table 2
KEY_STEPS = 0x9E3779B9, 0xBB67AE85               # the golden ratio and sqrt(3) - 1, times 2^32
ROUNDS = 10
WORD = 0xFFFFFFFF                                # the low 32 bits


@differentiable
def dropout(x, p, rng, channels=False, training=True):
    """Zero each number with probability p and divide the others by 1 - p, so that the mean stays ("inverted" dropout).

    x         any shape; with channels=True (N, ..., C), and whole channels (n, ..., c) are dropped
    p         0 (nothing is dropped) to 1 (everything is)
    rng       a `Philox` stream or a numpy Generator (every call takes the next words), or a seed (always the same mask)
    training  False passes x through unchanged

    Number i of the mask, counted in C order, is kept when word i of the stream is at least p 2^32.
    Sources: Srivastava et al. 2014; whole channels: Tompson et al. 2015.
    Raises ValueError when p is not within 0..1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p is the probability to drop, between 0 and 1, not {p}")
    if not training or p == 0:
        return x, (lambda dy: dy,)
    if runs_kernels(x) and p < 1 and (x.ndim > 1 or not channels) and not isinstance(rng, np.random.Generator):
        return _by_kernel(x, float(p), _stream(rng), channels)
    shape = (len(x),) + (1,) * (x.ndim - 2) + x.shape[-1:] if channels else x.shape
    kept = array_library(x).broadcast_to(_kept(shape, float(p), rng, x), x.shape)
    return _scaled(x, kept, float(p)), (lambda dy: _scaled(dy, kept, float(p)),)


def _kept(shape, p, rng, x):
    """Which numbers stay: False with probability p.  A byte a number is all that the gradient needs."""
    xp = array_library(x)
    if p == 1:
        return xp.zeros(shape, bool)
    words = _words(rng, int(np.prod(shape)), xp)
    return (words >= _least(p)).reshape(shape)


def _least(p):
    """The least word that keeps its number: all are equally likely, and the share p of them is below it."""
    return min(round(p * 2 ** 32), WORD)


def _by_kernel(x, p, stream, channels):
    """The same by dropout.cu, whose kernels make the words as they need them, and for the gradient once more."""
    words = len(x) * x.shape[-1] if channels else x.size
    name, sizes, work = "dropout", (x.size,), -(-words // 4)
    if channels:
        pixels = x.size // (words or 1)
        at_once = tuning.DROPOUT_PIXELS
        name, sizes, work = "dropout_channels", (len(x), pixels, x.shape[-1], at_once), work * -(-pixels // at_once)
    mask = stream.seed, stream.offset, _least(p), 1 / (1 - p)
    stream.offset += -(-words // 4)

    def dropped(x):
        y = array_library(x).empty(x.shape, x.dtype)
        kernels.launch(name, work, in_c_order(x), y, *sizes, *mask)
        return y
    return dropped(x), (dropped,)


def _scaled(x, kept, p):
    """x / (1 - p) where kept, else 0."""
    y = x * kept
    y *= 1 / (1 - p) if p < 1 else 0
    return y


def _words(rng, count, xp):
    if isinstance(rng, np.random.Generator):
        return xp.asarray(rng.integers(2 ** 32, size=count, dtype=np.uint32))
    return _stream(rng).words(count, xp)


def _stream(rng):
    return rng if isinstance(rng, Philox) else Philox(rng)


class Philox:
    """A stream of random 32-bit words: block number `offset` on is what comes next, and `seed` is the key.

    These two numbers are its whole state: save them, and Philox(seed, offset) goes on where it stopped.
    Raises TypeError for a seed that is no whole number, ValueError for one outside 0 .. 2^64 - 1.
    """

    def __init__(self, seed, offset=0):
        self.seed, self.offset = operator.index(seed), operator.index(offset)
        if not (0 <= self.seed < 2 ** 64 and 0 <= self.offset < 2 ** 64):
            raise ValueError(f"Philox: seed and offset must be in 0 .. 2^64 - 1, not {seed} and {offset}")

    def words(self, count, xp=np):
        """The next `count` words, (count,) uint32.  Word i is word i % 4 of block offset + i // 4; a call that does not
        use up its last block leaves the rest of it unused."""
        blocks, first, key = -(-count // 4), self.offset, (self.seed & WORD, self.seed >> 32)
        self.offset += blocks
        words = xp.empty((blocks, 4), xp.uint32)
        if is_gpu_array(words):
            kernels.launch("random_words", blocks, words, 4 * blocks, self.seed, first)
            return words.reshape(-1)[:count]

        def some(part):
            number = np.arange(part.start, part.stop, dtype=np.uint64) + first
            counter = number & WORD, number >> 32, np.zeros_like(number), np.zeros_like(number)
            words[part] = np.stack(philox4x32(counter, key), axis=1)
        in_parallel(some, slices(blocks, -(-blocks // tuning.DROPOUT_BLOCKS)))
        return words.reshape(-1)[:count]

    def __repr__(self):
        return f"Philox(seed={self.seed}, offset={self.offset})"


def philox4x32(counter, key):
    """Philox4x32-10: scramble a 128-bit counter under a 64-bit key.

    counter  four uint64 arrays of one shape, each holding 32-bit words (the lowest word first)
    key      two Python integers below 2^32
    returns  four uint64 arrays of 32-bit words

    Source: Salmon, Moraes, Dror and Shaw 2011, Parallel Random Numbers: As Easy as 1, 2, 3, section 3.3.
    """
    for _ in range(ROUNDS):
        counter = _round(counter, key)
        key = tuple((k + step) & WORD for k, step in zip(key, KEY_STEPS))
    return counter


def _round(counter, key):
    """Two products of 64 bits: the low halves move on, the high halves are mixed with the other words and the key."""
    c0, c1, c2, c3 = counter
    product0, product2 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
    return (product2 >> 32) ^ c1 ^ key[0], product2 & WORD, (product0 >> 32) ^ c3 ^ key[1], product0 & WORD


class Dropout(Module):
    """dropout in training, nothing in evaluation.  Without a seed each layer gets its own, the same in every process.

    `rng` is its Philox stream: two numbers, rng.seed and rng.offset, that a checkpoint can keep.
    """
    channels = False

    def __init__(self, p=.5, seed=None):
        super().__init__()
        self.p = p
        self.rng = Philox(init.generator().integers(2 ** 63) if seed is None else seed)

    def forward(self, x):
        return dropout(x, self.p, self.rng, self.channels, self.training)

    def __repr__(self):
        return f"{type(self).__name__}({self.p})"


class Dropout2d(Dropout):
    """Drops whole channels of an image."""
    channels = True
