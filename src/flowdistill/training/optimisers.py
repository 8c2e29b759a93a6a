"""Adam with step schedules, as used in both papers; steps without a finite gradient are skipped."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from flowdistill.losses import Schedule

#: Devices with PyTorch's fused Adam kernel, which can skip the update by a flag on the device.
FUSED_ON = ("cuda",)


@dataclass(frozen=True)
class LearningRate:
    """A schedule over optimiser steps, and additional steps at which the rate is halved.

    Source: DDFlow (AAAI 2019) halves at a fixed interval, DWARF (AAAI 2020) at listed steps.
    """

    schedule: Schedule
    halve_at: tuple[int, ...] = ()

    def at(self, step: int) -> float:
        """Return the learning rate at an optimiser step (not an epoch)."""
        halvings = sum(step >= halving for halving in self.halve_at)
        return float(self.schedule.at(step) * 0.5**halvings)

    @property
    def changes_at(self) -> list[int]:
        """The steps of knots and halvings, in order."""
        return sorted({*(step for step, _ in self.schedule.knots), *self.halve_at})


def adam_with_schedule(
    parameters: Iterable[Tensor], learning_rate: LearningRate
) -> OptimizerLRSchedulerConfig:
    """Adam with a learning-rate schedule: fused on a GPU, else PyTorch's default."""
    weights = list(parameters)
    fused = all(weight.device.type in FUSED_ON for weight in weights)
    # The scheduler multiplies this base rate of 1 by the actual rate.
    optimizer = torch.optim.Adam(weights, lr=1.0, fused=fused or None)
    optimizer.register_load_state_dict_pre_hook(_keep_fused)
    # A function, not a callable object: the scheduler's state leaves functions out of checkpoints.
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate.at(step))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def _keep_fused(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """Keep this run's `fused` setting: the checkpoint may be from another device type."""
    own = [group.get("fused") for group in optimizer.param_groups]
    groups = [{**group, "fused": fused} for group, fused in zip(state["param_groups"], own, strict=False)]
    return {**state, "param_groups": groups}


def largest_gradient(parameters: Iterable[Tensor]) -> Tensor:
    """Return the largest absolute value of all gradients: a scalar on their device, NaN if any is NaN."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients, math.inf)


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """Return the Euclidean norm over all gradients: a scalar on their device."""
    return torch.nn.utils.get_total_norm(
        [parameter.grad for parameter in parameters if parameter.grad is not None], 2.0
    )


def skip_unless_finite(optimizer: torch.optim.Optimizer, largest: Tensor) -> None:
    """Turn the optimizer's next step into a no-op if the largest gradient is not finite.

    Weights, moments and the optimizer's step count then stay bitwise unchanged; the learning-rate schedule advances.
    A fused optimizer gets a flag on the device. For any other the host has to wait for the value (not on a CPU).
    """
    finite = torch.isfinite(largest)
    if all(group.get("fused") for group in optimizer.param_groups):
        # The attribute that `torch.amp.GradScaler` sets, too: the fused kernels read it.
        optimizer.found_inf = 1 - finite.float()  # type: ignore[attr-defined]
    elif not bool(finite):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
