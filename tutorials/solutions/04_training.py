"""Solutions to the exercises of lesson 04, "Training a classifier".      python tutorials/solutions/04_training.py"""
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import minicnn as mc

rng = np.random.default_rng(0)
K = 8


# ---- 1. Doubt --------------------------------------------------------------------------------------------------------

@mc.differentiable
def smooth_cross_entropy(logits, t, e):
    """logits and t (N, classes)  ->  a number.  The targets still sum to 1, so the rule is p - targets as before."""
    targets = (1 - e) * t + e / t.shape[1]
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -(targets * log_p).sum() / len(t), (lambda dy: dy * (np.exp(log_p) - targets) / len(t), None)


logits, t, e = rng.normal(size=(5, K)), np.eye(K)[:5], .1
assert mc.gradcheck(lambda logits: smooth_cross_entropy(logits, t, e), logits).error < 1e-6
assert np.isclose(smooth_cross_entropy(logits, t, e), mc.cross_entropy(logits, np.arange(5), label_smoothing=e))

# - sum of t log p is least for p = t (the slope p - t is then 0), and there it is the entropy of t.
true, other = 1 - e + e / K, e / K
least = -true * np.log(true) - (K - 1) * other * np.log(other)
free = mc.tensor(logits, requires_grad=True)
optimizer = mc.SGD([free], lr=2., momentum=.9)
for _ in range(1000):
    optimizer.zero_grad()
    loss = smooth_cross_entropy(free, t, e)
    loss.backward()
    optimizer.step()
gap = free.data[0, 0] - free.data[0, 1:].mean()
print(f"smallest loss {float(loss.data):.4f}, derived {least:.4f};  gap {gap:.2f}, derived {np.log(true / other):.2f}")
assert abs(float(loss.data) - least) < 1e-6 and abs(gap - np.log(true / other)) < 1e-2


# ---- 2. Look ahead ---------------------------------------------------------------------------------------------------

def roll(momentum, nesterov, steps, lr=.009, curvature=np.array([100., 1.])):
    """The places of a ball in the valley (100 w0² + w1²) / 2, by hand:   (steps, 2)"""
    w, v, places = np.ones(2), np.zeros(2), []
    for _ in range(steps):
        g = curvature * w
        v = momentum * v + g
        w = w - lr * (g + momentum * v if nesterov else v)
        places.append(w)
    return np.array(places)


w = mc.tensor(np.ones(2), requires_grad=True)
optimizer = mc.SGD([w], lr=.009, momentum=.9, nesterov=True)
for place in roll(.9, True, 100):
    optimizer.zero_grad()
    ((np.array([100., 1.]) * w * w).sum() / 2).backward()
    optimizer.step()
    assert np.allclose(w.data, place)


def arrival(momentum, nesterov):
    """The first step after which both coordinates stay below a hundredth."""
    far = abs(roll(momentum, nesterov, 2000)).max(axis=1) >= .01
    return int(np.flatnonzero(far)[-1]) + 2


counts = {"plain": arrival(0, False), "momentum": arrival(.9, False), "Nesterov": arrival(.9, True)}
print("steps in the valley:", counts)
assert counts["Nesterov"] <= counts["momentum"] < counts["plain"] / 2


# ---- 3. Which letters? -----------------------------------------------------------------------------------------------

FONT = ImageFont.load_default(20)


MIRRORS = {"b": np.s_[:, :], "d": np.s_[:, ::-1], "p": np.s_[::-1], "q": np.s_[::-1, ::-1]}         # of a b


def letters(alphabet, count, seed):
    """Pictures (count, 24, 24, 1) of these letters; d, p and q are a b that was mirrored."""
    rng = np.random.default_rng(seed)
    labels, images = rng.integers(len(alphabet), size=count), []
    for label, right, down in zip(labels, *rng.integers(-2, 3, (2, count))):
        page = Image.new("L", (24, 24), 60)
        letter = alphabet[label]
        ImageDraw.Draw(page).text((12 + right, 12 + down), "b" if letter in MIRRORS else letter, 190, FONT, anchor="mm")
        images.append(np.asarray(page)[MIRRORS.get(letter, np.s_[:])] + rng.normal(0, 25, (24, 24)))
    return mc.data.Dataset(np.clip(images, 0, 255).astype(np.uint8)[..., None], labels, list(alphabet))


def network(class_names, seed=0):
    return mc.models.build("small", class_names, rng=seed, widths=((16,), (32,), (64,)), channels=1, size=24)


def read(alphabet, changes):
    """The share of new letters that is read after a training with these changes."""
    data = letters(alphabet, 400, 0)
    settings = mc.TrainingSettings(epochs=20, batch=50, augment=changes)
    training = mc.Training(network(data.class_names), data, settings)
    training.run(quiet=True)
    return mc.accuracy(training.averaged_model(), letters(alphabet, 400, 1))


