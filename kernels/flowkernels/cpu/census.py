"""The census distance on the CPU: each pair of pixels once, in strips of rows that stay in cache.

    grey, distance, grad   # (B, 1, H, W) float32

A pair (p, p + o) contributes the same term to both ends. Half of the offsets are therefore enough, if the first ends p
include those outside whose second end is inside: maps are padded by twice the radius, and sums include that margin.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from flowkernels.definitions.census import HALF, OFFSETS, RADIUS, SOFT

STRIP = 64  # rows
MARGIN = 2 * RADIUS
_LATER = [offset for offset in OFFSETS if offset > (0, 0)]


def takes(grey: Tensor) -> bool:
    """Return whether these implementations apply."""
    return grey.device.type == "cpu" and grey.dtype == torch.float32


def census(grey1: Tensor, grey2: Tensor) -> Tensor:
    """Compute the distance, as `definitions.census.census`."""
    padded1, padded2 = _padded(grey1), _padded(grey2)
    sums = torch.zeros_like(padded1)
    for image in range(len(sums)):
        for strip, (first, second, scratch) in _strips(padded1[image], 3):
            ends1, ends2, total = (_Ends(each[image], strip) for each in (padded1, padded2, sums))
            for offset in _LATER:
                _soft_sign_(ends1.step(offset, out=first), scratch)
                _soft_sign_(ends2.step(offset, out=second), scratch)
                squared = first.sub_(second).square_()
                term = squared.div_(torch.add(squared, HALF, out=scratch))
                total.here.add_(term)
                total.there(offset).add_(term)
    return _inner(sums)


def census_backward(
    grad: Tensor, grey1: Tensor, grey2: Tensor, need1: bool, need2: bool
) -> tuple[Tensor, Tensor]:
    """Compute the gradients, as `definitions.census.census_backward`."""
    grad1 = _gradient(grad, grey2, grey1) if need1 else grey1
    grad2 = _gradient(grad, grey1, grey2) if need2 else grey2
    return grad1, grad2


def _gradient(grad: Tensor, other: Tensor, own: Tensor) -> Tensor:
    """Compute the gradient of `own`; the distance is symmetric in its two images."""
    padded_other, padded_own, padded_grad = _padded(other), _padded(own), _padded(grad)
    sums = torch.zeros_like(padded_own)
    for image in range(len(sums)):
        for strip, (gap, step, scratch, inverse) in _strips(padded_own[image], 4):
            ends_other, ends_own, ends_grad, total = (
                _Ends(each[image], strip) for each in (padded_other, padded_own, padded_grad, sums)
            )
            for offset in _LATER:
                _soft_sign_(ends_other.step(offset, out=gap), scratch)
                ends_own.step(offset, out=step)
                torch.mul(step, step, out=inverse).add_(SOFT).rsqrt_()
                gap.sub_(step.mul_(inverse))
                torch.mul(gap, gap, out=scratch).add_(HALF).square_()
                gap.div_(scratch).mul_(torch.mul(inverse, inverse, out=scratch).mul_(inverse))
                gap.mul_(torch.add(ends_grad.here, ends_grad.there(offset), out=scratch))
                # Seen from the other end, the gap has the opposite sign.
                total.here.add_(gap)
                total.there(offset).sub_(gap)
    return _inner(sums).mul_(2 * HALF * SOFT)


class _Ends:
    """Both ends of the pairs whose first ends lie in a strip of rows of a padded map (H + 12, W + 12)."""

    def __init__(self, padded: Tensor, strip: range) -> None:
        self.padded, self.strip = padded[0], strip
        self.width = self.padded.shape[1] - 2 * RADIUS
        self.here = self.there((0, 0))

    def there(self, offset: tuple[int, int]) -> Tensor:
        top, left = self.strip.start + offset[0], RADIUS + offset[1]
        return self.padded[top : top + len(self.strip), left : left + self.width]

    def step(self, offset: tuple[int, int], out: Tensor) -> Tensor:
        return torch.sub(self.there(offset), self.here, out=out)


def _strips(padded: Tensor, buffers: int) -> Iterator[tuple[range, list[Tensor]]]:
    """Yield rows of first ends, STRIP at a time, and buffers of their size."""
    rows, columns = padded.shape[-2:]
    for top in range(RADIUS, rows - RADIUS, STRIP):
        strip = range(top, min(top + STRIP, rows - RADIUS))
        yield strip, [padded.new_empty(len(strip), columns - 2 * RADIUS) for _ in range(buffers)]


def _soft_sign_(step: Tensor, scratch: Tensor) -> None:
    step.mul_(torch.mul(step, step, out=scratch).add_(SOFT).rsqrt_())


def _padded(grey: Tensor) -> Tensor:
    return F.pad(grey, (MARGIN,) * 4)


def _inner(padded: Tensor) -> Tensor:
    return padded[..., MARGIN:-MARGIN, MARGIN:-MARGIN].contiguous()
