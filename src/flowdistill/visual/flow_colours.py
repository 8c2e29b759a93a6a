"""Flow as colours: the hue encodes the direction, the saturation the length.

The colour wheel of the Middlebury flow benchmark: 55 hues in six segments between red, yellow, green, cyan, blue and
magenta, with lengths chosen by how well the eye distinguishes hues. Red is right (+x), and with y downwards the hues
run clockwise: yellow down, cyan left, violet up. Source: Baker et al., "A Database and Evaluation Methodology for
Optical Flow", IJCV 2011, and its flow-code.
"""

import numpy as np
import numpy.typing as npt

# Segments between corners of the RGB cube: number of hues, and the corner at the start.
_SEGMENTS = (
    (15, (1, 0, 0)),
    (6, (1, 1, 0)),
    (4, (0, 1, 0)),
    (11, (0, 1, 1)),
    (13, (0, 0, 1)),
    (6, (1, 0, 1)),
)
# Vectors longer than the maximum have their hue at full saturation, but darker.
_OVERLONG_BRIGHTNESS = 0.75


def flow_to_colours(
    flow: npt.NDArray[np.floating], maximum: float | None = None, valid: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.uint8]:
    """Map flow (H, W, 2) in pixels, x then y (downwards), to colours (H, W, 3), uint8 RGB.

    `maximum` (px) is the length with full saturation, by default that of the longest valid vector; no motion is white.
    Longer vectors are darker; pixels outside `valid` (H, W) or not finite are black.
    Raises ValueError for other shapes or a maximum that is not positive.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.visual import flow_to_colours
        >>> flow = np.array([[[0.0, 0.0], [8.0, 0.0], [np.nan, 0.0]]])  # px: at rest, to the right, unknown
        >>> flow_to_colours(flow, maximum=8)[0].tolist()  # white, red, black
        [[255, 255, 255], [255, 0, 0], [0, 0, 0]]
    """
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise ValueError(f"flow must have the shape (H, W, 2), got {flow.shape}")
    known = np.isfinite(flow).all(axis=2)
    if valid is not None:
        if valid.shape != known.shape:
            raise ValueError(f"valid must have the shape {known.shape}, got {valid.shape}")
        known &= valid
    x, y = np.where(known, flow[..., 0], 0), np.where(known, flow[..., 1], 0)
    length = np.hypot(x, y)
    saturation = length / full_scale(length, maximum)
    hue = _hue(x, y)
    within = (saturation <= 1)[..., None]
    colour = np.where(within, 1 - saturation[..., None] * (1 - hue), _OVERLONG_BRIGHTNESS * hue)
    colour[~known] = 0
    return (255 * colour).astype(np.uint8)


def full_scale(values: npt.NDArray[np.floating], maximum: float | None) -> float:
    """Return `maximum`, by default the largest value (1 if that is 0). Raises ValueError if it is not positive."""
    if maximum is None:
        return float(values.max(initial=0)) or 1.0
    if not 0 < maximum < np.inf:
        raise ValueError(f"the maximum must be a positive number of pixels, got {maximum}")
    return maximum


def _wheel() -> npt.NDArray[np.float32]:
    """Return the hues (55, 3) in [0, 1], from red around the wheel to just before red."""
    hues = []
    for index, (steps, start) in enumerate(_SEGMENTS):
        end = _SEGMENTS[(index + 1) % len(_SEGMENTS)][1]
        # In 255ths, rounded down between the corners, as published.
        share = np.floor(255 * np.arange(steps) / steps)[:, None] / 255
        rising = np.array(end) > np.array(start)
        falling = np.array(end) < np.array(start)
        hues.append(np.array(start) + share * rising - share * falling)
    return np.concatenate(hues).astype(np.float32)


_WHEEL = _wheel()


def _hue(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Interpolate the colours (H, W, 3) in [0, 1] of directions, fully saturated, between the two nearest hues."""
    turn = np.arctan2(-y, -x) / (2 * np.pi) + 0.5  # 0 and 1 both point right
    position = turn.astype(np.float32) * (len(_WHEEL) - 1)
    below = position.astype(np.intp)
    share = (position - below)[..., None]
    above = (below + 1) % len(_WHEEL)
    return (1 - share) * _WHEEL[below] + share * _WHEEL[above]
