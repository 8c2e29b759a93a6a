"""Which of two motions do the pictures speak for? Counted pixel by pixel, on small patches.

A motion that is stored for a pixel and another that might have been meant are both followed into the second picture;
the one at whose end the picture looks more like the start gets the pixel's vote. Patches are compared after their mean
and contrast are removed, so that a change of exposure does not matter; pixels that neither motion explains (occluded
ones, mostly) and pixels without texture do not vote.

motion  # (N, 2) px, x then y
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.float32]  # (H, W), grey levels
Mask = npt.NDArray[np.bool_]  # (H, W)
Points = npt.NDArray[np.intp]  # (N,), indices of pixels in row order

# A patch is 5 x 5 px, of which, in a blurred picture, every second pixel is enough.
_TAPS = np.array([-2, 0, 2], np.float32)
_TAP_X, _TAP_Y = (tap.reshape(-1, 1) for tap in np.meshgrid(_TAPS, _TAPS))
_NOISE = 3.0  # grey levels that say nothing: added to a patch's contrast
_LEAST_CONTRAST = 2.0  # grey levels (standard deviation), of a patch that may vote
_MATCH = 0.7  # difference of two normalised patches up to which one explains the other; unrelated ones have about 1.1
MARGIN, MARGIN_OF_OTHER_PICTURES = 0.15, 0.35  # by which one reading must be better than the other
_LEAST_DIFFERENCE = 0.75  # px, between the two motions


@dataclass(frozen=True)
class Votes:
    """How many pixels speak for the other reading and for what is stored.

    `residual` is the sum, over `compared` pixels, of what differs between the patches of the other reading.
    """

    other: int = 0
    stored: int = 0
    residual: float = 0.0
    compared: int = 0

    def __add__(self, more: Votes) -> Votes:
        return Votes(
            self.other + more.other,
            self.stored + more.stored,
            self.residual + more.residual,
            self.compared + more.compared,
        )

    @property
    def total(self) -> int:
        """Pixels that voted."""
        return self.other + self.stored

    @property
    def mean_residual(self) -> float:
        """How badly the other reading explains the pictures, by which two other readings can be compared."""
        return self.residual / max(self.compared, 1)

    @property
    def share(self) -> float:
        """Of the votes, those for the other reading; drawn towards a half where there are few."""
        return (self.other + 1) / (self.total + 2)


@dataclass(frozen=True)
class Pair:
    """Two pictures between which a motion is said to lead."""

    start: Grey
    end: Grey

    def difference(self, points: Points, motion: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(N,) of the patches at both ends of a motion; infinite where it leaves the picture or there is no texture."""
        height, width = self.start.shape
        y, x = (axis.astype(np.float32) for axis in np.divmod(points, width))
        to_x, to_y = x + motion[:, 0], y + motion[:, 1]
        inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
        before, contrast = _patches(self.start, x, y)
        after, _ = _patches(self.end, np.where(inside, to_x, 0), np.where(inside, to_y, 0))
        difference = np.abs(after - before).mean(axis=0)
        return np.where(inside & (contrast >= _LEAST_CONTRAST), difference, np.float32(np.inf))


def grey(picture: npt.NDArray[np.uint8]) -> Grey:
    """(H, W, 3) uint8 RGB to slightly blurred grey levels."""
    return cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (3, 3), 0.8).astype(np.float32)


def sample_points(masks: Sequence[Mask], number: int) -> Points:
    """About `number` pixels that all masks (one or more, of one size) hold, the same at every call; all, if fewer."""
    height, width = masks[0].shape
    drawn = np.random.default_rng(0).integers(0, height * width, 2 * number)
    y, x = np.divmod(drawn, width)
    found = drawn[np.logical_and.reduce([mask[y, x] for mask in masks])]
    if found.size >= number // 2:
        return found[:number]
    every = np.flatnonzero(np.logical_and.reduce(masks))
    return every if every.size <= number else every[np.random.default_rng(0).integers(0, every.size, number)]


def count_votes(
    stored: npt.NDArray[np.float32],
    other: npt.NDArray[np.float32],
    telling: npt.NDArray[np.bool_],
    margin: float,
) -> Votes:
    """From the differences (N,) of two readings at the same pixels.

    Args:
        stored, other: of `Pair.difference`; a pixel at which either is infinite does not vote.
        telling: (N,) pixels that may vote.
        margin: by which one difference must be smaller than the other.
    """
    may_vote = telling & np.isfinite(stored) & np.isfinite(other) & (np.minimum(stored, other) <= _MATCH)
    gain = stored[may_vote] - other[may_vote]
    seen = np.minimum(other[telling & np.isfinite(other)], 1)
    return Votes(
        int(np.count_nonzero(gain > margin)),
        int(np.count_nonzero(gain < -margin)),
        float(seen.sum()),
        seen.size,
    )


def count_unexplained(stored: npt.NDArray[np.float32]) -> Votes:
    """Pixels that what is stored does not explain, as votes against it, from its differences (N,)."""
    seen = stored[np.isfinite(stored)]
    unlike = int(np.count_nonzero(seen > _MATCH))
    return Votes(unlike, seen.size - unlike)


def apart(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """(N,) whether two motions differ so much that the pictures can tell them apart."""
    return np.hypot(*(first - second).T) >= _LEAST_DIFFERENCE


def _patches(
    picture: Grey, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Normalised patches (taps, N) around points (N,), and their contrast (N,) in grey levels."""
    if not x.size:
        return np.zeros((_TAP_X.size, 0), np.float32), np.zeros(0, np.float32)
    taps = cv2.remap(picture, x + _TAP_X, y + _TAP_Y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    taps = taps - taps.mean(axis=0)
    squares = np.square(taps).mean(axis=0)
    return taps / np.sqrt(squares + np.float32(_NOISE**2)), np.sqrt(squares)
