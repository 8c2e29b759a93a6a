"""The allocator's thresholds, in processes of their own: reused blocks cost no page faults."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from flowdistill.host_memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
for _ in range(3):
    np.ones(16 << 20, dtype=np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    np.ones(16 << 20, dtype=np.float32)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
ON_GLIBC = platform.libc_ver()[0] == "glibc"


def faults(how: str, **settings: str) -> tuple[str, int]:
    """Whether the thresholds were raised, and the page faults of four arrays of 64 MiB."""
    # Huge pages would hide the faults of small ones.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    environment |= {"NUMPY_MADVISE_HUGEPAGE": "0", **settings}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how], env=environment, capture_output=True, text=True, check=True
    )
    kept, count = done.stdout.split()
    return kept, int(count)


@pytest.mark.skipif(not ON_GLIBC, reason="thresholds are those of glibc")
def test_freed_blocks_are_reused() -> None:
    _, before = faults("leave")
    kept, after = faults("keep")
    assert kept == "True"
    assert before > 4 * 16_000  # 64 MiB are 16,384 pages
    assert after < before / 10


@pytest.mark.skipif(not ON_GLIBC, reason="thresholds are those of glibc")
@pytest.mark.parametrize(
    "setting",
    [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"}],
)
def test_the_users_settings_are_respected(setting: dict[str, str]) -> None:
    assert faults("keep", **setting)[0] == "False"


def test_importing_changes_nothing() -> None:
    """A program that imports flowdistill keeps its allocator: every function is called by a command's `main` only."""
    code = "import ctypes; ctypes.CDLL = None; import flowdistill.host_memory, flowdistill.cli.lightning"
    subprocess.run([sys.executable, "-c", code], check=True)
