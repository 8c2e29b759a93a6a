"""The C library's allocator, told to keep large blocks for reuse.

By default glibc maps each block of 32 MiB or more and unmaps it when it is freed, so that the first write to each page
of the next tensor is a page fault. Networks on a CPU allocate the same large tensors for every image, and a loader's
worker allocates the same arrays for every sample; keeping the blocks avoids these faults (benchmarks/inference.py,
benchmarks/training.py, benchmarks/data.py).
"""

from __future__ import annotations

import ctypes
import os
import platform

# mallopt's parameters, from malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
# Bytes; larger blocks are mapped as before. Some versions of glibc refuse more than the second.
_LARGEST_KEPT_BLOCKS = (1 << 30, 32 << 20)
_LARGEST_KEPT = (1 << 31) - 1  # bytes of free memory at the heap's end that are kept; mallopt takes an int
_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_")


def keep_freed_memory() -> bool:
    """Raise glibc's thresholds, so that freed tensors are reused. For commands: it concerns the whole process.

    Settings of the user (the variables MALLOC_* and GLIBC_TUNABLES) are respected.

    Returns:
        whether the thresholds were raised; never outside Linux with glibc.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _SETTINGS):
        return False
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    mapped = any(mallopt(_M_MMAP_THRESHOLD, size) == 1 for size in _LARGEST_KEPT_BLOCKS)
    return mapped and mallopt(_M_TRIM_THRESHOLD, _LARGEST_KEPT) == 1
