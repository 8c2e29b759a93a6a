"""Correlation as two PyTorch operators, `flowkernels::correlation` and its backward.

Both are opaque to autograd, torch.compile and autocast: these only use shapes (the fakes), a gradient formula and an
autocast rule, not the implementation, which is chosen per call.

    x, y     # (B, C, H, W)     of the same dtype and device
    volume   # (B, S, H', W')   of x's dtype, contiguous
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flowkernels.backend import kernels, use_triton
from flowkernels.cpu import correlation as cpu
from flowkernels.definitions.correlation import HALF, Window, leaky_relu_backward
from flowkernels.definitions.correlation import correlation as defined
from flowkernels.definitions.correlation import correlation_backward as defined_backward


def _scale(x: Tensor, average: bool) -> float:
    return 1.0 / x.shape[1] if average else 1.0


def _is_for_cpu(device: torch.device, dtype: torch.dtype, window: Window) -> bool:
    return device.type == "cpu" and dtype == torch.float32 and window.stride == 1


@torch.library.custom_op("flowkernels::correlation", mutates_args=())
def correlation(
    x: Tensor,
    y: Tensor,
    radius_y: int,
    radius_x: int,
    depth_radius: int,
    stride: int,
    dilation: int,
    average: bool,
    negative_slope: float | None,
) -> Tensor:
    """Compute the volume of x and y, (B, S, H', W'); see `flowkernels.correlation` for the arguments."""
    window = Window(radius_y, radius_x, depth_radius, stride, dilation)
    scale = _scale(x, average)
    if use_triton(x):
        volume: Tensor = kernels("correlation").forward(x, y, window, scale, negative_slope)
        return volume
    raised = torch.float32 if x.dtype in HALF else x.dtype
    run = cpu.forward if _is_for_cpu(x.device, raised, window) else defined
    return run(x.to(raised), y.to(raised), window, scale, negative_slope).to(x.dtype)


@torch.library.custom_op("flowkernels::correlation_backward", mutates_args=())
def correlation_backward(
    grad: Tensor,
    x: Tensor,
    y: Tensor,
    volume: Tensor | None,
    radius_y: int,
    radius_x: int,
    depth_radius: int,
    stride: int,
    dilation: int,
    average: bool,
    negative_slope: float | None,
    need_x: bool,
    need_y: bool,
) -> tuple[Tensor, Tensor]:
    """Compute the gradients of x and y, (B, C, H, W) each; one that is not needed is an empty tensor."""
    window = Window(radius_y, radius_x, depth_radius, stride, dilation)
    scale, needed = _scale(x, average), (need_x, need_y)
    found: tuple[Tensor | None, Tensor | None]
    if use_triton(x):
        found = kernels("correlation").backward(grad, x, y, volume, window, scale, negative_slope, needed)
    else:
        raised = torch.float32 if x.dtype in HALF else x.dtype
        if negative_slope is not None:
            assert volume is not None
            grad = leaky_relu_backward(grad.to(raised), volume, negative_slope)
        run = cpu.backward if _is_for_cpu(x.device, raised, window) else defined_backward
        found = run(grad.to(raised), x.to(raised), y.to(raised), window, scale, needed)
    grad_x, grad_y = (x.new_empty(0) if gradient is None else gradient.to(x.dtype) for gradient in found)
    return grad_x, grad_y


@correlation.register_fake
def _(
    x: Tensor,
    y: Tensor,
    radius_y: int,
    radius_x: int,
    depth_radius: int,
    stride: int,
    dilation: int,
    average: bool,
    negative_slope: float | None,
) -> Tensor:
    return x.new_empty(Window(radius_y, radius_x, depth_radius, stride, dilation).volume_shape(x))


@correlation_backward.register_fake
def _(grad: Tensor, x: Tensor, y: Tensor, volume: Tensor | None, *rest: Any) -> tuple[Tensor, Tensor]:
    need_x, need_y = rest[-2:]
    return x.new_empty(x.shape if need_x else 0), y.new_empty(y.shape if need_y else 0)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, y, *ctx.settings = inputs
    # The leaky ReLU's backward needs the signs of the output; without a leaky ReLU the volume need not be saved.
    ctx.save_for_backward(x, y, None if ctx.settings[-1] is None else output)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, y, volume = ctx.saved_tensors
    need_x, need_y = ctx.needs_input_grad[:2]
    grad_x, grad_y = correlation_backward(grad, x, y, volume, *ctx.settings, need_x, need_y)
    return (grad_x if need_x else None, grad_y if need_y else None, *[None] * len(ctx.settings))


correlation.register_autograd(_backward, setup_context=_setup_context)
for _device in ("cpu", "cuda"):
    correlation.register_autocast(_device, torch.float32)
