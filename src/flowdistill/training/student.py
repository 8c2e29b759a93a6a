"""The student's crop of the view; its teacher gets the whole view.

image, flow, occluded   # (B, C, H, W) -> (B, C, h, w), all at one offset
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

# Second word of the seed; 0 and 1 are used for data order and augmentation (data/sampler.py).
_STUDENT = 2


def crop_offset(seed: int, step: int, size: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
    """Return (top, left) of a step's crop, uniform over all positions: a pure function of its arguments.

    One position for the whole batch, as in the released code, also if several processes share the batch.

    Args:
        seed: data seed, non-negative.
        step: optimizer step, from 0.
        size: (height, width) of the view.
        crop: (height, width), at most `size`.
    """
    rng = np.random.default_rng((seed, _STUDENT, step))
    top, left = (
        int(rng.integers(0, whole - part, endpoint=True)) for whole, part in zip(size, crop, strict=True)
    )
    return top, left


def crop_at(value: Tensor, offset: tuple[int, int], crop: tuple[int, int]) -> Tensor:
    """Crop (B, C, H, W) to (B, C, h, w); flow values are unchanged, since both images have the same crop."""
    (top, left), (height, width) = offset, crop
    return value[..., top : top + height, left : left + width]
