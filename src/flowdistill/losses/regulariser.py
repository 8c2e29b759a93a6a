"""Weight regularisation.

parameters   # tensors of any shapes, on one device
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowdistill.ops.precision import raised

DDFLOW_SCALE = 1e-4


def squared_weights(parameters: Iterable[Tensor]) -> Tensor:
    """Compute the sum of squares over all parameters, including biases, without a factor 1/2. DWARF's weight is 0.0004.

    Differentiable once. Runs a few kernels for all parameters together, instead of several hundred for separate sums.

    Examples:
        >>> import torch
        >>> from flowdistill.losses import squared_weights
        >>> squared_weights([torch.tensor([1.0, 2.0]), torch.tensor(3.0)])
        tensor(14.)
    """
    total: Tensor = _SumOfSquares.apply(*(raised(parameter) for parameter in parameters))
    return total


def l2_regulariser(parameters: Iterable[Tensor]) -> Tensor:
    """Compute DDFlow's regulariser: 0.0001 times half the sum of squares over all parameters, including biases.

    Source: DDFlow (AAAI 2019), released code, which computes it but does not add it to the losses.

    Examples:
        >>> import torch
        >>> from flowdistill.losses import l2_regulariser
        >>> round(l2_regulariser([torch.tensor([60.0, 80.0])]).item(), 4)
        0.5
    """
    return DDFLOW_SCALE / 2 * squared_weights(parameters)


class _SumOfSquares(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(*parameters)
        return torch.stack(torch._foreach_norm(parameters)).square().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch._foreach_mul(ctx.saved_tensors, 2 * grad))
