"""The soft census distance of two grey images, forward and backward.

    grey       # (B, 1, H, W)   0..255
    distance   # (B, 1, H, W)   0..48

Each of the 48 neighbours in a 7x7 window gives a soft sign t / sqrt(0.81 + t^2) of its difference t to the centre;
squared differences e of the two images' signs are summed as e / (0.1 + e). Neighbours outside count as grey 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RADIUS = 3
SOFT = 0.81
HALF = 0.1
OFFSETS = [(i, j) for i in range(-RADIUS, RADIUS + 1) for j in range(-RADIUS, RADIUS + 1) if (i, j) != (0, 0)]


def census(grey1: Tensor, grey2: Tensor) -> Tensor:
    """Compute the distance, differentiable in both images. Half precision is computed in float32."""
    dtype = grey1.dtype
    grey1, grey2 = _raised(grey1), _raised(grey2)
    padded1, padded2 = _padded(grey1), _padded(grey2)
    distance = torch.zeros_like(grey1)
    for offset in OFFSETS:
        gap = _soft_sign(_seen(padded1, offset, grey1) - grey1) - _soft_sign(
            _seen(padded2, offset, grey2) - grey2
        )
        squared = gap.square()
        distance = distance + squared / (squared + HALF)
    return distance.to(dtype)


def census_backward(
    grad: Tensor, grey1: Tensor, grey2: Tensor, need1: bool, need2: bool
) -> tuple[Tensor, Tensor]:
    """Compute the gradients of both images by gathers; an image whose gradient is not needed is returned unchanged.

    The pair (q, q + o) counts at q and, seen from the other end, at q + o. There the difference, and with it the gap,
    has the opposite sign, and the derivative of the soft sign is the same. The gradient at q is therefore the sum of
    K (grad[q] + grad[q + o]).
    """
    dtype = grey1.dtype
    grad, grey1, grey2 = _raised(grad), _raised(grey1), _raised(grey2)
    padded1, padded2, padded_grad = _padded(grey1), _padded(grey2), _padded(grad)
    sums = [torch.zeros_like(grey1), torch.zeros_like(grey2)]
    for offset in OFFSETS:
        steps = (_seen(padded1, offset, grey1) - grey1, _seen(padded2, offset, grey2) - grey2)
        gap = _soft_sign(steps[0]) - _soft_sign(steps[1])
        outer = gap / (gap.square() + HALF).square() * (grad + _seen(padded_grad, offset, grad))
        for k, needed in enumerate((need1, need2)):
            if needed:
                sums[k] += outer * (steps[k].square() + SOFT).pow(-1.5)
    # d distance / d gap = 2 gap 0.1 / (0.1 + gap^2)^2; d gap / d centre = -+ 0.81 / (0.81 + t^2)^1.5.
    grad1 = (sums[0] * (-2 * HALF * SOFT)).to(dtype) if need1 else grey1
    grad2 = (sums[1] * (2 * HALF * SOFT)).to(dtype) if need2 else grey2
    return grad1, grad2


def _raised(grey: Tensor) -> Tensor:
    return grey.float() if grey.dtype in (torch.float16, torch.bfloat16) else grey


def _padded(grey: Tensor) -> Tensor:
    return F.pad(grey, (RADIUS,) * 4)


def _seen(padded: Tensor, offset: tuple[int, int], like: Tensor) -> Tensor:
    """Return the neighbours at an offset, (B, 1, H, W)."""
    height, width = like.shape[-2:]
    top, left = offset[0] + RADIUS, offset[1] + RADIUS
    return padded[..., top : top + height, left : left + width]


def _soft_sign(step: Tensor) -> Tensor:
    return step * torch.rsqrt(step.square() + SOFT)
