"""The works that are timed: each one in minicnn and, a few lines below, the same in PyTorch.

A work is prepared once, `ours()` or `theirs(torch, layout)`, which returns a function without arguments: one round.
"""
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

import minicnn as mc

# VGG-19 up to its conv5_1 (Simonyan and Zisserman 2014, configuration E); "M" is a 2x2 maximum pooling
VGG19 = (64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512)
STYLE, CONTENT = (0, 2, 4, 8, 12), 9             # relu1_1 relu2_1 relu3_1 relu4_1 relu5_1, and relu4_2: which convolution
VGG11_SMALL = ((64,), (128,), (256, 256), (512, 512), (512, 512))        # VGG configuration A for pictures of 32x32
ROBUST = ((24, 32), (64, 64), (128, 128), (192,))                       # the network that ships
BATCH = 128


@dataclass(frozen=True)
class Work:
    """name; multiply-adds of its convolutions in one round (0 where that says nothing); how to prepare it on either side."""
    name: str
    multiply_adds: int
    ours: object
    theirs: object


def _random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# ---------------------------------------------------------------------------------------------------------- style step

def _vgg_weights():
    """(weight (3, 3, C, K), bias) for each convolution, after He et al. 2015, so that activations keep their size."""
    weights, C = [], 3
    for i, K in enumerate(k for k in VGG19 if k != "M"):
        weights.append((mc.init.kaiming((3, 3, C, K), i), np.zeros(K, np.float32)))
        C = K
    return weights


def _style_ours(size):
    weights, picture = _vgg_weights(), mc.tensor(_random(1, size, size, 3), requires_grad=True)

    def features(x):
        taken, layers = [], iter(weights)
        for layer in VGG19:
            if layer == "M":
                x = mc.max_pool2d(x, 2)
                continue
            x = mc.relu(mc.conv2d(x, *next(layers), padding=1))
            taken.append(x)
        return [_gram(taken[i]) for i in STYLE] + [taken[CONTENT]]

    with mc.no_grad():
        targets = [f.data for f in features(mc.tensor(_random(1, size, size, 3, seed=1)))]

    def step():
        picture.zero_grad()
        losses = [mc.mse_loss(f, t) for f, t in zip(features(picture), targets)]
        mc.stack(losses).sum().backward()
        return picture.grad
    return step


def _gram(x):
    """(1, H, W, C)  ->  (C, C) / (H*W)."""
    flat = x.reshape(-1, x.shape[3])                             # (H*W, C)
    return flat.T @ flat * (1 / flat.shape[0])


def _style_theirs(size, torch, layout):
    F = torch.nn.functional
    weights = [(_oihw(torch, w, layout), torch.from_numpy(b)) for w, b in _vgg_weights()]
    picture = _nchw(torch, _random(1, size, size, 3), layout).requires_grad_()

    def gram(x):
        flat = x.flatten(2)[0]                                   # (C, H*W)
        return flat @ flat.T / flat.shape[1]

    def features(x):
        taken, layers = [], iter(weights)
        for layer in VGG19:
            if layer == "M":
                x = F.max_pool2d(x, 2)
                continue
            x = F.relu(F.conv2d(x, *next(layers), padding=1))
            taken.append(x)
        return [gram(taken[i]) for i in STYLE] + [taken[CONTENT]]

    with torch.no_grad():
        targets = features(_nchw(torch, _random(1, size, size, 3, seed=1), layout))

    def step():
        picture.grad = None
        sum(F.mse_loss(f, t) for f, t in zip(features(picture), targets)).backward()
        return picture.grad
    return step


def _style_multiply_adds(size):
    total, C = 0, 3
    for layer in VGG19:
        if layer == "M":
            size //= 2
        else:
            total, C = total + 9 * C * layer * size * size, layer
    return 2 * total                                             # forward and input gradient


def _nchw(torch, x, layout):
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=getattr(torch, layout))


def _oihw(torch, w, layout):
    return torch.from_numpy(w).permute(3, 2, 0, 1).contiguous(memory_format=getattr(torch, layout))


# -------------------------------------------------------------------------------------------------------- single layers

def _conv_ours(C, K, size, gradient):
    x, w, dy = _random(1, size, size, C), _random(3, 3, C, K), _random(1, size, size, K)
    if not gradient:
        return lambda: mc.conv2d(x, w, padding=1)
    y = mc.tensor(x, requires_grad=True)

    def backward():
        out = mc.conv2d(y, w, padding=1)
        return out.backward(dy)
    return backward


def _conv_theirs(C, K, size, gradient, torch, layout):
    x, dy = (_nchw(torch, _random(1, size, size, c), layout) for c in (C, K))
    w, conv = _oihw(torch, _random(3, 3, C, K), layout), torch.nn.functional.conv2d
    if not gradient:
        return lambda: conv(x, w, padding=1)
    x.requires_grad_()

    def backward():
        x.grad = None
        conv(x, w, padding=1).backward(dy)
    return backward


