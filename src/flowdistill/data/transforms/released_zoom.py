"""Enlarging sparse labels as DWARF's released code does: valid and invalid pixels are averaged.

motion   # (C, H, W) px: flow (C = 2) or disparity (C = 1)
valid    # (1, H, W) bool
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: What the released code reads where KITTI's PNG files have no label: code 0, as if it were one.
INVALID_FLOW, INVALID_DISPARITY = -512.0, 0.0  # px


class Taps(NamedTuple):
    """The two old pixels that overlap each new one, and their shares of it."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    share: NDArray[np.float32]  # of the first


def enlarging_taps(first: int, count: int, old: int, new: int) -> Taps:
    """Return the taps of new pixels first, ..., first + count - 1 for an area average from `old` to `new` pixels.

    A new pixel covers old/new of an old one, so it overlaps at most two. Exact, in units of 1/new of an old pixel.

    Examples:
        >>> from flowdistill.data.transforms.released_zoom import enlarging_taps
        >>> taps = enlarging_taps(0, 3, old=2, new=3)  # the middle one covers a third of each old pixel
        >>> taps.first.tolist(), taps.second.tolist(), taps.share.tolist()
        ([0, 0, 1], [0, 1, 1], [1.0, 0.5, 1.0])
    """
    if new < old:
        raise ValueError(f"the released zoom enlarges: {new} pixels are fewer than {old}")
    start = np.arange(first, first + count, dtype=np.int64) * old
    one = start // new
    share = np.minimum((one + 1) * new - start, old) / old
    return Taps(one, np.where(share < 1, one + 1, one), share.astype(np.float32))


def average(value: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """Average (C, H, W) float over the area of each new pixel."""
    found = value.numpy()
    found = _along(found, rows, -2, rows.share[:, None])
    return torch.from_numpy(_along(found, columns, -1, columns.share))


def mix(motion: Tensor, valid: Tensor, rows: Taps, columns: Taps) -> tuple[Tensor, Tensor]:
    """Return the motion and validity of each new pixel as the released code computes them.

    Invalid pixels take part with the value that code 0 of KITTI's files means, -512 px for flow and 0 for disparity,
    and a new pixel is valid if any of its old ones is. Motions are not yet multiplied by the factor of the zoom.

    Source: DWARF (AAAI 2020), released filters/zoom.py (method AREA) and main_utils/flow_utils.py, disp_utils.py.

    Examples:
        >>> import torch
        >>> from flowdistill.data.transforms.released_zoom import enlarging_taps, mix
        >>> disparity, valid = torch.tensor([[[8.0, 0.0]]]), torch.tensor([[[True, False]]])
        >>> mixed, known = mix(disparity, valid, enlarging_taps(0, 1, 1, 1), enlarging_taps(0, 3, 2, 3))
        >>> mixed.tolist(), known.tolist()
        ([[[8.0, 4.0, 0.0]]], [[[True, True, False]]])
    """
    invalid = INVALID_FLOW if motion.shape[0] == 2 else INVALID_DISPARITY
    filled = torch.where(valid, motion, torch.full_like(motion, invalid))
    return average(filled, rows, columns), average(valid.to(motion.dtype), rows, columns) > 0


def _along(
    value: NDArray[np.float32], taps: Taps, axis: int, share: NDArray[np.float32]
) -> NDArray[np.float32]:
    mixed = value.take(taps.first, axis) * share + value.take(taps.second, axis) * (1 - share)
    return np.asarray(mixed, dtype=value.dtype)
