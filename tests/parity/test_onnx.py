"""The ONNX project's own tests of single operators, run on ours.

Every case of these operators that the installed `onnx` package holds is either run or stands, with its reason, in NOT_RUN.
ONNX has images as (N, C, H, W) and filters as (out, in/groups, kh, kw); both are transposed here.  The first output of a
case is compared: masks, indices of maxima and saved statistics, which some have as further outputs, are none of ours.
"""
import functools
import warnings

import numpy as np
import pytest

import minicnn as mc

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx.backend.test.case.node")

AT_LEAST = 140                   # as many are run with onnx 1.23; later versions have only added some
THREE_D, ONE_D = "three spatial axes", "one spatial axis"
ASYMMETRIC = "padding of the two sides differs"
RANDOM = "its random mask is another generator's"
NEAREST = "another nearest pixel: ours, as PyTorch's, is floor(i * H / H')"
COORDINATES = "other coordinates than those of PyTorch, which are ours"
CUBIC, ANTIALIAS, CROP = "cubic interpolation", "smooths when shrinking", "cuts out a part of the picture"
ASPECT = "chooses the size by the aspect ratio"
NOT_RUN = {
    "test_averagepool_1d_default": ONE_D,
    "test_averagepool_3d_default": THREE_D,
    "test_averagepool_3d_dilations_small": THREE_D,
    "test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False": THREE_D,
    "test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True": THREE_D,
    "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False": THREE_D,
    "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True": THREE_D,
    "test_averagepool_2d_same_lower": ASYMMETRIC,
    "test_averagepool_2d_same_upper": ASYMMETRIC,
    "test_convtranspose_1d": ONE_D,
    "test_convtranspose_3d": THREE_D,
    "test_convtranspose_autopad_same": ASYMMETRIC,
    "test_maxpool_1d_default": ONE_D,
    "test_maxpool_3d_default": THREE_D,
    "test_maxpool_3d_dilations": THREE_D,
    "test_maxpool_3d_dilations_use_ref_impl": THREE_D,
    "test_maxpool_3d_dilations_use_ref_impl_large": THREE_D,
    "test_maxpool_2d_same_lower": ASYMMETRIC,
    "test_maxpool_2d_same_upper": ASYMMETRIC,
    "test_maxpool_2d_uint8": "whole numbers, not floats",
    "test_training_dropout": RANDOM,
    "test_training_dropout_mask": RANDOM,
    "test_training_dropout_default": RANDOM,
    "test_training_dropout_default_mask": RANDOM,
    "test_einsum_batch_diagonal": "a diagonal, and ... for axes without letters",
    "test_einsum_batch_matmul_bfloat16": "bfloat16, which NumPy does not have",
    "test_resize_downsample_scales_nearest": NEAREST,
    "test_resize_downsample_sizes_nearest": NEAREST,
    "test_resize_upsample_sizes_nearest_ceil_half_pixel": NEAREST,
    "test_resize_upsample_sizes_nearest_floor_align_corners": NEAREST,
    "test_resize_upsample_sizes_nearest_round_prefer_ceil_asymmetric": NEAREST,
    "test_resize_downsample_scales_linear_align_corners": COORDINATES,
    "test_resize_downsample_scales_linear_half_pixel_symmetric": COORDINATES,
    "test_resize_upsample_scales_linear_half_pixel_symmetric": COORDINATES,
    "test_resize_downsample_sizes_linear_pytorch_half_pixel": COORDINATES,
    "test_resize_downsample_sizes_nearest_not_larger": ASPECT,
    "test_resize_downsample_sizes_nearest_not_smaller": ASPECT,
    "test_resize_upsample_sizes_nearest_not_larger": ASPECT,
    "test_resize_upsample_sizes_nearest_not_smaller": ASPECT,
    "test_resize_downsample_scales_linear_antialias": ANTIALIAS,
    "test_resize_downsample_sizes_linear_antialias": ANTIALIAS,
    "test_resize_tf_crop_and_resize": CROP,
    "test_resize_tf_crop_and_resize_axes_2_3": CROP,
    "test_resize_tf_crop_and_resize_axes_3_2": CROP,
    "test_resize_tf_crop_and_resize_extrapolation_value": CROP,
    "test_resize_downsample_scales_cubic": CUBIC,
    "test_resize_downsample_scales_cubic_A_n0p5_exclude_outside": CUBIC,
    "test_resize_downsample_scales_cubic_align_corners": CUBIC,
    "test_resize_downsample_scales_cubic_antialias": CUBIC,
    "test_resize_downsample_sizes_cubic": CUBIC,
    "test_resize_downsample_sizes_cubic_antialias": CUBIC,
    "test_resize_upsample_scales_cubic": CUBIC,
    "test_resize_upsample_scales_cubic_A_n0p5_exclude_outside": CUBIC,
    "test_resize_upsample_scales_cubic_align_corners": CUBIC,
    "test_resize_upsample_scales_cubic_asymmetric": CUBIC,
    "test_resize_upsample_sizes_cubic": CUBIC,
}


