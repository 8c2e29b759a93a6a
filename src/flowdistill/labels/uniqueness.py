"""Uniqueness: whether other motions match as well as the estimated one.

The cost of a motion is the mean absolute difference of brightness in a window around the pixel, in grey levels; the
ratio is that cost over the lowest cost of other motions. Near 0: the match is unique. 1 or more: another one is better.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from flowdistill.labels.estimate import Values

Grey = npt.NDArray[np.float32]  # (H, W), grey levels 0 to 255

_NOISE = 1.0  # grey levels, added to both costs: otherwise the ratio of two perfect matches would be noise
_TRUNCATE = 60.0  # grey levels: above this a pixel is occluded or wrong, and the amount does not matter
_DIRECTIONS = 8


def stereo_ratio(
    left: Grey, right: Grey, disparity: Values, largest: int, window: int, apart: float
) -> Values:
    """Compute the ratio (H, W) of a disparity map against all disparities 0 to `largest` over `apart` px away.

    Args:
        left, right: (H, W).
        disparity: (H, W, 1) px on the grid of `left`.
        largest: px.
        window: px, side of the window.
        apart: px.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.labels.uniqueness import stereo_ratio
        >>> left = np.random.default_rng(0).uniform(0, 255, (16, 32)).astype(np.float32)
        >>> right = np.roll(left, -4, axis=1)
        >>> ratio = [
        ...     stereo_ratio(left, right, np.full((16, 32, 1), px, np.float32), largest=8, window=5, apart=1.5)[8, 16]
        ...     for px in (4.0, 7.0)
        ... ]
        >>> bool(ratio[0] < 0.1), bool(ratio[1] > 10)  # 4 px: unique; 7 px: 4 px match far better
        (True, True)
    """
    map_ = disparity[..., 0]
    found = match_cost(left, right, np.concatenate([-disparity, np.zeros_like(disparity)], axis=2), window)
    other = np.full_like(found, np.inf)
    width = left.shape[1]
    for candidate in range(min(largest, width - 1) + 1):
        moved = np.full_like(right, np.inf)
        moved[:, candidate:] = right[:, : width - candidate]
        cost = _cost(left, moved, window)
        far = (np.abs(map_ - candidate) > apart) & (np.arange(width) >= candidate)
        other = np.where(far, np.minimum(other, cost), other)
    return _ratio(found, other)


def flow_ratio(first: Grey, second: Grey, flow: Values, window: int, apart: float) -> Values:
    """Compute the ratio (H, W) of a flow against the eight flows `apart` px away: near 1 on edges or without texture.

    Args:
        first, second: (H, W).
        flow: (H, W, 2) px on the grid of `first`.
        window: px, side of the window.
        apart: px.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.labels.uniqueness import flow_ratio
        >>> image = np.random.default_rng(0).uniform(0, 255, (16, 16)).astype(np.float32)
        >>> still = np.zeros((16, 16, 2), np.float32)
        >>> bool(flow_ratio(image, image, still, window=5, apart=1.5)[8, 8] < 0.1)  # texture: unique
        True
        >>> grey = np.full_like(image, 128)
        >>> flow_ratio(grey, grey, still, window=5, apart=1.5)[8, 8].item()  # everything matches equally
        1.0
    """
    x, y = flow[..., 0], flow[..., 1]
    found = match_cost(first, second, flow, window)
    other = np.full_like(found, np.inf)
    for step in range(_DIRECTIONS):
        angle = 2 * np.pi * step / _DIRECTIONS
        moved = _shifted(second, x + np.float32(apart * np.cos(angle)), y + np.float32(apart * np.sin(angle)))
        other = np.minimum(other, _cost(first, moved, window))
    return _ratio(found, other)


def match_cost(first: Grey, second: Grey, motion: Values, window: int) -> Values:
    """Compute the windowed mean absolute difference (H, W), grey levels, of `first` and `second` at pixel + motion.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.labels.uniqueness import match_cost
        >>> first = np.random.default_rng(0).uniform(0, 255, (16, 16)).astype(np.float32)
        >>> second = np.roll(first, 2, axis=1)  # 2 px to the right
        >>> motion = np.full((16, 16, 2), [2.0, 0.0], np.float32)
        >>> match_cost(first, second, motion, window=3)[8, 4:12].max().item()
        0.0
    """
    return _cost(first, _shifted(second, motion[..., 0], motion[..., 1]), window)


def _ratio(found: Values, other: Values) -> Values:
    ratio: Values = (found + np.float32(_NOISE)) / (other + np.float32(_NOISE))
    return ratio


def _cost(image: Grey, moved: Grey, window: int) -> Values:
    difference = np.minimum(np.abs(image - moved), np.float32(_TRUNCATE))
    return np.asarray(cv2.blur(difference, (window, window)), np.float32)


def _shifted(image: Grey, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> Grey:
    """Sample the image at pixel + (x, y), bilinearly, with the border repeated."""
    height, width = image.shape
    column = np.arange(width, dtype=np.float32) + x
    row = np.arange(height, dtype=np.float32)[:, None] + y
    moved = cv2.remap(image, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
