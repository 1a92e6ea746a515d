"""Two-dimensional convolution, its gradient, its transpose and their Modules.

`conv2d` checks and pads, an algorithm computes.  Each algorithm is a file with the same functions: forward, input_gradient,
weight_gradient, and suits, whether it can do it.  `choice` has them all in a table; `naive` is the definition.
"""
import copy
from dataclasses import replace

from ...core.arithmetic import pad_array, pad_gradient
from ...core.tensor import Tensor, differentiable, once
from .. import init
from ..module import Module
from .choice import choose, exact
from .epilogue import check_activation, finish, sum_over_pixels, through_relu
from .filters import frozen_filters, is_frozen
from .geometry import Geometry, check_conv, check_transpose, pair

PADDING_MODES = ("zeros", "reflect", "replicate")


@differentiable
def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros", algorithm="auto",
           activation=None):
    """Convolution of images with filters (correlation, as everywhere in this field).

    x (N, H, W, C)   weight (kh, kw, C/groups, K)   bias (K,)   ->   y (N, OH, OW, K)
    OH = floor((H + 2*padding - dilation*(kh-1) - 1) / stride) + 1, and OW likewise.

    stride, padding, dilation  a whole number, or a pair (rows, columns)
    groups        input and output channels are split into groups that do not see each other (AlexNet 2012)
    padding_mode  "zeros", "reflect" (without the border pixel) or "replicate"
    algorithm     "auto", the quickest that fits, or the name of one: see minicnn/layers/conv/choice.py
    activation    None, or "relu": max(y, 0), quicker than a `relu` of its own and with one array less

    Raises ValueError, naming every size, when the shapes do not fit together, TypeError when x is no floating array or is
    narrower than weight.
    """
    geometry = Geometry.of("conv2d", stride, padding, dilation, groups)
    check_conv(x, weight, bias, geometry)
    check_activation("conv2d", activation)
    widths = ((0, 0), *((p, p) for p in geometry.padding), (0, 0))
    if padding_mode != "zeros":                  # the algorithms pad with zeros themselves; other borders are added here
        x, geometry = pad_array(x, widths, padding_mode), replace(geometry, padding=(0, 0))
    method = choose("conv2d", algorithm, x, weight.shape, geometry)
    x_shape = x.shape                            # all that grad_x knows of x, so that a frozen layer keeps no input
    y = method.forward(x, weight, geometry, bias, activation)
    positive = y if activation else None         # where the ReLU lets gradients through

    def grad_x(dy):
        dx = method.input_gradient(dy, weight, x_shape, geometry, positive)
        return dx if padding_mode == "zeros" else pad_gradient(dx, widths, padding_mode)

    @once
    def before_relu(dy):
        return through_relu(dy, positive) if activation else dy

    def grad_weight(dy):
        return method.weight_gradient(x, before_relu(dy), weight.shape, geometry)

    def grad_bias(dy):
        return sum_over_pixels(before_relu(dy))
    return y, (grad_x, grad_weight, grad_bias)


