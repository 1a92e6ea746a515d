"""Resident memory of this process, in megabytes: how much of the machine it really occupies."""
import contextlib
import math
import sys
from pathlib import Path

try:
    import resource
except ImportError:                              # Windows has none
    resource = None

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_mb():
    """The most that was resident since `forget_peak`; where the system cannot forget (outside Linux), since the start.

    NaN where nobody tells (on Windows).
    """
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024               # VmHWM: "high water mark", in kilobytes
    if resource is None:
        return math.nan
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def forget_peak():
    """Let the peak begin anew with what is resident now (see proc(5), clear_refs)."""
    with contextlib.suppress(OSError):
        _RESET.write_text("5", encoding="utf-8")
