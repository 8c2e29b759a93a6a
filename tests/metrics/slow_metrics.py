"""Slow reference metrics: loops over pixels in double precision, written from KITTI's rules alone."""

import math
from collections.abc import Iterator

import numpy as np


def errors(prediction: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> Iterator[tuple[float, float]]:
    """(error, magnitude) of every pixel under the mask; motions (B, C, H, W), mask (B, 1, H, W)."""
    for image, _, row, column in zip(*np.nonzero(mask), strict=True):
        p = prediction[image, :, row, column].astype(np.float64)
        t = truth[image, :, row, column].astype(np.float64)
        yield math.hypot(*(p - t)), math.hypot(*t)


def mean_error(prediction: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    lengths = [error for error, _ in errors(prediction, truth, mask)]
    return math.fsum(lengths) / len(lengths) if lengths else math.nan


def outlier_list(prediction: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> list[bool]:
    """The result of exact arithmetic: correct unless an error is exactly 5 %."""
    return [e > 3 and (m == 0 or e / m > 0.05) for e, m in errors(prediction, truth, mask)]


def percent(flags: list[bool]) -> float:
    return 100 * sum(flags) / len(flags) if flags else math.nan


def fill_rows(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """KITTI's filling of gaps (H, W, C) within rows: the smaller neighbour per channel; the only one at a border."""
    filled = values.copy()
    for row, known in enumerate(valid):
        columns = np.flatnonzero(known)
        assert len(columns) > 0, "rows without any estimate need the rule for columns too"
        for column in np.flatnonzero(~known):
            left, right = columns[columns < column][-1:], columns[columns > column][:1]
            filled[row, column] = values[row, [*left, *right]].min(axis=0)
    return filled
