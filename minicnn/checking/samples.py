"""`minicnn gradcheck conv2d` and `minicnn gradcheck file.py:function`: inputs to check gradients with, and the table.

`SAMPLES` holds, for each public operation, a function  rng -> [(label, tensors, options), ...]  that draws inputs: the
tensors are checked, the options are keywords of the call.  They are chosen to be awkward: strides that do not tile,
1x1, groups, rectangles, arrays that are not contiguous.  A file of one's own says what to check with in a list

    samples = [(array, ...), ...]           of the file, or  my_function.samples = [...]  of one function in it
"""
import functools
import inspect

import numpy as np

from ..core.arithmetic import concatenate
from ..files.userfile import is_place, load_function
from .gradcheck import GradientError, gradcheck

ELEMENTS = 40                    # elements checked of each input of a sample
COLUMNS = "{:<34} {:<12} {:<16} {:>8} {:>10} {:>14}"


# ------------------------------------------------------------------------------------------ what the shell calls

def check_operation(name_or_path, operations, seed=0, elements=ELEMENTS):
    """Check an operation on all of its samples.   ->   (text, ok): a table to print, and whether all went well.

    name_or_path  a public operation, "conv2d", or "file.py:function"
    operations    {name: function} in which public operations are looked up: vars(minicnn)
    elements      how many elements of each input are checked (None: all)

    Raises ValueError for an unknown operation, a missing function, a file that cannot be run or gives no usable inputs;
    FileNotFoundError for a missing file.
    """
    if is_place(name_or_path):
        name, function, samples, remark = _from_file(name_or_path, np.random.default_rng(seed))
    else:
        name, function, samples, remark = _from_package(name_or_path, operations, np.random.default_rng(seed))
    lines, wrong = [COLUMNS.format("sample", "input", "shape", "checked", "at a kink", "largest error")], 0
    for label, tensors, options in samples:
        rows, ok = _check_sample(name, function, label, tensors, options, dict(seed=seed, samples=elements))
        lines, wrong = lines + rows, wrong + (not ok)
    verdict = f"{wrong} of {len(samples)} samples FAILED" if wrong else f"all gradients right in {len(samples)} samples"
    return "\n".join([*remark, *lines, f"{name}: {verdict}"]), wrong == 0


def _check_sample(name, function, label, tensors, options, how):
    """(lines of the table, ok) for one sample."""
    try:
        report = gradcheck(_with_options(function, options), *tensors, **how)
    except GradientError as error:
        return [f"{label}: FAILED", *("    " + line for line in str(error).splitlines())], False
    except Exception as error:
        shapes = ", ".join(str(getattr(t, "shape", t)) for t in tensors)
        raise ValueError(f"{name} cannot be called with sample {label!r}, inputs {shapes}: "
                         f"{type(error).__name__}: {error}") from error
    labels = [label] + [""] * len(report.inputs)
    return [COLUMNS.format(text, row.name, str(row.shape), row.checked, row.kinks, f"{row.error:.1e}")
            for text, row in zip(labels, report.inputs)], True


def _with_options(function, options):
    return functools.wraps(function)(functools.partial(function, **options)) if options else function


# ------------------------------------------------------------------------------------------ a public operation

def _from_package(name, operations, rng):
    """(name, function, samples, remark) of a public operation."""
    function = operations.get(name)
    if name not in SAMPLES or function is None:
        raise ValueError(f"no operation {name!r} to check: name one of your own as file.py:function, or one of "
                         f"{', '.join(sorted(SAMPLES))}")
    return name, _ADAPTERS.get(name, lambda operation: operation)(function), SAMPLES[name](rng), []


def _takes_list(operation):
    """concatenate and stack take one list; a check wants each tensor as an argument of its own."""
    def call(*tensors, **options):
        return operation(list(tensors), **options)
    call.__name__ = operation.__name__
    return call


def _same_dice(operation):
    """Dropout that throws the same dice each time it is called."""
    def call(x, **options):
        return operation(x, rng=np.random.default_rng(7), **options)
    call.__name__ = operation.__name__
    return call


