"""What keeps weights small."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

DDFLOW_SCALE = 1e-4


def squared_weights(parameters: Iterable[Tensor]) -> Tensor:
    """Sum of squares over all parameters, biases too, without a factor 1/2. DWARF adds it times 0.0004."""
    return torch.stack([parameter.square().sum() for parameter in parameters]).sum()


def l2_regulariser(parameters: Iterable[Tensor]) -> Tensor:
    """DDFlow's: 0.0001 times half the sum of squares over all parameters, biases too.

    Source: DDFlow (AAAI 2019), released code, which computes it beside the losses and leaves it out of their sum.
    """
    return DDFLOW_SCALE / 2 * squared_weights(parameters)
