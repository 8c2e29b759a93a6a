"""Versions, the machine, the devices of a trainer, and peak memory."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

import flowdistill

_PACKAGES = (
    "torch", "triton", "pytorch-lightning", "torchmetrics", "kornia", "albumentations", "numpy",
    "opencv-python-headless",
)  # fmt: skip


def versions() -> dict[str, str | None]:
    """Return versions by package name; None if not installed. The packages are not imported."""
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "flowdistill": flowdistill.__version__,
    }
    for package in _PACKAGES:
        name = package.removesuffix("-python-headless")
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            found[name] = None
    return found


def machine() -> dict[str, Any]:
    """Describe the operating system, the processor, and the usable GPUs; `cuda` is the version torch was built for."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "os": platform.platform(),
        "cpu": _processor(),
        "cpu_count": os.cpu_count(),
        "cuda": torch.version.cuda if gpus else None,
        "gpus": gpus,
    }


def devices(trainer: pl.Trainer) -> dict[str, Any]:
    """Describe the devices of a trainer: their number over all nodes, the names of this node's."""
    kind = trainer.strategy.root_device.type
    names = [torch.cuda.get_device_name(index) for index in trainer.device_ids] if kind == "cuda" else []
    return {
        "accelerator": kind,
        "devices": trainer.world_size,
        "nodes": trainer.num_nodes,
        "precision": str(trainer.precision),
        "names": names or [_processor()],
    }


def peak_memory(device: torch.device | None = None) -> dict[str, int | None]:
    """Return peaks of this process since its start: resident memory, and torch's allocation on a CUDA device."""
    on_gpu = device is not None and device.type == "cuda"
    return {"process": _peak_resident(), "cuda": torch.cuda.max_memory_allocated(device) if on_gpu else None}


def _peak_resident() -> int | None:
    # Not getrusage on Linux: its maximum starts with the memory of the parent process.
    if found := _in_proc("self/status", "VmHWM"):
        return int(found.split()[0]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _processor() -> str:
    return _in_proc("cpuinfo", "model name") or platform.processor() or platform.machine()


def _in_proc(file: str, key: str) -> str | None:
    """Return the value of the first line `KEY: VALUE` of a file in /proc; None if there is none."""
    path = Path("/proc", file)
    found = re.search(rf"^{key}\s*:(.*)$", path.read_text(), re.MULTILINE) if path.is_file() else None
    return None if found is None else found[1].strip()
