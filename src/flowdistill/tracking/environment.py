"""Versions, the machine, the devices of a trainer, and peak memory."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytorch_lightning as pl
import torch

import flowdistill
from flowdistill.tracking.sections import Devices, Machine, Memory

_PACKAGES = {
    "torch": "torch",
    "triton": "triton",
    "pytorch-lightning": "pytorch-lightning",
    "torchmetrics": "torchmetrics",
    "kornia": "kornia",
    "albumentations": "albumentations",
    "numpy": "numpy",
    "opencv": "opencv-python-headless",
}


def versions() -> dict[str, str | None]:
    """Return versions by package name; None if not installed. The packages are not imported."""
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "flowdistill": flowdistill.__version__,
    }
    for name, package in _PACKAGES.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            found[name] = None
    return found


def machine() -> Machine:
    """Describe the operating system, the processor, and the usable GPUs."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "os": platform.platform(),
        "cpu": _processor(),
        "cpu_count": os.cpu_count(),
        "cuda": torch.version.cuda if gpus else None,
        "gpus": gpus,
    }


def devices(trainer: pl.Trainer) -> Devices:
    """Describe the devices of a trainer."""
    kind = trainer.strategy.root_device.type
    names = [torch.cuda.get_device_name(index) for index in trainer.device_ids] if kind == "cuda" else []
    return {
        "accelerator": kind,
        "devices": trainer.world_size,
        "nodes": trainer.num_nodes,
        "precision": str(trainer.precision),
        "names": names or [_processor()],
    }


def peak_memory(device: torch.device | None = None) -> Memory:
    """Return peaks of this process since its start: resident memory, and torch's allocation on a CUDA device."""
    on_gpu = device is not None and device.type == "cuda"
    return {"process": _peak_resident(), "cuda": torch.cuda.max_memory_allocated(device) if on_gpu else None}


def _peak_resident() -> int | None:
    # Not getrusage on Linux: its maximum starts with the memory of the parent process.
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.is_file():
        for line in described.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
