"""The device's memory: NumPy's, each array in a block of its own with guard zones before and behind.

New memory is full of ones: as floats they are NaN, so that who reads what nobody wrote does not get a harmless 0.  The guard
zones are NaN too, but signalling ones, which any arithmetic turns into the other kind: `x[-1] += 1` leaves a trace.
"""
import numpy as np

GUARD = ALIGNMENT = 256                          # bytes; CuPy's arrays too begin at multiples of 256
GUARDED = np.frombuffer(np.uint32(0x7fa00000).tobytes(), np.uint8)


class Block:
    """`size` bytes of the device."""

    def __init__(self, size):
        self._memory = np.resize(GUARDED, size + 2 * GUARD + ALIGNMENT)
        begin = self._memory.ctypes.data + GUARD
        self._first = GUARD + -begin % ALIGNMENT
        self.bytes = self._memory[self._first:self._first + size]
        self.bytes[...] = 0xff

    def is_whole(self):
        """Whether nobody wrote into the guard zones."""
        untouched = self._memory == np.resize(GUARDED, self._memory.size)
        return bool(untouched[:self._first].all() and untouched[self._first + self.bytes.size:].all())


def allocate(shape, dtype, axes=None):
    """(array, block) in new memory;  axes: the array's axes in the order in which they lie there, C order by default."""
    axes = range(len(shape)) if axes is None else axes
    laid = [shape[axis] for axis in axes]
    block = Block(int(np.prod(laid, dtype=np.int64)) * dtype.itemsize)
    return block.bytes.view(dtype).reshape(laid).transpose(np.argsort(axes)), block


def overlapping_joined(ranges):
    """(begin, end) ranges sorted, those that overlap as one."""
    joined = []
    for begin, end in sorted(ranges):
        if joined and begin < joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    return joined
