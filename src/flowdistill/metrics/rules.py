"""KITTI's outlier rule and the step of error sums: said once, for tensors (training) and arrays (evaluation of files).

Imports no torch, so that evaluating files starts at once. Source: KITTI 2015 development kit, `evaluate_scene_flow`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

OUTLIER_PIXELS = 3.0
OUTLIER_RATIO = 0.05
# The tool compares a single-precision ratio with the double 0.05. The smallest single-precision number over it is 0.05
# rounded to single precision (0.0500000007), so a ratio is over 0.05 exactly where it is not under that number.
_SMALLEST_RATIO_OVER = float(np.float32(OUTLIER_RATIO))

#: Errors are added as multiples of this many pixels. No float64 addition rounds then while the total stays below
#: 2**33 px, so that a sum does not depend on its order: batch size, threads and processes leave the last digit alone.
SUM_STEP = 2.0**-20


@overload
def is_outlier(error: Tensor, magnitude: Tensor) -> Tensor: ...
@overload
def is_outlier(
    error: npt.NDArray[np.float32], magnitude: npt.NDArray[np.float32]
) -> npt.NDArray[np.bool_]: ...
def is_outlier(error: Any, magnitude: Any) -> Any:
    """KITTI's rule: error > 3 px and error / magnitude > 0.05, both strict; any shape, px, float32 -> bool.

    Most errors of exactly 5 % are outliers, as in the official tool, because its ratio has single precision. Where the
    magnitude is 0 only the 3 px count. An error that is not a number (a network that diverged) is an outlier.
    numpy warns of a magnitude of 0 unless told not to (`np.errstate`).

    Example:
        >>> import numpy as np
        >>> from flowdistill.metrics.rules import is_outlier
        >>> is_outlier(np.float32([2, 4, 4]), np.float32([10, 10, 100])).tolist()
        [False, True, False]
    """
    # Said as "not an inlier", because every comparison with NaN is false.
    return ~((error <= OUTLIER_PIXELS) | (error / magnitude < _SMALLEST_RATIO_OVER))
