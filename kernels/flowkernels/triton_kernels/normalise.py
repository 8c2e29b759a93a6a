"""Launch functions of the normalisation kernels: one forward, one backward.

features, unit, grad   # (B, C, H, W) contiguous, float32, float16 or bfloat16
"""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from flowkernels.triton_kernels.launch import launch
from flowkernels.triton_kernels.normalise_kernels import normalise_backward, normalise_forward
from flowkernels.triton_kernels.variant import Variant

TILE = {"BLOCK": 4, "PIXELS": 32}  # channels and pixels: one value per thread of 4 warps


def forward(features: Tensor) -> Tensor:
    """Normalise features to unit length."""
    unit = torch.empty_like(features)
    sizes, programs = _sizes(features)
    launch(normalise_forward, (programs, 1, 1), features, unit, *sizes, **TILE, num_warps=4)
    return unit


def backward(grad: Tensor, features: Tensor) -> Tensor:
    """Compute the gradient of the features."""
    found = torch.empty_like(features)
    sizes, programs = _sizes(features)
    launch(normalise_backward, (programs, 1, 1), grad, features, found, *sizes, **TILE, num_warps=4)
    return found


def _sizes(features: Tensor) -> tuple[tuple[int, int, int], int]:
    """Return (channels, pixels per image, tiles per image) and the number of programs."""
    batch, channels, height, width = features.shape
    tiles = triton.cdiv(height * width, TILE["PIXELS"])
    return (channels, height * width, tiles), batch * tiles


def variants() -> list[Variant]:
    """Return forward and backward in every dtype."""
    found = []
    for dtype in ("fp32", "fp16", "bf16"):
        scalars = dict.fromkeys(("C", "plane", "tiles"), "i32")
        for name, kernel, maps in (
            ("forward", normalise_forward, ("features", "unit")),
            ("backward", normalise_backward, ("grad", "features", "out")),
        ):
            types = dict.fromkeys(maps, f"*{dtype}") | scalars
            found.append(Variant(f"normalise_{name}/{dtype}", kernel, types, TILE, maps, max_registers=48))
    return found
