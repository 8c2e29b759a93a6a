"""Counts over one sample's labels, which can be summed to a report without reading the labels again.

All numbers are counts, or sums of px, by confidence bin: bin b of `BINS` holds b/BINS <= confidence < (b+1)/BINS, the
last bin also confidence 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flowdistill.labels.combine import Label
from flowdistill.labels.writer import storable
from flowdistill.metrics import rules

BINS = 100
BAD_DISPARITY = 3.0
"""px: bad-3, the rule of Middlebury's and KITTI's stereo tables."""


@dataclass
class Tally:
    """One motion, of one sample or of many.

    Attributes:
        pixels: of the images.
        known: pixels where a teacher gives a value.
        kept: pixels that passed the filter and fit into 16 bits: the label's valid pixels.
        lost: pixels that passed the filter, but do not fit into 16 bits.
        compared_kept, wrong_kept, error_kept: over the kept pixels with ground truth: their number, the number of
            outliers (disparity: over 3 px; flow: KITTI's rule), and the sum of end-point errors, px.
        compared, wrong, error: the same over all known pixels, by confidence bin.
        true: pixels with ground truth.
    """

    pixels: int
    known: int
    kept: int
    lost: int
    true: int
    compared_kept: int
    wrong_kept: int
    error_kept: float
    compared: list[int]
    wrong: list[int]
    error: list[float]


def tally(
    label: Label, truth: npt.NDArray[np.float32] | None = None, true: npt.NDArray[np.bool_] | None = None
) -> Tally:
    """Compute the counts of a label.

    Args:
        label: see `Label`.
        truth: (H, W, C) px, or None.
        true: (H, W), where the ground truth is valid.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.labels.combine import Label
        >>> from flowdistill.labels.statistics import tally
        >>> known, keep = np.array([[True, True]]), np.array([[True, False]])
        >>> label = Label(np.float32([[[8.0], [20.0]]]), known, np.float32([[0.9, 0.2]]), keep)
        >>> counts = tally(label, truth=np.float32([[[9.0], [9.0]]]), true=known)
        >>> counts.known, counts.kept, sum(counts.wrong), counts.wrong_kept  # the filter removed the outlier
        (2, 1, 1, 0)
        >>> counts.error_kept  # px
        1.0
    """
    fits = storable(label)
    kept = label.keep & fits
    if truth is None or true is None:
        truth, true = np.zeros_like(label.values), np.zeros_like(label.known)
    error = np.linalg.norm(label.values - truth, axis=2).astype(np.float32)
    wrong = _outliers(error, truth)
    both = label.known & true
    bins = np.minimum((label.confidence * BINS).astype(np.int64), BINS - 1)[both]
    return Tally(
        pixels=int(label.known.size),
        known=int(label.known.sum()),
        kept=int(kept.sum()),
        lost=int((label.keep & ~fits).sum()),
        true=int(true.sum()),
        compared_kept=int((kept & true).sum()),
        wrong_kept=int((kept & true & wrong).sum()),
        error_kept=float(error[kept & true].astype(np.float64).sum()),
        compared=np.bincount(bins, minlength=BINS).tolist(),
        wrong=np.bincount(bins, weights=wrong[both], minlength=BINS).astype(np.int64).tolist(),
        error=np.bincount(bins, weights=error[both], minlength=BINS).tolist(),
    )


def add(one: Tally, other: Tally) -> Tally:
    """Add two tallies.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.labels.combine import Label
        >>> from flowdistill.labels.statistics import add, tally
        >>> known = np.ones((4, 6), bool)
        >>> one = tally(Label(np.ones((4, 6, 1), np.float32), known, np.ones((4, 6), np.float32), known))
        >>> add(one, one).kept
        48
    """
    second = vars(other)
    return Tally(**{name: np.add(value, second[name]).tolist() for name, value in vars(one).items()})


def _outliers(error: npt.NDArray[np.float32], truth: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    if truth.shape[2] == 1:
        return error > BAD_DISPARITY
    magnitude = np.linalg.norm(truth, axis=2).astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        return rules.is_outlier(error, magnitude)
