"""L2 normalisation of features over channels, forward and backward.

features   # (B, C, H, W)
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_SQUARE = 1e-12  # below it, features are scaled by its inverse square root


def normalise(features: Tensor) -> Tensor:
    """Normalise features, differentiably. Half precision is normalised in float32."""
    raised = _raised(features)
    return (raised * _inverse(raised)).to(features.dtype)


def normalise_backward(grad: Tensor, features: Tensor) -> Tensor:
    """Remove from `grad` its component along the features, except where these are too short to be normalised."""
    raised, grad = _raised(features), _raised(grad)
    inverse = _inverse(raised)
    unit = raised * inverse
    along = (grad * unit).sum(dim=1, keepdim=True)
    long_enough = raised.square().sum(dim=1, keepdim=True) >= SMALLEST_SQUARE
    return ((grad - torch.where(long_enough, along, 0.0) * unit) * inverse).to(features.dtype)


def _raised(features: Tensor) -> Tensor:
    return features.float() if features.dtype in (torch.float16, torch.bfloat16) else features


def _inverse(features: Tensor) -> Tensor:
    return torch.rsqrt(features.square().sum(dim=1, keepdim=True).clamp_min(SMALLEST_SQUARE))
