"""flowkernels: correlations and warps on tensors. Knows torch and triton, nothing of Lightning or datasets."""

from flowkernels.backend import Backend, BackendError, backend, set_backend
from flowkernels.correlation import correlation_1d, correlation_2d, correlation_3d
from flowkernels.warp import warp_disparity, warp_replicate, warp_zero

__all__ = [
    "Backend",
    "BackendError",
    "backend",
    "correlation_1d",
    "correlation_2d",
    "correlation_3d",
    "set_backend",
    "warp_disparity",
    "warp_replicate",
    "warp_zero",
]