def _subscripts_last(operation):
    """einsum takes its subscripts first; a check wants the tensors there."""
    def call(*tensors, subscripts):
        return operation(subscripts, *tensors)
    call.__name__ = operation.__name__
    return call


def _joined_again(operation):
    """split gives a list; a check wants one tensor, in which each part has another weight."""
    def call(x, axis=0, **options):
        return concatenate([part * (i + 1) for i, part in enumerate(operation(x, axis=axis, **options))], axis)
    call.__name__ = operation.__name__
    return call


_ADAPTERS = {"concatenate": _takes_list, "stack": _takes_list, "dropout": _same_dice, "einsum": _subscripts_last,
             "split": _joined_again}


# ------------------------------------------------------------------------------------------ a file of one's own

def _from_file(place, rng):
    """(name, function, samples, remark) of "file.py:function"."""
    function, name, module = load_function(place)
    given = getattr(function, "samples", getattr(module, "samples", None))
    if given is not None:
        return name, function, _given_samples(given, place), []
    return name, function, *_invented_samples(function, name, rng)


def _given_samples(samples, place):
    if not isinstance(samples, (list, tuple)) or not samples:
        raise ValueError(f"{place}: samples must be a list of tuples of arrays, [(array, ...), ...], and not empty")
    tuples = [sample if isinstance(sample, (tuple, list)) else (sample,) for sample in samples]
    return [(f"samples[{i}]", tuple(sample), {}) for i, sample in enumerate(tuples)]


def _invented_samples(function, name, rng):
    """(samples, remark): a random array of shape (2, 3) for every parameter without a default."""
    parameters = inspect.signature(function).parameters.values()
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names = [p.name for p in by_position if p.default is p.empty]
    if not names:
        raise ValueError(f"{name}: no parameter without a default, so no inputs can be invented; "
                         f"give some: {name}.samples = [(array, ...), ...]")
    remark = [f"{name} states no samples: random arrays of shape (2, 3) for {', '.join(names)}. "
              f"To choose others, add to the file:  samples = [(array, ...), ...]"]
    return [("random (2, 3)", tuple(rng.standard_normal((2, 3)) for _ in names), {})], remark


# ------------------------------------------------------------------------------------------ drawing arrays

def _positive(rng, *shape):
    return rng.uniform(0.5, 2, shape)


def _away_from_zero(rng, *shape):
    return rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)


def _strided(rng, *shape):
    """A random array of this shape whose memory runs the other way round: not contiguous."""
    return rng.standard_normal(shape[::-1]).T


def _shapes_of_one(draw):
    """Samples of an operation on one tensor."""
    return lambda rng: [("matrix", (draw(rng, 3, 4),), {}),
                        ("images", (draw(rng, 2, 3, 5, 2),), {}),
                        ("images, not contiguous", (draw(rng, 2, 5, 3, 2).T,), {}),
                        ("one number", (np.array(draw(rng)),), {})]


def _normal(rng, *shape):
    return rng.standard_normal(shape)


def _shapes_of_two(draw_a, draw_b):
    """Samples of an operation that broadcasts its two tensors."""
    return lambda rng: [("one shape", (draw_a(rng, 3, 4), draw_b(rng, 3, 4)), {}),
                        ("a row is repeated", (draw_a(rng, 3, 4), draw_b(rng, 4)), {}),
                        ("both are repeated", (draw_a(rng, 2, 1, 4), draw_b(rng, 3, 1)), {}),
                        ("one number", (draw_a(rng, 2, 3), np.array(draw_b(rng))), {}),
                        ("not contiguous", (draw_a(rng, 4, 3).T, draw_b(rng, 3, 4)), {})]


# ------------------------------------------------------------------------------------------ arithmetic

