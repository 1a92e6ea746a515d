"""What the C library does with freed memory.  Only glibc can be told; elsewhere these functions do nothing."""
import contextlib
import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4   # glibc's malloc.h
_LARGE = 1 << 23                                 # bytes of an array that is worth a mapping of its own


def keep_freed_memory():
    """Ask the C library to keep freed memory for the next array instead of giving it back to the system.

    Large arrays are otherwise fresh pages each time, which the system has to find and clear: with whole batches of feature
    maps that took more time than the arithmetic.  Concerns the whole process, so only the command line and scripts call it.
    Does nothing where the C library is not glibc.
    """
    _tell_malloc((_M_MMAP_MAX, 0),                               # no array of its own mapping, which free() returns at once
                 (_M_TRIM_THRESHOLD, 2**31 - 1))                 # and the heap keeps its size


def return_freed_memory():
    """Ask the C library to give the memory of every large array back at once, whatever `keep_freed_memory` asked before.

    For work that must not take more than a given amount: kept arrays leave holes, which others of another size do not fill.
    """
    _tell_malloc((_M_MMAP_MAX, 65536), (_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, _LARGE))


def _tell_malloc(*options):
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option in options:
            mallopt(*option)
