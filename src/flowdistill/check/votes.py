"""Compares two candidate motions with the images, by votes of individual pixels on small patches.

The stored motion of a pixel and an alternative are both followed into the second image; the one whose end point looks
more like the start gets the pixel's vote. Patches are compared after normalising mean and contrast, so that exposure
changes have no effect; pixels that match neither motion (mostly occluded ones) and pixels without texture do not vote.

motion  # (N, 2) px, x then y
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from operator import add

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.float32]  # (H, W), grey levels
Mask = npt.NDArray[np.bool_]  # (H, W)
Points = npt.NDArray[np.intp]  # (N,), indices of pixels in row order

# A patch is 5 x 5 px, of which every second pixel is used, since the image is blurred.
_TAPS = np.array([-2, 0, 2], np.float32)
_TAP_X, _TAP_Y = (tap.reshape(-1, 1) for tap in np.meshgrid(_TAPS, _TAPS))
_NOISE = 3.0  # noise level in grey levels, added to a patch's contrast
_LEAST_CONTRAST = 2.0  # smallest standard deviation of a patch that can vote, grey levels
_MATCH = 0.7  # largest difference of two normalised patches that match; unrelated ones have about 1.1
MARGIN, MARGIN_OF_OTHER_PICTURES = 0.15, 0.35  # by which one reading must match better than the other
_LEAST_DIFFERENCE = 0.75  # px, between the two motions


@dataclass(frozen=True)
class Votes:
    """Numbers of pixels that vote for the other reading and for the stored one.

    `residual` is the sum of patch differences of the other reading over `compared` pixels.
    """

    other: int = 0
    stored: int = 0
    residual: float = 0.0
    compared: int = 0

    def __add__(self, more: Votes) -> Votes:
        return Votes(*map(add, astuple(self), astuple(more)))

    @property
    def total(self) -> int:
        """The number of votes."""
        return self.other + self.stored

    @property
    def mean_residual(self) -> float:
        """The mean patch difference of the other reading, for comparing several other readings."""
        return self.residual / max(self.compared, 1)

    @property
    def share(self) -> float:
        """The share of votes for the other reading, biased towards 1/2 if there are few votes."""
        return (self.other + 1) / (self.total + 2)


@dataclass(frozen=True)
class Pair:
    """The two images between which a motion is tested."""

    start: Grey
    end: Grey

    def difference(self, points: Points, motion: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the patch differences (N,) of a motion; infinite if it leaves the image or there is no texture."""
        height, width = self.start.shape
        y, x = (axis.astype(np.float32) for axis in np.divmod(points, width))
        to_x, to_y = x + motion[:, 0], y + motion[:, 1]
        inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
        before, contrast = _patches(self.start, x, y)
        after, _ = _patches(self.end, np.where(inside, to_x, 0), np.where(inside, to_y, 0))
        difference = np.abs(after - before).mean(axis=0)
        return np.where(inside & (contrast >= _LEAST_CONTRAST), difference, np.float32(np.inf))


def grey(picture: npt.NDArray[np.uint8]) -> Grey:
    """Convert (H, W, 3) uint8 RGB to slightly blurred grey levels."""
    return cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (3, 3), 0.8).astype(np.float32)


def sample_points(masks: Sequence[Mask], number: int) -> Points:
    """Sample about `number` pixels set in all masks (one or more, of one size), deterministically; all, if fewer."""
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
    """Count the votes from the differences (N,) of two readings at the same pixels.

    Args:
        stored, other: from `Pair.difference`; a pixel at which either is infinite does not vote.
        telling: (N,), pixels that can vote.
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
    """Count the pixels where the stored reading does not match as votes against it, from its differences (N,)."""
    seen = stored[np.isfinite(stored)]
    unlike = int(np.count_nonzero(seen > _MATCH))
    return Votes(unlike, seen.size - unlike)


def apart(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return (N,): whether two motions differ enough to be distinguished by the images."""
    return np.hypot(*(first - second).T) >= _LEAST_DIFFERENCE


def _patches(
    picture: Grey, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return normalised patches (taps, N) around points (N,), and their contrast (N,) in grey levels."""
    if not x.size:
        return np.zeros((_TAP_X.size, 0), np.float32), np.zeros(0, np.float32)
    taps = cv2.remap(picture, x + _TAP_X, y + _TAP_Y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    taps = taps - taps.mean(axis=0)
    squares = np.square(taps).mean(axis=0)
    return taps / np.sqrt(squares + np.float32(_NOISE**2)), np.sqrt(squares)
