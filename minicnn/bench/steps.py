"""Whole steps: style transfer, training, adversarial training, recognition, and importing the library.

Both sides of a step start from the same weights and data, so that they compute the same numbers.
"""
import subprocess
import sys

import numpy as np

import minicnn as mc

from ..inside.feature_maps import FeatureMaps
from .sides import placed, random

# VGG-19 up to its conv5_1 (Simonyan and Zisserman 2014, configuration E); "M" is a 2x2 maximum pooling
VGG19 = (64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512)
STYLE, CONTENT = (0, 2, 4, 8, 12), 9             # relu1_1 relu2_1 relu3_1 relu4_1 relu5_1, and relu4_2: which convolution
VGG11_SMALL = ((64,), (128,), (256, 256), (512, 512), (512, 512))        # VGG configuration A for pictures of 32x32
ROBUST = ((24, 32), (64, 64), (128, 128), (192,))                       # a robust network of half a million weights
BATCH, MEAN, STD = 128, .47, .25


# ---------------------------------------------------------------------------------------------------------- style step

def style_ours(size):
    """Style transfer (Gatys et al. 2015): the loss of a picture and its gradient with respect to the pixels."""
    network, relus = _vgg_ours()
    maps = FeatureMaps(placed(network), [relus[i] for i in (*STYLE, CONTENT)])
    picture = mc.tensor(placed(random(1, size, size, 3)), requires_grad=True)

    def features(x):
        taken = maps(x)
        return [mc.gram(taken[relus[i]]) for i in STYLE] + [taken[relus[CONTENT]]]

    with mc.no_grad():
        targets = [f.data for f in features(mc.tensor(placed(random(1, size, size, 3, seed=1))))]

    def step():
        picture.zero_grad()
        losses = [mc.mse_loss(f, t) for f, t in zip(features(picture), targets)]
        mc.stack(losses).sum().backward()
        return picture.grad
    return step


def _vgg_ours():
    """(the network, the name of the ReLU behind each of its convolutions)"""
    layers, relus, C = [], [], 3
    for layer in VGG19:
        if layer == "M":
            layers.append(mc.MaxPool2d(2))
            continue
        with mc.init.skipped():
            layers += [mc.Conv2d(C, layer, 3, padding=1), mc.ReLU()]
        relus.append(str(len(layers) - 1))
        C = layer
    convolutions = [layer for layer in layers if isinstance(layer, mc.Conv2d)]
    for layer, (weight, bias) in zip(convolutions, _vgg_weights()):
        layer.weight.data, layer.bias.data = weight, bias
    return mc.Sequential(*layers), relus


def _vgg_weights():
    """(weight (3, 3, C, K), bias) for each convolution, after He et al. 2015, so that activations keep their size."""
    weights, C = [], 3
    for i, K in enumerate(k for k in VGG19 if k != "M"):
        weights.append((mc.init.kaiming((3, 3, C, K), i), np.zeros(K, np.float32)))
        C = K
    return weights


def style_theirs(size, side):
    """The same in PyTorch."""
    F, torch = side.functional, side.torch
    weights = [(side.filters(w), side.array(b)) for w, b in _vgg_weights()]
    picture = side.images(random(1, size, size, 3)).requires_grad_()

    def features(x):
        taken, layers = [], iter(weights)
        for layer in VGG19:
            if layer == "M":
                x = F.max_pool2d(x, 2)
                continue
            x = F.relu(F.conv2d(x, *next(layers), padding=1))
            taken.append(x)
        return [_gram_theirs(taken[i]) for i in STYLE] + [taken[CONTENT]]

    with torch.no_grad():
        targets = features(side.images(random(1, size, size, 3, seed=1)))
    loss = side.ready(lambda x: sum(F.mse_loss(f, t) for f, t in zip(features(x), targets)))

    def step():
        picture.grad = None
        loss(picture).backward()
        return picture.grad
    return step


def _gram_theirs(x):
    flat = x.flatten(2)[0]                                       # (C, H*W)
    return flat @ flat.T / flat.shape[1]


