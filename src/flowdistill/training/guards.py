"""What stops a run early, with a message that says where to look."""

from __future__ import annotations

import torch
from torch import Tensor

from flowdistill.data.sample import Batch
from flowdistill.errors import UserError

LEAST_VISIBLE = 0.001  # share of the pixels below which a photometric loss has nothing to look at


class NonFiniteLossError(UserError):
    """A loss term is NaN or infinite; nothing was updated by this step."""


class BlindRunError(UserError):
    """The photometric loss has had no pixels left for many steps."""


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


class BlindGuard:
    """Stops a run whose occlusion check has left under 0.1 % of the pixels for `steps` steps in a row.

    Such a run learns nothing: where everything counts as occluded, no loss says otherwise. It is what masking
    occlusions from random weights ends in. The count starts anew when a run is resumed.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.blind = 0

    def look(self, visible_share: float, step: int) -> None:
        """Take note of a step's share of pixels that are not masked, 0 to 1.

        Raises:
            BlindRunError: it was the last of too many blind steps.
        """
        self.blind = self.blind + 1 if visible_share < LEAST_VISIBLE else 0
        if self.blind >= self.steps:
            raise BlindRunError(
                f"the photometric loss has had no pixels left for {self.blind} steps, up to step {step}: the occlusion "
                f"check masks {100 * (1 - visible_share):.2f} % of them, so nothing is learned. An untrained network's "
                "flows contradict each other nearly everywhere. Start from weights that know some flow "
                "(--model.init_args.init_from CHECKPOINT of configs/ddflow/photometric.yaml), or give the first steps "
                "to a *_no_occlusion term, as configs/ddflow/single_run.yaml does. To wait longer: "
                "--model.init_args.blind_steps."
            )
