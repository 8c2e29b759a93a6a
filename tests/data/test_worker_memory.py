"""A worker keeps freed memory: samples after the first cause almost no page faults."""

import os
import subprocess
import sys

SCRIPT = """
import ctypes, resource, sys
import torch
from flowdistill.data.loaders import start_worker

if sys.argv[1] == "worker":
    start_worker(0)

def sample():
    return [torch.ones(3, 375, 1242) for _ in range(4)]

for _ in range(8):
    kept = sample()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    kept = sample()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(who: str) -> int:
    settings = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    if who == "main":
        # Without this, glibc adapts its thresholds at run time, and results are not deterministic.
        settings["MALLOC_MMAP_THRESHOLD_"] = str(128 << 10)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, who], env=settings, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_a_worker_reuses_the_memory_of_its_samples() -> None:
    pages_of_ten_samples = 10 * 4 * 3 * 375 * 1242 * 4 // 4096
    assert faults("worker") < pages_of_ten_samples / 25
    assert faults("main") > pages_of_ten_samples / 2
