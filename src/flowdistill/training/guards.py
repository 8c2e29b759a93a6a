"""Checks that abort a run with an actionable message. They run on the host, on steps that were read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flowdistill.errors import UserError
from flowdistill.training.recent_steps import BatchOrigin, RecentStep

GRADIENT = "gradient"  # key of its largest absolute value among a step's values
GRADIENT_NORM = (
    "gradient_norm"  # of a logged step; may be infinite with float16: the gradient scaler handles it
)
LEAST_VISIBLE = 0.001  # share of unmasked pixels below which a photometric loss gives no training signal


class NonFiniteLossError(UserError):
    """A loss term is NaN or infinite; its step changed no weight."""


class NonFiniteWeightsError(UserError):
    """Weights are NaN or infinite, so no checkpoint is written."""


class OcclusionCollapseError(UserError):
    """The photometric loss had no unmasked pixels for many steps."""


@dataclass(frozen=True)
class NonFinite:
    """A step whose loss or gradient is not finite.

    Attributes:
        step: optimizer step, from 0.
        found: the step at which it was detected.
        what: "loss" or "gradient".
        text: non-finite values and samples of all processes that have some; the same text on all processes.
        origin: of this process's batch.
        own: this process's values that are not finite; may be empty.
        samples: of the batches with such values, from all processes; the same on all processes.
    """

    step: int
    found: int
    what: str
    text: str
    origin: BatchOrigin
    own: dict[str, float]
    samples: tuple[str, ...]

    @property
    def title(self) -> str:
        late = f" (found at step {self.found})" if self.found > self.step else ""
        return f"the {self.what} is not finite at step {self.step}{late}: {self.text}"


def non_finite(
    steps: Sequence[RecentStep], everywhere: Callable[[str], list[str]] = lambda text: [text]
) -> list[NonFinite]:
    """Return those of the latest steps that have non-finite values.

    Args:
        steps: in order; the same on all processes.
        everywhere: gathers the processes' texts; called on all processes for each step with non-finite values.
    """
    found = []
    for step in steps:
        looked_at = {name: value for name, value in step.means.items() if name != GRADIENT_NORM}
        bad = [name for name, value in looked_at.items() if not math.isfinite(value)]
        if not bad:
            continue
        # A non-finite loss makes the gradient non-finite on all processes: report the gradient only on its own.
        names = [name for name in bad if name != GRADIENT] or bad
        own = {name: step.values[name] for name in names if not math.isfinite(step.values[name])}
        texts = [text for text in everywhere(_described(own, step.origin) if own else "") if text]
        if not texts:  # each process's own values are finite, but not their sum
            means = {name: step.means[name] for name in names}
            texts = [_described(means, step.origin, ", the mean over all processes")]
        lists = everywhere("\n".join(step.origin.samples) if own else "")
        samples = tuple(name for each in lists for name in each.splitlines())
        what = "gradient" if names == [GRADIENT] else "loss"
        found.append(NonFinite(step.step, steps[-1].step, what, "; ".join(texts), step.origin, own, samples))
    return found


def _described(values: Mapping[str, float], origin: BatchOrigin, what: str = "") -> str:
    """Describe values of a step, and the batch that they are from."""
    return (
        f"{', '.join(f'{name} = {value}' for name, value in values.items())}{what}\n"
        f"samples of this batch: {', '.join(origin.samples)}\n"
        f"(batch {origin.number} of process {origin.rank}, data seed {origin.seed})"
    )


def check_weights(weights: Mapping[str, Tensor], step: int) -> None:
    """Check weights before they are saved; one copy from the device.

    Args:
        weights: by name, any shapes, on one device.
        step: the optimizer step, for the message.

    Raises:
        NonFiniteWeightsError: some are not finite; the message has the first name and their number.
    """
    if not weights:
        return
    largest = torch.stack([value.detach().abs().amax().float() for value in weights.values()])
    finite = torch.isfinite(largest).tolist()
    bad = [name for name, good in zip(weights, finite, strict=True) if not good]
    if bad:
        others = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise NonFiniteWeightsError(
            f"no checkpoint is written at step {step}: {bad[0]}{others} of {len(weights)} weights hold NaN or "
            "infinity. Existing checkpoints are unchanged: resume from the newest with --ckpt_path, at a lower "
            "learning rate, or with --trainer.precision 32-true if this run used another precision."
        )


class OcclusionCollapseGuard:
    """Stops a run when the occlusion check has left under 0.1 % of the pixels for `steps` consecutive steps.

    Such a run learns nothing: no loss penalises marking every pixel as occluded. This is the usual result of masking
    occlusions from random weights on. The count restarts when a run is resumed.

    Args:
        steps: how many such steps end the run.
        whose: whose loss this is, for the message, such as "the teacher's".
    """

    def __init__(self, steps: int, whose: str = "the") -> None:
        self.steps, self.whose = steps, whose
        self.collapsed = 0  # consecutive steps without a pixel

    def look(self, visible_share: float, step: int) -> None:
        """Record a step's share of unmasked pixels, 0 to 1.

        Raises:
            OcclusionCollapseError: this was one such step too many.
        """
        self.collapsed = self.collapsed + 1 if visible_share < LEAST_VISIBLE else 0
        if self.collapsed >= self.steps:
            raise OcclusionCollapseError(
                f"{self.whose} photometric loss has had no pixels left for {self.collapsed} steps, up to step {step}: "
                f"the occlusion check masks {100 * (1 - visible_share):.2f} % of them, so nothing is learned. The "
                "forward and backward flow of an untrained network are inconsistent nearly everywhere. Start from "
                "pretrained weights (--model.init_args.init_from CHECKPOINT of configs/ddflow/photometric.yaml), or "
                "use a *_no_occlusion term in the first steps, as configs/ddflow/single_run.yaml does. To allow more "
                "such steps: --model.init_args.max_fully_occluded_steps."
            )