class Conv2d(Module):
    """conv2d with its weight (kh, kw, in/groups, out) and bias (out,), initialised after He et al. 2015.

    kernel is a whole number or a pair (rows, columns); rng a numpy Generator, a seed or None (see init.py); the rest is as
    in `conv2d`.
    """

    def __init__(self, in_channels, out_channels, kernel, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros", algorithm="auto", activation=None, rng=None):
        super().__init__()
        check_activation("Conv2d", activation)
        _require_divisible("Conv2d", in_channels, out_channels, groups)
        self.options = dict(stride=stride, padding=padding, dilation=dilation, groups=groups,
                            padding_mode=padding_mode, algorithm=algorithm, activation=activation)
        shape = (*pair(kernel, "Conv2d: kernel"), in_channels // groups, out_channels)
        self.weight = Tensor(init.kaiming(shape, rng), requires_grad=True)
        self.bias = Tensor(init.zeros((out_channels,)), requires_grad=True) if bias else None

    def forward(self, x):
        return conv2d(x, self.weight, self.bias, **self.options)

    def twin(self, frozen):
        twin = super().twin(frozen)
        if frozen.keep_filters:
            twin.weight.data = frozen_filters(twin.weight.data)
        return twin

    def join(self, behind):
        """A batch norm behind it goes into the filters, a ReLU into the last step of the algorithm."""
        if self.options["activation"] is not None:
            return None
        if hasattr(behind, "scale_and_offset"):
            return self._scaled(*behind.scale_and_offset())
        return self._with(self.weight, self.bias, activation="relu") if behind.fused_as == "relu" else None

    def _scaled(self, scale, offset):
        """scale (w x + b) + offset  =  (scale w) x + (scale b + offset)       scale and offset (K,)"""
        weight, bias = self.weight.data * scale, offset if self.bias is None else self.bias.data * scale + offset
        return self._with(Tensor(frozen_filters(weight) if is_frozen(self.weight.data) else weight), Tensor(bias))

    def _with(self, weight, bias, **options):
        """The same layer with other numbers and options."""
        other = copy.copy(self)
        other.weight, other.bias, other.options = weight, bias, {**self.options, **options}
        return other

    def multiply_adds(self, x_shape, y_shape):
        """For one image: every output number costs one multiply-add for each weight of its filter."""
        return y_shape[1] * y_shape[2] * self.weight.size

    def window(self):
        """(span, stride) in rows: the input pixels that one output pixel sees, and the step from one to the next."""
        geometry = Geometry.of("Conv2d", *(self.options[name] for name in ("stride", "padding", "dilation", "groups")))
        return geometry.span(self.weight.shape[:2])[0], geometry.stride[0]

    def __repr__(self):
        kh, kw, Cg, K = self.weight.shape
        return f"Conv2d({Cg * self.options['groups']}, {K}, {kh}x{kw})"


@differentiable
def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0, dilation=1, groups=1, algorithm="auto"):
    """Transposed convolution: the input gradient of conv2d as a layer.  Each input pixel paints a filter into the output.

    x (N, H, W, C)   weight (kh, kw, K/groups, C)   bias (K,)   ->   y (N, OH, OW, K)
    OH = (H - 1) * stride - 2*padding + dilation*(kh-1) + 1 + output_padding, and OW likewise.

    It maps sizes as conv2d does, backwards; where several sizes lead to H, output_padding (less than stride or dilation)
    chooses.  The weight is that of the conv2d which it transposes.  (Dumoulin and Visin 2016, section 4)
    Raises ValueError, naming every size, when the shapes do not fit together, TypeError when x is no floating array or is
    narrower than weight.
    """
    geometry = Geometry.of("conv_transpose2d", stride, padding, dilation, groups)
    output_padding = pair(output_padding, "conv_transpose2d: output_padding")
    y_shape = check_transpose(x, weight, bias, geometry, output_padding)
    method = choose("conv_transpose2d", algorithm, x, weight.shape, geometry)
    H, W = x.shape[1:3]
    y = method.input_gradient(x, weight, y_shape, geometry)
    finish(y, bias, None)

    def grad_x(dy):
        return method.forward(dy, weight, geometry)[:, :H, :W]

    def grad_weight(dy):
        OH, OW = geometry.output_size(dy.shape[1:3], weight.shape[:2])    # beyond x where output_padding reaches far: zeros
        missing = ((0, 0), (0, OH - H), (0, OW - W), (0, 0))
        return method.weight_gradient(dy, pad_array(x, missing, "zeros"), weight.shape, geometry)

    return y, (grad_x, grad_weight, sum_over_pixels)


class ConvTranspose2d(Module):
    """conv_transpose2d with its weight (kh, kw, out/groups, in) and bias (out,), initialised after He et al. 2015."""

    def __init__(self, in_channels, out_channels, kernel, stride=1, padding=0, output_padding=0, dilation=1, groups=1,
                 bias=True, rng=None):
        super().__init__()
        _require_divisible("ConvTranspose2d", in_channels, out_channels, groups)
        self.options = dict(stride=stride, padding=padding, output_padding=output_padding, dilation=dilation, groups=groups)
        shape = (*pair(kernel, "ConvTranspose2d: kernel"), out_channels // groups, in_channels)
        self.weight = Tensor(init.kaiming(shape, rng), requires_grad=True)
        self.bias = Tensor(init.zeros((out_channels,)), requires_grad=True) if bias else None

    def forward(self, x):
        return conv_transpose2d(x, self.weight, self.bias, **self.options)

    def multiply_adds(self, x_shape, y_shape):
        """For one image: every input number is multiplied with each weight of its filter."""
        return x_shape[1] * x_shape[2] * self.weight.size

    def __repr__(self):
        kh, kw, Kg, C = self.weight.shape
        return f"ConvTranspose2d({C}, {Kg * self.options['groups']}, {kh}x{kw})"


def _require_divisible(name, in_channels, out_channels, groups):
    if in_channels % groups or out_channels % groups:
        raise ValueError(f"{name}: {in_channels} input and {out_channels} output channels must both be multiples of "
                         f"groups, {groups}")
