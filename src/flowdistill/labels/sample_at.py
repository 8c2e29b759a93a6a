"""Sample a map along a motion, without mixing known and unknown pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flowdistill.labels.estimate import Mask, Values

_EPSILON = 1e-4  # px: a position this near to a pixel needs no neighbour


@dataclass(frozen=True)
class Sampled:
    """Result of a look-up: `values` (H, W, C), 0 where not `found` (H, W); `confidence` (H, W) of the pixels used."""

    values: Values
    found: Mask
    confidence: Values


def sample_at(
    values: Values, known: Mask, motion: Values, confidence: Values | None = None, edge: float = 1.0
) -> Sampled:
    """Sample a map of motions bilinearly at pixel + motion.

    All pixels used must be known; otherwise nothing is found. Where they differ by more than `edge` (a depth edge,
    where a mean belongs to neither side) only the nearest one is used.

    Args:
        values: (H, W, C) px, the map.
        known: (H, W), where the map is known.
        motion: (H, W, 2) px, x then y, finite.
        confidence: (H, W) of the map; the minimum over the pixels used is returned.
        edge: px.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.labels.sample_at import sample_at
        >>> disparity = np.float32([[[10.0], [10.5], [40.0]]])  # (1, 3, 1) px, a depth edge before the last
        >>> right = np.zeros((1, 3, 2), np.float32)
        >>> right[..., 0] = 0.25  # px, the motion: the last pixel leaves the image
        >>> sampled = sample_at(disparity, np.ones((1, 3), bool), right)
        >>> sampled.values[0, :, 0].tolist(), sampled.found[0].tolist()
        ([10.125, 10.5, 0.0], [True, True, False])
    """
    height, width = known.shape
    weight_of = known.astype(np.float32) if confidence is None else confidence * known
    x = np.arange(width, dtype=np.float32) + motion[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + motion[..., 1]
    inside = (x >= -_EPSILON) & (y >= -_EPSILON) & (x <= width - 1 + _EPSILON) & (y <= height - 1 + _EPSILON)
    x, y = np.where(inside, x, 0).clip(0, width - 1), np.where(inside, y, 0).clip(0, height - 1)
    left, top = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    right, low = (left + 1).clip(max=width - 1), (top + 1).clip(max=height - 1)
    part_x, part_y = x - left, y - top
    corners = [
        (row, column, share_y * share_x)
        for row, share_y in ((top, 1 - part_y), (low, part_y))
        for column, share_x in ((left, 1 - part_x), (right, part_x))
    ]
    mean = np.zeros((*inside.shape, values.shape[2]), np.float32)
    lowest, highest = np.full_like(mean, np.inf), np.full_like(mean, -np.inf)
    all_known, least = inside.copy(), np.full(inside.shape, np.inf, np.float32)
    for row, column, share in corners:
        used = share > _EPSILON
        corner = values[row, column]
        mean += np.where(used, share, 0)[..., None] * corner
        lowest = np.where(used[..., None], np.minimum(lowest, corner), lowest)
        highest = np.where(used[..., None], np.maximum(highest, corner), highest)
        all_known &= known[row, column] | ~used
        least = np.where(used, np.minimum(least, weight_of[row, column]), least)
    near = (np.rint(y).astype(np.intp), np.rint(x).astype(np.intp))
    smooth = ((highest - lowest) <= edge).all(axis=2) & all_known
    found = inside & (smooth | known[near])
    result = np.where(smooth[..., None], mean, values[near])
    trust = np.where(smooth, least, weight_of[near])
    return Sampled(
        np.where(found[..., None], result, np.float32(0)),
        found,
        np.where(found, trust, np.float32(0)).astype(np.float32),
    )


def along_row(disparity: Values, sign: int) -> npt.NDArray[np.float32]:
    """Convert disparity (H, W, 1) px to a motion (H, W, 2); sign -1 leads from the left image to the right.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.labels.sample_at import along_row
        >>> along_row(np.float32([[[8.0]]]), sign=-1).tolist()  # 8 px to the left in the right image
        [[[-8.0, 0.0]]]
    """
    return np.concatenate([sign * disparity, np.zeros_like(disparity)], axis=2)
