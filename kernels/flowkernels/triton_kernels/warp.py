"""Launch functions of the warp kernels: one forward; backward: largest gradient, zeroed sums, additions, conversion.

image    # (B, C, H, W) contiguous, float32, float16 or bfloat16
motion   # (B, 2 or 1, H, W) px
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
from torch import Tensor

from flowkernels.definitions.warp import CONVENTIONS, SUM_BITS, WEIGHT_BITS, Convention
from flowkernels.triton_kernels.launch import launch
from flowkernels.triton_kernels.variant import Variant
from flowkernels.triton_kernels.warp_kernels import from_integers, warp_backward, warp_forward

FORWARD_PIXELS, FORWARD_BLOCK = 128, 8
# Backward tiles: pixels and channels processed in parallel; small maps take more channels, whose loop is long.
WIDE, DEEP = (32, 4), (16, 8)
MANY_PIXELS = 132 * 32 * 8
CONVERTED = 1024


def backward_tile(batch: int, height: int, width: int) -> tuple[int, int]:
    """Return the pixels and channels per program of the backward."""
    return WIDE if batch * height * width >= MANY_PIXELS else DEEP


def forward(image: Tensor, motion: Tensor, convention: Convention) -> Tensor:
    """Warp the image."""
    batch, channels, height, width = image.shape
    warped = torch.empty_like(image)
    tiles = triton.cdiv(height * width, FORWARD_PIXELS)
    grid = (batch * tiles, triton.cdiv(channels, FORWARD_BLOCK), 1)
    launch(
        warp_forward, grid, image, motion, warped, channels, height, width, tiles,
        RULE=CONVENTIONS.index(convention), BLOCK=FORWARD_BLOCK, PIXELS=FORWARD_PIXELS, num_warps=4,
    )  # fmt: skip
    return warped


def backward(
    grad: Tensor, image: Tensor, motion: Tensor, convention: Convention, need_image: bool, need_motion: bool
) -> tuple[Tensor, Tensor]:
    """Compute the gradients of image and motion; an input whose gradient is not needed is returned unchanged."""
    batch, channels, height, width = image.shape
    total = image.numel()
    bits = SUM_BITS - WEIGHT_BITS[convention] - (height * width).bit_length()
    grad_motion = torch.empty_like(motion) if need_motion else motion
    if need_image:
        # Stays on the device, where the scale to integers is computed from it.
        largest = torch.linalg.vector_norm(grad, float("inf"), dtype=torch.float32)
        sums = torch.zeros(total + 1, dtype=torch.int64, device=image.device)
    else:
        largest = grad.new_empty((), dtype=torch.float32)
        sums = grad.new_empty(1, dtype=torch.int64)
    pixels, block = backward_tile(batch, height, width)
    tiles = triton.cdiv(height * width, pixels)
    launch(
        warp_backward, (batch * tiles, 1, 1), grad, image, motion, largest, sums, grad_motion,
        channels, height, width, tiles, bits, total,
        RULE=CONVENTIONS.index(convention), NEED_IMAGE=need_image, NEED_MOTION=need_motion,
        BLOCK=block, PIXELS=pixels, num_warps=4,
    )  # fmt: skip
    if not need_image:
        return image, grad_motion
    grad_image = torch.empty_like(image)
    launch(
        from_integers, (triton.cdiv(total, CONVERTED), 1, 1), sums, largest, grad_image, total, bits,
        SIZE=CONVERTED, num_warps=4,
    )  # fmt: skip
    return grad_image, grad_motion


def variants() -> list[Variant]:
    """Return every convention in every dtype, with all backward tiles."""
    return [each for dtype in ("fp32", "fp16", "bf16") for each in _variants(dtype)]


def _variants(dtype: str) -> Iterator[Variant]:
    limit = 48
    for rule, convention in enumerate(CONVENTIONS):
        maps: tuple[str, ...] = ("image_at", "motion", "warped")
        yield Variant(
            f"warp_forward/{convention}/{dtype}", warp_forward,
            dict.fromkeys(maps, f"*{dtype}") | dict.fromkeys(("C", "H", "W", "tiles"), "i32"),
            {"RULE": rule, "BLOCK": FORWARD_BLOCK, "PIXELS": FORWARD_PIXELS}, maps, max_registers=limit,
        )  # fmt: skip
        maps = ("grad", "image_at", "motion", "grad_motion")
        types = dict.fromkeys(maps, f"*{dtype}") | {"largest": "*fp32", "sums": "*i64"}
        types |= dict.fromkeys(("C", "H", "W", "tiles", "bits", "total"), "i32")
        for (pixels, block), both in ((WIDE, True), (DEEP, True), (WIDE, False)):
            name = "both" if both else "motion"
            yield Variant(
                f"warp_backward/{convention}/{dtype}/{pixels}x{block}/{name}", warp_backward, types,
                {"RULE": rule, "NEED_IMAGE": both, "NEED_MOTION": True, "BLOCK": block, "PIXELS": pixels},
                (*maps, "largest", "sums"), max_registers=limit,
            )  # fmt: skip
    yield Variant(
        f"warp_from_integers/{dtype}", from_integers,
        {"sums": "*i64", "largest": "*fp32", "out": f"*{dtype}", "total": "i32", "bits": "i32"},
        {"SIZE": CONVERTED}, ("sums", "largest", "out"), max_registers=limit,
    )  # fmt: skip
