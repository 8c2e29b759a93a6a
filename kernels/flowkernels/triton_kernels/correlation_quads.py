"""Correlation kernels in quads: W a multiple of 4, x radius up to 4, no stride, no dilation. Shapes:

    x, y     # (B, C, H, W)     contiguous
    volume   # (B, S, H, W)     S = depths * rows * columns shifts, columns fastest

A thread computes 4 neighbouring pixels at a few y shifts with all their x shifts. It reads 4 values of x and 12 of y
per channel and y shift, each quad in one 128-bit load, and multiplies every pair in registers:

    y row   . . . . | . . . . | . . . .      quads at column - 4, column, column + 4
    x row             o o o o                9 shifts x 4 pixels = 36 multiply-adds for 16 values

W is passed as W / 4, so that the compiler can infer that rows start at multiples of 4, at W = 20 and 40 too.
"""

# Triton's language differs from Python: untyped, tuples that grow, no tuple unpacking.
# mypy: ignore-errors
from __future__ import annotations

import triton
import triton.language as tl

# Not specialised: a kernel is compiled once per dtype and tile, and the code compiled ahead of time is the code that
# runs.
FORWARD_SIZES = ("channels", "depth_radius", "height", "width4", "tile_x", "tiles_x", "tiles_y")
BACKWARD_SIZES = (*FORWARD_SIZES, "radius_y")


@triton.jit
def _load_quads(pointer, mask, N: tl.constexpr):
    """Load four values per thread, from a block of pointers (N, 4), as float32 tuple of (N,); 0 where masked."""
    return _split_quads(tl.load(pointer, mask=mask, other=0.0).to(tl.float32), N)


@triton.jit
def _split_quads(quads, N: tl.constexpr):
    """Split (N, 4) into four (N,)."""
    even, odd = tl.split(quads.reshape(N, 2, 2))
    first, third = tl.split(even)
    second, fourth = tl.split(odd)
    return first, second, third, fourth


@triton.jit
def _join_quads(first, second, third, fourth, N: tl.constexpr):
    """Join four (N,) to (N, 4)."""
    return tl.join(tl.join(first, third), tl.join(second, fourth)).reshape(N, 4)


@triton.jit
def _load_row(pointer, row_mask, columns, width, N: tl.constexpr):
    """Load 12 values per thread: a row's quads at `columns` - 4, `columns` and `columns` + 4, zeros outside."""
    before = _load_quads(pointer - 4, row_mask & (columns >= 4) & (columns < width + 4), N)
    centre = _load_quads(pointer, row_mask & (columns < width), N)
    after = _load_quads(pointer + 4, row_mask & (columns + 4 < width), N)
    return before + centre + after


