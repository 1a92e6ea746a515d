"""Which array library an array belongs to, and how to move between them.

Every operation of minicnn asks the array it was given, `xp = array_library(x)`, and then calls `xp.exp`, `xp.matmul`, ...
NumPy arrays stay on the CPU, CuPy arrays on the GPU, and the same line serves both.  Nothing here is decided for the whole
process, and CuPy is never imported before somebody moves an array to the GPU.
"""
import importlib.util
import sys

import numpy as np


DEVICES = "auto", "cpu", "cuda"


def is_gpu_array(array):
    """Whether `array` is a CuPy array (asked of its type, so that CuPy need not be imported to say no)."""
    return type(array).__module__.partition(".")[0] == "cupy"


def array_library(*arrays):
    """The module, NumPy or CuPy, that the arrays belong to.  Anything that is no array (None, a number) has no say.

    Raises TypeError when NumPy and CuPy arrays are mixed.
    """
    on_gpu = [is_gpu_array(a) for a in arrays if is_gpu_array(a) or getattr(a, "shape", ()) != ()]
    if not any(on_gpu):
        return np
    if not all(on_gpu):
        raise TypeError(f"arrays of two devices in one operation ({', '.join(map(_describe, arrays))}): "
                        "move one of them first, x.to('cuda') or x.to('cpu')")
    return sys.modules["cupy"]


def _describe(array):
    if not hasattr(array, "dtype"):
        return repr(array)
    return f"{'cuda' if is_gpu_array(array) else 'cpu'} {array.dtype} {tuple(array.shape)}"


def device_of(array):
    """'cuda' or 'cpu'."""
    return "cuda" if is_gpu_array(array) else "cpu"


def to_device(array, device):
    """The array on `device` ('cpu' or 'cuda'); the same array when it is there already.

    Raises ValueError for another device name, RuntimeError when there is no usable GPU (with the reason).
    """
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'cpu' or 'cuda', not {device!r}")
    if device == device_of(array):
        return array
    return array.get() if device == "cpu" else _cupy().asarray(array)


def chosen_device(name):
    """'cpu' or 'cuda' for 'auto' (the GPU if there is a usable one), 'cpu' or 'cuda'.

    Raises ValueError for another name, and, with the reason, for 'cuda' where there is no usable GPU.
    """
    if name not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, not {name!r}")
    if name == "cpu":
        return name
    status = gpu_status()
    if name == "cuda" and status != "available":
        raise ValueError(f"no usable GPU: {status}; without --device the CPU does it")
    return "cuda" if status == "available" else "cpu"


def to_numpy(array):
    """The array as a NumPy array, copied from the GPU if it lies there."""
    return to_device(array, "cpu") if is_gpu_array(array) else np.asarray(array)


def _cupy():
    status = gpu_status()
    if status != "available":
        raise RuntimeError(f"no usable GPU: {status}")
    return sys.modules["cupy"]


def gpu_status():
    """'available', or in one sentence why the GPU is not used: not installed, no device, driver too old, or broken.

    This is the only place that imports CuPy.  It catches every exception on purpose: a broken CuPy raises far more
    than ImportError, and the reason has to reach the user.
    """
    if importlib.util.find_spec("cupy") is None:
        return 'CuPy is not installed (for an NVIDIA GPU: pip install "minicnn[cuda12]", or cuda13 with driver 580 or later)'
    try:
        import cupy
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        return _reason(error)
    return "available" if count > 0 else _NO_DEVICE


_NO_DEVICE = "CuPy is installed, but this machine has no CUDA device"


def _reason(error):
    """What went wrong in the import, or when CuPy was asked for its devices."""
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    if "InsufficientDriver" in text and sys.modules["cupy"].cuda.runtime.driverGetVersion() > 0:
        return f"CuPy is installed, but the NVIDIA driver is too old for it: update the driver ({text})"
    if "InsufficientDriver" in text or "NoDevice" in text:                   # without any driver the version is 0
        return f"{_NO_DEVICE} ({text})"
    return f"CuPy is installed, but broken: install it again ({text})"
