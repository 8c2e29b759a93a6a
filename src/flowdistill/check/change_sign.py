"""Whether a change of disparity has the sign that the pictures show.

FlyingThings3D stores disparity_t1 as a change: disparity_t1 = disparity_t0 + change. A change with the other sign
reads well and trains badly. The pictures can tell: what left_t0 shows at (x, y) stands in right_t1 at
(x + u - disparity_t1, y + v), for a flow (u, v). Changes are small, so this looks closer than `votes.py`, at colours.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from flowdistill.check.votes import Pair, Votes, sample_points

Array = npt.NDArray[np.float32]

_LEAST_CHANGE = 0.1  # px: below, both signs look alike
_LEAST_DIFFERENCE = 2.0  # grey levels by which one sign must explain a pixel better than the other
_MATCH = 25.0  # grey levels: a pixel that neither sign explains better than this is occluded
_FLOW_MATCH = 0.5  # difference of two normalised patches up to which the flow is believed
_POINTS = 8000  # that are looked at
# Measured on rendered scenes of 32x64 to 256x512 with changes of 0.02 to 0.8 px on average, clean and final pass: a
# right sign has a share of at most 0.32, a wrong one at least 0.68.
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
    """The pixels whose colours speak for the other sign, and for the stored one.

    Args:
        left_t0, right_t1: (H, W, 3) uint8; one may be brighter than the other.
        over_time: left_t0 and left_t1; where the flow does not fit them, nothing is asked.
        flow: (H, W, 2) px, left_t0 to left_t1.
        disparity, change: (H, W, 1) px, of positive disparities.

    Pixels with a value that is unknown (not finite) tell nothing.
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
    """Whether so many pixels are enough to call the sign wrong."""
    return votes.total >= _LEAST_PIXELS and votes.other >= _MAJORITY * votes.total


def _same_exposure(seen: list[Array], reference: Array, telling: npt.NDArray[np.bool_]) -> list[Array]:
    """What both signs see, (N, 3) at the telling pixels, on the scale of the reference: a parabola per channel."""
    both = [colours[telling] for colours in seen]
    middle = (both[0] + both[1]) / 2
    scaled = [np.empty_like(colours) for colours in both]
    for channel in range(reference.shape[1]):
        curve = np.array([0.0, 1.0, 0.0])
        for _ in range(2):  # the second time without what is occluded
            near = np.abs(np.polyval(curve, middle[:, channel]) - reference[:, channel])
            used = near <= np.percentile(near, 80)
            if np.ptp(middle[used, channel]) > _LEAST_DIFFERENCE:  # a flat picture has no curve
                curve = np.polyfit(middle[used, channel].astype(np.float64), reference[used, channel], 2)
        for colours, result in zip(both, scaled, strict=True):
            result[:, channel] = np.polyval(curve, colours[:, channel])
    return scaled
