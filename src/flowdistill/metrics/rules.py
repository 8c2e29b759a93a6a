"""KITTI's outlier rule and the step of error sums, shared by tensors (training) and arrays (evaluation of files).

Does not import torch, so that evaluating files starts fast. Source: KITTI 2015 development kit, `evaluate_scene_flow`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

OUTLIER_PIXELS = 3.0
OUTLIER_RATIO = 0.05
# The tool compares a single-precision ratio with the double 0.05. The smallest single-precision number above it is 0.05
# rounded to single precision (0.0500000007), so a ratio exceeds 0.05 exactly if it is not below that number.
_SMALLEST_RATIO_OVER = float(np.float32(OUTLIER_RATIO))

#: Errors are summed as multiples of this many pixels. Float64 additions are then exact while the total is below
#: 2**33 px, so that a sum does not depend on its order: not on batch size, threads or processes.
SUM_STEP = 2.0**-20


@overload
def is_outlier(error: Tensor, magnitude: Tensor) -> Tensor: ...
@overload
def is_outlier(
    error: npt.NDArray[np.float32], magnitude: npt.NDArray[np.float32]
) -> npt.NDArray[np.bool_]: ...
def is_outlier(error: Any, magnitude: Any) -> Any:
    """Apply KITTI's rule: error > 3 px and error / magnitude > 0.05, both strict; any shape, px, float32 -> bool.

    Most errors of exactly 5 % are outliers, as in the official tool, because its ratio has single precision. Where the
    magnitude is 0, only the 3 px threshold applies. A NaN error (of a diverged network) is an outlier.
    numpy warns about a magnitude of 0 unless this is disabled (`np.errstate`).

    Examples:
        >>> import numpy as np
        >>> from flowdistill.metrics.rules import is_outlier
        >>> is_outlier(np.float32([2, 4, 4]), np.float32([10, 10, 100])).tolist()
        [False, True, False]
    """
    # Written as "not an inlier", because every comparison with NaN is false.
    return ~((error <= OUTLIER_PIXELS) | (error / magnitude < _SMALLEST_RATIO_OVER))
