"""Sums over a few weighted neighbours along one axis, from tables that stay on the device.

    maps                # (..., N, ...)
    positions, weight   # (cells, taps): which of the N values a cell reads, and with which weight

A gather with a fixed number of terms, so it gives the same bits every time, and without matrix products, so no reduced
precision of these (TF32, bfloat16) reaches its result. Not differentiable in a deterministic way: use it for labels and
inside of backward passes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# Tables of this many sizes are kept: an axis's table is a few kilobytes.
KEPT = 64


class Taps(NamedTuple):
    """A table for one axis."""

    positions: Tensor  # int64 (cells, taps)
    weight: Tensor  # (cells, taps)


def sum_of_taps(maps: Tensor, taps: Taps, axis: int) -> Tensor:
    """The weighted sums along an axis (negative number), which becomes `cells` long.

    Example:
        >>> import torch
        >>> from flowdistill.ops.taps import Taps, sum_of_taps
        >>> halves = Taps(torch.tensor([[0, 1], [2, 3]]), torch.full((2, 2), 0.5))  # means of two neighbours
        >>> sum_of_taps(torch.tensor([1.0, 3.0, 5.0, 9.0]), halves, -1)
        tensor([2., 7.])
    """
    cells, count = taps.positions.shape
    picked = maps.index_select(axis, taps.positions.flatten()).unflatten(axis, (cells, count))
    weight = taps.weight.view(cells, count, *[1] * (-1 - axis))
    return (picked * weight).sum(axis)


def kept_per_device(make: Callable[..., Taps]) -> Callable[..., Taps]:
    """Make a table once for its arguments, dtype and device: `make(*key, dtype, device)` -> `table(like, *key)`.

    `like` is a tensor that the table will meet. Tables of fake tensors (shape propagation, `torch.compile`) are made
    anew and never kept: they would be poison for real tensors, and real ones for them.
    """
    kept = functools.lru_cache(maxsize=KEPT)(make)

    def table(like: Tensor, *key: object) -> Taps:
        if torch.compiler.is_compiling() or type(like) is not Tensor:
            return make(*key, like.dtype, like.device)
        return kept(*key, like.dtype, like.device)

    return table
