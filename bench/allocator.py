"""The memory allocator as each contender has it."""

from __future__ import annotations

import ctypes

from bench.subjects import PEERS
from pie_cli.allocator import keep_freed_memory

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def set_for(name: str) -> None:
    """Set the allocator for what comes next: as `pie` sets it, or for a peer as glibc has it by itself.

    Glibc's thresholds grow with what is freed, and stay fixed once set by hand: a peer is given the most favourable
    values that they reach, 32 MiB and twice that.
    """
    keep_freed_memory()
    if name.startswith(PEERS):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 64 << 20)