def _pool_ours(C, size, kind):
    x, dy = mc.tensor(_random(1, size, size, C), requires_grad=True), _random(1, size // 2, size // 2, C)
    pool = mc.max_pool2d if kind == "max" else mc.avg_pool2d

    def both():
        x.zero_grad()
        pool(x, 2).backward(dy)
    return both


def _pool_theirs(C, size, kind, torch, layout):
    x = _nchw(torch, _random(1, size, size, C), layout).requires_grad_()
    dy = _nchw(torch, _random(1, size // 2, size // 2, C), layout)
    pool = getattr(torch.nn.functional, f"{kind}_pool2d")

    def both():
        x.grad = None
        pool(x, 2).backward(dy)
    return both


# ------------------------------------------------------------------------------------------------------ training steps

def _network_ours(widths):
    return mc.models.build("small", [str(k) for k in range(10)], rng=0, widths=widths)


def _network_theirs(widths, torch, layout):
    nn, layers, C = torch.nn, [], 3
    for group in widths:
        for K in group:
            layers += [nn.Conv2d(C, K, 3, padding=1, bias=False), nn.BatchNorm2d(K), nn.ReLU()]
            C = K
        layers.append(nn.MaxPool2d(2))
    network = nn.Sequential(*layers[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(C, 10))
    return network.to(memory_format=getattr(torch, layout))


def _batch(n=BATCH):
    rng = np.random.default_rng(0)
    return rng.random((n, 32, 32, 3), dtype=np.float32), rng.integers(0, 10, n)


def _train_ours(widths, adversarial):
    model, (x, labels) = _network_ours(widths), _batch()
    optimizer = mc.SGD(model.parameters(), .1, momentum=.9, nesterov=True, weight_decay=5e-4)

    def step():
        seen = mc.l2_attack(model, x, labels, .5, .6, 1) if adversarial else x
        optimizer.zero_grad()
        mc.cross_entropy(model(seen), labels).backward()
        optimizer.step()
    return step


def _train_theirs(widths, adversarial, torch, layout):
    network, (x, labels) = _network_theirs(widths, torch, layout), _batch()
    x, labels, loss = _nchw(torch, (x - .47) / .25, layout), torch.from_numpy(labels), torch.nn.functional.cross_entropy
    optimizer = torch.optim.SGD(network.parameters(), .1, momentum=.9, nesterov=True, weight_decay=5e-4)

    def attack():
        pixels = x.clone().requires_grad_()
        network.eval().requires_grad_(False)
        loss(network(pixels), labels).backward()
        network.train().requires_grad_(True)
        norm = pixels.grad.flatten(1).norm(dim=1)[:, None, None, None]
        return (x + .5 * pixels.grad / norm).contiguous(memory_format=getattr(torch, layout))

    def step():
        seen = attack() if adversarial else x
        optimizer.zero_grad()
        loss(network(seen), labels).backward()
        optimizer.step()
    return step


def _forward_ours(n):
    model, x = _network_ours(ROBUST).eval(), _batch(n)[0]

    def forward():
        with mc.no_grad():
            return model(x)
    return forward


def _forward_theirs(n, torch, layout):
    network, x = _network_theirs(ROBUST, torch, layout).eval(), _nchw(torch, _batch(n)[0], layout)

    def forward():
        with torch.no_grad():
            return network(x)
    return forward


def _network_multiply_adds(widths):
    total, C, size = 0, 3, 32
    for group in widths:
        for K in group:
            total, C = total + 9 * C * K * size * size, K
        size //= 2
    return total


def _import(module):
    """A Python that does nothing but import the module."""
    return lambda: subprocess.run([sys.executable, "-c", f"import {module}"], check=True)


# ---------------------------------------------------------------------------------------------------------------- all

def _bound(ours, theirs, *arguments):
    """The two sides of a work with its sizes filled in."""
    return (lambda: ours(*arguments)), (lambda torch, layout: theirs(*arguments, torch, layout))


def _layers():
    """The convolutions of VGG-19 for a picture of 256 pixels, forward and with respect to their input, and its poolings."""
    for C, K, size in ((3, 64, 256), (64, 64, 256), (64, 128, 128), (128, 128, 128), (128, 256, 64), (256, 256, 64),
                       (256, 512, 32), (512, 512, 32), (512, 512, 16)):
        for gradient in (False, True):
            name = f"conv-{C}-{K}-{size}-{'both' if gradient else 'forward'}"
            work = (1 + gradient) * 9 * C * K * size * size
            yield Work(name, work, *_bound(_conv_ours, _conv_theirs, C, K, size, gradient))
    for C, size in ((64, 256), (128, 128), (256, 64), (512, 32)):
        for kind in ("max", "avg"):
            yield Work(f"{kind}-pool-{C}-{size}", 0, *_bound(_pool_ours, _pool_theirs, C, size, kind))


def _steps():
    for size in (256, 512):
        yield Work(f"style-step-{size}", _style_multiply_adds(size), *_bound(_style_ours, _style_theirs, size))
    per_picture = {"train-step": (ROBUST, 3, False), "train-step-vgg11": (VGG11_SMALL, 3, False),
                   "adversarial-step": (ROBUST, 5, True)}
    for name, (widths, passes, adversarial) in per_picture.items():
        work = passes * BATCH * _network_multiply_adds(widths)
        yield Work(name, work, *_bound(_train_ours, _train_theirs, widths, adversarial))
    for n in (1, 256):
        yield Work(f"forward-{n}", n * _network_multiply_adds(ROBUST), *_bound(_forward_ours, _forward_theirs, n))
    yield Work("import", 0, lambda: _import("minicnn"), lambda torch, layout: _import("torch"))


LAYERS = {work.name: work for work in _layers()}
STEPS = {work.name: work for work in _steps()}
WORKS = {**STEPS, **LAYERS}
