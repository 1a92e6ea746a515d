"""BLAS, the library that multiplies NumPy's matrices: kept to one thread, and told how many rows are a small product.

BLAS has threads of its own, which would help with one large product, but do not go together with ours: a thread of OpenBLAS
that has finished keeps its processor busy for some 20 milliseconds, waiting for more, and what we start meanwhile has to
share it.  (A step of style transfer took a fifth longer for it.)  So there is one kind of threads, those of threads.py, and
BLAS is kept to one thread while they work.
"""
import functools
import threading

from threadpoolctl import ThreadpoolController

from . import tuning



def rows_per_small_product(rows, weights):
    """Of how many rows, a divisor of `rows`, the products with a matrix of so many weights are small; all where none are.

    OpenBLAS first copies the matrices that it multiplies, in an order that suits it.  Small ones it takes as they lie, on
    processors with AVX-512, and many small products of some rows each are quicker than a large one.
    """
    at_most = tuning.BLAS_SMALL_PRODUCT // weights
    return next((n for n in range(min(rows, at_most), tuning.BLAS_FEWEST_ROWS - 1, -1) if rows % n == 0), rows)


class _BlasLimit:
    """BLAS on one thread while anybody is inside; what was set before comes back when the last one leaves."""

    def __init__(self):
        self.lock, self.inside, self.before = threading.Lock(), 0, []

    def __enter__(self):
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.before = [(library, library.get_num_threads()) for library in _blas_libraries()]
                for library, _ in self.before:
                    _set_threads(library, 1)

    def __exit__(self, *error):
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                for library, count in self.before:
                    _set_threads(library, count)


def _set_threads(library, count):
    """Whichever thread calls.  threadpoolctl 3.8 began to heed only the first thread that asks, so that two do not undo what
    the other set; here _BlasLimit counts who is inside, and asks under its lock.
    """
    getattr(library, "_real_set_num_threads", library.set_num_threads)(count)


@functools.cache
def _blas_libraries():
    return [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]


on_one_thread = _BlasLimit()
