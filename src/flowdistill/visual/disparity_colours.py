"""Disparity as colours: Google's Turbo colour map, from violet (far) over green to red (near).

Its darkest colour is not black, so that black can mark unknown values.
"""

import cv2
import numpy as np
import numpy.typing as npt

from flowdistill.visual.flow_colours import full_scale


def disparity_to_colours(
    disparity: npt.NDArray[np.floating],
    maximum: float | None = None,
    valid: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.uint8]:
    """Map disparity (H, W, 1) or (H, W) in pixels, positive, to colours (H, W, 3), uint8 RGB.

    0 px and less has the first colour, `maximum` px (by default the largest valid disparity) and more the last; pixels
    outside `valid` (H, W) or not finite are black.
    Raises ValueError for other shapes or a maximum that is not positive.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.visual import disparity_to_colours
        >>> disparity = np.array([[0.0, 64.0, np.nan]])  # px: far, near, unknown
        >>> disparity_to_colours(disparity, maximum=64)[0].tolist()
        [[48, 18, 59], [122, 4, 3], [0, 0, 0]]
    """
    values = disparity[..., 0] if disparity.ndim == 3 and disparity.shape[2] == 1 else disparity
    if values.ndim != 2:
        raise ValueError(f"disparity must have the shape (H, W, 1) or (H, W), got {disparity.shape}")
    known = np.isfinite(values)
    if valid is not None:
        if valid.shape != known.shape:
            raise ValueError(f"valid must have the shape {known.shape}, got {valid.shape}")
        known &= valid
    values = np.where(known, values, 0)
    share = np.clip(values / full_scale(values, maximum), 0, 1)
    colours = _turbo()[np.rint(255 * share).astype(np.uint8)]
    colours[~known] = 0
    return colours


def _turbo() -> npt.NDArray[np.uint8]:
    """Return the 256 colours of the map (256, 3), RGB."""
    ramp = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)
    return np.asarray(ramp[:, 0, ::-1], dtype=np.uint8)
