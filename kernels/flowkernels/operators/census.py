"""`flowkernels::census` and its backward, as `torch.library` operators."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flowkernels.backend import kernels, use_triton
from flowkernels.cpu import census as cpu
from flowkernels.definitions import census as plain


@torch.library.custom_op("flowkernels::census", mutates_args=())
def census(grey1: Tensor, grey2: Tensor) -> Tensor:
    """Compute the distance of two (B, 1, H, W) of the same dtype -> (B, 1, H, W), contiguous."""
    if grey1.numel() == 0:
        return grey1.new_empty(grey1.shape)
    grey1, grey2 = grey1.contiguous(), grey2.contiguous()
    if use_triton(grey1):
        distance: Tensor = kernels("census").forward(grey1, grey2)
        return distance
    return (cpu.census if cpu.takes(grey1) else plain.census)(grey1, grey2)


@census.register_fake
def _(grey1: Tensor, grey2: Tensor) -> Tensor:
    return grey1.new_empty(grey1.shape)


@torch.library.custom_op("flowkernels::census_backward", mutates_args=())
def census_backward(
    grad: Tensor, grey1: Tensor, grey2: Tensor, need1: bool, need2: bool
) -> tuple[Tensor, Tensor]:
    """Compute the gradients of both images; one that is not needed is empty."""
    if grey1.numel() == 0:
        grads = (grey1.new_zeros(grey1.shape), grey2.new_zeros(grey2.shape))
    else:
        grad, grey1, grey2 = grad.contiguous(), grey1.contiguous(), grey2.contiguous()
        plainly = cpu.census_backward if cpu.takes(grey1) else plain.census_backward
        backward = kernels("census").backward if use_triton(grey1) else plainly
        grads = backward(grad, grey1, grey2, need1, need2)
    return grads[0] if need1 else grey1.new_empty(0), grads[1] if need2 else grey2.new_empty(0)


@census_backward.register_fake
def _(grad: Tensor, grey1: Tensor, grey2: Tensor, need1: bool, need2: bool) -> tuple[Tensor, Tensor]:
    return grey1.new_empty(grey1.shape if need1 else (0,)), grey2.new_empty(grey2.shape if need2 else (0,))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
    needed = ctx.needs_input_grad[:2]
    grads = torch.ops.flowkernels.census_backward(grad, *ctx.saved_tensors, *needed)
    return grads[0] if needed[0] else None, grads[1] if needed[1] else None


census.register_autograd(_backward, setup_context=_setup)
for _device in ("cpu", "cuda"):
    census.register_autocast(_device, torch.float32)
