"""Adam with step schedules, as both papers use it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor


def adam_with_halvings(
    parameters: Iterable[Tensor], learning_rate: float, halve_at: Sequence[int]
) -> OptimizerLRSchedulerConfig:
    """Adam whose learning rate is halved at the given optimiser steps (not epochs).

    Source: DDFlow (AAAI 2019) halves every so many steps, DWARF (AAAI 2020) at listed steps.
    """
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=list(halve_at), gamma=0.5)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
