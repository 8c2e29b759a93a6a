"""Census distance kernels: one pixel per thread, 48 neighbours, gathers in forward and backward.

grey, distance, grad   # (B, 1, H, W)
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _place(H, W, tiles_x, tiles_y, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Return the offset of the image, and row (ROWS, 1) and column (1, COLUMNS) of every pixel of the program."""
    program = tl.program_id(0)
    row = (program // tiles_x) % tiles_y * ROWS + tl.arange(0, ROWS)[:, None]
    column = program % tiles_x * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    image = (program // (tiles_x * tiles_y)).to(tl.int64)
    return image * H * W, row, column


@triton.jit
def census_forward(grey1, grey2, distance, H, W, tiles_x, tiles_y, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    start, row, column = _place(H, W, tiles_x, tiles_y, ROWS, COLUMNS)
    inside = (row < H) & (column < W)
    own = start + row * W + column
    centre1 = tl.load(grey1 + own, mask=inside, other=0.0).to(tl.float32)
    centre2 = tl.load(grey2 + own, mask=inside, other=0.0).to(tl.float32)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for i in range(-3, 4):
        for j in tl.static_range(-3, 4):
            there = inside & (row + i >= 0) & (row + i < H) & (column + j >= 0) & (column + j < W)
            at = own + i * W + j
            step1 = tl.load(grey1 + at, mask=there, other=0.0).to(tl.float32) - centre1
            step2 = tl.load(grey2 + at, mask=there, other=0.0).to(tl.float32) - centre2
            gap = step1 * tl.rsqrt(step1 * step1 + 0.81) - step2 * tl.rsqrt(step2 * step2 + 0.81)
            squared = gap * gap
            total += squared / (squared + 0.1)  # the centre adds 0
    tl.store(distance + own, total.to(distance.dtype.element_ty), mask=inside)


@triton.jit
def census_backward(
    grad, grey1, grey2, grad1, grad2, H, W, tiles_x, tiles_y,
    NEED1: tl.constexpr, NEED2: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    start, row, column = _place(H, W, tiles_x, tiles_y, ROWS, COLUMNS)
    inside = (row < H) & (column < W)
    own = start + row * W + column
    centre1 = tl.load(grey1 + own, mask=inside, other=0.0).to(tl.float32)
    centre2 = tl.load(grey2 + own, mask=inside, other=0.0).to(tl.float32)
    weight = tl.load(grad + own, mask=inside, other=0.0).to(tl.float32)
    total1 = tl.zeros((ROWS, COLUMNS), tl.float32)
    total2 = tl.zeros((ROWS, COLUMNS), tl.float32)
    for i in range(-3, 4):
        for j in tl.static_range(-3, 4):
            there = inside & (row + i >= 0) & (row + i < H) & (column + j >= 0) & (column + j < W)
            at = own + i * W + j
            step1 = tl.load(grey1 + at, mask=there, other=0.0).to(tl.float32) - centre1
            step2 = tl.load(grey2 + at, mask=there, other=0.0).to(tl.float32) - centre2
            inverse1 = tl.rsqrt(step1 * step1 + 0.81)
            inverse2 = tl.rsqrt(step2 * step2 + 0.81)
            gap = step1 * inverse1 - step2 * inverse2
            half = gap * gap + 0.1
            # Both ends of a pair have the same factor (flowkernels/definitions/census.py).
            both = weight + tl.load(grad + at, mask=there, other=0.0).to(tl.float32)
            outer = both * gap / (half * half)
            if NEED1:
                total1 += outer * (inverse1 * inverse1 * inverse1)
            if NEED2:
                total2 += outer * (inverse2 * inverse2 * inverse2)
    # 2 * 0.1 * 0.81 and the sign of the centre in its difference.
    if NEED1:
        tl.store(grad1 + own, (total1 * -0.162).to(grad1.dtype.element_ty), mask=inside)
    if NEED2:
        tl.store(grad2 + own, (total2 * 0.162).to(grad2.dtype.element_ty), mask=inside)
