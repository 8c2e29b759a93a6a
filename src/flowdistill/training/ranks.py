"""The processes of a distributed training, as the losses need them."""

from __future__ import annotations

import torch
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch import Tensor

from flowdistill.losses.ranks import ALONE, Ranks


def all_ranks() -> Ranks:
    """All processes of this training; one alone where there are no others."""
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return ALONE
    return Ranks(torch.distributed.get_world_size(), _total)


def _total(value: Tensor) -> Tensor:
    # Not the strategy's `reduce`: its barrier makes the host wait for the device.
    value = value.clone()
    torch.distributed.all_reduce(value)
    return value


def expect_idle_parameters(strategy: Strategy) -> None:
    """Let steps of a distributed training leave weights without gradient; before the model is wrapped.

    Costs a walk through the graph at each step, so only for a run that has such steps. Else DDP waits for gradients
    that never come, and ends the run at its second step.
    """
    if isinstance(strategy, DDPStrategy):
        strategy._ddp_kwargs["find_unused_parameters"] = True
