"""Four neighbouring pixels in one thread: splitting them after a 128-bit load, joining them before a 128-bit store."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def split4(values, n: tl.constexpr):
    """(n, 4) -> four (n,) columns, without leaving the registers."""
    even, odd = tl.split(values.reshape(n, 2, 2))
    first, third = tl.split(even)
    second, fourth = tl.split(odd)
    return first, second, third, fourth


@triton.jit
def join4(first, second, third, fourth, n: tl.constexpr):
    """Four (n,) columns -> (n, 4)."""
    return tl.join(tl.join(first, third), tl.join(second, fourth)).reshape(n, 4)


@triton.jit
def load_quad(pointer, mask, n: tl.constexpr):
    """Four float32 columns from an (n, 4) block of pointers, zeros where masked."""
    return split4(tl.load(pointer, mask=mask, other=0.0).to(tl.float32), n)
