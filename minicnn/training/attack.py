"""Pictures changed by a little, so that a network errs: how its robustness is trained and measured.

An attack is gradient ascent on the loss with respect to the *pixels*, kept inside a ball around the picture.  The same few
lines, run downhill on the loss of a wanted class and with a larger ball, are how a network draws (see `generate`).
"""
import numpy as np

from ..core.backend import array_library
from ..core.tensor import tensor
from ..layers.loss import cross_entropy


def l2_attack(model, x, labels, epsilon=.5, step=.1, steps=10, rng=None):
    """Projected gradient ascent on the cross-entropy within an L2 ball (Madry et al. 2018, normalised gradient steps).

    x (N, H, W, C) in 0..1, labels (N,)  ->  an array like x, in 0..1, at most `epsilon` away from each picture.
    epsilon, step  in the units of the L2 norm of a whole picture with values 0..1
    rng            a Generator for a random start inside the ball; None starts at the picture itself
    The network is used in evaluation mode and its weights get no gradients.
    """
    start = x + _random_in_ball(x, epsilon, rng) if rng is not None else x
    return _ascend(model, start, labels, steps, change=lambda gradient: step * unit(gradient),
                   project=lambda pictures: _project(pictures, x, epsilon))


def linf_attack(model, x, labels, epsilon=8 / 255, step=2 / 255, steps=10, rng=None):
    """The same within an L-infinity ball: no value moves by more than `epsilon` (Madry et al. 2018, section 2.1).

    Each step goes along the sign of the gradient, the steepest direction where every pixel may move equally far.
    epsilon, step  in the units of the values, 0..1: 8 / 255 is eight of the 256 levels of a picture in bytes
    Everything else is as in `l2_attack`.
    """
    xp, (low, high) = array_library(x), _bounds(x, epsilon)
    start = x + _random_in_cube(x, epsilon, rng) if rng is not None else x
    return _ascend(model, start, labels, steps, change=lambda gradient: step * xp.sign(gradient),
                   project=lambda pictures: xp.clip(pictures, low, high))


def _ascend(model, start, labels, steps, change, project):
    """Gradient ascent on the cross-entropy.   change: gradient -> what is added;  project: pictures -> allowed ones"""
    attacked = project(start)
    with model.frozen(keep_filters=steps > 1):
        for _ in range(steps):
            gradient = input_gradient(model, attacked, labels)
            attacked = project(attacked + change(gradient))
    return attacked


def input_gradient(model, x, labels):
    """The gradient of the mean cross-entropy with respect to the pictures: an array like x."""
    pixels = tensor(x, requires_grad=True)
    cross_entropy(model(pixels), labels).backward()
    return pixels.grad


def unit(x):
    """Each picture of a batch scaled to L2 norm 1 (zero stays zero)."""
    return x / (_norms(x) + 1e-12)


def project_to_ball(x, centre, radius):
    """Each picture of x moved to the nearest one at most `radius` (L2) away from that of `centre`."""
    difference = x - centre
    return centre + difference * array_library(x).minimum(1, radius / (_norms(difference) + 1e-12))


def _project(x, centre, epsilon):
    return array_library(x).clip(project_to_ball(x, centre, epsilon), 0, 1)


def _norms(x):
    return array_library(x).sqrt((x * x).sum(axis=(1, 2, 3), keepdims=True))


def _random_in_ball(x, radius, rng):
    """Uniform in the ball: a random direction, and a length whose d-th power is uniform."""
    xp, d = array_library(x), x[0].size
    direction = rng.standard_normal(x.shape, dtype=np.float32)
    length = radius * rng.random((len(x), 1, 1, 1)) ** (1 / d)
    return unit(xp.asarray(direction)) * xp.asarray(length.astype(np.float32))


def _bounds(x, epsilon):
    """The least and the greatest value each pixel may take: at most `epsilon` from that of x, and in 0..1.

    x + epsilon may be rounded up, out of the ball, by half the distance to the next float: hence one float back.
    """
    xp = array_library(x)
    low, high = xp.nextafter(x - epsilon, x), xp.nextafter(x + epsilon, x)
    return xp.maximum(low, 0), xp.minimum(high, 1)


def _random_in_cube(x, radius, rng):
    """Uniform in the L-infinity ball: every value on its own."""
    return array_library(x).asarray(rng.uniform(-radius, radius, x.shape).astype(np.float32))
