"""Adam with step schedules, as both papers use it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from flowdistill.losses import Schedule


@dataclass(frozen=True)
class LearningRate:
    """A schedule over optimiser steps, and further steps from which on it is halved.

    Source: DDFlow (AAAI 2019) halves every so many steps, DWARF (AAAI 2020) at listed steps.
    """

    schedule: Schedule
    halve_at: tuple[int, ...] = ()

    def at(self, step: int) -> float:
        """The learning rate at an optimiser step (not an epoch)."""
        halvings = sum(step >= halving for halving in self.halve_at)
        return float(self.schedule.at(step) * 0.5**halvings)

    @property
    def changes_at(self) -> list[int]:
        """The steps of knots and halvings, in order."""
        return sorted({*(step for step, _ in self.schedule.knots), *self.halve_at})


def adam_with_schedule(
    parameters: Iterable[Tensor], learning_rate: LearningRate
) -> OptimizerLRSchedulerConfig:
    """Adam whose learning rate follows a schedule."""
    # The scheduler multiplies this 1 with the rate itself.
    optimizer = torch.optim.Adam(parameters, lr=1.0)
    # A function, not a method: the scheduler's state leaves those out of checkpoints.
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate.at(step))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
