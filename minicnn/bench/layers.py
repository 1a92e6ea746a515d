"""Single layers: the convolutions of VGG-19 for a picture of 256 pixels, forward and input gradient, and its poolings.

Both sides are timed as bare operations, without recording or walking a graph: here a gradient rule, there the operator
that PyTorch's own autograd would call.
"""
import minicnn as mc

from .sides import placed, random

CONVOLUTIONS = ((3, 64, 256), (64, 64, 256), (64, 128, 128), (128, 128, 128), (128, 256, 64), (256, 256, 64),
                (256, 512, 32), (512, 512, 32), (512, 512, 16))                 # channels in, channels out, pixels a side
POOLINGS = ((64, 256), (128, 128), (256, 64), (512, 32))                        # channels, pixels a side


def conv_ours(C, K, size, gradient):
    """conv2d 3x3 with padding 1, or its gradient with respect to its input."""
    x, weight, dy = map(placed, (random(1, size, size, C), random(3, 3, C, K), random(1, size, size, K)))
    if not gradient:
        return lambda: mc.conv2d(x, weight, padding=1).data
    grad_x = mc.conv2d(mc.tensor(x, requires_grad=True), weight, padding=1).node.rules[0]
    return lambda: grad_x(dy)


def conv_theirs(C, K, size, gradient, side):
    """The same in PyTorch."""
    x, weight, dy = side.images(random(1, size, size, C)), side.filters(random(3, 3, C, K)), random(1, size, size, K)
    if not gradient:
        return lambda: side.functional.conv2d(x, weight, padding=1)
    dy, backward = side.images(dy), side.torch.ops.aten.convolution_backward
    options = dict(bias_sizes=None, stride=(1, 1), padding=(1, 1), dilation=(1, 1), transposed=False,
                   output_padding=(0, 0), groups=1, output_mask=(True, False, False))
    return lambda: backward(dy, x, weight, **options)[0]


def pool_ours(C, size, kind):
    """2x2 pooling and its gradient, one after the other."""
    x = mc.tensor(placed(random(1, size, size, C)), requires_grad=True)
    dy = placed(random(1, size // 2, size // 2, C))
    pool = mc.max_pool2d if kind == "max" else mc.avg_pool2d

    def both():
        y = pool(x, 2)
        return y.data, y.node.rules[0](dy)
    return both


def pool_theirs(C, size, kind, side):
    """The same in PyTorch."""
    x, dy = side.images(random(1, size, size, C)), side.images(random(1, size // 2, size // 2, C))
    aten = side.torch.ops.aten

    def both_max(x, dy):
        y, where = aten.max_pool2d_with_indices(x, (2, 2), (2, 2))
        return y, aten.max_pool2d_with_indices_backward(dy, x, (2, 2), (2, 2), (0, 0), (1, 1), False, where)

    def both_avg(x, dy):
        return aten.avg_pool2d(x, (2, 2)), aten.avg_pool2d_backward(dy, x, (2, 2), (2, 2), (0, 0), False, True, None)
    both = side.ready(both_max if kind == "max" else both_avg)
    return lambda: both(x, dy)
