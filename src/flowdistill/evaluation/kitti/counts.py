"""KITTI's integer counts of outliers, for background and foreground, and the sum of end-point errors.

All stored values are integers, so that sums over images and processes do not depend on their order.
motion     # (H, W, C) float32 px; C = 2 for flow (x, y), 1 for disparity
all per-pixel arrays  # (H, W)
Source: KITTI 2015 development kit, `evaluate_scene_flow`.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from operator import add

import numpy as np
import numpy.typing as npt

from flowdistill.metrics.rules import SUM_STEP, is_outlier

Motion = npt.NDArray[np.float32]
PerPixel = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: px; errors above each are counted without the 5 % rule: KITTI 2012 tabulates all four, papers the second (bad-3).
THRESHOLDS = (2.0, 3.0, 4.0, 5.0)


@dataclass(frozen=True)
class ClassCounts:
    """Outliers and pixels of one class; `submitted` counts only pixels whose prediction was not filled in."""

    errors: int
    pixels: int
    errors_submitted: int
    pixels_submitted: int

    def __add__(self, other: ClassCounts) -> ClassCounts:
        return ClassCounts(*map(add, astuple(self), astuple(other)))

    @property
    def rate(self) -> float:
        """Fraction of outliers; 0 without pixels, as in the official tool."""
        return self.errors / max(self.pixels, 1)

    @property
    def rate_submitted(self) -> float:
        return self.errors_submitted / max(self.pixels_submitted, 1)


@dataclass(frozen=True)
class LargeErrors:
    """Numbers of pixels with ground truth whose end-point error is large, without the 5 % rule."""

    over: tuple[int, ...]  # above each of THRESHOLDS
    from_3: int  # 3 px or more, as DWARF's released tester on FlyingThings3D counts

    def __add__(self, other: LargeErrors) -> LargeErrors:
        return LargeErrors(tuple(map(add, self.over, other.over)), self.from_3 + other.from_3)


@dataclass(frozen=True)
class MetricCounts:
    """Counts of one metric on one image or, summed, on several."""

    background: ClassCounts
    foreground: ClassCounts
    error_steps: int | None  # sum of end-point errors in SUM_STEP px; None for scene flow, which has none
    large: LargeErrors | None  # None for scene flow

    def __add__(self, other: MetricCounts) -> MetricCounts:
        steps = None
        if self.error_steps is not None and other.error_steps is not None:
            steps = self.error_steps + other.error_steps
        large = None if self.large is None or other.large is None else self.large + other.large
        return MetricCounts(
            self.background + other.background, self.foreground + other.foreground, steps, large
        )

    @property
    def all(self) -> ClassCounts:
        return self.background + self.foreground

    @property
    def density(self) -> float:
        """Fraction of the pixels with ground truth that had an estimate; 0 without pixels."""
        return self.all.pixels_submitted / max(self.all.pixels, 1)

    @property
    def end_point_error(self) -> float | None:
        """Mean in px over all pixels with ground truth, including filled ones; None for scene flow or no pixels."""
        if self.error_steps is None or self.all.pixels == 0:
            return None
        return self.error_steps * SUM_STEP / self.all.pixels


def vector_length(motion: Motion) -> PerPixel:
    """Euclidean length over the channels, (H, W, C) px -> (H, W) float32 px; absolute value for C = 1.

    Single precision in every step, as in the official tool: numpy's float32 square root is correctly rounded.
    """
    if motion.shape[2] == 1:
        return np.abs(motion[..., 0])
    squares = np.square(motion)
    length = squares[..., 0] + squares[..., 1]
    return np.sqrt(length, out=length)


def error_and_outliers(prediction: Motion, truth: Motion) -> tuple[PerPixel, Mask]:
    """Return the end-point error (H, W) px and the outlier mask; both are undefined without ground truth."""
    error = vector_length(prediction - truth)
    with np.errstate(divide="ignore", invalid="ignore"):  # ground truth of length 0
        return error, is_outlier(error, vector_length(truth))


def count(
    outlier: Mask, valid: Mask, submitted: Mask, foreground: Mask | None, error: PerPixel | None
) -> MetricCounts:
    """Count over the pixels with ground truth.

    Args:
        outlier: (H, W) result of the outlier rule.
        valid: (H, W) pixels with ground truth.
        submitted: (H, W) pixels with a prediction before filling.
        foreground: (H, W) pixels of class fg, the others are bg; None if all are bg.
        error: (H, W) px, finite, or None if there is no end-point error (scene flow).
    """
    steps = None if error is None else _error_steps(error, valid)
    large = None if error is None else _large_errors(error, valid)
    if foreground is None:
        return MetricCounts(_count_class(outlier, valid, submitted), ClassCounts(0, 0, 0, 0), steps, large)
    background = _count_class(outlier, valid & ~foreground, submitted)
    return MetricCounts(background, _count_class(outlier, valid & foreground, submitted), steps, large)


def _large_errors(error: PerPixel, valid: Mask) -> LargeErrors:
    known = error[valid]
    over = tuple(int(np.count_nonzero(known > threshold)) for threshold in THRESHOLDS)
    return LargeErrors(over, int(np.count_nonzero(known >= 3)))


def _count_class(outlier: Mask, pixels: Mask, submitted: Mask) -> ClassCounts:
    wrong = outlier & pixels
    masks = (wrong, pixels, wrong & submitted, pixels & submitted)
    return ClassCounts(*[int(np.count_nonzero(mask)) for mask in masks])


def _error_steps(error: PerPixel, valid: Mask) -> int:
    # SUM_STEP is a power of two, so that only the rounding to whole steps changes a value.
    steps = error * np.float32(1 / SUM_STEP)
    np.rint(steps, out=steps)
    steps *= valid
    return int(steps.astype(np.int64).sum())
