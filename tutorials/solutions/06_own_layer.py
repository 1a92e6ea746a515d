"""Solutions to the exercises of lesson 06, "A layer of your own".      python tutorials/solutions/06_own_layer.py"""
import numpy as np

import minicnn as mc

rng = np.random.default_rng(0)


def complaint(function, *inputs):
    """What gradcheck has to say; nothing if all is well."""
    try:
        mc.gradcheck(function, *inputs)
        return ""
    except mc.GradientError as error:
        return str(error)


# ---- 1. Softplus -----------------------------------------------------------------------------------------------------

@mc.differentiable
def softplus(x):
    """log(1 + exp(x)), whose slope is the sigmoid.

    For positive x, log(1 + exp(x)) = x + log(1 + exp(-x)): so the exponent is never positive.  And the sigmoid is
    exp(x) / (1 + exp(x)) = exp(x - y), where x - y is never positive either.
    """
    y = np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))
    return y, (lambda dy: dy * np.exp(x - y),)


assert complaint(softplus, 3 * rng.normal(size=(3, 4))) == ""
far = mc.tensor([-1000., 0., 1000.], requires_grad=True)
with np.errstate(over="raise", invalid="raise", divide="raise"):
    y = softplus(far)
    y.sum().backward()
assert y.dtype == np.float32 and y.data.tolist() == [0, np.float32(np.log(2)), 1000]
assert far.grad.tolist() == [0, .5, 1]


# ---- 2. A slope for each channel -------------------------------------------------------------------------------------

@mc.differentiable
def prelu(x, slope):
    """x where it is positive, else slope * x:   x (..., C), slope (C,)"""
    positive = x > 0

    def grad_x(dy):
        return np.where(positive, dy, dy * slope)

    def grad_slope(dy):
        return np.where(positive, 0, dy * x).reshape(-1, len(slope)).sum(axis=0)        # over all axes but the last
    return np.where(positive, x, slope * x), (grad_x, grad_slope)


class PReLU(mc.Module):
    """prelu with its slopes, which begin as .25."""

    def __init__(self, channels):
        super().__init__()
        self.slope = mc.tensor(np.full(channels, .25, np.float32), requires_grad=True)

    def forward(self, x):
        return prelu(x, self.slope)


# At 0 the slopes left and right differ, and there is nothing to compare with.  A few such elements are left out and
# counted; if there are many, the checker refuses.  Samples should stay away from 0.
slope = rng.normal(size=3)
assert "hit a kink at 12 of 12 elements of x" in complaint(prelu, np.zeros((4, 3)), slope)
for shape in ((4, 3), (2, 4, 5, 3)):
    away_from_zero = rng.uniform(.5, 2, shape) * rng.choice([-1, 1], shape)
    assert complaint(prelu, away_from_zero, slope) == ""

model = mc.Sequential(mc.Dense(5, 3, rng=0), PReLU(3), mc.Dense(3, 2, rng=1))
y = model(rng.normal(size=(6, 5)).astype(np.float32))
y.sum().backward()
assert y.dtype == model[1].slope.grad.dtype == np.float32 and model[1].slope.grad.all()


# ---- 3. A gate -------------------------------------------------------------------------------------------------------

def make_gate(sum_of):
    """x (N, H, W, C) * gate (N, C); sum_of(dy * x) is the gradient of the gate."""
    @mc.differentiable
    def gated(x, gate):
        wide = gate[:, None, None, :]                                                   # (N, 1, 1, C)
        return x * wide, (lambda dy: dy * wide, lambda dy: sum_of(dy * x))
    return gated


# Each number of the gate is used for all rows and columns of its picture: the sum is over axes 1 and 2.
x, gate = rng.normal(size=(2, 3, 5, 4)), rng.normal(size=(2, 4))
assert complaint(make_gate(lambda product: product.sum(axis=(1, 2))), x, gate) == ""
wrong = complaint(make_gate(lambda product: product[:, 0].sum(axis=1)), x, gate)
print(wrong)
assert "missing sum over a broadcast axis: this is what element 0 of the output's axis 1 gives alone" in wrong


# ---- 4. A bug to plant -----------------------------------------------------------------------------------------------

def make_norm(mean=1, stretch=1, forward_axes=(1, 2), rule_axes=(1, 2)):
    """The instance normalisation of the lesson; mean=0 and stretch=0 leave out a term of its rule."""
    @mc.differentiable
    def norm(x, scale, shift):
        def average(a, axes):
            return a.mean(axis=axes, keepdims=True)
        centred = x - average(x, forward_axes)
        inverse = 1 / np.sqrt(average(centred * centred, forward_axes) + 1e-5)
        x_hat = centred * inverse

        def grad_x(dy):
            g = dy * scale
            return (g - mean * average(g, rule_axes) - stretch * x_hat * average(g * x_hat, rule_axes)) * inverse

        def grad_scale(dy):
            return (dy * x_hat).sum(axis=(0, 1, 2))

        def grad_shift(dy):
            return dy.sum(axis=(0, 1, 2))
        return x_hat * scale + shift, (grad_x, grad_scale, grad_shift)
    return norm


everything = (0, 1, 2)
BUGS = {"none": make_norm(), "a": make_norm(mean=0), "b": make_norm(stretch=0), "c": make_norm(rule_axes=everything),
        "d": make_norm(forward_axes=everything, rule_axes=everything)}
scale, shift = rng.normal(size=4), rng.normal(size=4)
screams = {(name, pictures): complaint(norm, rng.normal(size=(pictures, 3, 5, 4)), scale, shift) != ""
           for name, norm in BUGS.items() for pictures in (2, 1)}
for name in BUGS:
    print(f"{name:5} two pictures: {screams[name, 2]!s:5}   one picture: {screams[name, 1]}")

# none  two pictures: False   one picture: False
# a     two pictures: True    one picture: True
# b     two pictures: True    one picture: True
# c     two pictures: True    one picture: False          one picture has nobody to be mixed up with
# d     two pictures: False   one picture: False          this is no bug: it is batch normalisation
assert np.allclose(BUGS["d"](x, scale, shift), mc.batch_norm(x, scale, shift))
assert [screams[name, 2] for name in "abcd"] == [True, True, True, False]
assert [screams[name, 1] for name in "abcd"] == [True, True, False, False]
