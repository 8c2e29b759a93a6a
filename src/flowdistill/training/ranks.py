"""The ranks of a distributed training, in the form that the losses use."""

from __future__ import annotations

import torch
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch import Tensor

from flowdistill.losses.ranks import ALONE, Ranks


def all_ranks() -> Ranks:
    """Return all ranks of this training; `ALONE` if there is only one process."""
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return ALONE
    return Ranks(torch.distributed.get_world_size(), _total)


def _total(value: Tensor) -> Tensor:
    # Not the strategy's `reduce`: its barrier would make the host wait for the device.
    value = value.clone()
    torch.distributed.all_reduce(value)
    return value


def expect_idle_parameters(strategy: Strategy) -> None:
    """Allow parameters without a gradient in distributed training; call it before the model is wrapped.

    Costs a traversal of the graph at each step, so use it only for runs with such steps. Otherwise DDP waits for
    gradients that never arrive, and ends the run at its second step.
    """
    if isinstance(strategy, DDPStrategy):
        strategy._ddp_kwargs["find_unused_parameters"] = True
