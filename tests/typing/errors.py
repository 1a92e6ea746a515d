"""Mistakes that a type checker must find: each line that is marked is one, and a mark too many is an error as well.

`mypy` reads this file in the gate; it is never run.
"""
import numpy as np
import numpy.typing as npt

import minicnn as mc

x = mc.tensor(np.ones((1, 8, 8, 3)))
weight = mc.tensor(np.ones((3, 3, 3, 4)))
model = mc.models.load("robust")
data = mc.data.load("shapes")

# tensors and operations
x + "1"                                                          # type: ignore[operator]
[1., 2.] * x                                                     # type: ignore[operator]
x.sum(axes=0)                                                    # type: ignore[call-arg]
x.softmax_of_mine()                                              # type: ignore[attr-defined]
x.to("gpu")                                                      # type: ignore[arg-type]
x.shape = (3, 8)                                                 # type: ignore[misc]
mc.relu("x")                                                     # type: ignore[arg-type]
mc.concatenate(x, x)                                             # type: ignore[arg-type]
mc.conv2d(x, weight, strides=2)                                  # type: ignore[call-arg]
mc.conv2d(x, weight, padding_mode="zero")                        # type: ignore[arg-type]
mc.upsample(x, 2, mode="bicubic")                                # type: ignore[arg-type]
mc.softplus_of_mine(x)                                           # type: ignore[attr-defined]

# layers
mc.Conv2d(3, 8)                                                  # type: ignore[call-arg]
mc.Dense(3, "10")                                                # type: ignore[arg-type]
mc.GELU("tanh")                                                  # type: ignore[call-arg]
mc.Sequential([mc.ReLU()])                                       # type: ignore[arg-type]
mc.Sequential(mc.ReLU(), mc.relu)                                # type: ignore[arg-type]
model("cat.png")                                                 # type: ignore[arg-type]
model.parameters().step()                                        # type: ignore[attr-defined]


class Nothing(mc.Module):
    def forward(self, x: mc.Tensor) -> str:                      # type: ignore[override]
        return "no tensor"


# optimizers, training, pictures
mc.SGD(model.parameters())                                       # type: ignore[call-arg]
mc.SGD(model, lr=.1)                                             # type: ignore[arg-type]
mc.SGD(x, lr=".1")                                               # type: ignore[arg-type]
mc.TrainingSettings(epoch=3)                                     # type: ignore[call-arg]
mc.TrainingSettings().epochs = 3                                 # type: ignore[misc]
mc.Training(model, data)                                         # type: ignore[call-arg]
mc.Training(model, data.images, mc.TrainingSettings())           # type: ignore[arg-type]
mc.generate.invert(model, "cat", counts=8)                       # type: ignore[call-arg]
mc.generate.invert(model, "cat", recipe=mc.TrainingSettings())   # type: ignore[arg-type]
mc.generate.invert("robust", "cat")                              # type: ignore[arg-type]
mc.generate.recipe_for(model, "best")                            # type: ignore[arg-type]
mc.data.load("cifar10", "validation")                            # type: ignore[arg-type]
mc.write_image("cat.png", x.numpy())                             # type: ignore[arg-type]
mc.save(model, "a.safetensors", dtype="half")                    # type: ignore[arg-type]


@mc.differentiable
def swish(x: npt.NDArray[np.float64], beta: float = 1.):         # type: ignore[no-untyped-def]
    return x, (lambda dy: dy,)


swish(np.ones(3), gamma=2.)                                      # type: ignore[call-arg]
swish(np.ones(3), beta="2")                                      # type: ignore[arg-type]
