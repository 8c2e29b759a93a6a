"""Correlation kernels for widths that are multiples of 4 and radii up to 4: a thread owns four neighbouring pixels.

    x, y     # (B, C, H, W4 * 4)
    volume   # (B, S, H, W4 * 4)

docs/kernels.md has a drawing. W is passed as W4 = W / 4: Triton tells the compiler about divisibility by 16 only, and
the wide loads of W = 20 or 40 need to know of the factor 4. A program covers QUADS x ROWS quads; axis 0 of the grid
runs over tiles and images, axis 1 over groups of row shifts (or blocks of channels), axis 2 over depth.
"""

from __future__ import annotations

import triton
import triton.language as tl

from flowkernels.triton_kernels.quads import join4, load_quad


@triton.jit
def _place(tiles_x, tiles_y, QUADS: tl.constexpr, ROWS: tl.constexpr):
    """Image, and for every thread the row (n,) and the first column (n,) of its quad."""
    program = tl.program_id(0)
    tile_x = program % tiles_x
    tile_y = (program // tiles_x) % tiles_y
    image = (program // (tiles_x * tiles_y)).to(tl.int64)
    thread = tl.arange(0, QUADS * ROWS)
    column = (tile_x * QUADS + thread % QUADS) * 4
    row = tile_y * ROWS + thread // QUADS
    return image, row, column


@triton.jit
def forward_quads(
    x, y, volume, C, H, W4, tiles_x, tiles_y, scale, slope,
    RADIUS_Y: tl.constexpr, RADIUS_X: tl.constexpr, DEPTH: tl.constexpr, GROUP: tl.constexpr, LEAKY: tl.constexpr,
    QUADS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """A program sums GROUP row shifts x all column shifts of its quads over the channels."""
    SHIFTS_Y: tl.constexpr = 2 * RADIUS_Y + 1
    SHIFTS_X: tl.constexpr = 2 * RADIUS_X + 1
    N: tl.constexpr = QUADS * ROWS
    W = W4 * 4
    image, row, column = _place(tiles_x, tiles_y, QUADS, ROWS)
    first = tl.program_id(1) * GROUP
    depth = tl.program_id(2)
    deeper = depth - DEPTH
    columns = column[:, None] + tl.arange(0, 4)[None, :]
    plane = H * W
    # A quad is inside or outside as a whole.
    inside = ((column < W) & (row < H))[:, None] & (tl.arange(0, 4)[None, :] >= 0)
    start = tl.maximum(0, -deeper)
    stop = tl.minimum(C, C - deeper)
    x_at = x + (image * C + start) * plane + row[:, None] * W + columns
    y_at = y + (image * C + start + deeper) * plane + (row[:, None] + first - RADIUS_Y) * W + columns
    sums = ()
    for _ in tl.static_range(4 * SHIFTS_X * GROUP):
        sums = sums + (tl.zeros((N,), tl.float32),)
    for _ in range(start, stop):
        own = load_quad(x_at, inside, N)
        added = ()
        for group in tl.static_range(GROUP):
            seen_row = row + (first + group - RADIUS_Y)
            there = ((seen_row >= 0) & (seen_row < H) & (row < H) & (first + group < SHIFTS_Y))[:, None]
            seen = (
                load_quad(y_at + group * W - 4, there & (columns >= 4) & (columns - 4 < W), N)
                + load_quad(y_at + group * W, there & (columns < W), N)
                + load_quad(y_at + group * W + 4, there & (columns + 4 < W), N)
            )
            for j in tl.static_range(SHIFTS_X):
                for pixel in tl.static_range(4):
                    added = added + (
                        sums[(group * SHIFTS_X + j) * 4 + pixel]
                        + own[pixel] * seen[4 + pixel + j - RADIUS_X],
                    )
        sums = added
        x_at += plane
        y_at += plane
    for group in tl.static_range(GROUP):
        shift = (depth * SHIFTS_Y + first + group) * SHIFTS_X
        channel = image * ((2 * DEPTH + 1) * SHIFTS_Y * SHIFTS_X) + shift
        out_at = volume + (channel * H + row[:, None]) * W + columns
        for j in tl.static_range(SHIFTS_X):
            value = (
                join4(
                    sums[(group * SHIFTS_X + j) * 4],
                    sums[(group * SHIFTS_X + j) * 4 + 1],
                    sums[(group * SHIFTS_X + j) * 4 + 2],
                    sums[(group * SHIFTS_X + j) * 4 + 3],
                    N,
                )
                * scale
            )
            if LEAKY:
                value = tl.maximum(value, value * slope)
            tl.store(
                out_at + j * plane,
                value.to(volume.dtype.element_ty),
                mask=inside & (first + group < SHIFTS_Y),
            )


@triton.jit
def backward_quads(
    grad, volume, other, out, C, H, W4, tiles_x, tiles_y, scale, slope,
    RADIUS_Y: tl.constexpr, RADIUS_X: tl.constexpr, DEPTH: tl.constexpr, SIGN: tl.constexpr, BLOCK: tl.constexpr,
    LEAKY: tl.constexpr, QUADS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """A program gathers BLOCK channels of one gradient at its quads, in the order of the shifts.

    SIGN 1: the gradient of x at p sums grad[s, p] * y[p + s]. SIGN -1: that of y at q sums grad[s, q - s] * x[q - s].
    """
    SHIFTS_Y: tl.constexpr = 2 * RADIUS_Y + 1
    SHIFTS_X: tl.constexpr = 2 * RADIUS_X + 1
    N: tl.constexpr = QUADS * ROWS
    W = W4 * 4
    image, row, column = _place(tiles_x, tiles_y, QUADS, ROWS)
    first = tl.program_id(1) * BLOCK
    columns = column[:, None] + tl.arange(0, 4)[None, :]
    plane = H * W
    inside = ((column < W) & (row < H))[:, None] & (tl.arange(0, 4)[None, :] >= 0)
    sums = ()
    for _ in tl.static_range(4 * BLOCK):
        sums = sums + (tl.zeros((N,), tl.float32),)
    for step in range((2 * DEPTH + 1) * SHIFTS_Y):
        deeper = SIGN * (step // SHIFTS_Y - DEPTH)
        other_row = row + SIGN * (step % SHIFTS_Y - RADIUS_Y)
        there = ((other_row >= 0) & (other_row < H) & (row < H))[:, None]
        channel = (image * (2 * DEPTH + 1) * SHIFTS_Y + step) * SHIFTS_X
        weights = ()
        for j in tl.static_range(SHIFTS_X):
            if SIGN == 1:
                at = (channel + j) * plane + row[:, None] * W + columns
                mask = inside
            else:
                shifted = columns - (j - RADIUS_X)
                at = (channel + j) * plane + other_row[:, None] * W + shifted
                mask = there & (shifted >= 0) & (shifted < W)
            weight = tl.load(grad + at, mask=mask, other=0.0).to(tl.float32)
            if LEAKY:
                negative = tl.load(volume + at, mask=mask, other=0.0) < 0
                weight = tl.where(negative, weight * slope, weight)
            even, odd = tl.split(weight.reshape(N, 2, 2))
            w0, w2 = tl.split(even)
            w1, w3 = tl.split(odd)
            weights = weights + (w0, w1, w2, w3)
        other_at = other + (image * C + first + deeper) * plane + other_row[:, None] * W + columns
        added = ()
        for c in tl.static_range(BLOCK):
            exists = there & (first + c < C) & (first + c + deeper >= 0) & (first + c + deeper < C)
            seen = (
                load_quad(other_at + c * plane - 4, exists & (columns >= 4) & (columns - 4 < W), N)
                + load_quad(other_at + c * plane, exists & (columns < W), N)
                + load_quad(other_at + c * plane + 4, exists & (columns + 4 < W), N)
            )
            for pixel in tl.static_range(4):
                total = sums[c * 4 + pixel]
                for j in tl.static_range(SHIFTS_X):
                    total += weights[j * 4 + pixel] * seen[4 + pixel + SIGN * (j - RADIUS_X)]
                added = added + (total,)
        sums = added
    out_at = out + (image * C + first) * plane + row[:, None] * W + columns
    for c in tl.static_range(BLOCK):
        value = join4(sums[4 * c], sums[4 * c + 1], sums[4 * c + 2], sums[4 * c + 3], N) * scale
        tl.store(out_at + c * plane, value.to(out.dtype.element_ty), mask=inside & (first + c < C))
