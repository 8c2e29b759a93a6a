"""Kernels that divide features by their length over channels.

    features, unit, grad   # (B, C, H, W)

A program processes PIXELS pixels and loops over the channels twice, the second time from the cache.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _place(C, plane, tiles, PIXELS: tl.constexpr):
    pixel = (tl.program_id(0) % tiles) * PIXELS + tl.arange(0, PIXELS)
    image = (tl.program_id(0) // tiles).to(tl.int64)
    return image * C * plane + pixel, pixel < plane


@triton.jit
def normalise_forward(features, unit, C, plane, tiles, BLOCK: tl.constexpr, PIXELS: tl.constexpr):
    start, inside = _place(C, plane, tiles, PIXELS)
    squares = tl.zeros((BLOCK, PIXELS), tl.float32)
    for first in range(0, C, BLOCK):
        channel = first + tl.arange(0, BLOCK)
        mask = (channel < C)[:, None] & inside[None, :]
        at = start[None, :] + channel[:, None] * plane
        value = tl.load(features + at, mask=mask, other=0.0).to(tl.float32)
        squares += value * value
    inverse = tl.rsqrt(tl.maximum(tl.sum(squares, axis=0), 1e-12))
    for first in range(0, C, BLOCK):
        channel = first + tl.arange(0, BLOCK)
        mask = (channel < C)[:, None] & inside[None, :]
        at = start[None, :] + channel[:, None] * plane
        value = tl.load(features + at, mask=mask, other=0.0).to(tl.float32) * inverse[None, :]
        tl.store(unit + at, value.to(unit.dtype.element_ty), mask=mask)


@triton.jit
def normalise_backward(grad, features, out, C, plane, tiles, BLOCK: tl.constexpr, PIXELS: tl.constexpr):
    start, inside = _place(C, plane, tiles, PIXELS)
    squares = tl.zeros((BLOCK, PIXELS), tl.float32)
    products = tl.zeros((BLOCK, PIXELS), tl.float32)
    for first in range(0, C, BLOCK):
        channel = first + tl.arange(0, BLOCK)
        mask = (channel < C)[:, None] & inside[None, :]
        at = start[None, :] + channel[:, None] * plane
        value = tl.load(features + at, mask=mask, other=0.0).to(tl.float32)
        squares += value * value
        products += value * tl.load(grad + at, mask=mask, other=0.0).to(tl.float32)
    square = tl.sum(squares, axis=0)
    inverse = tl.rsqrt(tl.maximum(square, 1e-12))
    # Too short to be normalised: only scaled, so no component of the gradient is removed.
    along = tl.where(square < 1e-12, 0.0, tl.sum(products, axis=0) * inverse * inverse)
    for first in range(0, C, BLOCK):
        channel = first + tl.arange(0, BLOCK)
        mask = (channel < C)[:, None] & inside[None, :]
        at = start[None, :] + channel[:, None] * plane
        value = tl.load(features + at, mask=mask, other=0.0).to(tl.float32)
        weight = tl.load(grad + at, mask=mask, other=0.0).to(tl.float32)
        tl.store(
            out + at,
            ((weight - along[None, :] * value) * inverse[None, :]).to(out.dtype.element_ty),
            mask=mask,
        )
