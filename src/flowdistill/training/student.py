"""What the student sees: a crop of the view that its teacher sees whole.

image, flow, occluded   # (B, C, H, W) -> (B, C, h, w), all at one offset
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

# Second word of the seed; the data's orders and augmentations have 0 and 1 (data/sampler.py).
_STUDENT = 2


def crop_offset(
    seed: int, batch_number: int, rank: int, size: tuple[int, int], crop: tuple[int, int]
) -> tuple[int, int]:
    """(top, left) of a batch's crop, uniform over all places: a pure function of its arguments.

    Args:
        seed: the data's, non-negative.
        batch_number: of this process, counted from the start of the run.
        rank: of this process.
        size: (height, width) of the view.
        crop: (height, width), at most `size`.
    """
    rng = np.random.default_rng((seed, _STUDENT, batch_number, rank))
    top, left = (
        int(rng.integers(0, whole - part, endpoint=True)) for whole, part in zip(size, crop, strict=True)
    )
    return top, left


def crop_at(value: Tensor, offset: tuple[int, int], crop: tuple[int, int]) -> Tensor:
    """(B, C, h, w) of (B, C, H, W); flow values stay as they are, because both ends move alike."""
    (top, left), (height, width) = offset, crop
    return value[..., top : top + height, left : left + width]
