"""The numbers of a convolution, checked once: stride, padding, dilation, groups, and the sizes that follow."""
from dataclasses import dataclass


def pair(value, name):
    """An int, or two of them for (rows, columns).  Raises ValueError for anything else."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2 or not all(isinstance(v, int) and v >= 0 for v in values):
        raise ValueError(f"{name} must be a whole number or a pair (rows, columns), not {value!r}")
    return values


@dataclass(frozen=True)
class Geometry:
    """Pairs are (rows, columns); the padding is of zeros, on both sides."""
    stride: tuple = (1, 1)
    padding: tuple = (0, 0)
    dilation: tuple = (1, 1)
    groups: int = 1

    @classmethod
    def of(cls, stride, padding, dilation, groups):
        """From the arguments of conv2d.  Raises ValueError when one of them makes no sense."""
        geometry = cls(pair(stride, "stride"), pair(padding, "padding"), pair(dilation, "dilation"), groups)
        if min(geometry.stride + geometry.dilation) < 1 or not isinstance(groups, int) or groups < 1:
            raise ValueError(f"stride, dilation and groups must be at least 1, not {stride}, {dilation}, {groups}")
        return geometry

    def span(self, kernel):
        """Rows and columns that a dilated kernel covers."""
        return tuple(d * (k - 1) + 1 for k, d in zip(kernel, self.dilation))

    def output_size(self, size, kernel):
        """(H, W) of the output for an image of `size`."""
        return tuple((n + 2 * p - e) // s + 1
                     for n, p, e, s in zip(size, self.padding, self.span(kernel), self.stride))


def check_conv(x, weight, bias, geometry):
    """Raise ValueError, with every size involved, when the shapes do not fit together."""
    if x.ndim != 4 or weight.ndim != 4:
        raise ValueError(f"conv2d: x must be (N, H, W, C) and weight (kh, kw, C/groups, K), not {x.shape} and {weight.shape}")
    C, (kh, kw, Cg, K), groups = x.shape[3], weight.shape, geometry.groups
    if C != Cg * groups:
        raise ValueError(f"conv2d: x {x.shape} has {C} channels, but weight {weight.shape} with groups={groups} takes "
                         f"{Cg * groups}: filters are (kh, kw, in/groups, out), images (N, H, W, C)")
    if K % groups:
        raise ValueError(f"conv2d: {K} filters cannot be shared among {groups} groups: weight {weight.shape}")
    if bias is not None and bias.shape != (K,):
        raise ValueError(f"conv2d: bias {bias.shape} should be ({K},), one number a filter of weight {weight.shape}")
    if min(geometry.output_size(x.shape[1:3], (kh, kw))) < 1:
        raise ValueError(f"conv2d: the kernel spans {geometry.span((kh, kw))} pixels (dilation {geometry.dilation}), more than "
                         f"the image of {x.shape[1:3]} with padding {geometry.padding}: pad more or use a smaller kernel")


def check_transpose(x, weight, bias, geometry, output_padding):
    """(N, OH, OW, K) of conv_transpose2d.  Raises ValueError, with every size involved, when the shapes do not fit together."""
    if x.ndim != 4 or weight.ndim != 4:
        raise ValueError(f"conv_transpose2d: x must be (N, H, W, C) and weight (kh, kw, K/groups, C), not {x.shape} and {weight.shape}")
    if x.shape[3] != weight.shape[3] or x.shape[3] % geometry.groups:
        raise ValueError(f"conv_transpose2d: x {x.shape} has {x.shape[3]} channels, weight {weight.shape} takes {weight.shape[3]} "
                         f"in {geometry.groups} groups: its filters are (kh, kw, out/groups, in)")
    K = weight.shape[2] * geometry.groups
    if bias is not None and bias.shape != (K,):
        raise ValueError(f"conv_transpose2d: bias {bias.shape} should be ({K},), one number an output channel")
    if any(o >= max(s, d) for o, s, d in zip(output_padding, geometry.stride, geometry.dilation)):
        raise ValueError(f"conv_transpose2d: output_padding {output_padding} must be less than stride {geometry.stride} "
                         f"or dilation {geometry.dilation}")
    size = tuple((n - 1) * s - 2 * p + e + o for n, s, p, e, o in zip(
        x.shape[1:3], geometry.stride, geometry.padding, geometry.span(weight.shape[:2]), output_padding))
    if min(size) < 1:
        raise ValueError(f"conv_transpose2d: padding {geometry.padding} leaves nothing of the output, {size}, for an image of "
                         f"{x.shape[1:3]} and a kernel of {weight.shape[:2]}")
    return (x.shape[0], *size, K)
