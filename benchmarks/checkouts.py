"""For benchmarks that compare two versions of flowdistill: their sources, processes that use them, a unit of time.

A version is a folder with a checkout, or a commit of this repository, whose sources are unpacked into a temporary
folder. Times are also given in units of one convolution, 3x3 from 220 to 128 channels at 96x320, the best of two memory
layouts: a large layer of DWARF, close to the machine's limit.
"""

from __future__ import annotations

import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BEFORE = "18dc29e"  # the commit before the operators, the CPU formulations and the allocator's thresholds
CEILING = (220, 128, 96, 320)  # channels in and out, rows, columns


def sources(version: str, scratch: Path) -> Path:
    """Return the folder of a version's sources; a commit's are unpacked below `scratch`."""
    if Path(version, "src", "flowdistill").is_dir():
        return Path(version).resolve()
    packed = subprocess.run(
        ["git", "archive", version, "src", "kernels"], cwd=ROOT, capture_output=True, check=False
    )
    if packed.returncode:
        raise SystemExit(
            f"{version}: neither a checkout nor a commit here ({packed.stderr.decode().strip()})"
        )
    folder = scratch / version
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def run_part(script: str, root: Path, threads: int, arguments: list[str]) -> dict[str, Any]:
    """Run a script in a new process on a version's sources, and return the JSON of its last line."""
    given = os.environ.get("PYTHONPATH", "")  # such as a folder with another runtime
    paths = os.pathsep.join([str(root / "src"), str(root / "kernels"), *([given] if given else [])])
    environment = os.environ | {
        "PYTHONPATH": paths,
        "OMP_NUM_THREADS": str(threads),
        "NO_ALBUMENTATIONS_UPDATE": "1",
    }
    done = subprocess.run(
        [sys.executable, script, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{root}: {done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def set_up_host(root: Path, predict: bool) -> None:
    """Set up the allocator, and for predictions the arithmetic, as the version's commands do; older ones do not."""
    package = root / "src" / "flowdistill"
    if (package / "host_memory.py").is_file():
        from flowdistill.host_memory import keep_freed_memory

        keep_freed_memory()
    if predict and (package / "host_arithmetic.py").is_file():
        import torch

        torch.set_flush_denormal(True)


def ceiling_seconds(repeats: int = 15) -> float:
    """Time the unit: the fastest of some convolutions in either layout."""
    import torch

    inputs, outputs, rows, columns = CEILING
    weight, image = torch.rand(outputs, inputs, 3, 3), torch.rand(1, inputs, rows, columns)
    best = float("inf")
    with torch.inference_mode():
        for layout in (torch.contiguous_format, torch.channels_last):
            x, w = image.contiguous(memory_format=layout), weight.contiguous(memory_format=layout)
            for _ in range(repeats):
                started = time.perf_counter()
                torch.conv2d(x, w, padding=1)
                best = min(best, time.perf_counter() - started)
    return best


def ceiling_flops() -> float:
    """Return the floating-point operations of the unit."""
    inputs, outputs, rows, columns = CEILING
    return 2.0 * inputs * outputs * 9 * rows * columns


def processor() -> str:
    """Return the processor's name and its units for half precision, as far as the system reports them."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor()
    text = cpuinfo.read_text()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {flag} " in text]
    return f"{names[0] if names else platform.processor()} ({', '.join(flags)})"


def has_bfloat16_unit() -> bool:
    """Return whether the processor multiplies bfloat16 in hardware; elsewhere it is emulated and slower."""
    return any(flag in processor() for flag in ("avx512_bf16", "amx_bf16"))
