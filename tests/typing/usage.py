"""Programs as one writes them with minicnn: a type checker must find nothing wrong with them.

They are checked, not run: `mypy` reads this file in the gate.  What it must find wrong is in errors.py.
"""
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import minicnn as mc


# ---- tensors ---------------------------------------------------------------------------------------------------------

def tensors() -> float:
    x = mc.tensor([[1., 2.], [3., 4.]], requires_grad=True)
    y = 2 * x ** 2 - x / 3 + np.ones((2, 2), np.float32) * x + 1
    z = (y @ x.T).exp().sum(axis=(0, 1), keepdims=True).reshape(1).reshape((1, -1)).transpose(1, 0)
    picked: mc.Tensor = z[..., 0] + mc.concatenate([x, y])[0, :1].clip(low=0) + mc.maximum(x, 0).max()
    larger: npt.NDArray[np.bool_] = x > y
    mc.where(larger, x, -y).abs().mean().backward()
    with mc.no_grad(), mc.check_finite():
        assert x.grad is not None and x.grad.shape == x.shape
    rows: Iterator[mc.Tensor] = iter(x)
    named = {x: "a tensor is a key by what it is"}
    return float(picked) + float(next(rows).sum()) + len(named) + len(x.numpy())


@mc.no_grad()
def untouched(x: mc.Tensor) -> npt.NDArray[Any]:
    return mc.softmax(x.detach()).to("cpu").numpy()


# ---- an operation and a layer of one's own ---------------------------------------------------------------------------

@mc.differentiable
def swish(x: Any, beta: float = 1.) -> tuple[Any, tuple[Callable[[Any], Any]]]:
    slope = 1 / (1 + np.exp(-beta * x))
    return x * slope, (lambda dy: dy * slope * (1 + beta * x * (1 - slope)),)


class Block(mc.Module):
    """A residual block."""

    def __init__(self, channels: int, rng: np.random.Generator | int | None = None) -> None:
        super().__init__()
        self.branch = mc.Sequential(mc.Conv2d(channels, channels, 3, padding=1, bias=False, rng=rng),
                                    mc.BatchNorm2d(channels), mc.LeakyReLU(slope=.1), mc.Dropout2d(.1, seed=0))
        self.scale = mc.tensor(1., requires_grad=True)

    def forward(self, x: mc.Tensor) -> mc.Tensor:
        return swish(x + self.scale * self.branch(x), beta=2.)


class Fourier(mc.Optimizer):
    """An optimizer of one's own."""

    def update(self, i: int, weight: npt.NDArray[Any], gradient: npt.NDArray[Any]) -> None:
        weight -= self.lr * gradient


def network() -> mc.Sequential:
    net = mc.Sequential(Block(3), mc.MaxPool2d(2), mc.GlobalAvgPool2d(), mc.Dense(3, 10), mc.GELU(approximate="tanh"))
    first, rest = net[0], net[1:]
    print(len(rest), first, [name for name, _ in net.named_parameters()])
    print(mc.gradcheck(swish, np.ones(3)).error, mc.summary(net, (32, 32, 3)).parameters)
    return net.to("cpu").train()


# ---- learning --------------------------------------------------------------------------------------------------------

def learn(net: mc.Module, batches: mc.data.Batches) -> None:
    optimizer: mc.Optimizer = mc.AdamW(net.parameters(), lr=1e-3, betas=(.9, .99))
    schedule = mc.OneCycle(peak=.1, steps=100, warmup=.2)
    for step, (x, labels) in enumerate(batches.epoch(0)):
        loss = mc.cross_entropy(net(x), labels, label_smoothing=.1) + mc.CrossEntropyLoss()(net(mc.tensor(x)), labels)
        optimizer.zero_grad()
        loss.backward()
        mc.clip_grad_norm(net.parameters(), 1.)
        optimizer.lr = schedule(step)
        optimizer.step()


def by_lbfgs(picture: mc.Tensor) -> float:
    optimizer = mc.LBFGS([picture], line_search=None)

    def closure() -> mc.Tensor:
        loss = mc.generate.total_variation(picture)
        loss.backward()
        return loss
    optimizer.step(closure)
    mc.SGD([picture], .1, momentum=.9).step()
    Fourier([picture], lr=.1).step()
    return optimizer.lr


def train() -> mc.models.Classifier:
    data = mc.data.load("shapes", "train", limit=200, size=16)
    settings = dataclasses.replace(mc.TrainingSettings(epochs=1, batch=50), seed=3)
    model = mc.models.build("small", data.class_names, rng=0, size=16)
    training = mc.Training(model, data, settings, path=Path("net.ckpt"))
    history = training.run(test=data, quiet=True, callback=lambda run: print(run.epoch))
    print(history[-1]["loss"], mc.accuracy(model, data, attack=mc.l2_attack), mc.data.class_balance(data))
    evaluated = mc.evaluation.evaluate(model, data)
    print(mc.evaluation.figures(evaluated.probabilities, data.labels)["accuracy"], mc.predict(model, evaluated.images))
    learn(model, mc.data.Batches(data, 50, augment=mc.data.augment.parse("crop,flip")))
    mc.save(model, "net.safetensors", dtype="float16")
    return model


# ---- pictures --------------------------------------------------------------------------------------------------------

def pictures() -> None:
    model = mc.models.load("robust")
    photograph = mc.square(mc.read_image("photo.jpg", size=(64, 64)))
    recipe = mc.generate.InversionRecipe(steps=10, smoothness=.5)
    frames: list[npt.NDArray[np.float32]] = []
    cats = mc.generate.invert(model, "cat", count=4, seed=1, recipe=recipe, start=photograph, size=(64, 48),
                              callback=lambda step, seen: frames.append(seen[0]))
    unit = mc.generate.excite(model, "features.3", 7, start="noise")
    mc.write_image(mc.contact_sheet([*cats, *unit], captions=None, scale=2), Path("cats.png"), {"seed": 1})
    mc.write_animation(frames, "cats.gif")
    style = mc.generate.recipe_for(model, "fast", steps=5)
    mc.generate.stylize(photograph, cats[0], model, style, callback=lambda transfer: print(transfer.progress()))
    several = [mc.generate.Style(cats[0]), mc.generate.Style(cats[1], weight=2.)]
    picture = mc.generate.Transfer(photograph, several, model, style, size=96).run()
    with model.frozen() as frozen:
        frozen(picture[None])
    seen = mc.generate.FeatureMaps(model, ["features.3"])(picture[None])["features.3"]
    print(seen.shape, mc.classify(model, photograph, crops=10), mc.init.kaiming((3, 3, 3, 8), rng=0).dtype)