@triton.jit(do_not_specialize=FORWARD_SIZES)
def forward_quads(
    x, y, volume, channels, depth_radius, height, width4, tile_x, tiles_x, tiles_y, scale, slope,
    RADIUS_Y: tl.constexpr, RADIUS_X: tl.constexpr, GROUP: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """Programs: batch x tiles of N quads, `tile_x` of a row x depth shifts x groups of GROUP y shifts."""
    COLUMNS: tl.constexpr = 2 * RADIUS_X + 1
    ROWS: tl.constexpr = 2 * RADIUS_Y + 1
    GROUPS: tl.constexpr = (ROWS + GROUP - 1) // GROUP
    width = width4 * 4
    plane = height * width
    depths = 2 * depth_radius + 1

    program = tl.program_id(0)
    first_shift = (program % GROUPS) * GROUP
    program //= GROUPS
    depth_index = program % depths
    program //= depths
    first_column = (program % tiles_x) * tile_x
    program //= tiles_x
    first_row = (program % tiles_y) * (N // tile_x)
    batch = (program // tiles_y).to(tl.int64)

    thread = tl.arange(0, N)
    row = first_row + thread // tile_x
    columns = ((first_column + thread % tile_x) * 4)[:, None] + tl.arange(0, 4)[None, :]
    inside = (row < height)[:, None] & (columns < width)

    depth = depth_index - depth_radius
    first_channel = tl.maximum(-depth, 0)
    last_channel = tl.minimum(channels - depth, channels)
    at = row[:, None] * width + columns
    x_at = x + (batch * channels + first_channel) * plane + at
    y_at = y + (batch * channels + first_channel + depth) * plane + at + (first_shift - RADIUS_Y) * width
    sums = ()
    for _ in tl.static_range(4 * COLUMNS * GROUP):
        sums = sums + (tl.zeros((N,), tl.float32),)
    for _ in range(first_channel, last_channel):
        of_x = _load_quads(x_at, inside, N)
        new = ()
        for g in tl.static_range(GROUP):
            y_row = row + (first_shift + g - RADIUS_Y)
            row_mask = ((y_row >= 0) & (y_row < height))[:, None]
            of_y = _load_row(y_at + g * width, row_mask, columns, width, N)
            for k in tl.static_range(COLUMNS):
                for i in tl.static_range(4):
                    new = new + (sums[(g * COLUMNS + k) * 4 + i] + of_x[i] * of_y[4 + i + k - RADIUS_X],)
        sums = new
        x_at += plane
        y_at += plane
    shifts = depths * ROWS * COLUMNS
    first_plane = batch * shifts + (depth_index * ROWS + first_shift) * COLUMNS
    volume_at = volume + first_plane * plane + at
    for g in tl.static_range(GROUP):
        # Block-shaped: Triton 3.9's interpreter rejects masks made of scalars.
        mask = inside & (columns * 0 + (first_shift + g) < ROWS)
        for k in tl.static_range(COLUMNS):
            value = _join_quads(
                sums[(g * COLUMNS + k) * 4],
                sums[(g * COLUMNS + k) * 4 + 1],
                sums[(g * COLUMNS + k) * 4 + 2],
                sums[(g * COLUMNS + k) * 4 + 3],
                N,
            )
            value *= scale
            value = tl.where(value > 0, value, value * slope)
            tl.store(volume_at, value.to(volume.dtype.element_ty), mask=mask)
            volume_at += plane


@triton.jit(do_not_specialize=BACKWARD_SIZES)
def backward_quads(
    grad_volume, volume, other, grad, channels, radius_y, depth_radius, height, width4, tile_x, tiles_x, tiles_y,
    scale, slope,
    RADIUS_X: tl.constexpr, SIGN: tl.constexpr, LEAKY: tl.constexpr, CHANNELS: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """Compute the gradient of x (SIGN 1, `other` is y) or of y (SIGN -1, `other` is x) from that of the volume.

    grad[c, p] = sum over shifts (d, s) of grad_volume[(d, s), p]     * y[c + d, p + s]    or
    grad[c, p] = sum over shifts (d, s) of grad_volume[(d, s), p - s] * x[c - d, p - s]

    Programs: batch x tiles of N quads, `tile_x` of a row x groups of CHANNELS channels.
    """
    COLUMNS: tl.constexpr = 2 * RADIUS_X + 1
    rows = 2 * radius_y + 1
    width = width4 * 4
    plane = height * width
    depths = 2 * depth_radius + 1

    program = tl.program_id(0)
    groups = tl.cdiv(channels, CHANNELS)
    first_channel = (program % groups) * CHANNELS
    program //= groups
    first_column = (program % tiles_x) * tile_x
    program //= tiles_x
    first_row = (program % tiles_y) * (N // tile_x)
    batch = (program // tiles_y).to(tl.int64)

    thread = tl.arange(0, N)
    row = first_row + thread // tile_x
    columns = ((first_column + thread % tile_x) * 4)[:, None] + tl.arange(0, 4)[None, :]
    inside = (row < height)[:, None] & (columns < width)

    sums = ()
    for _ in tl.static_range(4 * CHANNELS):
        sums = sums + (tl.zeros((N,), tl.float32),)
    for shift in range(depths * rows):
        depth = SIGN * (shift // rows - depth_radius)
        other_row = row + SIGN * (shift % rows - radius_y)
        row_mask = ((other_row >= 0) & (other_row < height) & (row < height))[:, None]
        other_at = other_row[:, None] * width + columns
        first_plane = (batch * depths * rows + shift) * COLUMNS
        rows_of_other = ()
        for c in tl.static_range(CHANNELS):
            channel = first_channel + c + depth
            channel_mask = row_mask & ((columns * 0 + channel >= 0) & (columns * 0 + channel < channels))
            at = other + (batch * channels + channel) * plane + other_at
            rows_of_other = rows_of_other + _load_row(at, channel_mask, columns, width, N)
        for k in tl.static_range(COLUMNS):
            if SIGN == 1:
                at = row[:, None] * width + columns
                mask = inside
            else:
                at = other_at - (k - RADIUS_X)
                mask = row_mask & (columns - (k - RADIUS_X) >= 0) & (columns - (k - RADIUS_X) < width)
            weight = tl.load(grad_volume + (first_plane + k) * plane + at, mask=mask, other=0.0).to(
                tl.float32
            )
            if LEAKY:
                output = tl.load(volume + (first_plane + k) * plane + at, mask=mask, other=0.0).to(tl.float32)
                weight = tl.where(output > 0, weight, weight * slope)
            weights = _split_quads(weight, N)
            new = ()
            for c in tl.static_range(CHANNELS):
                for i in tl.static_range(4):
                    new = new + (
                        sums[4 * c + i] + weights[i] * rows_of_other[12 * c + 4 + i + SIGN * (k - RADIUS_X)],
                    )
            sums = new
    at = row[:, None] * width + columns
    for c in tl.static_range(CHANNELS):
        channel = first_channel + c
        value = _join_quads(sums[4 * c], sums[4 * c + 1], sums[4 * c + 2], sums[4 * c + 3], N) * scale
        tl.store(
            grad + (batch * channels + channel) * plane + at,
            value.to(grad.dtype.element_ty),
            mask=inside & (columns * 0 + channel < channels),
        )
