"""The regions of Sintel's table: pixels by visibility, by distance to an occlusion boundary and by speed.

Source: Butler et al., "A naturalistic open source movie for optical flow evaluation", ECCV 2012, and the explanations
of the benchmark's result table. Where those are ambiguous, docs/evaluation.md states the choice made here.

all arrays   # (H, W)
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

#: Intervals in px, closed below and open above.
DISTANCES = {"d0-10": (0.0, 10.0), "d10-60": (10.0, 60.0), "d60-140": (60.0, 140.0)}
SPEEDS = {"s0-10": (0.0, 10.0), "s10-40": (10.0, 40.0), "s40+": (40.0, np.inf)}
#: In the order of Sintel's table.
REGIONS = ("all", "matched", "unmatched", *DISTANCES, *SPEEDS)


def regions(valid: Mask, occluded: Mask | None, speed: npt.NDArray[np.float32]) -> dict[str, Mask]:
    """Return region -> its pixels, in the order of `REGIONS`.

    Args:
        valid: (H, W) pixels with ground truth; regions contain no others.
        occluded: (H, W) pixels that are not visible in the next frame; None omits the regions that depend on them.
        speed: (H, W) px, length of the true flow.
    """
    found = {"all": valid}
    if occluded is not None:
        found |= {"matched": valid & ~occluded, "unmatched": valid & occluded}
        squares = squared_boundary_distance(occluded)
        if squares is None:
            found |= {name: np.zeros_like(valid) for name in DISTANCES}
        else:
            found |= {
                name: valid & (squares >= int(low * low)) & (squares < int(high * high))
                for name, (low, high) in DISTANCES.items()
            }
    found |= {name: valid & (speed >= low) & (speed < high) for name, (low, high) in SPEEDS.items()}
    return found


def squared_boundary_distance(occluded: Mask) -> npt.NDArray[np.int64] | None:
    """Squared distance (H, W), px^2, from each pixel to the nearest one of the other kind; None if all are of one kind.

    Kinds are occluded and visible; distances are between pixel centres. Pixels on both sides of an occlusion boundary
    therefore have distance 1, and the frame's border is not a boundary. Squares are integers, so that a comparison
    with 10 px does not depend on rounding.
    """
    if occluded.all() or not occluded.any():
        return None
    # Each transform is 0 on the pixels of the other kind, so that their sum is the right one everywhere.
    kinds = occluded.astype(np.uint8)
    distance = _distance_to_zero(kinds) + _distance_to_zero(1 - kinds)
    return np.rint(np.square(distance, dtype=np.float64)).astype(np.int64)


def _distance_to_zero(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), dtype=np.float32)