def _matmul(rng):
    return [("matrices", (_normal(rng, 3, 4), _normal(rng, 4, 2)), {}),
            ("batches", (_normal(rng, 2, 3, 4), _normal(rng, 2, 4, 3)), {}),
            ("one matrix for a batch", (_normal(rng, 2, 3, 4), _normal(rng, 4, 3)), {}),
            ("batches, both repeated", (_normal(rng, 2, 1, 3, 4), _normal(rng, 3, 4, 2)), {}),
            ("vector by matrix", (_normal(rng, 4), _normal(rng, 4, 3)), {}),
            ("vectors", (_normal(rng, 4), _normal(rng, 4)), {}),
            ("not contiguous", (_strided(rng, 3, 4), _strided(rng, 4, 4)), {})]


def _reduction(rng):
    return [("all axes", (_normal(rng, 3, 4),), {}),
            ("axis 0", (_normal(rng, 3, 4),), dict(axis=0)),
            ("last axis, kept", (_normal(rng, 2, 3, 4),), dict(axis=-1, keepdims=True)),
            ("axes 1 and 2", (_normal(rng, 2, 3, 5, 2),), dict(axis=(1, 2))),
            ("not contiguous", (_strided(rng, 3, 4),), dict(axis=1))]


def _outer(rng):
    return [("vectors", (_normal(rng, 3), _normal(rng, 4)), {}),
            ("not contiguous", (_normal(rng, 6)[::2], _normal(rng, 4)[::-1]), {})]


