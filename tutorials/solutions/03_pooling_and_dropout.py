"""Solutions to the exercises of lesson 03, "Pooling and dropout".

    python tutorials/solutions/03_pooling_and_dropout.py
"""
from functools import partial, reduce

import numpy as np

import minicnn as mc

rng = np.random.default_rng(0)
x = rng.normal(size=(2, 6, 7, 2))


def taps(x, size, stride):
    """One view (N, OH, OW, C) for each of the size * size places in a window."""
    rows, columns = ([slice(i, i + (n - size) // stride * stride + 1, stride) for i in range(size)] for n in x.shape[1:3])
    return [x[:, row, column] for row in rows for column in columns]


def gradient(pool, x, dy):
    leaf = mc.tensor(x, requires_grad=True)
    pool(leaf).backward(dy)
    return leaf.grad


# ---- 1. Share it -----------------------------------------------------------------------------------------------------

@mc.differentiable
def shared_max_pool(x, size, stride):
    """The largest of each window; all pixels that are the largest share dy equally."""
    y = reduce(np.maximum, taps(x, size, stride))

    def grad_x(dy):
        winners = sum((tap == y).astype(x.dtype) for tap in taps(x, size, stride))
        dx, share = np.zeros_like(x), dy / winners
        for tap, dtap in zip(taps(x, size, stride), taps(dx, size, stride)):
            dtap += share * (tap == y)
        return dx
    return y, (grad_x,)


for size, stride in ((2, 2), (3, 2), (3, 1)):
    pool = partial(shared_max_pool, size=size, stride=stride)
    assert mc.gradcheck(pool, x).error < 1e-6
    behind_relu = np.maximum(x - .5, 0)                             # many windows hold nothing but zeros
    dy = rng.normal(size=pool(x).shape)
    assert np.isclose(gradient(pool, behind_relu, dy).sum(), dy.sum())

# In a picture of one colour all pixels of a window are the largest: each gets dy / 4, as from average pooling.
dy = rng.normal(size=(1, 3, 3, 2))
flat = np.full((1, 6, 6, 2), .7)
assert np.allclose(gradient(partial(shared_max_pool, size=2, stride=2), flat, dy),
                   gradient(partial(mc.avg_pool2d, kernel=2), flat, dy))


# ---- 2. Between mean and largest -------------------------------------------------------------------------------------

@mc.differentiable
def soft_pool(x, size, stride, t):
    """log(mean(exp(t x))) / t over each window.

    The largest m of each window is taken out of the exponentials, which changes nothing: no exp(1000).  And the rule:
    dy/dx_i = exp(t x_i) / sum of exp(t x_j), the softmax of t x over the window.  That is exp(t (x_i - y)) / size^2.
    """
    m = reduce(np.maximum, taps(x, size, stride))
    total = sum(np.exp(t * (tap - m)) for tap in taps(x, size, stride))
    y = m + np.log(total / size ** 2) / t

    def grad_x(dy):
        dx = np.zeros_like(x)
        for tap, dtap in zip(taps(x, size, stride), taps(dx, size, stride)):
            dtap += dy * np.exp(t * (tap - y)) / size ** 2
        return dx
    return y, (grad_x,)


for t in (.1, 1., 10.):
    assert mc.gradcheck(partial(soft_pool, size=3, stride=2, t=t), x).error < 1e-6
with np.errstate(over="raise", invalid="raise"):
    gradient(partial(soft_pool, size=2, stride=2, t=5.), 1000 * x, np.ones((2, 3, 3, 2)))

# Between the largest and the largest - log(4) / t: for large t it is the largest.  For small t, exp(t x) = 1 + t x, and
# it is the mean.
assert abs(soft_pool(x, 2, 2, 1e4).data - mc.max_pool2d(x, 2).data).max() < 1.01 * np.log(4) / 1e4
assert abs(soft_pool(x, 2, 2, 1e-4).data - mc.avg_pool2d(x, 2).data).max() < 1e-3


# ---- 3. Whole channels -----------------------------------------------------------------------------------------------

# One number that was kept with probability 1/2 and doubled: mean 1, variance p / (1 - p) = 1, so it strays by 1.  The
# mean of 64 independent ones strays by 1 / sqrt(64) = 1/8.  If a whole channel is dropped, the 64 are not independent but
# all the same, and their mean strays by 1.
ones = np.ones((16, 64, 64, 32), np.float32)
pixels = mc.avg_pool2d(mc.dropout(ones, .5, mc.Philox(0)), 8).data.std()
channels = mc.avg_pool2d(mc.dropout(ones, .5, mc.Philox(0), channels=True), 8).data.std()
print(f"means of 8 x 8 stray by {pixels:.3f} with pixels dropped (derived: 0.125), with channels {channels:.3f} (1)")
assert abs(pixels - 1 / 8) < .005 and abs(channels - 1) < .01


@mc.differentiable
def channel_dropout(x, p, stream):
    """One throw for each channel of each picture:   x (N, H, W, C)"""
    N, C = len(x), x.shape[-1]
    kept = (stream.words(N * C) >= p * 2 ** 32).reshape(N, 1, 1, C)
    scale = kept.astype(x.dtype) / (1 - p)
    return x * scale, (lambda dy: dy * scale,)


assert np.allclose(channel_dropout(x, .3, mc.Philox(5)), mc.dropout(x, .3, mc.Philox(5), channels=True))
assert mc.gradcheck(lambda x: channel_dropout(x, .3, mc.Philox(5)), x).error < 1e-6


# ---- 4. A bug to plant -----------------------------------------------------------------------------------------------

def make_dropout(keep=lambda p: 1 - p, factor=lambda p: 1 / (1 - p), factor_back=None, new_dice=False):
    """The dropout of the lesson, with places to plant bugs in."""
    @mc.differentiable
    def my_dropout(x, p, rng):
        kept = rng.random(x.shape) < keep(p)

        def grad_x(dy):
            thrown = rng.random(x.shape) < keep(p) if new_dice else kept
            return dy * thrown * (factor_back or factor)(p)
        return x * kept * factor(p), (grad_x,)
    return my_dropout


def passes_gradcheck(dropout, p):
    try:
        mc.gradcheck(lambda x: dropout(x, p, np.random.default_rng(7)), x)
        return True
    except mc.GradientError:
        return False


def keeps_the_mean(dropout, p, count=1_000_000):
    y = dropout(np.ones(count), p, np.random.default_rng(0)).data
    return abs(y.mean() - 1) < 5 * np.sqrt(p / (1 - p) / count)


def screams(dropout, p):
    checks = {"gradcheck": passes_gradcheck, "mean": keeps_the_mean}
    return [name for name, fine in checks.items() if not fine(dropout, p)]


BUGS = {"none": make_dropout(),
        "a": make_dropout(factor_back=lambda p: 1),
        "b": make_dropout(new_dice=True),
        "c": make_dropout(keep=lambda p: p),
        "d": make_dropout(keep=lambda p: p, factor=lambda p: 1 / p)}
found = {(name, p): screams(bug, p) for name, bug in BUGS.items() for p in (.5, .3)}
for (name, p), checks in found.items():
    print(f"{name:5} p = {p}: {', '.join(checks) or 'silence'}")

# none  p = 0.5: silence          none  p = 0.3: silence
# a     p = 0.5: gradcheck        a     p = 0.3: gradcheck
# b     p = 0.5: gradcheck        b     p = 0.3: gradcheck
# c     p = 0.5: silence          c     p = 0.3: mean
# d     p = 0.5: silence          d     p = 0.3: silence
#
# With p = .5 nobody can tell "keep" from "drop", so never test dropout with .5 alone.  (d) is a perfectly good dropout,
# of 1 - p.  Neither check knows that p was to be the share that is lost.  Counting the zeros does:
zeros = {name: (BUGS[name](np.ones(100_000), .3, np.random.default_rng(0)).data == 0).mean() for name in ("none", "d")}
assert abs(zeros["none"] - .3) < .01 and abs(zeros["d"] - .7) < .01
assert all(found[name, p] == ["gradcheck"] for name in "ab" for p in (.5, .3))
assert [found["c", .5], found["c", .3], found["d", .5], found["d", .3]] == [[], ["mean"], [], []]