def style_multiply_adds(size):
    """Of its convolutions, forward and input gradient."""
    total, C = 0, 3
    for layer in VGG19:
        if layer == "M":
            size //= 2
        else:
            total, C = total + 9 * C * layer * size * size, layer
    return 2 * total


# ------------------------------------------------------------------------------------------------------ training steps

def train_ours(widths, adversarial):
    """One step of training on a batch: its loss.  With adversarial, on the pictures of an attack in one step."""
    model, (x, labels) = placed(_network_ours(widths)), map(placed, _batch())
    optimizer = mc.SGD(model.parameters(), .1, momentum=.9, nesterov=True, weight_decay=5e-4)

    def step():
        seen = mc.l2_attack(model, x, labels, .5, .6, 1) if adversarial else x
        optimizer.zero_grad()
        loss = mc.cross_entropy(model(seen), labels)
        loss.backward()
        optimizer.step()
        return loss.item()
    return step


def train_theirs(widths, adversarial, side):
    """The same in PyTorch."""
    torch, (body, network), (x, labels) = side.torch, _network_theirs(widths, side), _batch()
    x, labels, cross_entropy = side.images(x), side.array(labels), side.functional.cross_entropy
    optimizer = torch.optim.SGD(body.parameters(), .1, momentum=.9, nesterov=True, weight_decay=5e-4)

    def attack():
        body.eval().requires_grad_(False)
        pixels = x.clone().requires_grad_()
        gradient, = torch.autograd.grad(cross_entropy(network(pixels), labels), pixels)
        body.train().requires_grad_(True)
        change = .6 * gradient / _norms(gradient)
        return (x + change * (.5 / _norms(change)).clamp(max=1)).clamp(0, 1)

    def step():
        seen = attack() if adversarial else x
        optimizer.zero_grad()
        loss = cross_entropy(network(seen), labels)
        loss.backward()
        optimizer.step()
        return loss.item()
    return step


def _norms(x):
    return x.flatten(1).norm(dim=1)[:, None, None, None] + 1e-12


def forward_ours(n):
    """What the network thinks of n pictures."""
    model, x = placed(_network_ours(ROBUST)).eval(), placed(_batch(n)[0])

    def forward():
        with mc.no_grad():
            return model(x)
    return forward


def forward_theirs(n, side):
    """The same in PyTorch."""
    (body, network), x = _network_theirs(ROBUST, side), side.images(_batch(n)[0])
    body.eval()

    def forward():
        with side.torch.no_grad():
            return network(x)
    return forward


def _network_ours(widths):
    return mc.models.build("small", [str(k) for k in range(10)], rng=0, widths=widths)


def _network_theirs(widths, side):
    """(the layers, the function that standardises pictures and runs them), with the weights of ours."""
    nn, layers, C = side.torch.nn, [], 3
    for group in widths:
        for K in group:
            layers += [nn.Conv2d(C, K, 3, padding=1, bias=False), nn.BatchNorm2d(K), nn.ReLU()]
            C = K
        layers.append(nn.MaxPool2d(2))
    body = nn.Sequential(*layers[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(C, 10))
    for theirs, ours in zip(body.parameters(), _network_ours(widths).parameters()):
        theirs.data = side.filters(ours.data) if ours.ndim == 4 else side.array(ours.data.T.copy())
    return body.to(side.device), side.ready(lambda x: body((x - MEAN) * (1 / STD)))


def _batch(n=BATCH):
    rng = np.random.default_rng(0)
    return rng.random((n, 32, 32, 3), dtype=np.float32), rng.integers(0, 10, n)


def network_multiply_adds(widths, passes):
    """Of its convolutions for one picture; `passes`: forward, input gradient and weight gradient count one each.

    Training needs no input gradient of the first layer.
    """
    total, C, size = 0, 3, 32
    for group in widths:
        for K in group:
            needed = passes - (C == 3 and passes >= 3)
            total, C = total + needed * 9 * C * K * size * size, K
        size //= 2
    return total


# -------------------------------------------------------------------------------------------------------------- import

def importing(module):
    """A Python that does nothing but import the module."""
    return lambda: subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
