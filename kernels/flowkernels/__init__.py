"""flowkernels: correlations and warps on tensors. Knows torch and triton, nothing of Lightning or datasets."""

from flowkernels.correlation import correlation_1d, correlation_2d, correlation_3d
from flowkernels.warp import warp_disparity, warp_replicate, warp_zero

__all__ = [
    "correlation_1d",
    "correlation_2d",
    "correlation_3d",
    "warp_disparity",
    "warp_replicate",
    "warp_zero",
]
