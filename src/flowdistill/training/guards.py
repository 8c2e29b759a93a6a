"""What stops a run early, with a message that says where to look."""

from __future__ import annotations

import torch
from torch import Tensor

from flowdistill.data.sample import Batch
from flowdistill.errors import UserError


class NonFiniteLossError(UserError):
    """A loss term is NaN or infinite; nothing was updated by this step."""


def check_finite(terms: dict[str, Tensor], batch: Batch, step: int, advice: str) -> None:
    """Raise `NonFiniteLossError` naming the terms and the batch's samples if any term is NaN or infinite."""
    values = torch.stack([value.detach() for value in terms.values()])
    if bool(torch.isfinite(values).all()):
        return
    bad = [f"{name} = {value.item()}" for name, value in terms.items() if not torch.isfinite(value)]
    raise NonFiniteLossError(
        f"the loss is not finite at step {step}: {', '.join(bad)}\n"
        f"samples of this batch: {', '.join(batch['name'])}\n"
        f"{advice} The run's last checkpoint holds the weights before it."
    )
