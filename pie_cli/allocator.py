"""The C library's memory allocator, set for training."""

from __future__ import annotations

import ctypes
import sys

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Have the allocator keep what tensors free, for those of the next step.

    By default glibc returns large blocks to the system at once, and each training step pays for having tens of
    thousands of pages cleared and mapped again: a tenth of a PIE's step on a CPU. Nothing changes elsewhere.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library than glibc
        return
    mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
