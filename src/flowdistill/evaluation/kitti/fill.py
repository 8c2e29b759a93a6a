"""Filling of missing predictions before errors are computed, as in KITTI's official tool ("background interpolation").

Source: KITTI 2015 development kit, `interpolateBackground` of its disparity and flow images.
"""

import numpy as np

from flowdistill.evaluation.kitti.counts import Mask, Motion


def fill_missing(motion: Motion, valid: Mask, unfilled: float) -> tuple[Motion, Mask]:
    """Fill a motion (H, W, C), float32 px, where `valid` (H, W), bool, is false; return it and a mask of its values.

    * A gap between two valid pixels of a row gets the smaller of the two, independently per channel (signed). At the
      ends of the row, the only neighbour is repeated.
    * Empty rows above the first row with a valid pixel repeat that row, and empty rows below the last such row repeat
      that one. Empty rows in between have no value and are set to `unfilled`, as are all rows if no pixel is valid.

    The input is not changed; if nothing is missing, the same arrays are returned.
    """
    if valid.all():
        return motion, valid
    height, width, channels = motion.shape
    filled = motion.copy()
    has_some: Mask = np.logical_or.reduce(valid, axis=1)
    if not has_some.any():
        filled[:] = unfilled
        return filled, np.zeros_like(valid)

    # Edges of the gaps, at the borders between columns: a gap begins at every other edge and ends at the next.
    missing = np.zeros((height, width + 2), dtype=bool)
    np.logical_not(valid, out=missing[:, 1:-1])
    missing[~has_some] = False
    row, edge = np.divmod(np.flatnonzero(missing[:, 1:] != missing[:, :-1]), width + 1)
    row, begin, end = row[::2], edge[::2], edge[1::2]
    left = np.where(begin > 0, begin - 1, end)
    right = np.where(end < width, end, begin - 1)
    smaller = np.minimum(motion[row, left], motion[row, right])  # (gaps, C)
    pixels = np.flatnonzero(missing[:, 1:-1])
    filled.reshape(-1, channels)[pixels] = np.repeat(smaller, end - begin, axis=0)

    first, last = np.flatnonzero(has_some)[[0, -1]]
    filled[:first], filled[last + 1 :] = filled[first], filled[last]
    without = ~has_some
    without[:first] = without[last + 1 :] = False
    filled[without] = unfilled
    return filled, np.broadcast_to(~without[:, None], valid.shape)
