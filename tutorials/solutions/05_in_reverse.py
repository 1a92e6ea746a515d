"""Solutions to the exercises of lesson 05."""
import numpy as np

import minicnn as mc
from minicnn.generate import InversionRecipe, invert, jitter, total_variation

model = mc.models.load("robust")
cat, dog = model.class_index("cat"), model.class_index("dog")


def probabilities(picture):
    """Of the picture as it would be saved, in 8 bits: (classes,)."""
    saved = np.rint(picture * 255).astype(np.float32) / 255
    return mc.softmax(mc.predict(model, saved)).data[0]


def step_along(picture, loss, length):
    """One step of L2 length `length` down the gradient of `loss`, inside 0..1."""
    picture.zero_grad()
    loss.backward()
    direction = picture.grad / np.linalg.norm(picture.grad)
    picture.data[...] = np.clip(picture.data - length * direction, 0, 1)


# 1. Two classes at once: the target is a row of probabilities.
half = np.zeros((1, 10), np.float32)
half[0, [cat, dog]] = .5
rng = np.random.default_rng(0)
picture = mc.tensor(model.start.sample(np.array([cat]), 32, rng), requires_grad=True)
with model.frozen():
    for step in range(60):
        seen = jitter(picture, 2, rng)
        step_along(picture, mc.cross_entropy(model(seen), half) + 1.5 * total_variation(picture), .3 - .27 * step / 60)
likeliest = np.argsort(probabilities(picture.data))[-2:]
print("half and half:", [model.class_names[k] for k in likeliest])
assert set(likeliest) == {cat, dog}


# 2. Without smoothing the picture is grainy; with thirty times as much it is posterised, or stays the blur it was.
def roughness(smoothness):
    drawn = invert(model, "cat", count=2, seed=0, recipe=InversionRecipe(steps=60, smoothness=smoothness))
    return total_variation(mc.tensor(drawn)).item()


rough, usual, smooth = roughness(0.), roughness(1.5), roughness(50.)
print(f"total variation: {rough:.3f} without, {usual:.3f} with 1.5, {smooth:.3f} with 50")
assert rough > usual > smooth


# 3. From a drawn cat to "dog": much further than the .5 that the training withstood.
start = invert(model, "cat", count=1, seed=0, recipe=InversionRecipe(steps=60))
picture = mc.tensor(start, requires_grad=True)
with model.frozen():
    while probabilities(picture.data).argmax() == cat:
        step_along(picture, mc.cross_entropy(model(picture), np.array([dog])), .05)
distance = np.linalg.norm(picture.data - start)
print(f"the network changes its mind after {distance:.2f}")
assert distance > .5

# 4. The bug: opinion(model, mine) would print another class, since every step led away from "cat".  The roughness falls
# all the same: only the class itself, looked at after the rounding to 8 bits, tells.
