"""Whether a change of disparity has the sign that the pictures show.

FlyingThings3D stores disparity_t1 as a change: disparity_t1 = disparity_t0 + change. A change with the other sign
reads well and trains badly. The pictures can tell: what left_t0 shows at (x, y) stands in right_t1 at
(x + u - disparity_t1, y + v), for a flow (u, v).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from flowdistill.check.votes import sample_points

Array = npt.NDArray[np.float32]

_LEAST_CHANGE = 0.1  # px: below, both signs look alike
_LEAST_DIFFERENCE = 2.0  # grey levels by which one sign must explain a pixel better than the other
_MATCH = 25.0  # grey levels: a pixel that neither sign explains better than this is occluded
# Measured on rendered scenes of 32x64 to 256x512 with changes of 0.02 to 0.8 px on average, clean and final pass: a
# right sign has a share of at most 0.32, a wrong one at least 0.68.
_LEAST_PIXELS = 25
_POINTS = 8000  # that are looked at
_MAJORITY = 0.65


def wrong_change_share(
    left_t0: npt.NDArray[np.uint8],
    right_t1: npt.NDArray[np.uint8],
    flow: Array,
    disparity: Array,
    change: Array,
) -> tuple[float, int]:
    """Of the pixels whose colours tell the two signs apart, the share that speaks for the other sign, and their number.

    Args:
        left_t0, right_t1: (H, W, 3) uint8.
        flow: (H, W, 2) px, left_t0 to left_t1.
        disparity, change: (H, W, 1) px, of positive disparities.

    Pixels with a value that is unknown (not finite) tell nothing.
    """
    moved = np.concatenate([flow, disparity, change], axis=2)
    height, width = moved.shape[:2]
    points = sample_points([np.isfinite(change[..., 0]) & (np.abs(change[..., 0]) >= _LEAST_CHANGE)], _POINTS)
    y, x = np.divmod(points, width)
    reference, moved = left_t0[y, x].astype(np.float32), moved[y, x]
    telling = np.isfinite(moved).all(axis=1)
    moved = np.where(telling[:, None], moved, 0)
    x, y = (x + moved[:, 0] - moved[:, 2]).astype(np.float32), (y + moved[:, 1]).astype(np.float32)
    telling &= (y >= 0) & (y <= height - 1)
    other = right_t1.astype(np.float32)
    errors = []
    for sign in (1, -1):
        at = x - sign * moved[:, 3]
        telling &= (at >= 0) & (at <= width - 1)
        seen = cv2.remap(other, at[None], y[None], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)[0]
        errors.append(np.abs(seen - reference).mean(axis=1))
    as_stored, as_other = errors
    telling &= np.minimum(as_stored, as_other) <= _MATCH
    for_stored = int(np.count_nonzero(telling & (as_other - as_stored > _LEAST_DIFFERENCE)))
    for_other = int(np.count_nonzero(telling & (as_stored - as_other > _LEAST_DIFFERENCE)))
    total = for_stored + for_other
    return (for_other / total if total else 0.0), total


def speaks_against(share: float, pixels: int) -> bool:
    """Whether so many pixels with such a share of them are enough to call the sign wrong."""
    return pixels >= _LEAST_PIXELS and share >= _MAJORITY
