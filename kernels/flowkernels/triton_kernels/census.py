"""Launch functions of the census distance kernels: one forward, one backward.

grey, distance, grad   # (B, 1, H, W) contiguous, float32, float16 or bfloat16
"""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from flowkernels.triton_kernels.census_kernels import census_backward, census_forward
from flowkernels.triton_kernels.launch import launch
from flowkernels.triton_kernels.variant import Variant

TILE = {"ROWS": 4, "COLUMNS": 32}  # one pixel per thread of 4 warps: larger tiles spill


def forward(grey1: Tensor, grey2: Tensor) -> Tensor:
    """Compute the distance."""
    distance = torch.empty_like(grey1)
    tiles, programs = _tiles(grey1)
    launch(census_forward, (programs, 1, 1), grey1, grey2, distance, *tiles, **TILE, num_warps=4)
    return distance


def backward(grad: Tensor, grey1: Tensor, grey2: Tensor, need1: bool, need2: bool) -> tuple[Tensor, Tensor]:
    """Compute the gradients of both images; an image whose gradient is not needed is returned unchanged."""
    grad1 = torch.empty_like(grey1) if need1 else grey1
    grad2 = torch.empty_like(grey2) if need2 else grey2
    tiles, programs = _tiles(grey1)
    launch(
        census_backward, (programs, 1, 1), grad, grey1, grey2, grad1, grad2, *tiles,
        NEED1=need1, NEED2=need2, **TILE, num_warps=4,
    )  # fmt: skip
    return grad1, grad2


def _tiles(grey: Tensor) -> tuple[tuple[int, int, int, int], int]:
    """Return (height, width, tiles along x, tiles along y) and the number of programs."""
    height, width = grey.shape[-2:]
    tiles_x, tiles_y = triton.cdiv(width, TILE["COLUMNS"]), triton.cdiv(height, TILE["ROWS"])
    return (height, width, tiles_x, tiles_y), grey.shape[0] * tiles_x * tiles_y


def variants() -> list[Variant]:
    """Return forward, and backward for one and both images, in every dtype."""
    found = []
    for dtype in ("fp32", "fp16", "bf16"):
        scalars = dict.fromkeys(("H", "W", "tiles_x", "tiles_y"), "i32")
        maps: tuple[str, ...] = ("grey1", "grey2", "distance")
        types = dict.fromkeys(maps, f"*{dtype}") | scalars
        found.append(Variant(f"census_forward/{dtype}", census_forward, types, TILE, maps, max_registers=48))
        maps = ("grad", "grey1", "grey2", "grad1", "grad2")
        types = dict.fromkeys(maps, f"*{dtype}") | scalars
        for need1 in (False, True):
            settings = {"NEED1": need1, "NEED2": True, **TILE}
            name = f"census_backward/{dtype}/{'both' if need1 else 'second'}"
            found.append(Variant(name, census_backward, types, settings, maps, max_registers=48))
    return found
