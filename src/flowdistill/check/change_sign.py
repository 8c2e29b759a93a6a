"""Checks the sign of a change of disparity against the images.

FlyingThings3D stores disparity_t1 as a change: disparity_t1 = disparity_t0 + change. A change with the wrong sign
can be read without error but gives wrong training targets. The images show the sign: the point at (x, y) in left_t0 is
at (x + u - disparity_t1, y + v) in right_t1, for a flow (u, v). Changes are small, so this compares colours, which is
more precise than the patches of `votes.py`.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from flowdistill.check.votes import Pair, Votes, sample_points

Array = npt.NDArray[np.float32]

_LEAST_CHANGE = 0.1  # px: below this, both signs are indistinguishable
_LEAST_DIFFERENCE = 2.0  # grey levels by which one sign must match a pixel better than the other
_MATCH = 25.0  # grey levels: a pixel with a larger error for both signs is considered occluded
_FLOW_MATCH = 0.5  # largest difference of two normalised patches for which the flow is considered correct
_POINTS = 8000  # number of sampled pixels
# Measured on rendered scenes of 32x64 to 256x512 with mean changes of 0.02 to 0.8 px, clean and final pass: a correct
# sign has a share of at most 0.32, a wrong one at least 0.68.
_LEAST_PIXELS = 25
_MAJORITY = 0.65


def change_votes(
    left_t0: npt.NDArray[np.uint8],
    right_t1: npt.NDArray[np.uint8],
    over_time: Pair | None,
    flow: Array,
    disparity: Array,
    change: Array,
) -> Votes:
    """Count the pixels whose colours match better for the other sign, and for the stored one.

    Args:
        left_t0, right_t1: (H, W, 3) uint8; their brightness may differ.
        over_time: left_t0 and left_t1; pixels where the flow does not match them are not used.
        flow: (H, W, 2) px, left_t0 to left_t1.
        disparity, change: (H, W, 1) px, for positive disparities.

    Pixels with an unknown (not finite) value are not used.
    """
    height, width = change.shape[:2]
    known = np.isfinite(change[..., 0]) & (np.abs(change[..., 0]) >= _LEAST_CHANGE)
    points = sample_points([known], _POINTS)
    if points.size < _LEAST_PIXELS:
        return Votes()
    y, x = np.divmod(points, width)
    moved = np.concatenate([flow, disparity, change], axis=2)[y, x]
    telling = np.isfinite(moved).all(axis=1)
    if over_time is not None:
        telling &= over_time.difference(points, moved[:, :2]) <= _FLOW_MATCH
    moved = np.where(telling[:, None], moved, 0)
    to_x, to_y = (x + moved[:, 0] - moved[:, 2]).astype(np.float32), (y + moved[:, 1]).astype(np.float32)
    telling &= (to_y >= 0) & (to_y <= height - 1)
    other, seen = right_t1.astype(np.float32), []
    for sign in (1, -1):
        at = to_x - sign * moved[:, 3]
        telling &= (at >= 0) & (at <= width - 1)
        seen.append(
            cv2.remap(other, at[None], to_y[None], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)[0]
        )
    if np.count_nonzero(telling) < _LEAST_PIXELS:
        return Votes()
    reference = left_t0[y, x].astype(np.float32)[telling]
    as_stored, as_other = (
        np.abs(both - reference).mean(axis=1) for both in _same_exposure(seen, reference, telling)
    )
    match = np.minimum(as_stored, as_other) <= _MATCH
    for_stored = match & (as_other - as_stored > _LEAST_DIFFERENCE)
    for_other = match & (as_stored - as_other > _LEAST_DIFFERENCE)
    return Votes(int(np.count_nonzero(for_other)), int(np.count_nonzero(for_stored)))


def speaks_against(votes: Votes) -> bool:
    """Whether there are enough votes to report a wrong sign."""
    return votes.total >= _LEAST_PIXELS and votes.other >= _MAJORITY * votes.total


def _same_exposure(seen: list[Array], reference: Array, telling: npt.NDArray[np.bool_]) -> list[Array]:
    """Fit the colours (N, 3) of both signs at the used pixels to the reference's exposure; a parabola per channel."""
    both = [colours[telling] for colours in seen]
    middle = (both[0] + both[1]) / 2
    scaled = [np.empty_like(colours) for colours in both]
    for channel in range(reference.shape[1]):
        curve = np.array([0.0, 1.0, 0.0])
        for _ in range(2):  # the second time without occluded pixels
            near = np.abs(np.polyval(curve, middle[:, channel]) - reference[:, channel])
            used = near <= np.percentile(near, 80)
            if np.ptp(middle[used, channel]) > _LEAST_DIFFERENCE:  # the fit needs some contrast
                curve = np.polyfit(middle[used, channel].astype(np.float64), reference[used, channel], 2)
        for colours, result in zip(both, scaled, strict=True):
            result[:, channel] = np.polyval(curve, colours[:, channel])
    return scaled
