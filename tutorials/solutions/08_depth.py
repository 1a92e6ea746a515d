"""Solutions to the exercises of lesson 08, "Depth from three by three".      python tutorials/solutions/08_depth.py"""
import itertools
from math import prod, sqrt

import numpy as np

import minicnn as mc
from minicnn.models.imagenet import Everywhere
from minicnn.models.squeezenet import FIRES
from minicnn.models.vgg import CONFIGURATIONS

rng = np.random.default_rng(0)


def numbers(*shape):
    return rng.normal(size=shape).astype(np.float32)


def influence(network, x):
    """As in the lesson: how strongly each pixel moves the numbers at the middle place, (H, W)."""
    x = mc.tensor(x, requires_grad=True)
    with mc.exact():
        y = network(x)
        y[:, y.shape[1] // 2, y.shape[2] // 2].sum().backward()
    return abs(x.grad).sum(axis=(0, 3))


def extent(seen):
    """Rows and columns of the smallest rectangle with nothing but zeros around it."""
    return tuple(int(np.ptp(np.flatnonzero(seen.any(axis=axis)))) + 1 for axis in (1, 0))


# ---- 1. Holes --------------------------------------------------------------------------------------------------------

def fields(layers):
    """What one number sees after each of the layers (k, stride, dilation)."""
    sees, jump = 1, 1
    for k, stride, dilation in layers:
        sees, jump = sees + dilation * (k - 1) * jump, jump * stride        # k windows with holes between them span more
        yield sees


def tower(dilations, channels=2):
    return mc.Sequential(*(mc.Conv2d(channels, channels, 3, padding=d, dilation=d, rng=i) for i, d in enumerate(dilations)))


def layers_to_see(pixels, dilations):
    """The first so many of the dilations that see at least so many pixels."""
    seen = fields((3, 1, d) for d in dilations)
    return 1 + next(i for i, sees in enumerate(seen) if sees >= pixels)


# Without dilation 1 + 2 L >= 127 takes L = 63 layers.  With 1, 2, 4, ...  it is 1 + 2 (2^L - 1) = 2^(L+1) - 1: six
# layers.
ones, doubling = itertools.repeat(1), (2 ** i for i in itertools.count())
assert layers_to_see(127, ones) == 63 and layers_to_see(127, doubling) == 6
picture = numbers(1, 129, 129, 2)
for dilations in ([1] * 63, [1, 2, 4, 8, 16, 32]):
    seen = influence(tower(dilations), picture)
    print(f"{len(dilations):2} layers see {extent(seen)}")
    assert extent(seen) == (127, 127)

# Three layers of dilation 2 see 13x13, but of these only every second pixel in either direction, 7 * 7 = 49 of 169: a
# sum of even steps is even.  An output knows nothing of the pixels between.  With 1, 2, 4, ... there is no hole:
# every step is a sum of these.
seen = influence(tower([2, 2, 2]), picture)
assert extent(seen) == (13, 13)
print(f"dilation 2, 2, 2: sees {extent(seen)}, and of these {np.count_nonzero(seen)} of {13 * 13} pixels")
assert np.count_nonzero(seen) == 7 * 7
assert np.count_nonzero(influence(tower([1, 2, 4]), picture)) == 15 * 15


# ---- 2. A fiftieth ---------------------------------------------------------------------------------------------------

def conv(k, channels, filters):
    return k * k * channels * filters + filters


def fire(channels, squeezed, expanded):
    return conv(1, channels, squeezed) + conv(1, squeezed, expanded) + conv(3, squeezed, expanded)


parameters, channels = conv(3, 3, 64), 64
for squeezed, expanded in (f for f in FIRES if f != "pool"):
    parameters += fire(channels, squeezed, expanded)
    channels = 2 * expanded
parameters += conv(1, channels, 1000)

with mc.init.skipped():
    summed_up = mc.summary(mc.models.build("squeezenet1-1"), (32, 32, 3))       # parameters do not depend on the size
print(f"SqueezeNet 1.1: {parameters:,} parameters, AlexNet has {60_965_224 / parameters:.0f} times as many")
assert parameters == summed_up.parameters == 1_235_496

# The dense layers are gone.  A 1x1 convolution scores each place, and the mean over all places is the answer, as in
# `robust`.  Most of the rest is saved by the squeeze: the 3x3 filters see 16 channels, not 128, and only half of the
# filters are 3x3.
print(f"a fire module (16, 64) has {fire(128, 16, 64):,} parameters, "
      f"a 3x3 convolution from 128 to 128 {conv(3, 128, 128):,}")
assert (fire(128, 16, 64), conv(3, 128, 128)) == (12_432, 147_584)


# ---- 3. No borders ---------------------------------------------------------------------------------------------------

# 22 -3x3-> 20 -pool-> 10 -3x3-> 8 -pool-> 4, and 4 * 4 * 8 numbers go into the dense layer.
features = mc.Sequential(mc.Conv2d(3, 8, 3, rng=0), mc.ReLU(), mc.MaxPool2d(2),
                         mc.Conv2d(8, 8, 3, rng=1), mc.ReLU(), mc.MaxPool2d(2))
dense = mc.Dense(4 * 4 * 8, 5, rng=2)
large = rng.random((1, 34, 42, 3), dtype=np.float32)
with mc.exact():
    score_map = Everywhere(dense, (4, 4))(features(large)).data             # places 4 pixels apart: two strides of 2
    alone = [[dense(features(large[:, r:r + 22, c:c + 22]).reshape(1, -1)).data[0] for c in range(0, 21, 4)]
             for r in range(0, 13, 4)]
difference = abs(score_map[0] - alone).max()
print(f"a map of {score_map.shape[1:3]} places, and the windows alone: the largest difference is {difference:.0e}")
assert score_map.shape == (1, 4, 6, 5) and difference < 1e-5


# ---- 4. Measure, do not derive ---------------------------------------------------------------------------------------

model = mc.models.build("vgg19", rng=0, width=16, features_only=True)
convolutions = [layer for layer in model.features if isinstance(layer, mc.Conv2d)]
for layer in convolutions:
    layer.weight.data[...] = mc.init.alexnet(layer.weight.shape, rng)

x, ratios, spreads = model.preprocess(numbers(2, 32, 32, 3)), [], []
with mc.no_grad():
    for layer in model.features:
        if layer in convolutions:
            layer.weight.data /= layer(x).data.std()
            spreads.append(layer(x).data.std())
            ratios.append(layer.weight.data.std() / sqrt(2 / layer.weight.data[..., 0].size))
        x = layer(x)
print("s, as a share of He's: " + " ".join(f"{ratio:.2f}" for ratio in ratios))

# The spread is 1 in each layer now, and s is about He's, with three exceptions.  The first layer's depends on how
# large the pixels are, which no derivation knows.  Behind a pooling it is smaller: the largest of four is larger than
# one of them.  And in the last block the maps are 2x2, so that five of the nine pixels of a window are padding,
# zeros: n is 4/9 of what we took it for, and s must be sqrt(9/4) = 1.5 times as large.
assert np.allclose(spreads, 1, atol=1e-3)
assert all(.5 < ratio < 1.3 for ratio in ratios[1:12]) and abs(np.mean(ratios[12:]) - 1.5) < .2


# ---- 5. A bug to plant -----------------------------------------------------------------------------------------------

# (a) The jump first.  Right for all layers of stride 1 before the first pooling; after that every field is too large,
# and only `influence` knows better.
def fields_wrong(layers):
    sees, jump = 1, 1
    for k, stride, dilation in layers:
        jump *= stride
        sees += dilation * (k - 1) * jump
        yield sees


layers = [(2, 2, 1) if word == "M" else (3, 1, 1) for word in CONFIGURATIONS["D"].split()]
right, wrong = list(fields(layers)), list(fields_wrong(layers))
print("fields", right[:6], "with the jump first", wrong[:6])
assert right[:2] == wrong[:2] and right[2:6] == [6, 10, 14, 16] and wrong[2:6] == [7, 11, 15, 19]

# (b) Rows of another order.  Shapes, counts, and the very same numbers, in other places.  Right for maps of one
# place, and for maps that are the same everywhere and in all channels.  Only a comparison with the dense layer, on a
# map that is not, will tell.
fc6, maps = mc.Dense(7 * 7 * 4, 5, rng=0), numbers(1, 7, 7, 4)
weight = fc6.weight.data
filters, turned = weight.reshape(7, 7, 4, 5), weight.reshape(4, 7, 7, 5).transpose(1, 2, 0, 3)
flat = np.ones_like(maps)
assert filters.shape == turned.shape and np.allclose(mc.conv2d(flat, filters), mc.conv2d(flat, turned), atol=1e-5)
assert np.allclose(mc.conv2d(maps, filters).data.ravel(), (maps.reshape(1, -1) @ weight).ravel(), atol=1e-4)
assert abs(mc.conv2d(maps, turned).data.ravel() - (maps.reshape(1, -1) @ weight).ravel()).max() > .1


# (c) Every second channel.  Counts, shapes, spreads and gradients are those of the right one; as long as one trains
# it from the start it *is* a right one, with its channels in another order.  The gradient of the first group's
# outputs shows it; and with weights from elsewhere it gives nonsense.
def grouped(x, weight, halves):
    half = weight.shape[3] // 2
    return mc.concatenate([mc.conv2d(x[..., part], weight[..., some], padding=1)
                           for part, some in zip(halves, (slice(half), slice(half, None)))], axis=3)


weight = numbers(3, 3, 4, 6)
for halves, expected in (((slice(4), slice(4, 8)), [1, 1, 1, 1, 0, 0, 0, 0]),
                         ((slice(0, 8, 2), slice(1, 8, 2)), [1, 0, 1, 0, 1, 0, 1, 0])):
    x = mc.tensor(numbers(1, 5, 5, 8), requires_grad=True)
    y = grouped(x, weight, halves)
    y[..., :3].sum().backward()
    assert (abs(x.grad).sum(axis=(0, 1, 2)) > 0).astype(int).tolist() == expected
    assert np.allclose(y, mc.conv2d(x, weight, padding=1, groups=2), atol=1e-4) == (expected[1] == 1)

# (d) Fan out for fan in.  A layer from C to K channels is off by sqrt(C / K).  In the next one K is the C: in the
# product over the layers everything cancels except the first and the last.  However deep the tower is, sqrt(3 / 512)
# is left, a factor of 13, and no layer vanishes.  It is seen only in the spreads of single layers, where channels
# double; and that is why He et al. say that either will do.
widths = [3] + [int(word) for word in CONFIGURATIONS["E"].replace("M", "").split()]
off = [sqrt(C / K) for C, K in zip(widths, widths[1:])]
print(f"fan out: {sum(o != 1 for o in off)} of {len(off)} layers are off; together by {prod(off):.3f} = sqrt(3 / 512)")
assert np.isclose(prod(off), sqrt(3 / 512)) and sum(o != 1 for o in off) == 4
