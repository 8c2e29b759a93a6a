"""How well a confidence orders and predicts errors: sparsification curves, their area, and calibration.

error        # (N,) px
confidence   # (N,), higher is better
probability  # (N,) that the error is under a threshold
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating]
STEPS = 100
BINS = 15


def sparsification(error: Values, confidence: Values, steps: int = STEPS) -> npt.NDArray[np.float64]:
    """Return the mean error of what is left after removing the least confident 0/steps, 1/steps, ... of the pixels.

    Equal confidences count with their mean error, so that the order of the pixels has no influence.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.metrics.sparsification import sparsification
        >>> sparsification(np.array([4.0, 1.0, 2.0, 3.0]), np.array([0.1, 0.9, 0.5, 0.2]), steps=4).tolist()
        [2.5, 2.0, 1.5, 1.0]
    """
    order = np.argsort(-confidence, kind="stable")
    ordered, sure = error[order].astype(np.float64), confidence[order]
    starts = np.flatnonzero(np.r_[True, sure[1:] != sure[:-1]])
    lengths = np.diff(np.r_[starts, len(sure)])
    ordered = np.repeat(np.add.reduceat(ordered, starts) / lengths, lengths)
    kept = np.ceil(len(error) * (1 - np.arange(steps) / steps)).astype(int).clip(1)
    return np.cumsum(ordered)[kept - 1] / kept


def ause(error: Values, confidence: Values, steps: int = STEPS) -> float:
    """Return the area between the sparsification curve and that of a perfect order, relative to the mean error.

    0 is perfect. Source: Ilg et al., "Uncertainty Estimates and Multi-Hypotheses Networks for Optical Flow", ECCV 2018.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.metrics.sparsification import ause
        >>> error = np.array([4.0, 1.0, 2.0, 3.0])
        >>> ause(error, -error, steps=4), ause(error, error, steps=4)
        (0.0, 0.6)
    """
    curve, best = sparsification(error, confidence, steps), sparsification(error, -error, steps)
    mean = float(error.mean())
    return float((curve - best).mean()) / mean if mean > 0 else 0.0


def calibration_error(probability: Values, correct: npt.NDArray[np.bool_], bins: int = BINS) -> float:
    """Return the expected calibration error: the mean distance between probability and share, over bins of pixels.

    Source: Naeini, Cooper, Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.metrics.sparsification import calibration_error
        >>> calibration_error(np.array([0.75] * 4), np.array([True, True, True, False]))
        0.0
        >>> calibration_error(np.array([1.0, 1.0]), np.array([True, False]))
        0.5
    """
    place = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    predicted = np.bincount(place, weights=probability, minlength=bins)
    found = np.bincount(place, weights=correct.astype(np.float64), minlength=bins)
    return float(np.abs(predicted - found).sum() / max(1, count.sum()))
