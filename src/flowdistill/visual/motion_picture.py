"""The motion of a file as a picture, with a description of its colour scale."""

import numpy as np
import numpy.typing as npt

from flowdistill.formats.motion import Motion
from flowdistill.visual.disparity_colours import disparity_to_colours
from flowdistill.visual.flow_colours import flow_to_colours


def motion_picture(
    motion: Motion, max_flow: float | None = None, max_disparity: float | None = None
) -> tuple[npt.NDArray[np.uint8], str]:
    """Return colours (H, W, 3), uint8 RGB, and a line that describes their scale. Invalid pixels are black.

    Args:
        motion: to show. Disparities that are mostly negative are shown with the opposite sign.
        max_flow: length of the vectors with full colour, px; by default that of the longest one.
        max_disparity: disparity of the last colour, px; by default the largest disparity.
    """
    values, valid = motion.values, motion.valid
    if motion.quantity == "flow":
        length = np.hypot(values[..., 0], values[..., 1])
        text = f"flow, full colour at {_scale(length[valid], max_flow, 'the longest vector', 'darker')}"
        return flow_to_colours(values, max_flow, valid), text + _share(valid)
    turned = 2 * np.count_nonzero(values[valid] < 0) > np.count_nonzero(valid)
    disparity = -values[..., 0] if turned else values[..., 0]
    text = f"disparity, from 0 to {_scale(disparity[valid], max_disparity, 'the largest', 'drawn like it')}"
    text += ", stored negative" if turned else ""
    return disparity_to_colours(disparity, max_disparity, valid), text + _share(valid)


def _scale(sizes: npt.NDArray[np.floating], maximum: float | None, largest: str, beyond: str) -> str:
    if maximum is None:
        return f"{max(sizes.max(initial=0), 0):.6g} px ({largest})"
    over = np.count_nonzero(sizes > maximum)
    return f"{maximum:.6g} px" + (f" ({over} pixels are beyond, {beyond})" if over else "")


def _share(valid: npt.NDArray[np.bool_]) -> str:
    invalid = valid.size - np.count_nonzero(valid)
    return f", {100 * invalid / valid.size:.3g} % invalid (black)" if invalid else ""
