"""`flowkernels::warp` and its backward, as `torch.library` operators."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from flowkernels.backend import kernels, use_triton
from flowkernels.definitions import warp as plain
from flowkernels.definitions.warp import Convention


@torch.library.custom_op("flowkernels::warp", mutates_args=())
def warp(image: Tensor, motion: Tensor, convention: str) -> Tensor:
    """Warp a (B, C, H, W) image by a (B, 2 or 1, H, W) motion of the same dtype -> (B, C, H, W), contiguous."""
    rule = cast(Convention, convention)
    if image.numel() == 0:
        return image.new_empty(image.shape)
    image, motion = image.contiguous(), motion.contiguous()
    if use_triton(image):
        warped: Tensor = kernels("warp").forward(image, motion, rule)
        return warped
    return plain.warp(image, motion, rule).contiguous()


@warp.register_fake
def _(image: Tensor, motion: Tensor, convention: str) -> Tensor:
    return image.new_empty(image.shape)


@torch.library.custom_op("flowkernels::warp_backward", mutates_args=())
def warp_backward(
    grad: Tensor, image: Tensor, motion: Tensor, convention: str, need_image: bool, need_motion: bool
) -> tuple[Tensor, Tensor]:
    """Compute the gradients of image and motion; one that is not needed is empty."""
    rule = cast(Convention, convention)
    if image.numel() == 0:
        grads = (image.new_zeros(image.shape), motion.new_zeros(motion.shape))
    else:
        grad, image, motion = grad.contiguous(), image.contiguous(), motion.contiguous()
        backward = kernels("warp").backward if use_triton(image) else plain.warp_backward
        grads = backward(grad, image, motion, rule, need_image, need_motion)
    found = [g if need else g.new_empty(0) for g, need in zip(grads, (need_image, need_motion), strict=True)]
    return found[0].contiguous(), found[1].contiguous()


@warp_backward.register_fake
def _(
    grad: Tensor, image: Tensor, motion: Tensor, convention: str, need_image: bool, need_motion: bool
) -> tuple[Tensor, Tensor]:
    return (
        image.new_empty(image.shape if need_image else (0,)),
        motion.new_empty(motion.shape if need_motion else (0,)),
    )


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    image, motion, ctx.convention = inputs
    ctx.save_for_backward(image, motion)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    image, motion = ctx.saved_tensors
    need_image, need_motion = ctx.needs_input_grad[:2]
    grad_image, grad_motion = torch.ops.flowkernels.warp_backward(
        grad, image, motion, ctx.convention, need_image, need_motion
    )
    return grad_image if need_image else None, grad_motion if need_motion else None, None


warp.register_autograd(_backward, setup_context=_setup)
for _device in ("cpu", "cuda"):
    warp.register_autocast(_device, torch.float32)
