"""What Linux says of this process's memory."""

from __future__ import annotations

from pathlib import Path


def mebibytes(field: str) -> float:
    """``VmRSS``, what the process holds now, or ``VmHWM``, the most it has held, in MiB.

    ``getrusage`` tells of a peak as well, but of the parent's, where that was larger when it forked.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) / 2**10
