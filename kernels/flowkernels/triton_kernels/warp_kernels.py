"""Warp kernels.

    image, warped   # (B, C, H, W)
    motion          # (B, 2, H, W) px, or (B, 1, H, W) for RULE 1
    sums            # (B, C, H, W) int64, and one more value: not 0 if a contribution was not finite

RULE: 0 replicate, 1 disparity, 2 zero (flowkernels/definitions/warp.py).
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _axis(position, last, RULE: tl.constexpr):
    """Return the neighbours and their weights."""
    whole = tl.floor(position)
    if RULE == 2:
        whole = tl.where(position < 0, tl.ceil(position), whole)
    # Clip in floating point first: the integer of a huge or non-finite position is undefined.
    known = tl.where(whole == whole, whole, 0.0)
    first = tl.minimum(tl.maximum(known, -2.0), last + 1.0).to(tl.int32)
    low = tl.minimum(tl.maximum(first, 0), last)
    high = tl.minimum(tl.maximum(first + 1, 0), last)
    if RULE == 0:
        weight_high = position - whole
        weight_low = 1.0 - weight_high
    else:
        inside = high > low
        weight_low = tl.where(inside, high.to(tl.float32) - position, 0.0)
        weight_high = tl.where(inside, position - low.to(tl.float32), 0.0)
    return low, high, weight_low, weight_high


@triton.jit
def _corners(motion, image, pixel, inside, H, W, RULE: tl.constexpr):
    """Return two columns and rows per pixel with their weights; for RULE 1 its own row, with weight 1."""
    row = pixel // W
    motions: tl.constexpr = 1 if RULE == 1 else 2
    at = motion + image * motions * H * W + pixel
    x = (pixel % W).to(tl.float32) + tl.load(at, mask=inside, other=0.0).to(tl.float32)
    x0, x1, left, right = _axis(x, W - 1, RULE)
    if RULE == 1:
        # The original zeroes the last row: the weights of its two rows cancel there.
        left = tl.where(row == H - 1, 0.0, left)
        right = tl.where(row == H - 1, 0.0, right)
        y0, y1, upper, lower = row, row, left, left
    else:
        y = row.to(tl.float32) + tl.load(at + H * W, mask=inside, other=0.0).to(tl.float32)
        y0, y1, upper, lower = _axis(y, H - 1, RULE)
    return x0, x1, left, right, y0, y1, upper, lower


@triton.jit
def warp_forward(
    image_at, motion, warped, C, H, W, tiles, RULE: tl.constexpr, BLOCK: tl.constexpr, PIXELS: tl.constexpr
):
    """Warp BLOCK channels at PIXELS pixels per program."""
    image = (tl.program_id(0) // tiles).to(tl.int64)
    pixel = (tl.program_id(0) % tiles) * PIXELS + tl.arange(0, PIXELS)
    inside = pixel < H * W
    x0, x1, left, right, y0, y1, upper, lower = _corners(motion, image, pixel, inside, H, W, RULE)
    first = tl.program_id(1) * BLOCK
    source = image_at + (image * C + first) * H * W
    target = warped + (image * C + first) * H * W + pixel
    for _ in range(tl.minimum(BLOCK, C - first)):
        v00 = tl.load(source + y0 * W + x0, mask=inside, other=0.0).to(tl.float32)
        v01 = tl.load(source + y0 * W + x1, mask=inside, other=0.0).to(tl.float32)
        if RULE == 1:
            value = v00 * left + v01 * right
        else:
            v10 = tl.load(source + y1 * W + x0, mask=inside, other=0.0).to(tl.float32)
            v11 = tl.load(source + y1 * W + x1, mask=inside, other=0.0).to(tl.float32)
            if RULE == 0:
                value = (v00 * left + v01 * right) * upper + (v10 * left + v11 * right) * lower
            else:
                value = (
                    v00 * (left * upper)
                    + v10 * (left * lower)
                    + v01 * (right * upper)
                    + v11 * (right * lower)
                )
        tl.store(target, value.to(warped.dtype.element_ty), mask=inside)
        source += H * W
        target += H * W


@triton.jit
def _power_of_two(exponent):
    """Return 2**exponent as float64, exactly."""
    return ((exponent + 1023).to(tl.int64) << 52).to(tl.float64, bitcast=True)


@triton.jit
def _exponent_for(largest, bits):
    """Return the exponent of the scale to integers: `bits` minus that of the largest gradient (float32)."""
    pattern = largest.to(tl.int32, bitcast=True)
    return tl.minimum(bits - (((pattern >> 23) & 255) - 126), 1000)


@triton.jit
def _add(sums, value, scale, mask, broken):
    """Add a contribution as an integer, bit-identical in any order; return where one was not finite."""
    finite = (value - value) == 0.0
    whole = (tl.where(finite, value, 0.0).to(tl.float64) * scale).to(tl.int64)
    tl.atomic_add(sums, whole, mask=mask & (whole != 0), sem="relaxed")
    return broken | (mask & (finite == 0))


@triton.jit
def _slope(low, high, RULE: tl.constexpr):
    """Return the slope of the second weight in the position: 0 where both cancel, and are 0."""
    found = tl.where((low != 0) | (high != 0), 1.0, 0.0)
    if RULE == 0:
        found = tl.full(low.shape, 1.0, tl.float32)
    return found


@triton.jit
def warp_backward(
    grad, image_at, motion, largest, sums, grad_motion, C, H, W, tiles, bits, total,
    RULE: tl.constexpr, NEED_IMAGE: tl.constexpr, NEED_MOTION: tl.constexpr, BLOCK: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """Process PIXELS pixels per program in a loop over all channels, BLOCK at a time.

    A program adds to the image's gradient at the sampled pixels, and sums the motion's gradient of its own pixels.
    """
    image = (tl.program_id(0) // tiles).to(tl.int64)
    pixel = (tl.program_id(0) % tiles) * PIXELS + tl.arange(0, PIXELS)
    exists = pixel < H * W
    x0, x1, left, right, y0, y1, upper, lower = _corners(motion, image, pixel, exists, H, W, RULE)
    at00, at01 = (y0 * W + x0)[None, :], (y0 * W + x1)[None, :]
    at10, at11 = (y1 * W + x0)[None, :], (y1 * W + x1)[None, :]
    scale = _power_of_two(_exponent_for(tl.load(largest), bits))
    broken = tl.zeros((BLOCK, PIXELS), tl.int1)
    along_x = tl.zeros((BLOCK, PIXELS), tl.float32)
    along_y = tl.zeros((BLOCK, PIXELS), tl.float32)
    for first in range(0, C, BLOCK):
        channel = first + tl.arange(0, BLOCK)
        mask = (channel < C)[:, None] & exists[None, :]
        plane = ((image * C + channel) * H * W)[:, None]
        g = tl.load(grad + plane + pixel[None, :], mask=mask, other=0.0).to(tl.float32)
        if NEED_IMAGE:
            if RULE == 1:
                broken = _add(sums + plane + at00, g * left[None, :], scale, mask, broken)
                broken = _add(sums + plane + at01, g * right[None, :], scale, mask, broken)
            else:
                broken = _add(sums + plane + at00, (g * left[None, :]) * upper[None, :], scale, mask, broken)
                broken = _add(sums + plane + at01, (g * right[None, :]) * upper[None, :], scale, mask, broken)
                broken = _add(sums + plane + at10, (g * left[None, :]) * lower[None, :], scale, mask, broken)
                broken = _add(sums + plane + at11, (g * right[None, :]) * lower[None, :], scale, mask, broken)
        if NEED_MOTION:
            v00 = tl.load(image_at + plane + at00, mask=mask, other=0.0).to(tl.float32)
            v01 = tl.load(image_at + plane + at01, mask=mask, other=0.0).to(tl.float32)
            if RULE == 1:
                along_x += g * (v01 - v00)
            else:
                v10 = tl.load(image_at + plane + at10, mask=mask, other=0.0).to(tl.float32)
                v11 = tl.load(image_at + plane + at11, mask=mask, other=0.0).to(tl.float32)
                along_x += g * ((v01 - v00) * upper[None, :] + (v11 - v10) * lower[None, :])
                along_y += g * ((v10 - v00) * left[None, :] + (v11 - v01) * right[None, :])
    if NEED_IMAGE:
        flag = sums + total + tl.zeros((BLOCK, PIXELS), tl.int64)
        tl.atomic_max(flag, tl.full((BLOCK, PIXELS), 1, tl.int64), mask=broken, sem="relaxed")
    if NEED_MOTION:
        motions: tl.constexpr = 1 if RULE == 1 else 2
        target = grad_motion + image * motions * H * W + pixel
        gx = tl.sum(along_x, axis=0) * _slope(left, right, RULE)
        tl.store(target, gx.to(grad_motion.dtype.element_ty), mask=exists)
        if RULE != 1:
            gy = tl.sum(along_y, axis=0) * _slope(upper, lower, RULE)
            tl.store(target + H * W, gy.to(grad_motion.dtype.element_ty), mask=exists)


@triton.jit
def from_integers(sums, largest, out, total, bits, SIZE: tl.constexpr):
    """Convert integer sums back to floats; NaN everywhere if a gradient or a contribution was not finite."""
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    biggest = tl.load(largest)
    scale = _power_of_two(-_exponent_for(biggest, bits))
    good = ((biggest - biggest) == 0.0) & (tl.load(sums + total) == 0)
    value = tl.load(sums + at, mask=at < total, other=0).to(tl.float64) * scale
    value = tl.where(good, value, float("nan"))
    tl.store(out + at, value.to(tl.float32).to(out.dtype.element_ty), mask=at < total)
