"""Memory of the process: what is freed is kept for the next step."""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory for the next tensor; return whether it could be told.

    By default every large tensor is mapped anew, and the kernel zeroes its pages on first touch: up to a fifth of a training step on a CPU.
    Other C libraries, and glibc where another allocator is preloaded, go on as they are.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
