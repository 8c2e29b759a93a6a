"""L2 normalisation of features.

features   # (B, C, H, W)
"""

from __future__ import annotations

import torch
from torch import Tensor

from flowkernels.operators import normalise as _registered  # noqa: F401  (defines the operators)


def l2_normalise(features: Tensor) -> Tensor:
    """Divide features by their L2 norm over channels; those shorter than 1e-6 are only multiplied by 1e6.

    Args:
        features: (B, C, H, W). Norms of half-precision features are computed in float32.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: features that are not four-dimensional.
        TypeError: integer features.

    Source: the features of DDFlow's cost volume (AAAI 2019).

    Examples:
        >>> import torch
        >>> from flowkernels import l2_normalise
        >>> l2_normalise(torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)).flatten()
        tensor([0.6000, 0.8000])
    """
    if features.dim() != 4:
        raise ValueError(f"l2_normalise needs features (B, C, H, W), got {tuple(features.shape)}")
    if not features.is_floating_point():
        raise TypeError(f"l2_normalise needs floating-point features, got {features.dtype}")
    unit: Tensor = torch.ops.flowkernels.normalise(features)
    return unit
