"""Checks that end a run with a message that says where to look. They look at steps that were read, on the host."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from flowdistill.errors import UserError
from flowdistill.training.recent_steps import BatchOrigin, RecentStep

GRADIENT = "gradient"  # name of its largest value among a step's values
LEAST_VISIBLE = 0.001  # share of the pixels below which a photometric loss has nothing to look at


class NonFiniteLossError(UserError):
    """A loss term is NaN or infinite; its step updated nothing."""


class NonFiniteWeightsError(UserError):
    """Weights are NaN or infinite, and so not worth a checkpoint."""


class BlindRunError(UserError):
    """The photometric loss has had no pixels left for many steps."""


def check_finite(
    steps: Sequence[RecentStep], advice: str, everywhere: Callable[[str], list[str]] = lambda text: [text]
) -> None:
    """Check the values of the latest steps.

    Args:
        steps: in order; the same ones in all processes.
        advice: what to try.
        everywhere: gathers the processes' texts; called in all of them, and only where something is wrong.

    Raises:
        NonFiniteLossError: names the first step that is not finite, its terms and its samples; the same text in all
            processes.
    """
    for step in steps:
        if all(math.isfinite(value) for value in step.means.values()):
            continue
        found = [text for text in everywhere(_what_is_wrong(step)) if text]
        if not found:  # each process's own values are finite, only their sum is not
            found = [f"{_not_finite(step.means)}, the mean over all processes\n{_whence(step.origin)}"]
        late = f" (found at step {steps[-1].step})" if steps[-1].step > step.step else ""
        raise NonFiniteLossError(
            f"the loss is not finite at step {step.step}{late}: {'; '.join(found)}\n"
            f"{advice} That step changed no weight, and the run's last checkpoint is from before it."
        )


def _what_is_wrong(step: RecentStep) -> str:
    """Terms and samples of this process, or nothing if all of its values are finite."""
    bad = _not_finite(step.values)
    return f"{bad}\n{_whence(step.origin)}" if bad else ""


def _not_finite(values: Mapping[str, float]) -> str:
    # A loss that is not finite makes the gradient so; alone it is worth a word.
    bad = {name: value for name, value in values.items() if not math.isfinite(value)}
    terms = {name: value for name, value in bad.items() if name != GRADIENT} or bad
    return ", ".join(f"{name} = {value}" for name, value in terms.items())


def _whence(origin: BatchOrigin) -> str:
    return (
        f"samples of this batch: {', '.join(origin.samples)}\n"
        f"(batch {origin.number} of process {origin.rank}, data seed {origin.seed})"
    )


def check_weights(weights: Mapping[str, Tensor], step: int) -> None:
    """Check what is about to be saved; one copy from the device.

    Args:
        weights: by name, any shapes, on one device.
        step: the optimizer step, for the message.

    Raises:
        NonFiniteWeightsError: names the first that is not finite and says how many there are.
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
            "infinity. The checkpoints that exist were left as they are: resume from the newest with --ckpt_path, at a "
            "lower learning rate, or with --trainer.precision 32-true if this run used another."
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
