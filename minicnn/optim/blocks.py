"""Large arrays changed in place, a block at a time.

A step of Adam is a dozen short NumPy lines, and each of them goes through whole arrays.  With the weights of a large
layer that is a dozen journeys to memory and back, which take longer than the arithmetic.  So all lines are done for one
block, which stays in the processor's cache meanwhile, before the next one; the blocks are spread over the threads.
"""
from ..core import tuning
from ..core.backend import array_library, is_gpu_array
from ..core.kernels import Kernels, runs_kernels
from ..core.threads import in_parallel, slices, workspace

kernels = Kernels(__file__, "steps.cu")


def in_one_kernel(*arrays):
    """Whether the whole change can be one kernel of steps.cu: float32 arrays on the GPU, all in C order."""
    return runs_kernels(*arrays) and all(array.flags.c_contiguous for array in arrays)


def in_blocks(change, written, read=()):
    """change(*written, *read), block by block: it changes the arrays of `written` in place and looks at those of `read`.

    All arrays have one shape, and each element is treated for itself: then the cut makes no difference.
    """
    size = written[0].size
    in_order = all(array.flags.c_contiguous for array in written)
    if size < 2 * tuning.OPTIMIZER_BLOCK or is_gpu_array(written[0]) or not in_order:
        change(*written, *read)
        return
    flat = [array.reshape(-1) for array in (*written, *read)]         # views, or a copy of what is only read
    in_parallel(lambda part: change(*(array[part] for array in flat)), _parts(size))


def _parts(size):
    return slices(size, size // tuning.OPTIMIZER_BLOCK)


def scratch(name, like):
    """An uninitialised array like `like`, for what one block needs in between: the next block gets the same."""
    return array_library(like).empty_like(like) if is_gpu_array(like) else workspace(name, like.shape, like.dtype)


def penalised(gradient, weight, decay, out):
    """The gradient with that of decay/2 |weight|^2, in `out`; without a decay the gradient itself."""
    if not decay:
        return gradient
    array_library(weight).multiply(weight, decay, out=out)
    out += gradient
    return out


def add_scaled(target, factor, array):
    """target += factor * array, in place."""
    def change(target, array):
        target += array_library(array).multiply(array, factor, out=scratch("scaled", target))
    in_blocks(change, [target], [array])


def dot(a, b):
    """The sum of a * b over two flat arrays, as a Python number: the sums of the blocks, added in their order."""
    if is_gpu_array(a):
        return float(a @ b)
    return sum(in_parallel(lambda part: float(a[part] @ b[part]), _parts(a.size)))
