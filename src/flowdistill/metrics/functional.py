"""Errors per pixel, KITTI's outlier rule, and sums over masks: pure functions on tensors.

Shapes: motion (B, C, H, W) in pixels, C = 2 for flow (x, y) and 1 for disparity; per-pixel values
(B, 1, H, W); masks bool. All arithmetic on motion is float32 at any precision of the network, as in KITTI's tool.
Values of the ground truth at invalid pixels (including NaN) never affect a sum: mask first, then add.
Source: KITTI 2015 development kit, `evaluate_scene_flow`.
"""

import torch
from torch import Tensor

from flowdistill.metrics import rules


def end_point_error(prediction: Tensor, truth: Tensor) -> Tensor:
    """Compute the Euclidean length of prediction - truth, (B, C, H, W) px each -> (B, 1, H, W) float32 px.

    The absolute difference for C = 1. NaN where either is NaN. Raises ValueError for different shapes, or shapes other
    than those of a flow or a disparity.

    Examples:
        >>> import torch
        >>> from flowdistill.metrics import end_point_error
        >>> truth = torch.zeros(1, 2, 4, 6)
        >>> prediction = truth + torch.tensor([3.0, 4.0]).view(2, 1, 1)  # wrong by 3 px in x and 4 px in y
        >>> end_point_error(prediction, truth).mean()
        tensor(5.)
    """
    if prediction.shape != truth.shape:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and truth {tuple(truth.shape)} differ in shape"
        )
    return vector_length(prediction.float() - truth.float())


def vector_length(motion: Tensor) -> Tensor:
    """Compute the Euclidean length over channels, (B, C, H, W) px -> (B, 1, H, W) float32 px; absolute for C = 1."""
    if motion.ndim != 4 or motion.shape[1] not in (1, 2):
        raise ValueError(
            f"motion must have the shape (B, 2, H, W) or (B, 1, H, W), got {tuple(motion.shape)}"
        )
    motion = motion.float()
    if motion.shape[1] == 1:
        return motion.abs()
    x, y = motion.split(1, dim=1)
    # IEEE single precision to the last bit, as in KITTI's tool; otherwise exact ties of the 5 % rule flip. On CPU the
    # last bit of a float32 torch.sqrt may be wrong (MKL); via float64 it is right. A fused norm is not exact, either.
    return torch.sqrt((x * x + y * y).double()).float()


def is_outlier(error: Tensor, magnitude: Tensor) -> Tensor:
    """Apply KITTI's rule: error > 3 px and error / magnitude > 0.05, both strict, (B, 1, H, W) px each -> bool.

    In float32, as `rules.is_outlier`, at any input precision.

    Examples:
        >>> import torch
        >>> from flowdistill.metrics import is_outlier
        >>> error, magnitude = torch.tensor([2.0, 4.0, 4.0]), torch.tensor([10.0, 10.0, 100.0])
        >>> is_outlier(error, magnitude)  # below 3 px; above both limits; below 5 %
        tensor([False,  True, False])
    """
    return rules.is_outlier(error.float(), magnitude.float())


def outliers(prediction: Tensor, truth: Tensor) -> Tensor:
    """Find KITTI's outliers of a prediction, (B, C, H, W) px each -> (B, 1, H, W) bool.

    Examples:
        >>> import torch
        >>> from flowdistill.metrics import outliers
        >>> disparity = torch.tensor([10.0, 100.0]).view(1, 1, 1, 2)
        >>> outliers(disparity + 4, disparity)  # 4 px are 40 % of the first and 4 % of the second
        tensor([[[[ True, False]]]])
    """
    return is_outlier(end_point_error(prediction, truth), vector_length(truth))


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum integers (B, N, H, W) over `mask` (B, 1, H, W), bool: (N,) int64.

    Errors are summed as `exact_parts`, so that the result does not depend on the order of the additions.
    """
    check_mask(mask, values[:, :1])
    return (values * mask).sum(dim=(0, 2, 3))


def masked_count(values: Tensor, mask: Tensor) -> Tensor:
    """Count the true `values` (B, 1, H, W), bool, within `mask` (B, 1, H, W): an int64 scalar."""
    check_mask(mask, values)
    return (values & mask).sum()


def check_mask(mask: Tensor, values: Tensor) -> None:
    """Raise ValueError unless the mask is bool and has the shape of the values."""
    # Masks that broadcast would silently count other pixels.
    if mask.shape != values.shape:
        raise ValueError(f"the mask must have the shape {tuple(values.shape)}, got {tuple(mask.shape)}")
    if mask.dtype != torch.bool:
        raise ValueError(f"the mask must be bool, got {mask.dtype}")
