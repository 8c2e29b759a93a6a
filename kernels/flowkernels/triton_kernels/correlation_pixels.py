"""Correlation kernels for any width, radius, stride and dilation: a thread owns one pixel.

    x, y     # (B, C, H, W)
    volume   # (B, S, h, w), h = ceil(H / stride), w = ceil(W / stride)

Axis 0 of the grid runs over tiles of PIXELS pixels and images, axis 1 over row shifts (or blocks of channels), axis 2
over depth.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def forward_pixels(
    x, y, volume, C, H, W, h, w, tiles, scale, slope, STRIDE, DILATION,
    RADIUS_Y: tl.constexpr, RADIUS_X: tl.constexpr, DEPTH: tl.constexpr, LEAKY: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """A program sums one row shift x all column shifts of its pixels over the channels."""
    SHIFTS_Y: tl.constexpr = 2 * RADIUS_Y + 1
    SHIFTS_X: tl.constexpr = 2 * RADIUS_X + 1
    image = (tl.program_id(0) // tiles).to(tl.int64)
    pixel = (tl.program_id(0) % tiles) * PIXELS + tl.arange(0, PIXELS)
    i = tl.program_id(1)
    depth = tl.program_id(2)
    deeper = depth - DEPTH
    inside = pixel < h * w
    row = (pixel // w) * STRIDE
    column = (pixel % w) * STRIDE
    seen_row = row + (i - RADIUS_Y) * DILATION
    there = inside & (seen_row >= 0) & (seen_row < H)
    plane = H * W
    start = tl.maximum(0, -deeper)
    stop = tl.minimum(C, C - deeper)
    x_at = x + (image * C + start) * plane + row * W + column
    y_at = y + (image * C + start + deeper) * plane + seen_row * W + column
    sums = ()
    for _ in tl.static_range(SHIFTS_X):
        sums = sums + (tl.zeros((PIXELS,), tl.float32),)
    for _ in range(start, stop):
        own = tl.load(x_at, mask=inside, other=0.0).to(tl.float32)
        added = ()
        for j in tl.static_range(SHIFTS_X):
            away = (j - RADIUS_X) * DILATION
            mask = there & (column + away >= 0) & (column + away < W)
            seen = tl.load(y_at + away, mask=mask, other=0.0).to(tl.float32)
            added = added + (sums[j] + own * seen,)
        sums = added
        x_at += plane
        y_at += plane
    channel = image * ((2 * DEPTH + 1) * SHIFTS_Y * SHIFTS_X) + (depth * SHIFTS_Y + i) * SHIFTS_X
    out_at = volume + channel * h * w + pixel
    for j in tl.static_range(SHIFTS_X):
        value = sums[j] * scale
        if LEAKY:
            value = tl.maximum(value, value * slope)
        tl.store(out_at + j * h * w, value.to(volume.dtype.element_ty), mask=inside)


@triton.jit
def backward_pixels(
    grad, volume, other, out, C, H, W, h, w, tiles, scale, slope, STRIDE, DILATION,
    RADIUS_Y: tl.constexpr, RADIUS_X: tl.constexpr, DEPTH: tl.constexpr, SIGN: tl.constexpr, BLOCK: tl.constexpr,
    LEAKY: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """A program gathers BLOCK channels of one gradient at its pixels, in the order of the shifts.

    SIGN 1: the gradient of x at p sums grad[s, p] * y[p + s]. SIGN -1: that of y at q sums grad[s, q - s] * x[q - s].
    Pixels of x that are no centres of a strided window have none.
    """
    SHIFTS_Y: tl.constexpr = 2 * RADIUS_Y + 1
    SHIFTS_X: tl.constexpr = 2 * RADIUS_X + 1
    image = (tl.program_id(0) // tiles).to(tl.int64)
    pixel = (tl.program_id(0) % tiles) * PIXELS + tl.arange(0, PIXELS)
    channels = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < H * W
    row = pixel // W
    column = pixel % W
    plane = H * W
    sums = tl.zeros((BLOCK, PIXELS), tl.float32)
    for step in range((2 * DEPTH + 1) * SHIFTS_Y):
        deeper = SIGN * (step // SHIFTS_Y - DEPTH)
        other_row = row + SIGN * (step % SHIFTS_Y - RADIUS_Y) * DILATION
        other_channel = channels + deeper
        exists = (channels < C) & (other_channel >= 0) & (other_channel < C)
        other_at = other + (image * C + other_channel[:, None]) * plane + other_row[None, :] * W
        # The centre is the pixel itself for x, the one that looks at it for y.
        centre_row = row if SIGN == 1 else other_row
        there = inside & (other_row >= 0) & (other_row < H) & (centre_row % STRIDE == 0)
        channel = (image * (2 * DEPTH + 1) * SHIFTS_Y + step) * SHIFTS_X
        for j in range(SHIFTS_X):
            other_column = column + SIGN * (j - RADIUS_X) * DILATION
            centre_column = column if SIGN == 1 else other_column
            mask = there & (other_column >= 0) & (other_column < W) & (centre_column % STRIDE == 0)
            at = (channel + j) * h * w + (centre_row // STRIDE) * w + centre_column // STRIDE
            weight = tl.load(grad + at, mask=mask, other=0.0).to(tl.float32)
            if LEAKY:
                negative = tl.load(volume + at, mask=mask, other=0.0) < 0
                weight = tl.where(negative, weight * slope, weight)
            seen = tl.load(other_at + other_column[None, :], mask=exists[:, None] & mask[None, :], other=0.0)
            sums += weight[None, :] * seen.to(tl.float32)
    out_at = out + (image * C + channels[:, None]) * plane + pixel[None, :]
    tl.store(out_at, (sums * scale).to(out.dtype.element_ty), mask=(channels < C)[:, None] & inside[None, :])
