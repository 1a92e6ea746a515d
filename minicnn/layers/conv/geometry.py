"""The numbers of a convolution, checked once: stride, padding, dilation, groups, and the sizes that follow."""
from dataclasses import dataclass
from numbers import Integral


def pair(value, name):
    """A whole number, or two of them, as (rows, columns).  Raises ValueError for anything else, or a negative number."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2 or not all(isinstance(v, Integral) and v >= 0 for v in values):
        raise ValueError(f"{name} must be a whole number or a pair (rows, columns), not negative, and not {value!r}")
    return tuple(map(int, values))


@dataclass(frozen=True)
class Geometry:
    """Pairs are (rows, columns); the padding is of zeros, on both sides."""
    stride: tuple = (1, 1)
    padding: tuple = (0, 0)
    dilation: tuple = (1, 1)
    groups: int = 1

    @classmethod
    def of(cls, operation, stride, padding, dilation, groups):
        """From the arguments of `operation`, a name.  Raises ValueError when one of them makes no sense."""
        named = {"stride": stride, "padding": padding, "dilation": dilation}
        geometry = cls(*(pair(value, f"{operation}: {name}") for name, value in named.items()), groups)
        if min(geometry.stride + geometry.dilation) < 1 or not isinstance(groups, Integral) or groups < 1:
            raise ValueError(f"{operation}: stride, dilation and groups must be whole numbers from 1 on, not "
                             f"{stride}, {dilation}, {groups}")
        return geometry

    def span(self, kernel):
        """Rows and columns that a dilated kernel covers."""
        return tuple(d * (k - 1) + 1 for k, d in zip(kernel, self.dilation))

    def output_size(self, size, kernel):
        """(H, W) of the output for an image of `size`."""
        return tuple((n + 2 * p - e) // s + 1
                     for n, p, e, s in zip(size, self.padding, self.span(kernel), self.stride))


def check_conv(x, weight, bias, geometry):
    """Raise ValueError, with every size involved, when the shapes do not fit together, TypeError for unlike dtypes."""
    _check_arrays("conv2d", x, weight, "(kh, kw, C/groups, K)")
    C, (kh, kw, Cg, K), groups = x.shape[3], weight.shape, geometry.groups
    if C != Cg * groups:
        raise ValueError(f"conv2d: x {x.shape} has {C} channels, but weight {weight.shape} with groups={groups} takes "
                         f"{Cg * groups}: filters are (kh, kw, in/groups, out), images (N, H, W, C)")
    if K % groups:
        raise ValueError(f"conv2d: {K} filters cannot be shared among {groups} groups: weight {weight.shape}")
    if bias is not None and bias.shape != (K,):
        raise ValueError(f"conv2d: bias {bias.shape} should be ({K},), one number a filter of weight {weight.shape}")
    if min(geometry.output_size(x.shape[1:3], (kh, kw))) < 1:
        raise ValueError(f"conv2d: the kernel of {(kh, kw)} spans {geometry.span((kh, kw))} pixels (dilation "
                         f"{geometry.dilation}), more than the image of {x.shape[1:3]} with padding {geometry.padding}: "
                         "pad more or use a smaller kernel")


def check_transpose(x, weight, bias, geometry, output_padding):
    """(N, OH, OW, K) of conv_transpose2d.  Raises ValueError, with every size involved, when the shapes do not fit
    together, TypeError for unlike dtypes."""
    _check_arrays("conv_transpose2d", x, weight, "(kh, kw, K/groups, C)")
    if x.shape[3] != weight.shape[3] or x.shape[3] % geometry.groups:
        raise ValueError(f"conv_transpose2d: x {x.shape} has {x.shape[3]} channels, weight {weight.shape} takes "
                         f"{weight.shape[3]} in {geometry.groups} groups: its filters are (kh, kw, out/groups, in)")
    K = weight.shape[2] * geometry.groups
    if bias is not None and bias.shape != (K,):
        raise ValueError(f"conv_transpose2d: bias {bias.shape} should be ({K},), one number an output channel of weight "
                         f"{weight.shape} with groups={geometry.groups}")
    if any(o >= max(s, d) for o, s, d in zip(output_padding, geometry.stride, geometry.dilation)):
        raise ValueError(f"conv_transpose2d: output_padding {output_padding} must be less than stride {geometry.stride} "
                         f"or dilation {geometry.dilation}")
    size = tuple((n - 1) * s - 2 * p + e + o for n, s, p, e, o in zip(
        x.shape[1:3], geometry.stride, geometry.padding, geometry.span(weight.shape[:2]), output_padding))
    if min(size) < 1:
        raise ValueError(f"conv_transpose2d: padding {geometry.padding} leaves nothing of the output, {size}, for an "
                         f"image of {x.shape[1:3]} and a kernel of {weight.shape[:2]}: pad less")
    return (x.shape[0], *size, K)


def _check_arrays(operation, x, weight, weight_axes):
    """Four axes each, none of them empty, and a dtype that holds the products: uint8 pixels times float32 would not."""
    if x.ndim != 4 or weight.ndim != 4:
        raise ValueError(f"{operation}: x must be (N, H, W, C) and weight {weight_axes}, not {x.shape} and {weight.shape}")
    if not (x.size and weight.size):
        raise ValueError(f"{operation}: x {x.shape} or weight {weight.shape} is empty: every size must be at least 1")
    if x.dtype.kind != "f" or x.dtype.itemsize < weight.dtype.itemsize:
        raise TypeError(f"{operation}: x {x.shape} is {x.dtype}, weight {weight.shape} is {weight.dtype}: convert x first, "
                        f"for example x.astype('{weight.dtype}')")
