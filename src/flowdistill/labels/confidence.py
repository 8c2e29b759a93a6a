"""Confidence of a teacher's motions, from checks of the motions against each other and against the images.

Each check gives an error e per pixel and has a tolerance t; its confidence is t^2 / (t^2 + e^2), in [0, 1], 0.5 at the
tolerance. A pixel's confidence is the minimum over its checks, and 0 where the motion is unknown or leads out of the
image that a check has to sample.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from flowdistill.data.sample import Sample
from flowdistill.errors import UserError
from flowdistill.labels.config import Checks, Consistency, Photometric, Uniqueness
from flowdistill.labels.estimate import Estimate, Values, image_array
from flowdistill.labels.sample_at import along_row, sample_at
from flowdistill.labels.uniqueness import Grey, flow_ratio, match_cost, stereo_ratio

# Motion -> the motion back, source image, target image.
_PARTNERS = {
    "flow": ("flow_backward", "left_t0", "left_t1"),
    "flow_backward": ("flow", "left_t1", "left_t0"),
    "disparity_t0": ("disparity_right_t0", "left_t0", "right_t0"),
    "disparity_next": ("disparity_right_next", "left_t1", "right_t1"),
}
Tolerance = npt.NDArray[np.float32] | float


def confidence(name: str, estimates: dict[str, Estimate], sample: Sample, checks: Checks, who: str) -> Values:
    """Compute the confidence (H, W) of one motion of a teacher.

    Args:
        name: flow, flow_backward, disparity_t0 or disparity_next.
        estimates: of the teacher, including the motion and the one it is checked against.
        sample: with the images.
        checks: to apply.
        who: the teacher's name, for errors.

    Raises:
        UserError: a check needs a motion that the teacher does not give.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.labels.confidence import confidence
        >>> from flowdistill.labels.config import Checks, Consistency
        >>> from flowdistill.labels.estimate import estimate
        >>> forward = np.zeros((4, 4, 2))
        >>> backward = np.full((4, 4, 2), [1.0, 0.0])  # px; the forward-backward error is 1 px, the tolerance
        >>> estimates = {"flow": estimate(forward), "flow_backward": estimate(backward)}
        >>> checks = Checks(consistency=Consistency(absolute=1.0))
        >>> confidence("flow", estimates, {"name": "a"}, checks, who="matcher")[0].tolist()
        [0.5, 0.5, 0.5, 0.5]
    """
    estimate = estimates[name]
    least = np.ones(estimate.known.shape, np.float32)
    if checks.calibrated and estimate.probability is not None:
        least = np.minimum(least, estimate.probability)
    for error, tolerance in _errors(name, estimates, sample, checks, who):
        least = np.minimum(least, _trust(error, tolerance))
    return np.where(estimate.known, least, np.float32(0))


def direct_confidence(estimate: Estimate, flow: Estimate, sample: Sample, checks: Checks, who: str) -> Values:
    """Compute the confidence (H, W) of a teacher's own `disparity_t1` on the grid of left_t0, along a flow.

    Only the photometric check is possible: left_t0 against right_t1. The other checks are covered by the flow. Without
    any check, known pixels have the confidence 1.

    Raises:
        UserError: there are checks, but `checks.photometric` is missing.
    """
    if checks.none_set:
        return (estimate.known & flow.known).astype(np.float32)
    if checks.calibrated and estimate.probability is not None:
        return np.where(estimate.known & flow.known, estimate.probability, np.float32(0))
    if checks.photometric is None:
        raise UserError(
            f"motions.disparity_t1: direct needs confidence.disparity.photometric, the only check that applies to "
            f"{who}'s disparity_t1. Add it, or use look_up."
        )
    grey = _grey(sample, "left_t0"), _grey(sample, "right_t1")
    error = _difference(grey, flow.values + along_row(estimate.values, -1), checks.photometric)
    sure = _trust(error, checks.photometric.tolerance)
    return np.where(estimate.known & flow.known, sure, np.float32(0))


def _trust(error: Values, tolerance: Tolerance) -> Values:
    """Return the confidence of a check; an infinite error gives 0."""
    square = np.square(np.asarray(tolerance, np.float64))
    trust: Values = (square / (square + np.square(error.astype(np.float64)))).astype(np.float32)
    return trust


def _errors(
    name: str, estimates: dict[str, Estimate], sample: Sample, checks: Checks, who: str
) -> Iterator[tuple[Values, Tolerance]]:
    estimate = estimates[name]
    partner, source, target = _PARTNERS[name]
    motion = estimate.values if "flow" in name else along_row(estimate.values, -1)
    if checks.consistency is not None:
        if partner not in estimates:
            raise UserError(
                f"teachers.{who} gives {name}, but no {partner} to check it against. Provide it, or set the check "
                f"confidence.{'flow' if 'flow' in name else 'disparity'}.consistency to null."
            )
        yield _left_over(estimate, estimates[partner], motion, checks.consistency)
    if checks.spread is not None and estimate.spread is not None:
        yield estimate.spread, checks.spread
    if checks.photometric is not None or checks.uniqueness is not None:
        grey = _grey(sample, source), _grey(sample, target)
        if checks.photometric is not None:
            yield _difference(grey, motion, checks.photometric), checks.photometric.tolerance
        if checks.uniqueness is not None:
            yield _ratio(grey, estimate, checks.uniqueness), checks.uniqueness.ratio


def _left_over(
    there: Estimate, back: Estimate, motion: Values, tolerance: Consistency
) -> tuple[Values, Tolerance]:
    """Return the forward-backward (left-right) error and its tolerance, px; both (H, W)."""
    sampled = sample_at(back.values, back.known, motion)
    # Forward and backward flow cancel; the disparities of both sides are positive.
    sign = 1 if there.values.shape[2] == 2 else -1
    gap = np.linalg.norm(there.values + sign * sampled.values, axis=2)
    size = np.square(there.values).sum(axis=2) + np.square(sampled.values).sum(axis=2)
    allowed = np.sqrt(tolerance.absolute**2 + tolerance.relative**2 * size)
    return np.where(sampled.found, gap, np.inf).astype(np.float32), allowed.astype(np.float32)


def _difference(grey: tuple[Grey, Grey], motion: Values, check: Photometric) -> Values:
    """Return the mean absolute difference (H, W) after warping, grey levels; infinite where motion leaves the image."""
    height, width = grey[0].shape
    x = np.arange(width) + motion[..., 0]
    y = np.arange(height)[:, None] + motion[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return np.where(inside, match_cost(grey[0], grey[1], motion, check.window), np.float32(np.inf))


def _ratio(grey: tuple[Grey, Grey], estimate: Estimate, check: Uniqueness) -> Values:
    if estimate.values.shape[2] == 2:
        return flow_ratio(*grey, estimate.values, check.window, check.apart)
    return stereo_ratio(*grey, estimate.values, check.max_disparity, check.window, check.apart)


def _grey(sample: Sample, key: str) -> Grey:
    return np.asarray(cv2.cvtColor(image_array(sample, key), cv2.COLOR_RGB2GRAY), np.float32)
