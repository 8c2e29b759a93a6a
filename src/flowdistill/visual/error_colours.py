"""Errors as colours in factors of two around KITTI's outlier threshold: inliers are blue, outliers yellow to red.

After the error maps of the KITTI 2015 benchmark, which use the same steps; the ten colours are ColorBrewer's RdYlBu.
"""

import numpy as np
import numpy.typing as npt

from flowdistill.metrics.rules import OUTLIER_PIXELS, OUTLIER_RATIO

# Upper ends of the steps, in multiples of the threshold: 1/16, ..., 1 (inliers), ..., 16.
STEPS = np.exp2(np.arange(-4, 5))
COLOURS = np.array(
    [
        (49, 54, 149),
        (69, 117, 180),
        (116, 173, 209),
        (171, 217, 233),
        (224, 243, 248),
        (254, 224, 144),
        (253, 174, 97),
        (244, 109, 67),
        (215, 48, 39),
        (165, 0, 38),
    ],
    dtype=np.uint8,
)


def error_to_colours(
    error: npt.NDArray[np.floating], magnitude: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Map an end-point error (H, W) px, with the truth's length `magnitude` (H, W) px, to colours (H, W, 3), uint8 RGB.

    The error is measured in thresholds, max(3 px, 5 % of the magnitude), and its colour changes at every power of two
    from 1/16 to 16; above 1 it is an outlier. NaN counts as the largest error; pixels outside `valid` (H, W)
    are black. Raises ValueError for different shapes.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.visual import error_to_colours
        >>> error, magnitude = np.array([[0.1, 2.9, 3.1, 50.0]]), np.full((1, 4), 10.0)  # px
        >>> valid = np.ones((1, 4), bool)
        >>> error_to_colours(error, magnitude, valid)[0].tolist()  # two inliers, then two outliers
        [[49, 54, 149], [224, 243, 248], [254, 224, 144], [165, 0, 38]]
    """
    if error.ndim != 2 or not error.shape == magnitude.shape == valid.shape:
        shapes = f"{error.shape}, {magnitude.shape} and {valid.shape}"
        raise ValueError(f"error, magnitude and valid must have the same shape (H, W), got {shapes}")
    # Values of an invalid truth are replaced before they can cause a warning; fmax also ignores NaN.
    tolerated = np.fmax(OUTLIER_PIXELS, OUTLIER_RATIO * np.where(valid, magnitude, 0).astype(np.float64))
    relative = np.where(valid, error, 0) / tolerated
    # The upper end of a step belongs to the step, because KITTI's rule is strict. NaN sorts last.
    colours = COLOURS[np.searchsorted(STEPS, relative, side="left")]
    colours[~valid] = 0
    return colours
