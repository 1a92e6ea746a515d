"""Several processes that learn together, on one machine or many: sums over all of them, through MPI.

    mpiexec -n 2 minicnn train ...               # with mpi4py and an MPI installed: pip install "minicnn[mpi]"

starts the same program twice.  Every process holds the whole network and sees its share of each batch.  What is summed over
a batch (gradients, and the statistics of batch norm) is summed over all processes, and so each of them takes the step that
one process would take with the whole batch, up to rounding.

Alone, nothing of this is imported, and a sum over all processes is the number itself.
"""
import functools
import os

import numpy as np

from .backend import array_library, to_numpy

LAUNCHED = ("PMI_SIZE", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE")     # set by mpiexec of MPICH and its kin, PMIx, Open MPI


@functools.cache
def _world():
    """The communicator of all processes, or None when this one was not started by mpiexec."""
    if not any(name in os.environ for name in LAUNCHED):
        return None
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise RuntimeError(f"started by mpiexec, but mpi4py is not usable here ({error}): "
                           'pip install "minicnn[mpi]"') from error
    return MPI.COMM_WORLD if MPI.COMM_WORLD.size > 1 else None


def rank():
    """The number of this process, from 0 on; 0 alone writes files and speaks."""
    return _world().rank if _world() else 0


def count():
    """How many there are."""
    return _world().size if _world() else 1


def abort(code):
    """End all processes: the others would wait for this one forever.  Alone, does nothing."""
    if _world() is not None:
        _world().Abort(code)


def all_reduce(array):
    """The sum of this array over all processes, in each of them; alone the array itself.

    From a GPU it travels through the memory of the CPU, which any MPI can read.
    """
    if _world() is None:
        return array
    own = np.ascontiguousarray(to_numpy(array)).reshape(array.shape)                    # which makes (1,) of ()
    result = np.empty_like(own)
    _world().Allreduce(own, result)
    return array_library(array).asarray(result)


def all_reduce_many(arrays):
    """The sums of several arrays of one dtype, in one message: they travel as one."""
    if _world() is None:
        return arrays
    joined = all_reduce(array_library(*arrays).concatenate([array.reshape(-1) for array in arrays]))
    ends = np.cumsum([array.size for array in arrays])
    return [joined[end - array.size:end].reshape(array.shape) for array, end in zip(arrays, ends)]
