"""Losses: one number that says how far off an output is.  All are means over the batch, as in PyTorch."""
from ..core.backend import array_library
from ..core.kernels import Kernels, in_c_order, runs_kernels
from ..core.tensor import differentiable, recording
from .activation import log_probabilities
from .module import Module

kernels = Kernels(__file__, "loss.cu")


@differentiable
def cross_entropy(logits, labels, label_smoothing=0.0):
    """Mean over the batch of  - sum over classes of target * log(softmax(logits)).

    logits (N, classes), unnormalised;  labels (N,) whole numbers in 0..classes-1, or (N, classes) probabilities.
    label_smoothing e in [0, 1): targets become (1 - e) * target + e / classes (Szegedy et al. 2016, section 7).
    Raises ValueError for labels of another shape or out of range.
    """
    label_smoothing = float(label_smoothing)                     # a NumPy float64 would turn float32 into float64
    labels = _checked_labels(logits, labels, label_smoothing)
    if runs_kernels(logits):
        return _by_kernel(logits, labels, label_smoothing)
    targets = _targets(logits, labels, label_smoothing)          # (N, classes)
    log_p = log_probabilities(logits)
    N = len(logits)
    loss = -(targets * log_p).sum() / N

    def grad_logits(dy):
        p = array_library(log_p).exp(log_p)
        return (p * targets.sum(axis=-1, keepdims=True) - targets) * (dy / N)

    def grad_labels(dy):                                         # only probabilities can want one
        return -log_p * (dy * ((1 - label_smoothing) / N))
    return loss, (grad_logits, grad_labels)


def _by_kernel(logits, labels, smoothing):
    """The same by loss.cu, whose kernel makes the gradient of the logits along with the loss."""
    xp, (N, classes) = array_library(logits), logits.shape
    losses, gradient = xp.empty(N, logits.dtype), xp.empty(logits.shape, logits.dtype) if recording() else None
    is_class = labels.ndim == 1
    numbers, shares = (in_c_order(labels.astype("int32", copy=False)), None) if is_class else \
        (None, in_c_order(labels.astype(logits.dtype, copy=False)))
    kernels.launch("cross_entropy", 32 * N, in_c_order(logits), numbers, shares, losses, gradient, N, classes, smoothing)

    def grad_labels(dy):
        return -log_probabilities(logits) * (dy * ((1 - smoothing) / N))
    return losses.sum() / N, (lambda dy: gradient * (dy / N), grad_labels)


def _checked_labels(logits, labels, smoothing):
    """The labels where the logits are.  Raises ValueError for wrong shapes, types, classes out of range, or smoothing."""
    labels = array_library(logits).asarray(labels)
    if logits.ndim != 2 or labels.shape not in (logits.shape, logits.shape[:1]):
        raise ValueError("cross_entropy: logits are (N, classes), labels (N,) or (N, classes), not "
                         f"{logits.shape} and {labels.shape}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1), not {smoothing}")
    if labels.ndim == 1:
        check_classes(labels, logits.shape[1])
    return labels


def _targets(logits, labels, smoothing):
    """Labels as probabilities (N, classes), smoothed."""
    classes = logits.shape[1]
    if labels.ndim == 1:
        labels = one_hot(labels, classes, logits.dtype)
    targets = labels.astype(logits.dtype, copy=False)
    return targets * (1 - smoothing) + smoothing / classes if smoothing else targets


def check_classes(labels, classes):
    """Raises ValueError unless all labels are whole numbers in 0..classes-1."""
    if labels.dtype.kind not in "iu":
        raise ValueError(f"class labels must be whole numbers, not {labels.dtype}")
    if len(labels) and not (0 <= int(labels.min()) and int(labels.max()) < classes):
        raise ValueError(f"class labels must be in 0..{classes - 1}, these reach from {labels.min()} to {labels.max()}")


def one_hot(labels, classes, dtype):
    """(N,) whole numbers  ->  (N, classes) with a single 1 a row.  Raises ValueError for a label out of range."""
    check_classes(labels, classes)
    return (labels[:, None] == array_library(labels).arange(classes)).astype(dtype)


@differentiable
def mse_loss(x, target):
    """Mean of (x - target)^2 over all elements; x and target of one shape, or target a number."""
    difference = x - _same_shape(x, target, "mse_loss")

    def grad_x(dy):
        return difference * (dy * (2 / x.size))
    return (difference * difference).mean(), (grad_x, lambda dy: -grad_x(dy))


@differentiable
def l1_loss(x, target):
    """Mean of |x - target| over all elements; x and target of one shape, or target a number.  The gradient at 0 is 0."""
    difference, xp = x - _same_shape(x, target, "l1_loss"), array_library(x)

    def grad_x(dy):
        return xp.sign(difference) * (dy / x.size)
    return xp.abs(difference).mean(), (grad_x, lambda dy: -grad_x(dy))


def _same_shape(x, target, name):
    """No silent broadcasting: (N, 1) against (N,) would compare everything with everything."""
    if getattr(target, "shape", ()) == ():
        return float(target)                                     # a NumPy float64 would turn float32 into float64
    if target.shape != x.shape:
        raise ValueError(f"{name}: x {x.shape} and target {target.shape} must have one shape")
    return target


class CrossEntropyLoss(Module):
    """cross_entropy as a Module:  loss(logits, labels)."""

    def __init__(self, label_smoothing=0.0):
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits, labels):
        return cross_entropy(logits, labels, self.label_smoothing)


class MSELoss(Module):
    """mse_loss as a Module:  loss(x, target)."""

    def forward(self, x, target):
        return mse_loss(x, target)


class L1Loss(Module):
    """l1_loss as a Module:  loss(x, target)."""

    def forward(self, x, target):
        return l1_loss(x, target)
