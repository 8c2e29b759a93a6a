"""Checks that end a run with a message that says where to look. They look at steps that were read, on the host."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flowdistill.errors import UserError
from flowdistill.training.recent_steps import BatchOrigin, RecentStep

GRADIENT = "gradient"  # name of its largest value among a step's values
GRADIENT_NORM = (
    "gradient_norm"  # of a step that is logged; float16's may be infinite, which its scaler sees to
)
LEAST_VISIBLE = 0.001  # share of the pixels below which a photometric loss has nothing to look at


class NonFiniteLossError(UserError):
    """A loss term is NaN or infinite; its step updated nothing."""


class NonFiniteWeightsError(UserError):
    """Weights are NaN or infinite, and so not worth a checkpoint."""


class BlindRunError(UserError):
    """The photometric loss has had no pixels left for many steps."""


@dataclass(frozen=True)
class NonFinite:
    """A step whose loss or gradient is not finite.

    Attributes:
        step: of the optimizer, from 0.
        found: the step at which it was found.
        what: "loss" or "gradient".
        text: the values and the samples, of all processes that have some; the same text in all of them.
        origin: of this process's batch.
        own: this process's values that are not finite; may be empty.
        samples: of the batches that hold such values, of all processes; the same ones in all of them.
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
    """Those of the latest steps whose values are not finite.

    Args:
        steps: in order; the same ones in all processes.
        everywhere: gathers the processes' texts; called in all of them, for each step where something is wrong.
    """
    found = []
    for step in steps:
        looked_at = {name: value for name, value in step.means.items() if name != GRADIENT_NORM}
        bad = [name for name, value in looked_at.items() if not math.isfinite(value)]
        if not bad:
            continue
        # A loss that is not finite makes the gradient of all processes so. Alone, that is worth a word.
        names = [name for name in bad if name != GRADIENT] or bad
        texts = [text for text in everywhere(_what_is_wrong(step, names)) if text]
        if not texts:  # each process's own values are finite, only their sum is not
            listed = ", ".join(f"{name} = {step.means[name]}" for name in names)
            texts = [f"{listed}, the mean over all processes\n{_whence(step.origin)}"]
        own = {name: step.values[name] for name in names if not math.isfinite(step.values[name])}
        lists = everywhere("\n".join(step.origin.samples) if own else "")
        samples = tuple(name for each in lists for name in each.splitlines())
        what = "gradient" if names == [GRADIENT] else "loss"
        found.append(NonFinite(step.step, steps[-1].step, what, "; ".join(texts), step.origin, own, samples))
    return found


def _what_is_wrong(step: RecentStep, names: Sequence[str]) -> str:
    """Of these values those that are not finite in this process, and its samples; or nothing."""
    own = {name: step.values[name] for name in names if not math.isfinite(step.values[name])}
    listed = ", ".join(f"{name} = {value}" for name, value in own.items())
    return f"{listed}\n{_whence(step.origin)}" if own else ""


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
