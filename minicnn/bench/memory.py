"""Resident memory of this process, in megabytes: how much of the machine it really occupies."""
import contextlib
import resource
import sys
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_mb():
    """The most that was resident since `forget_peak`; where the system cannot forget (outside Linux), since the start."""
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024               # VmHWM: "high water mark", in kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def forget_peak():
    """Let the peak begin anew with what is resident now (see proc(5), clear_refs)."""
    with contextlib.suppress(OSError):
        _RESET.write_text("5")
