"""Faster formulations of convolutions for inference on a CPU; the results differ by rounding only.

The library's convolutions are faster in the layout channels_last. A convolution of concatenated features is the sum of
the convolutions of its parts, so that layers which all read the same features share one wide convolution of them, and
the concatenations are never made.

    shared    # (B, S, h, w) channels_last: the first S input channels of every layer
    own       # (B, C - S, h, w) channels_last: the remaining input channels of one layer

In training both lose: the library's weight gradients are slower in channels_last (benchmarks/training.py), and autograd
would keep the wide result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowdistill.networks.pyramid import FeaturePyramid

Convolution = nn.Conv2d | nn.ConvTranspose2d


def applies(module: nn.Module, x: Tensor) -> bool:
    """Return whether x is evaluated in float32 on a CPU without gradients, and not traced by a compiler or exporter.

    Under autocast the published order of operations is kept, since it decides what is rounded to half precision; and so
    it is if a part of the module has a hook, which would not be called.
    """
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    )


def channels_last(x: Tensor) -> Tensor:
    """Return x (B, C, H, W) in the layout that the convolutions of this file prefer."""
    return x.contiguous(memory_format=torch.channels_last)


def encode(pyramid: FeaturePyramid, images: Tensor) -> list[Tensor]:
    """Compute the levels of a feature pyramid, contiguous from level 2 on, as correlation and warping need them."""
    if not applies(pyramid, images):
        levels: list[Tensor] = pyramid(images)
        return levels
    first, *used = pyramid(channels_last(images))
    return [first, *(features.contiguous() for features in used)]


def shared_convolutions(shared: Tensor, layers: Sequence[Convolution]) -> list[Tensor]:
    """Convolve features with each layer's weights for them, biases included, as one convolution.

    Args:
        shared: (B, S, h, w), the first S input channels of every layer.
        layers: convolutions, all transposed or none, of the same kernel size, stride, padding and dilation.

    Returns:
        per layer (B, outputs, h', w'), views of one tensor.
    """
    first, count = layers[0], shared.shape[1]
    transposed = isinstance(first, nn.ConvTranspose2d)
    weights = [layer.weight[:count] if transposed else layer.weight[:, :count] for layer in layers]
    outputs = [weight.shape[1 if transposed else 0] for weight in weights]
    weight = torch.cat(weights, dim=1 if transposed else 0)
    bias = torch.cat([layer.bias for layer in layers if layer.bias is not None])
    return list(_convolve(first, shared, weight, bias).split(outputs, dim=1))


def own_convolution(layer: Convolution, own: Tensor) -> Tensor:
    """Convolve the layer's last input channels; to be added to its part of `shared_convolutions`.

    Args:
        layer: the convolution.
        own: (B, C - S, h, w), the last of the layer's C input channels.

    Returns:
        (B, outputs, h', w'), without the bias.
    """
    count = own.shape[1]
    transposed = isinstance(layer, nn.ConvTranspose2d)
    weight = layer.weight[-count:] if transposed else layer.weight[:, -count:]
    return _convolve(layer, own, weight, None)


def _convolve(layer: Convolution, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if isinstance(layer, nn.ConvTranspose2d):
        return F.conv_transpose2d(x, weight, bias, layer.stride, cast(tuple[int, ...], layer.padding))
    return F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation)
