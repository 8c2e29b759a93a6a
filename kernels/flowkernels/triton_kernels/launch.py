"""Kernel launches on the tensors' device, and their count."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

_count = 0


def launch(kernel: Any, grid: tuple[int, ...], *args: Any, **options: Any) -> None:
    """Run a Triton kernel over a grid of programs, on the device of its first tensor.

    Triton launches on the current CUDA device; tensors of another one would be read through the wrong context.
    """
    global _count
    _count += 1
    first = next(value for value in args if isinstance(value, Tensor))
    with _on(first.device):
        kernel[grid](*args, **options)


def launches() -> int:
    """Return the number of kernels launched by this process so far."""
    return _count


def _on(device: torch.device) -> AbstractContextManager[Any]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
