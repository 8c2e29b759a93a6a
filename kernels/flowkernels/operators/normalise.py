"""`flowkernels::normalise` and its backward, as `torch.library` operators."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flowkernels.backend import kernels, use_triton
from flowkernels.definitions import normalise as plain


@torch.library.custom_op("flowkernels::normalise", mutates_args=())
def normalise(features: Tensor) -> Tensor:
    """Normalise features, (B, C, H, W) -> (B, C, H, W), contiguous."""
    if features.numel() == 0:
        return features.new_empty(features.shape)
    features = features.contiguous()
    if use_triton(features):
        unit: Tensor = kernels("normalise").forward(features)
        return unit
    return plain.normalise(features)


@normalise.register_fake
def _(features: Tensor) -> Tensor:
    return features.new_empty(features.shape)


@torch.library.custom_op("flowkernels::normalise_backward", mutates_args=())
def normalise_backward(grad: Tensor, features: Tensor) -> Tensor:
    if features.numel() == 0:
        return features.new_empty(features.shape)
    grad, features = grad.contiguous(), features.contiguous()
    if use_triton(features):
        found: Tensor = kernels("normalise").backward(grad, features)
        return found
    return plain.normalise_backward(grad, features)


@normalise_backward.register_fake
def _(grad: Tensor, features: Tensor) -> Tensor:
    return features.new_empty(features.shape)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> Tensor:
    found: Tensor = torch.ops.flowkernels.normalise_backward(grad, *ctx.saved_tensors)
    return found


normalise.register_autograd(_backward, setup_context=_setup)
for _device in ("cpu", "cuda"):
    normalise.register_autocast(_device, torch.float32)