# ---- one function for each operator: (its attributes, its inputs) -> the first output --------------------------------

def conv(attributes, x, weight, bias=None):
    options = window_options(attributes, x, weight.shape[2:])
    return first(mc.conv2d(last(x), filters(weight), bias, groups=attributes.get("group", 1), **options))


def conv_transpose(attributes, x, weight, bias=None):
    options = window_options({**attributes, "auto_pad": "NOTSET"}, x, weight.shape[2:])
    options["output_padding"] = tuple(attributes.get("output_padding", (0, 0)))
    if "output_shape" in attributes:                     # what is missing to that size is the output padding
        bare = {**options, "output_padding": 0}
        size = mc.conv_transpose2d(last(x), filters(weight), **bare).shape[1:3]
        options["output_padding"] = tuple(n - m for n, m in zip(attributes["output_shape"], size))
    return first(mc.conv_transpose2d(last(x), filters(weight), bias, groups=attributes.get("group", 1), **options))


def max_pool(attributes, x):
    kernel = attributes["kernel_shape"]
    return first(mc.max_pool2d(last(x), kernel, ceil_mode=bool(attributes.get("ceil_mode", 0)),
                               **window_options(attributes, x, kernel)))


def average_pool(attributes, x):
    kernel = attributes["kernel_shape"]
    return first(mc.avg_pool2d(last(x), kernel, ceil_mode=bool(attributes.get("ceil_mode", 0)),
                               count_include_pad=bool(attributes.get("count_include_pad", 0)),
                               **window_options(attributes, x, kernel)))


def lrn(attributes, x):
    return first(mc.local_response_norm(last(x), attributes["size"], attributes.get("alpha", 1e-4),
                                        attributes.get("beta", .75), attributes.get("bias", 1.)))


def batch_norm(attributes, x, weight, bias, mean, variance):
    return first(mc.batch_norm(last(x), weight, bias, mean.copy(), variance.copy(),
                               training=bool(attributes.get("training_mode", 0)), eps=attributes.get("epsilon", 1e-5)))


def group_norm(attributes, x, weight, bias):
    return first(mc.group_norm(last(x), weight, bias, attributes["num_groups"], eps=attributes.get("epsilon", 1e-5)))


def instance_norm(attributes, x, weight, bias):
    return group_norm({**attributes, "num_groups": x.shape[1]}, x, weight, bias)


def layer_norm(attributes, x, weight, bias):
    """Over all axes from `axis` on: ours is over the last, so those become one."""
    lead = x.shape[:attributes.get("axis", -1)]
    y = mc.layer_norm(x.reshape(*lead, -1), weight.ravel(), bias.ravel(), eps=attributes.get("epsilon", 1e-5))
    return y.data.reshape(x.shape)


def over_axis(operation):
    return lambda attributes, x: operation(x, axis=attributes.get("axis", -1)).data


def dropout(attributes, x, ratio=None, training=False):
    ratio = .5 if ratio is None else float(ratio)
    return mc.dropout(x, ratio, rng=0, training=bool(training)).data


def resize(attributes, x, *scales_or_sizes):
    scales_or_sizes = scales_or_sizes[-1]
    axes = attributes.get("axes", range(4))
    by_axis = dict(zip(axes, scales_or_sizes.tolist()))
    key = "size" if scales_or_sizes.dtype.kind == "i" else "scale"
    mode = {"nearest": "nearest", "linear": "bilinear"}[attributes["mode"]]
    corners = attributes.get("coordinate_transformation_mode") == "align_corners"
    return first(mc.upsample(last(x), **{key: (by_axis[2], by_axis[3])}, mode=mode, align_corners=corners))


