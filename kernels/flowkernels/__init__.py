"""flowkernels: correlations, warps, distances. Depends on torch and triton, not on Lightning or datasets."""

from flowkernels.backend import Backend, BackendError, backend, set_backend
from flowkernels.census import census_distance
from flowkernels.correlation import correlation_1d, correlation_2d, correlation_3d
from flowkernels.normalise import l2_normalise
from flowkernels.warp import warp_disparity, warp_replicate, warp_zero

__all__ = [
    "Backend",
    "BackendError",
    "backend",
    "census_distance",
    "correlation_1d",
    "correlation_2d",
    "correlation_3d",
    "l2_normalise",
    "set_backend",
    "warp_disparity",
    "warp_replicate",
    "warp_zero",
]
