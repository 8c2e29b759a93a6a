"""Plausibility checks of KITTI's 16-bit codes: common encoding mistakes, detected from the values alone.

A file of the right format can contain wrong values: OpenCV's channel order, flow without its offset, disparity with
another factor. Used by `flowdistill data check`, `lightning fit`, `submit check` and `evaluate kitti`.

flow codes  # (H, W, 3) uint16: x, y, valid     disparity codes  # (H, W) uint16
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from flowdistill.formats.kitti import DISPARITY_SCALE, FLOW_OFFSET, FLOW_SCALE, TOP_CODE

Codes = npt.NDArray[np.uint16]

#: Wrong factors, instead of 256, that have been observed in stored disparities.
DISPARITY_FACTORS = (1.0, 10.0, 16.0, 64.0, 100.0, 128.0, 1000.0)
#: px: a disparity map whose largest value is below this may not have been multiplied by 256.
SMALL_DISPARITY = 3.0

# Values that writers use in the valid channel of known pixels: the format's 1, and the "white" of 8 and 16 bit.
_VALID_CODES = (1, 255, TOP_CODE)
# Number and share of a picture's pixels that may lie at the ends of the code range before they count as piled up.
# Random codes lie there at 6e-5 of the pixels.
_PILED_PIXELS, _PILED_SHARE = 10, 1.5e-4
# px: a flow with both components beyond this, at most pixels, was stored without its offset.
_HALF_RANGE = FLOW_OFFSET / FLOW_SCALE / 2
# Tolerated difference between the ratio of prediction to truth and that of a wrong factor, as a logarithm.
_RATIO_TOLERANCE = 0.1
_LEAST_PIXELS = 50

Name = Literal["channel order", "offset", "factor", "piled up", "small"]


@dataclass(frozen=True)
class Oddity:
    """A property of a file's values that is certainly, or very likely, unintended.

    Attributes:
        name: the rule.
        problem: what is wrong, in the same words for every file with this problem.
        advice: what to do.
        detail: what was found in this file.
        sure: whether there is no other explanation.
    """

    name: Name
    problem: str
    advice: str
    detail: str
    sure: bool = True


def odd_flow_codes(codes: Codes) -> list[Oddity]:
    """Return the oddities in the codes (H, W, 3) of a flow file; the first explains the others."""
    if (order := _channel_order(codes)) is not None:
        return [order]
    x, y, valid = codes[..., 0], codes[..., 1], codes[..., 2] != 0
    some = codes[:: max(codes.shape[0] // 64, 1)]  # a sample of rows is enough for a property of most pixels
    far = (_far(some[..., 0]) & _far(some[..., 1]))[some[..., 2] != 0]
    if 2 * np.count_nonzero(far) > far.size:
        detail = f"both components beyond {_HALF_RANGE:g} px at {np.count_nonzero(far)} of {far.size} pixels"
        advice = f"store flow x {FLOW_SCALE} + {FLOW_OFFSET}"
        return [Oddity("offset", f"holds flow without its offset of {FLOW_OFFSET}", advice, detail)]
    at_an_end = (x == 0) | (x == TOP_CODE) | (y == 0) | (y == TOP_CODE)
    return _piled_up(at_an_end & valid, int(np.count_nonzero(valid)))


def odd_disparity_codes(codes: Codes) -> list[Oddity]:
    """Return the oddities in the codes (H, W) of a disparity file. A wrong factor is only visible as small values."""
    found = _piled_up(codes == TOP_CODE, int(np.count_nonzero(codes)))
    largest = int(codes.max()) / DISPARITY_SCALE
    if 0 < largest < SMALL_DISPARITY:
        problem = f"has no disparity of {SMALL_DISPARITY:g} px or more"
        advice = f"is it multiplied by {DISPARITY_SCALE}?"
        found.append(Oddity("small", problem, advice, f"at most {largest:.3g} px", sure=False))
    return found


def odd_disparity_factor(
    predictions: Sequence[npt.NDArray[np.float32]], truths: Sequence[npt.NDArray[np.float32]]
) -> Oddity | None:
    """Detect, by comparison with the truth, predictions that were stored with a factor other than 256.

    Args:
        predictions, truths: px, of the same pixels; one pair of arrays per image.
    """
    ratios = [
        predicted[truth > 0] / truth[truth > 0] for predicted, truth in zip(predictions, truths, strict=True)
    ]
    together = np.concatenate(ratios) if ratios else np.zeros(0)
    together = together[together > 0]
    if together.size < _LEAST_PIXELS:
        return None
    lower, middle, upper = np.log(np.percentile(together, (25, 50, 75)))
    for factor in DISPARITY_FACTORS:
        # Most pixels, not only the median, must agree: a bad network is wrong in other ways.
        wrong = np.log(factor / DISPARITY_SCALE)
        if abs(middle - wrong) < _RATIO_TOLERANCE and upper - lower < 4 * _RATIO_TOLERANCE:
            return Oddity(
                "factor",
                f"holds disparities stored with the factor {factor:g} in place of {DISPARITY_SCALE}",
                f"store disparity x {DISPARITY_SCALE}",
                f"typically {np.exp(middle):.3g} of the truth",
                sure=False,
            )
    return None


def _channel_order(codes: Codes) -> Oddity | None:
    """Detect a red or green channel with values that only the valid channel can have."""
    few = codes[codes.shape[0] // 2]
    for axis, colour in ((0, "red"), (1, "green")):
        if np.unique(few[few[:, axis] != 0, axis]).size > 1:
            continue  # one row is enough to rule out a mask
        marks, blue = codes[..., axis], codes[..., 2]
        mark = int(marks.max())
        if mark == 0 or np.count_nonzero(marks) != np.count_nonzero(marks == mark):
            continue
        # A flow may have the same x everywhere, but then blue is the mask.
        is_mark = mark in _VALID_CODES and int(blue.max()) not in _VALID_CODES
        if is_mark or _is_motion(blue):
            order = "in the reverse order" if axis == 0 else "in another order"
            advice = (
                "red is x, green y, blue the valid mask; OpenCV writes blue first: reverse the last axis before "
                "cv2.imwrite"
            )
            detail = f"{colour} is 0 or {mark} everywhere, as the valid channel should be"
            return Oddity("channel order", f"has its channels {order}", advice, detail, sure=is_mark)
    return None


def _is_motion(channel: Codes) -> bool:
    """Return whether a channel has more distinct values than a mask."""
    known = channel[channel != 0]
    return known.size > 0 and np.unique(known[:: max(known.size // 4096, 1)]).size > 8


def _far(codes: Codes) -> npt.NDArray[np.bool_]:
    return np.abs(codes.astype(np.int32) - FLOW_OFFSET) > _HALF_RANGE * FLOW_SCALE


def _piled_up(at_an_end: npt.NDArray[np.bool_], known: int) -> list[Oddity]:
    count = int(np.count_nonzero(at_an_end))
    if count <= max(_PILED_PIXELS, _PILED_SHARE * known):
        return []
    advice = "values were clipped when written: mark such pixels as invalid, or correct the values"
    return [
        Oddity(
            "piled up", "has values at the end of the format's range", advice, f"{count} of {known} pixels"
        )
    ]
