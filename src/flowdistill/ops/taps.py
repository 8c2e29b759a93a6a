"""Sums over a few weighted neighbours along one axis, from tables that stay on the device.

    maps                # (..., N, ...)
    positions, weight   # (cells, taps): indices of the values that a cell reads, and their weights

A gather with a fixed number of terms, so repeated runs are bit-identical, and without matrix products, so their reduced
precision (TF32, bfloat16) does not affect the result. Its gradient is not deterministic: use it for labels and inside
backward passes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# Number of cached tables; the table of an axis takes a few kilobytes.
KEPT = 64


class Taps(NamedTuple):
    """Table of weighted neighbours for one axis."""

    positions: Tensor  # int64 (cells, taps)
    weight: Tensor  # (cells, taps)


def sum_of_taps(maps: Tensor, taps: Taps, axis: int) -> Tensor:
    """Compute the weighted sums along an axis (negative number), which gets the length `cells`.

    Examples:
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
    """Cache tables by arguments, dtype and device: `make(*key, dtype, device)` -> `table(like, *key)`.

    `like` is a tensor that the table will be applied to. Tables of fake tensors (shape propagation, `torch.compile`)
    are never cached: fake and real tensors must not be mixed.
    """
    kept = functools.lru_cache(maxsize=KEPT)(make)

    def table(like: Tensor, *key: object) -> Taps:
        if torch.compiler.is_compiling() or type(like) is not Tensor:
            return make(*key, like.dtype, like.device)
        return kept(*key, like.dtype, like.device)

    return table
