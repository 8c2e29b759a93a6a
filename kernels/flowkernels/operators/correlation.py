"""`flowkernels::correlation` and its backward, as torch.library knows them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flowkernels.backend import kernels, use_triton
from flowkernels.cpu import correlation as cpu
from flowkernels.definitions import correlation as plain
from flowkernels.definitions.correlation import Window


@torch.library.custom_op("flowkernels::correlation", mutates_args=())
def correlation(
    x: Tensor,
    y: Tensor,
    radius_y: int,
    radius_x: int,
    depth: int,
    stride: int,
    dilation: int,
    scale: float,
    slope: float,
) -> Tensor:
    """(B, C, H, W) twice -> (B, S, h, w), contiguous, in the dtype of x."""
    window = Window(radius_y, radius_x, depth, stride, dilation)
    if x.numel() == 0:
        return _empty(x, window)
    x, y = x.contiguous(), y.contiguous()
    if use_triton(x):
        volume: Tensor = kernels("correlation").forward(x, y, window, scale, slope)
        return volume
    forward = cpu.correlation if cpu.takes(x, window) else plain.correlation
    return forward(x, y, window, scale, slope).contiguous()


@correlation.register_fake
def _(
    x: Tensor,
    y: Tensor,
    radius_y: int,
    radius_x: int,
    depth: int,
    stride: int,
    dilation: int,
    scale: float,
    slope: float,
) -> Tensor:
    return _empty(x, Window(radius_y, radius_x, depth, stride, dilation))


def _empty(x: Tensor, window: Window) -> Tensor:
    return x.new_empty(x.shape[0], window.shifts, *window.size(x.shape[2], x.shape[3]))


@torch.library.custom_op("flowkernels::correlation_backward", mutates_args=())
def correlation_backward(
    grad: Tensor,
    x: Tensor,
    y: Tensor,
    volume: Tensor | None,
    radius_y: int,
    radius_x: int,
    depth: int,
    stride: int,
    dilation: int,
    scale: float,
    slope: float,
    need_x: bool,
    need_y: bool,
) -> tuple[Tensor, Tensor]:
    """The gradients of x and y; one that is not needed is empty."""
    window = Window(radius_y, radius_x, depth, stride, dilation)
    if x.numel() == 0:
        return torch.zeros_like(x, memory_format=torch.contiguous_format), torch.zeros_like(
            y, memory_format=torch.contiguous_format
        )
    grad, x, y = grad.contiguous(), x.contiguous(), y.contiguous()
    if use_triton(x):
        grads = kernels("correlation").backward(grad, x, y, volume, window, scale, slope, need_x, need_y)
    elif cpu.takes(x, window):
        grads = cpu.correlation_backward(grad, x, y, volume, window, scale, slope, need_x, need_y)
    else:
        grads = plain.correlation_backward(grad, x, y, volume, window, scale, slope)
    found = [g if need else x.new_empty(0) for g, need in zip(grads, (need_x, need_y), strict=True)]
    return found[0].contiguous(), found[1].contiguous()


@correlation_backward.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    y: Tensor,
    volume: Tensor | None,
    radius_y: int,
    radius_x: int,
    depth: int,
    stride: int,
    dilation: int,
    scale: float,
    slope: float,
    need_x: bool,
    need_y: bool,
) -> tuple[Tensor, Tensor]:
    return (
        x.new_empty(x.shape) if need_x or x.numel() == 0 else x.new_empty(0),
        y.new_empty(y.shape) if need_y or x.numel() == 0 else y.new_empty(0),
    )


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, y, *settings = inputs
    ctx.settings = settings
    # The sign of the output tells on which side of the leaky ReLU a sum lay.
    ctx.save_for_backward(x, y, *([output] if settings[-1] != 1.0 else []))


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, y, *volume = ctx.saved_tensors
    need_x, need_y = ctx.needs_input_grad[:2]
    grad_x, grad_y = torch.ops.flowkernels.correlation_backward(
        grad, x, y, volume[0] if volume else None, *ctx.settings, need_x, need_y
    )
    return (grad_x if need_x else None, grad_y if need_y else None, *(None for _ in ctx.settings))


correlation.register_autograd(_backward, setup_context=_setup)
for _device in ("cpu", "cuda"):
    correlation.register_autocast(_device, torch.float32)
