"""What the student sees: a crop of the view that its teacher sees whole.

image, flow, occluded   # (B, C, H, W) -> (B, C, h, w), all at one offset
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

# Second word of the seed; the data's orders and augmentations have 0 and 1 (data/sampler.py).
_STUDENT = 2


def crop_offset(seed: int, step: int, size: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
    """(top, left) of a step's crop, uniform over all places: a pure function of its arguments.

    One place for the whole batch, as in the released code, however many processes share it.

    Args:
        seed: the data's, non-negative.
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
    """(B, C, h, w) of (B, C, H, W); flow values stay as they are, because both ends move alike."""
    (top, left), (height, width) = offset, crop
    return value[..., top : top + height, left : left + width]
