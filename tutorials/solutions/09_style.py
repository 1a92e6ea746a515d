"""Solutions to the exercises of lesson 09, "Two pictures into one".      python tutorials/solutions/09_style.py"""
from pathlib import Path

import numpy as np

import minicnn as mc

rng = np.random.default_rng(0)


def maps(*shape):
    """A feature map as behind a ReLU."""
    return np.maximum(rng.normal(size=shape), 0)


def gram(y):
    pixels = y.reshape(-1, y.shape[-1])                          # (places, C)
    return pixels.T @ pixels / len(pixels)


def covariance(y):
    mean = y.mean(axis=(0, 1, 2))
    return gram(y) - np.outer(mean, mean)


# ---- 1. The paper's numbers ------------------------------------------------------------------------------------------

# Their G is M times ours.  So the loss is M^2 sum((g - a)^2) / (4 C^2 M^2), and the mean of C x C numbers is their sum
# divided by C^2:  mean((g - a)^2) / 4.
y, other, C = maps(1, 8, 6, 5), maps(1, 8, 6, 5), 5
M = 8 * 6
theirs = ((M * gram(y) - M * gram(other)) ** 2).sum() / (4 * C ** 2 * M ** 2)
assert np.isclose(theirs, mc.mse_loss(mc.gram(y), mc.gram(other).data).item() / 4)

# With other sizes Y^T Y sums over unlike numbers of places.  The same painting, twice as wide, is another style then:
twice = np.concatenate([y, y], axis=2)
pixels, twice_pixels = y.reshape(-1, C), twice.reshape(-1, C)
larger = (twice_pixels.T @ twice_pixels / (pixels.T @ pixels)).mean()
print("a painting beside itself: Y^T Y is", round(larger, 6), "times as large,",
      "the mean is", round((gram(twice) / gram(y)).mean(), 6), "times")
assert np.allclose(gram(twice), gram(y))


# ---- 2. Less is enough -----------------------------------------------------------------------------------------------

def widths(y):
    """Mean and standard deviation of each channel: two arrays or tensors (C,)."""
    mean = y.mean(axis=(0, 1, 2))
    away = y - mean
    return mean, mc.sqrt((away * away).mean(axis=(0, 1, 2)) + 1e-8)


# 256 numbers.  The Gram matrix of 128 channels is symmetric: 128 * 129 / 2 of its numbers are free.
print("of 128 channels:", 2 * 128, "numbers against", 128 * 129 // 2)

model, side, steps = mc.models.load("robust"), 48, 12
wave = mc.square(mc.read_image(Path(__file__).parents[1] / "pictures" / "great-wave.jpg"))
painting = np.clip(mc.resize(wave, side, "lanczos"), 0, 1)[None]
extractor = mc.generate.FeatureMaps(model, ["relu1_2", "relu2_2", "relu3_1"])
with mc.no_grad():
    wanted = {name: [part.data for part in widths(seen)] for name, seen in extractor(mc.tensor(painting)).items()}


def loss(picture):
    total = 0.
    for name, seen in extractor(picture).items():
        size = float((wanted[name][0] ** 2).mean() + (wanted[name][1] ** 2).mean())
        total = total + sum(mc.mse_loss(part, goal) for part, goal in zip(widths(seen), wanted[name])) / size
    return total


picture = mc.tensor(rng.random(painting.shape, dtype=np.float32), requires_grad=True)
optimizer, losses = mc.Adam([picture], .05), []
for _ in range(steps):
    optimizer.zero_grad()
    here = loss(picture)
    here.backward()
    optimizer.step()
    np.clip(picture.data, 0, 1, out=picture.data)
    losses.append(here.item())
mc.write_image(picture.data[0], "texture.png")
print(f"means and deviations: {losses[0]:.2f} -> {losses[-1]:.2f} after {steps} steps")
assert losses[-1] < losses[0] / 2


# ---- 3. Two paintings ------------------------------------------------------------------------------------------------

beside = np.concatenate([y, other], axis=2)                      # both maps side by side: as many places of each
assert np.allclose(gram(beside), (gram(y) + gram(other)) / 2)    # a mean over places is the mean of the two means

# The covariance is what is left of the Gram matrix without the mean, and the two have unlike means.  They add to the width:
#     S of both  =  mean of the two S  +  d d^T,    d half the difference of the means
d = (y.mean(axis=(0, 1, 2)) - other.mean(axis=(0, 1, 2))) / 2
assert not np.allclose(covariance(beside), (covariance(y) + covariance(other)) / 2)
assert np.allclose(covariance(beside), (covariance(y) + covariance(other)) / 2 + np.outer(d, d))


# ---- 4. Its own colours ----------------------------------------------------------------------------------------------

GREY = np.array([.299, .587, .114])


def keep_colours(result, photograph):
    """The brightness of the one, what the other has beside its brightness."""
    grey = (photograph @ GREY)[..., None]                        # (H, W, 1)
    return photograph - grey + (result @ GREY)[..., None]


# It leaves 0..1 where a strong colour becomes very bright or very dark: there is no white that is red.  The library moves
# such a colour towards grey instead of cutting it off, which would turn it.
result, photograph = rng.random((6, 6, 3)), rng.random((6, 6, 3))
kept = keep_colours(result, photograph)
assert np.allclose(kept @ GREY, result @ GREY)
print(f"{np.mean((kept < 0) | (kept > 1)):.0%} of the numbers leave 0..1 with random pictures")


# ---- 5. A bug to plant -----------------------------------------------------------------------------------------------

def eigen(matrix, symmetric=True):
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2 if symmetric else matrix)
    return np.where(values > 1e-9 * values.max(), values, 0), vectors


def overlap(half=.5, symmetric=True):
    @mc.differentiable
    def rule(S, R):
        values, vectors = eigen(R.T @ S @ R, symmetric)
        turned = R @ vectors

        def grad_S(dy):
            return dy * half * (turned / np.sqrt(values)) @ turned.T
        return np.sqrt(values).sum(), (grad_S,)
    return rule


def root_of(A):
    values, vectors = eigen(A)
    return vectors * np.sqrt(values)                             # R R^T = A


def screams(rule):
    some, R = rng.normal(size=(9, 4)), rng.normal(size=(4, 4))
    try:
        mc.gradcheck(lambda S: rule(S, R), some.T @ some)
    except mc.GradientError:
        return True
    return False


def distance(S, A, R):
    """Of two clouds around one mean."""
    return np.trace(S) + np.trace(A) - 2 * overlap()(S, R).item()


# (a) screams: the ratio is 2.
# (b) screams, too: eigh looks only at one half of a matrix, and gradcheck moves S[0, 1] without S[1, 0].  But S is always
#     symmetric in a picture, and then both halves are the same: no picture is worse for it.
# (c) is another function, and that one's gradient is right.  On a line R and its transpose are one number, so that check
#     is content, too.  The pictures go astray: a painting is far away from itself!  That is the check to make.
# (d) is a factor: C / places for both maps of a layer, while they have one size.
assert not screams(overlap()) and screams(overlap(half=1.)) and screams(overlap(symmetric=False))
S = covariance(maps(1, 9, 9, 4) @ rng.normal(size=(4, 4)))       # channels that go together, as in every network
print(f"a cloud's distance from itself: {abs(distance(S, S, root_of(S))):.1e}, with the root transposed "
      f"{distance(S, S, root_of(S).T):.3f}")
assert abs(distance(S, S, root_of(S))) < 1e-9 < distance(S, S, root_of(S).T)