# A M T V look the same in a mirror.  H O S X may lie at any angle and are still told apart, though an H on its side is no H
# to a reader: what harms is not that a letter changes but that it becomes another one of the set.  b in the mirror is d,
# b upside down is q; but b and q survive the mirror, in which they are d and p.  An N on its side is nearly a Z.  Nearly:
# in this typeface it is wider than high then, and the network learns that.  In a square typeface it could not.
TRIED = (("AMTV", "flip"), ("HOSX", "rotate=180"), ("NZ", "rotate=180"), ("bd", "none"), ("bd", "flip"), ("bq", "flip"),
         ("bq", "rotate=180"))
shares = {(alphabet, changes): read(alphabet, changes) for alphabet, changes in TRIED}
print({f"{alphabet} {changes}": round(share, 2) for (alphabet, changes), share in shares.items()})


# ---- 4. A bug to plant -----------------------------------------------------------------------------------------------

train, test = letters("bdpq", 400, 0), letters("bdpq", 400, 1)


def run(softmax=False, zero_grad=True, epochs=15, change=None):
    """(the network, the mean loss of each epoch)"""
    model = network(train.class_names).train()
    optimizer, rate = mc.SGD(model.parameters(), .1, momentum=.9), mc.OneCycle(.1, 8 * epochs)
    losses = []
    for epoch in range(epochs):
        for x, labels in mc.data.Batches(train, 50, 0, change).epoch(epoch):
            if zero_grad:
                optimizer.zero_grad()
            logits = model(x)
            loss = mc.cross_entropy(mc.softmax(logits) if softmax else logits, labels)
            loss.backward()
            optimizer.lr = rate(len(losses))
            optimizer.step()
            losses.append(float(loss.data))
    return model, np.reshape(losses, (epochs, 8)).mean(axis=1)


right, right_losses = run()
twice, twice_losses = run(softmax=True)
piled, piled_losses = run(zero_grad=False)

# (a) Probabilities lie in 0..1.  The best "logits" are 1 for the true class and 0 for all others, and the loss is then
#     - log(e / (e + K - 1)) = log(e + K - 1) - 1: 0.744 for these four letters, 1.274 for eight classes, 1.461 for ten.  A
#     run whose loss seems to stop there has two softmaxes.
floor = np.log(np.e + len(train.class_names) - 1) - 1
print(f"(a) loss {right_losses[-1]:.2f}, with two softmaxes {twice_losses[-1]:.2f}, never below {floor:.3f}")
assert twice_losses.min() > floor > right_losses[-1]

# (b) The gradients of all steps so far are added up: a momentum of 1 on top of that of .9, a ball without friction.  The
#     loss climbs far above that of guessing, log 4 = 1.39, and does not settle.
print(f"(b) loss without zero_grad: {piled_losses.round(2)}")
assert piled_losses[-1] > np.log(4) > right_losses[-1]

# (c) Two examinations of the same network give two results, and another seed a third.
change = mc.data.augment.parse("crop=6,cutout=12")


def examined(model, change=None, seed=0):
    x = test.images_float()
    x = x if change is None else change(x, np.random.default_rng(seed))
    return (mc.predict(model, x).argmax(axis=1) == test.labels).mean()


honest, changed = examined(right), [examined(right, change, seed) for seed in range(3)]
print(f"(c) test {honest:.1%} twice: {examined(right) == honest};  augmented {[f'{share:.1%}' for share in changed]}")
assert examined(right) == honest and len(set(changed)) > 1 and max(changed) < honest


# (d) Mean and variance are those of the batch, so the answer to a picture depends on its neighbours.  Shuffled batches
#     hide it, since they all look alike.  One picture by itself, or batches of a single class, show it.
def share_right(order, batch):
    with mc.no_grad():
        found = np.concatenate([right.train()(test.images_float(some)).data.argmax(axis=1)
                                for some in np.split(order, len(order) // batch)])
    return (found == test.labels[order]).mean()


state = {name: array.copy() for name, array in right.state_dict().items()}
shuffled = share_right(np.random.default_rng(0).permutation(400), 50)
by_class = share_right(np.argsort(test.labels, kind="stable"), 50)
moved = any(not np.array_equal(array, state[name]) for name, array in right.state_dict().items())
print(f"(d) right in evaluation mode {honest:.1%};  in training mode, shuffled {shuffled:.1%}, class by class "
      f"{by_class:.1%}; and the examination changed the network: {moved}")
assert by_class < shuffled - .1 and moved

HARMED = [("bd", "flip"), ("bq", "rotate=180")]
assert max(shares[key] for key in HARMED) < .65 and min(share for key, share in shares.items() if key not in HARMED) > .9