def _einsum(rng):
    def case(label, subscripts, *shapes):
        return label, tuple(_strided(rng, *shape) for shape in shapes), dict(subscripts=subscripts)
    return [case("matrix product", "ij,jk->ik", (3, 4), (4, 2)),
            case("heads of attention", "bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4)),
            case("channels scaled", "nhwc,nc->nhwc", (2, 3, 2, 3), (2, 3)),
            case("three tensors", "ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
            case("a letter that is only summed", "ij,k->k", (2, 3), (4,)),
            case("one tensor, transposed and summed", "ijk->ki", (2, 3, 4)),
            case("without an arrow", "ij,jk", (2, 3), (3, 4))]


def _spread(rng):
    return _reduction(rng) + [("correction 1", (_normal(rng, 3, 4),), dict(axis=0, correction=1))]


def _reshape(rng):
    return [("flatten", (_normal(rng, 2, 3, 4),), dict(shape=(-1,))),
            ("not contiguous", (_strided(rng, 3, 4),), dict(shape=(2, 6)))]


def _transpose(rng):
    return [("reversed", (_normal(rng, 2, 3, 4),), {}),
            ("axes (2, 0, 1)", (_normal(rng, 2, 3, 4),), dict(axes=(2, 0, 1)))]


def _swapaxes(rng):
    return [("axes 0 and 2", (_normal(rng, 2, 3, 4),), dict(first=0, second=2)),
            ("the last two, not contiguous", (_strided(rng, 2, 3, 4),), dict(first=-1, second=-2))]


def _flatten(rng):
    return [("all axes", (_normal(rng, 2, 3, 4),), {}), ("from axis 1", (_strided(rng, 2, 3, 4),), dict(start_axis=1)),
            ("axes 1 and 2", (_normal(rng, 2, 3, 2, 2),), dict(start_axis=1, end_axis=-2))]


def _squeeze(rng):
    return [("all", (_normal(rng, 1, 3, 1),), {}), ("the last", (_strided(rng, 1, 3, 1),), dict(axis=-1)),
            ("two of three", (_normal(rng, 1, 3, 1, 1),), dict(axis=(0, 2)))]


def _expand_dims(rng):
    return [("in front", (_normal(rng, 3, 4),), dict(axis=0)), ("two", (_strided(rng, 3, 4),), dict(axis=(1, -1)))]


def _broadcast_to(rng):
    return [("a row", (_normal(rng, 4),), dict(shape=(3, 4))),
            ("not contiguous", (_strided(rng, 3, 1, 4),), dict(shape=(2, 3, 5, 4)))]


def _repeat(rng):
    return [("flattened", (_normal(rng, 2, 3),), dict(repeats=2)),
            ("last axis, not contiguous", (_strided(rng, 2, 3, 4),), dict(repeats=3, axis=-1))]


def _tile(rng):
    return [("a number", (_normal(rng, 2, 3),), dict(repeats=2)), ("new axes", (_normal(rng, 3),), dict(repeats=(2, 1, 2))),
            ("not contiguous", (_strided(rng, 2, 3),), dict(repeats=(3, 2)))]


def _split(rng):
    return [("three parts", (_normal(rng, 2, 6),), dict(parts=3, axis=1)),
            ("at positions, not contiguous", (_strided(rng, 5, 3),), dict(parts=[1, 3]))]


def _getitem(rng):
    x = _normal(rng, 4, 5)
    indices = [("integer", 1), ("slices with a step", (slice(None, None, 2), slice(3, 0, -1))),
               ("a row picked twice", np.array([0, 2, 2])),
               ("pairs, one repeated", (np.array([1, 1, 3]), np.array([4, 4, 0]))),
               ("mask", x > 0), ("ellipsis and new axis", (..., None, 2))]
    return [(label, (x,), dict(index=index)) for label, index in indices]


def _join(rng):
    return [("axis 0", (_normal(rng, 2, 3), _normal(rng, 2, 3)), dict(axis=0)),
            ("last axis, three of them", tuple(_normal(rng, 2, 3) for _ in range(3)), dict(axis=-1))]


def _pad(rng):
    widths = ((1, 2), (0, 3))
    modes = ("zeros", "reflect", "replicate")
    images = ("images, not contiguous", (_strided(rng, 2, 3, 4, 2),), dict(widths=((0, 0), (1, 1), (2, 0), (0, 0))))
    return [(mode, (_normal(rng, 4, 5),), dict(widths=widths, mode=mode)) for mode in modes] + [images]


def _clip(rng):
    return [("both sides", (_normal(rng, 4, 5),), dict(low=-0.5, high=0.8)),
            ("from below", (_normal(rng, 4, 5),), dict(low=0.1))]


def _where(rng):
    return [("one shape", (rng.random((3, 4)) > 0.5, _normal(rng, 3, 4), _normal(rng, 3, 4)), {}),
            ("repeated", (rng.random((3, 1)) > 0.5, _normal(rng, 3, 4), _normal(rng, 4)), {})]


# ------------------------------------------------------------------------------------------ layers

def _convolution(rng, label, x, weight, bias, **options):
    """A sample from the shapes of images and filters and the length of the bias (None: without one)."""
    return label, (_normal(rng, *x), _normal(rng, *weight), None if bias is None else _normal(rng, bias)), options


def _conv2d(rng):
    case = functools.partial(_convolution, rng)
    strided = (_strided(rng, 2, 5, 6, 2), _strided(rng, 3, 3, 2, 3), None)
    uneven = dict(stride=(2, 1), padding=(0, 1), dilation=(1, 2))
    return [case("3x3", (2, 5, 5, 2), (3, 3, 2, 3), 3, padding=1),
            case("1x1", (2, 3, 4, 3), (1, 1, 3, 2), 2),
            case("stride 2 that does not tile", (1, 6, 8, 2), (3, 3, 2, 2), 2, stride=2),
            case("rectangular everything", (1, 7, 6, 2), (3, 2, 2, 2), 2, **uneven),
            case("dilation 2, padding 2", (1, 6, 6, 1), (3, 3, 1, 2), 2, dilation=2, padding=2),
            case("two groups", (2, 5, 5, 4), (3, 3, 2, 6), 6, groups=2, padding=1),
            case("each channel its own (depthwise)", (1, 5, 5, 3), (3, 3, 1, 3), 3, groups=3),
            case("reflected border", (1, 5, 4, 2), (3, 3, 2, 2), 2, padding=2, padding_mode="reflect"),
            case("repeated border", (1, 5, 4, 2), (3, 3, 2, 2), 2, padding=2, padding_mode="replicate"),
            case("no bias", (1, 5, 5, 2), (3, 3, 2, 2), None),
            case("definition as loops", (1, 5, 5, 2), (3, 3, 2, 2), 2, stride=2, padding=1, algorithm="naive"),
            case("Winograd", (1, 6, 7, 2), (3, 3, 2, 2), 2, padding=1, algorithm="winograd"),
            ("not contiguous", strided, dict(padding=1))]


def _conv_transpose2d(rng):
    case = functools.partial(_convolution, rng)
    strided = (_strided(rng, 2, 3, 4, 2), _strided(rng, 3, 3, 3, 2), None)
    uneven = dict(stride=(2, 1), padding=(1, 0), dilation=(1, 2))
    return [case("3x3", (2, 4, 3, 2), (3, 3, 3, 2), 3, padding=1),
            case("1x1", (2, 3, 4, 3), (1, 1, 2, 3), 2),
            case("stride 2, output padding 1", (1, 3, 4, 2), (3, 3, 2, 2), 2, stride=2, padding=1, output_padding=1),
            case("stride 3, gaps between kernels", (1, 3, 3, 2), (2, 2, 2, 2), 2, stride=3),
            case("rectangular everything", (1, 3, 4, 2), (3, 2, 2, 2), 2, **uneven),
            case("two groups", (1, 3, 3, 4), (3, 3, 2, 4), 4, groups=2, stride=2),
            case("no bias", (1, 3, 3, 2), (3, 3, 2, 2), None),
            ("not contiguous", strided, dict(stride=2))]


def _pool(rng):
    return [("2x2", (_normal(rng, 2, 4, 6, 2),), dict(kernel=2)),
            ("overlapping 3x3, stride 2", (_normal(rng, 1, 7, 7, 2),), dict(kernel=3, stride=2)),
            ("stride that does not tile", (_normal(rng, 1, 6, 8, 2),), dict(kernel=3, stride=2)),
            ("ceil mode", (_normal(rng, 1, 6, 8, 2),), dict(kernel=3, stride=2, ceil_mode=True)),
            ("padding, rectangular", (_normal(rng, 1, 5, 6, 2),), dict(kernel=(3, 2), stride=(2, 1), padding=(1, 0))),
            ("not contiguous", (_strided(rng, 2, 5, 6, 2),), dict(kernel=3, stride=2, padding=1)),
            ("definition as loops", (_normal(rng, 1, 5, 6, 2),), dict(kernel=3, stride=2, padding=1, algorithm="naive"))]


def _avg_pool2d(rng):
    options = dict(kernel=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)
    return _pool(rng) + [("padding not counted, ceil mode", (_normal(rng, 1, 6, 7, 2),), options)]


def _adaptive_avg_pool2d(rng):
    return [("6x8 to 3x2", (_normal(rng, 2, 6, 8, 2),), dict(size=(3, 2))),
            ("7x5 to 3x3, bins overlap", (_normal(rng, 1, 7, 5, 2),), dict(size=3)),
            ("2x3 to 4x4, enlarged", (_strided(rng, 1, 2, 3, 2),), dict(size=4))]


def _global_avg_pool2d(rng):
    return [("images", (_normal(rng, 2, 3, 5, 2),), {}), ("not contiguous", (_strided(rng, 2, 3, 5, 2),), {})]


def _upsample(rng):
    x = _strided(rng, 1, 3, 4, 2)
    return [("nearest, twice the size", (_normal(rng, 2, 3, 4, 2),), dict(scale=2)),
            ("nearest to 5x7", (x,), dict(size=(5, 7))),
            ("bilinear, twice the size", (_normal(rng, 1, 3, 4, 2),), dict(scale=2, mode="bilinear")),
            ("bilinear to 5x7", (x,), dict(size=(5, 7), mode="bilinear")),
            ("bilinear to 2x3, smaller", (x,), dict(size=(2, 3), mode="bilinear")),
            ("bilinear, corners aligned", (x,), dict(size=(5, 7), mode="bilinear", align_corners=True)),
            ("nearest, definition as loops", (x,), dict(size=(5, 7), algorithm="naive")),
            ("bilinear, definition as loops", (x,), dict(size=(5, 7), mode="bilinear", algorithm="naive"))]


def _dense(rng):
    return [("with bias", (_normal(rng, 3, 4), _normal(rng, 4, 5), _normal(rng, 5)), {}),
            ("one example, no bias", (_normal(rng, 1, 4), _normal(rng, 4, 4), None), {}),
            ("not contiguous", (_strided(rng, 3, 4), _strided(rng, 4, 4), _normal(rng, 4)), {})]


def _gram(rng):
    return [("images", (_normal(rng, 2, 3, 4, 3),), {}),
            ("one channel", (_normal(rng, 1, 3, 2, 1),), {}),
            ("fewer pixels than channels", (_normal(rng, 1, 1, 2, 4),), {}),
            ("not contiguous", (_strided(rng, 2, 4, 3, 3),), {})]


def _dropout(rng):
    return [("elements", (_normal(rng, 4, 6),), dict(p=0.4)),
            ("whole channels", (_normal(rng, 2, 3, 3, 6),), dict(p=0.5, channels=True)),
            ("evaluation", (_normal(rng, 3, 4),), dict(p=0.5, training=False)),
            ("not contiguous", (_strided(rng, 4, 6),), dict(p=0.4))]


def _weight_and_bias(rng, channels):
    return _normal(rng, channels), _normal(rng, channels)


def _batch_norm(rng):
    frozen = dict(running_mean=_normal(rng, 3), running_var=_positive(rng, 3), training=False)
    return [("images", (_normal(rng, 3, 4, 2, 3), *_weight_and_bias(rng, 3)), {}),
            ("vectors", (_normal(rng, 6, 3), *_weight_and_bias(rng, 3)), {}),
            ("frozen statistics", (_normal(rng, 2, 3, 4, 3), *_weight_and_bias(rng, 3)), frozen),
            ("not contiguous", (_strided(rng, 3, 4, 2, 3), *_weight_and_bias(rng, 3)), {}),
            ("definition as loops", (_normal(rng, 3, 2, 2, 3), *_weight_and_bias(rng, 3)), dict(algorithm="naive")),
            ("frozen, definition as a formula", (_normal(rng, 2, 3, 2, 3), *_weight_and_bias(rng, 3)),
             dict(algorithm="naive", **frozen))]


def _group_norm(rng):
    return [("two groups of three channels", (_normal(rng, 2, 3, 4, 6), *_weight_and_bias(rng, 6)), dict(groups=2)),
            ("one group", (_normal(rng, 2, 3, 4, 4), *_weight_and_bias(rng, 4)), dict(groups=1)),
            ("a group each", (_strided(rng, 2, 3, 4, 4), *_weight_and_bias(rng, 4)), dict(groups=4)),
            ("definition as loops", (_normal(rng, 2, 3, 2, 6), *_weight_and_bias(rng, 6)),
             dict(groups=2, algorithm="naive"))]


def _layer_norm(rng):
    return [("vectors", (_normal(rng, 3, 6), *_weight_and_bias(rng, 6)), {}),
            ("images, not contiguous", (_strided(rng, 2, 3, 4, 5), *_weight_and_bias(rng, 5)), {}),
            ("definition as loops", (_normal(rng, 2, 2, 2, 5), *_weight_and_bias(rng, 5)), dict(algorithm="naive"))]


def _local_response_norm(rng):
    strong = dict(alpha=0.5, beta=0.75, k=2.0)               # AlexNet's alpha of 1e-4 would hide a wrong gradient
    return [("five neighbours", (_normal(rng, 2, 3, 3, 8),), dict(size=5, **strong)),
            ("three neighbours", (_normal(rng, 1, 4, 3, 4),), dict(size=3, **strong)),
            ("more neighbours than channels", (_normal(rng, 1, 3, 3, 2),), dict(size=5, **strong)),
            ("not contiguous", (_strided(rng, 2, 3, 3, 6),), dict(size=5, **strong)),
            ("definition as loops", (_normal(rng, 1, 3, 3, 7),), dict(size=4, algorithm="naive", **strong))]


def _softmax(rng):
    return [("vectors", (_normal(rng, 3, 5),), {}), ("images", (_normal(rng, 2, 3, 2, 4),), {}),
            ("axis 1", (_normal(rng, 2, 3, 4),), dict(axis=1)),
            ("far apart", (20 * _normal(rng, 3, 4),), {}), ("not contiguous", (_strided(rng, 3, 5),), {})]


def _leaky_relu(rng):
    return _shapes_of_one(_normal)(rng) + [("slope .2", (_normal(rng, 3, 4),), dict(slope=0.2))]


def _elu(rng):
    return _shapes_of_one(_away_from_zero)(rng) + [("alpha .5", (_away_from_zero(rng, 3, 4),), dict(alpha=0.5))]


def _gelu(rng):
    return _shapes_of_one(_normal)(rng) + [("approximated by tanh", (_normal(rng, 3, 4),), dict(approximate="tanh"))]


def _cross_entropy(rng):
    labels = np.array([0, 3, 3, 1])
    return [("class numbers", (_normal(rng, 4, 5), labels), {}),
            ("smoothed", (_normal(rng, 4, 5), labels), dict(label_smoothing=0.1)),
            ("probabilities", (_normal(rng, 4, 5), rng.dirichlet(np.ones(5), 4)), {}),
            ("probabilities, smoothed", (_normal(rng, 4, 5), rng.dirichlet(np.ones(5), 4)), dict(label_smoothing=0.1)),
            ("not contiguous", (_strided(rng, 4, 5), labels), {})]


def _two_pictures(rng):
    return [("images", (_normal(rng, 2, 3, 4, 2), _normal(rng, 2, 3, 4, 2)), {}),
            ("not contiguous", (_strided(rng, 3, 4), _normal(rng, 3, 4)), {})]


SAMPLES = {
    "add": _shapes_of_two(_normal, _normal), "subtract": _shapes_of_two(_normal, _normal),
    "multiply": _shapes_of_two(_normal, _normal), "divide": _shapes_of_two(_normal, _away_from_zero),
    "power": _shapes_of_two(_positive, _normal),
    "maximum": _shapes_of_two(_normal, _normal), "minimum": _shapes_of_two(_normal, _normal),
    "where": _where, "matmul": _matmul, "negative": _shapes_of_one(_normal),
    "exp": _shapes_of_one(_normal), "log": _shapes_of_one(_positive), "sqrt": _shapes_of_one(_positive),
    "abs": _shapes_of_one(_away_from_zero), "clip": _clip, "sin": _shapes_of_one(_normal), "cos": _shapes_of_one(_normal),
    "outer": _outer, "einsum": _einsum,
    "sum": _reduction, "mean": _reduction, "max": _reduction, "min": _reduction, "var": _spread, "std": _spread,
    "reshape": _reshape, "transpose": _transpose, "swapaxes": _swapaxes, "flatten": _flatten, "getitem": _getitem,
    "squeeze": _squeeze, "expand_dims": _expand_dims, "broadcast_to": _broadcast_to, "repeat": _repeat, "tile": _tile,
    "concatenate": _join, "stack": _join, "split": _split, "pad": _pad,

    "conv2d": _conv2d, "conv_transpose2d": _conv_transpose2d,
    "max_pool2d": _pool, "avg_pool2d": _avg_pool2d,
    "global_avg_pool2d": _global_avg_pool2d, "adaptive_avg_pool2d": _adaptive_avg_pool2d, "upsample": _upsample,
    "dense": _dense, "dropout": _dropout, "gram": _gram,
    "batch_norm": _batch_norm, "group_norm": _group_norm, "layer_norm": _layer_norm,
    "local_response_norm": _local_response_norm,
    "relu": _shapes_of_one(_away_from_zero), "leaky_relu": _leaky_relu, "gelu": _gelu,
    "elu": _elu, "softplus": _shapes_of_one(_normal),
    "sigmoid": _shapes_of_one(_normal), "tanh": _shapes_of_one(_normal), "silu": _shapes_of_one(_normal),
    "softmax": _softmax, "log_softmax": _softmax,
    "cross_entropy": _cross_entropy, "mse_loss": _two_pictures, "l1_loss": _two_pictures,
}
