"""Are KITTI's 16-bit codes what they should be? What people store in their place, told from the numbers alone.

A file of the right format can hold wrong numbers: OpenCV's channel order, flow without its offset, disparity with
another factor. `flowdistill data check`, `lightning fit`, `submit check` and `evaluate kitti` all ask here.

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

#: Factors, in place of 256, that disparities have been found stored with.
DISPARITY_FACTORS = (1.0, 10.0, 16.0, 64.0, 100.0, 128.0, 1000.0)
#: px: a disparity map whose largest value is below this may be one that was not multiplied by 256.
SMALL_DISPARITY = 3.0

# What writers put into the valid channel of every known pixel: the format's 1, and the "white" of 8 and 16 bit.
_VALID_CODES = (1, 255, TOP_CODE)
# Pixels, and share of a picture's pixels, that may lie at the ends of the codes' range before they count as piled up.
# Codes without any meaning lie there at 6e-5 of the pixels.
_PILED_PIXELS, _PILED_SHARE = 10, 1.5e-4
# px: a flow whose components both lie beyond this, for most pixels, is one without its offset.
_HALF_RANGE = FLOW_OFFSET / FLOW_SCALE / 2
# By how much the ratio of a prediction to the truth may differ from that of a wrong factor, as a logarithm.
_RATIO_TOLERANCE = 0.1
_LEAST_PIXELS = 50

Name = Literal["channel order", "offset", "factor", "piled up", "small"]


@dataclass(frozen=True)
class Oddity:
    """Something about a file's numbers that cannot, or can hardly, have been meant.

    Attributes:
        name: which of the rules.
        problem: what is wrong, the same words for every file with this problem.
        advice: what to do.
        detail: what was seen in this file.
        sure: whether nothing else explains it.
    """

    name: Name
    problem: str
    advice: str
    detail: str
    sure: bool = True


def odd_flow_codes(codes: Codes) -> list[Oddity]:
    """What is odd in the codes (H, W, 3) of a flow file; the first explains the others."""
    if (order := _channel_order(codes)) is not None:
        return [order]
    x, y, valid = codes[..., 0], codes[..., 1], codes[..., 2] != 0
    some = codes[:: max(codes.shape[0] // 64, 1)]  # rows that are enough for what most pixels must share
    far = (_far(some[..., 0]) & _far(some[..., 1]))[some[..., 2] != 0]
    if 2 * np.count_nonzero(far) > far.size:
        detail = f"both components beyond {_HALF_RANGE:g} px at {np.count_nonzero(far)} of {far.size} pixels"
        advice = f"store flow x {FLOW_SCALE} + {FLOW_OFFSET}"
        return [Oddity("offset", f"is flow stored without its offset of {FLOW_OFFSET}", advice, detail)]
    at_an_end = (x == 0) | (x == TOP_CODE) | (y == 0) | (y == TOP_CODE)
    return _piled_up(at_an_end & valid, int(np.count_nonzero(valid)))


def odd_disparity_codes(codes: Codes) -> list[Oddity]:
    """What is odd in the codes (H, W) of a disparity file. Another factor shows as small values only."""
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
    """Whether predictions look as if they were stored with another factor than 256, beside the truth.

    Args:
        predictions, truths: px, of the same pixels; a pair of arrays for each image.
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
        # Most pixels, not only the middle one, must agree: a bad network is wrong in other ways.
        wrong = np.log(factor / DISPARITY_SCALE)
        if abs(middle - wrong) < _RATIO_TOLERANCE and upper - lower < 4 * _RATIO_TOLERANCE:
            return Oddity(
                "factor",
                f"are disparities stored with the factor {factor:g} in place of {DISPARITY_SCALE}",
                f"store disparity x {DISPARITY_SCALE}",
                f"typically {np.exp(middle):.3g} of the truth",
                sure=False,
            )
    return None


def _channel_order(codes: Codes) -> Oddity | None:
    """Red or green holds what only the valid channel can hold."""
    few = codes[codes.shape[0] // 2]
    for axis, colour in ((0, "red"), (1, "green")):
        if np.unique(few[few[:, axis] != 0, axis]).size > 1:
            continue  # one row is enough to see that this is not a mask
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
    """Whether a channel holds many values, as no mask does."""
    known = channel[channel != 0]
    return known.size > 0 and np.unique(known[:: max(known.size // 4096, 1)]).size > 8


def _far(codes: Codes) -> npt.NDArray[np.bool_]:
    return np.abs(codes.astype(np.int32) - FLOW_OFFSET) > _HALF_RANGE * FLOW_SCALE


def _piled_up(at_an_end: npt.NDArray[np.bool_], known: int) -> list[Oddity]:
    count = int(np.count_nonzero(at_an_end))
    if count <= max(_PILED_PIXELS, _PILED_SHARE * known):
        return []
    advice = "a writer has clipped it: mark such pixels as invalid, or mend the values"
    return [
        Oddity(
            "piled up", "has values at the end of the format's range", advice, f"{count} of {known} pixels"
        )
    ]