OPERATORS = {
    "Conv": conv, "ConvTranspose": conv_transpose, "MaxPool": max_pool, "AveragePool": average_pool,
    "GlobalAveragePool": lambda attributes, x: mc.global_avg_pool2d(last(x)).data[:, :, None, None],
    "GlobalMaxPool": lambda attributes, x: first(mc.max_pool2d(last(x), x.shape[2:])),
    "LRN": lrn, "BatchNormalization": batch_norm, "GroupNormalization": group_norm,
    "InstanceNormalization": instance_norm, "LayerNormalization": layer_norm,
    "Relu": lambda attributes, x: mc.relu(x).data,
    "LeakyRelu": lambda attributes, x: mc.leaky_relu(x, attributes.get("alpha", .01)).data,
    "Sigmoid": lambda attributes, x: mc.sigmoid(x).data,
    "Tanh": lambda attributes, x: mc.tanh(x).data,
    "Gelu": lambda attributes, x: mc.gelu(x, attributes.get("approximate", "none")).data,
    "Elu": lambda attributes, x: mc.elu(x, attributes.get("alpha", 1.)).data,
    "Softplus": lambda attributes, x: mc.softplus(x).data,
    "Sin": lambda attributes, x: mc.sin(x).data, "Cos": lambda attributes, x: mc.cos(x).data,
    "Einsum": lambda attributes, *x: mc.einsum(attributes["equation"], *x).data,
    "Squeeze": lambda attributes, x, axes=None: mc.squeeze(x, None if axes is None else tuple(axes.tolist())).data,
    "Unsqueeze": lambda attributes, x, axes: mc.expand_dims(x, tuple(axes.tolist())).data,
    "Tile": lambda attributes, x, repeats: mc.tile(x, repeats.tolist()).data,
    "Softmax": over_axis(mc.softmax), "LogSoftmax": over_axis(mc.log_softmax),
    "Dropout": dropout, "Resize": resize, "Upsample": resize,
}


# ---- from ONNX's layout and words to ours ----------------------------------------------------------------------------

def last(x):
    """(N, C, H, W)  ->  (N, H, W, C)."""
    return x.transpose(0, 2, 3, 1)


def first(y):
    """A tensor (N, H, W, C)  ->  an array (N, C, H, W)."""
    return y.data.transpose(0, 3, 1, 2)


def filters(weight):
    """(out, in/groups, kh, kw), or (in, out/groups, kh, kw) of a transposed convolution, to ours."""
    return weight.transpose(2, 3, 1, 0)


def window_options(attributes, x, kernel):
    """stride, padding and dilation of a window; auto_pad SAME_UPPER and SAME_LOWER where the two sides come out equal."""
    stride, dilation = (tuple(attributes.get(name, (1, 1))) for name in ("strides", "dilations"))
    before, after = np.array(attributes.get("pads", (0, 0, 0, 0))).reshape(2, 2)
    if attributes.get("auto_pad", "NOTSET").startswith("SAME"):
        total = [max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
                 for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation)]
        before, after = np.array(total) // 2, -(-np.array(total) // 2)
    assert before.tolist() == after.tolist(), f"{ASYMMETRIC}: {before} and {after}"
    return dict(stride=stride, padding=tuple(before.tolist()), dilation=dilation)


@functools.cache
def cases():
    """{operator: [case]} of all cases that consist of one of our operators."""
    from onnx.backend.test.case import node
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                  # some cases of other operators divide by zero on purpose
        found = node.collect_testcases(None)
    ours = {operator: [] for operator in OPERATORS}
    for case in found:
        nodes = case.model.graph.node
        if len(nodes) == 1 and nodes[0].op_type in ours:
            ours[nodes[0].op_type].append(case)
    return ours


def attributes_of(case):
    values = {a.name: onnx.helper.get_attribute_value(a) for a in case.model.graph.node[0].attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


@pytest.mark.parametrize("operator", OPERATORS)
def test_operator(operator):
    failures = []
    to_run = [case for case in cases()[operator] if case.name not in NOT_RUN]
    for case in to_run:
        for inputs, outputs in case.data_sets:
            try:
                ours = OPERATORS[operator](attributes_of(case), *inputs)
                assert ours.dtype == outputs[0].dtype
                np.testing.assert_allclose(ours, outputs[0], rtol=case.rtol, atol=case.atol, strict=True)
            except Exception as error:                   # collected, so that one message shows them all
                failures.append(f"{case.name} {attributes_of(case)}: {type(error).__name__}: {error}")
    assert to_run and not failures, f"{len(failures)} of {len(to_run)} cases:\n" + "\n".join(failures)


def test_nothing_is_left_out_silently():
    """A case is run unless NOT_RUN names it, so a new one is run; here: that there are as many as there were."""
    names = {case.name for found in cases().values() for case in found}
    assert len(names - set(NOT_RUN)) >= AT_LEAST, f"{len(names - set(NOT_RUN))} cases run of {len(names)}"
