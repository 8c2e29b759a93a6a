"""Loss weight schedules: piecewise functions of the step, written as data.

    census_occlusion: 1.0                                             # constant
    census_occlusion: {knots: [[0, 0], [100000, 1]], between: step}   # 0 before step 100,000, then 1
    census_occlusion: {knots: ..., delay: 500, stretch: 2, scale: 0.5}  # the same curve, later, slower, lower

Steps are optimiser steps and start at 0. All functions are pure.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from flowdistill.errors import UserError

BETWEEN = ("step", "linear", "cosine")
Key = TypeVar("Key")


@dataclass(frozen=True)
class Schedule:
    """A weight as a function of the step.

    Before the first knot the first value is used, after the last knot the last value.

    Args:
        knots: [step, value] pairs, steps increasing.
        between: "step" holds a value until the next knot, "linear" and "cosine" (half a period, flat at both knots)
            interpolate to the next one.
        delay: number of steps added to the step of every knot.
        stretch: factor on the knots' steps, before the delay. Knots that would share a step become consecutive.
        scale: factor on the knots' values.

    The last three are for searches: the schedule is valid for any of their values (docs/sweeps.md).

    Examples:
        >>> from flowdistill.losses import Schedule
        >>> ramp = Schedule([(100, 0.0), (200, 1.0)])
        >>> [ramp.at(step) for step in (0, 150, 500)]
        [0.0, 0.5, 1.0]
        >>> Schedule([(100, 0.0), (200, 1.0)], delay=50, scale=2.0).applied().knots
        [(150, 0.0), (250, 2.0)]
    """

    knots: list[tuple[int, float]]
    between: Literal["step", "linear", "cosine"] = "linear"
    delay: int = 0
    stretch: float = 1.0
    scale: float = 1.0

    def applied(self) -> Schedule:
        """Return the same function with delay, stretch and scale applied to the knots."""
        knots: list[tuple[int, float]] = []
        for step, value in self.knots:
            least = knots[-1][0] + 1 if knots else 0
            knots.append((max(self.delay + round(self.stretch * step), least), self.scale * value))
        return Schedule(knots, self.between)

    def at(self, step: int) -> float:
        """Return the value at a step."""
        after = bisect_right(self.knots, step, key=lambda knot: knot[0])
        if after == 0 or after == len(self.knots) or self.between == "step":
            return self.knots[max(after - 1, 0)][1]
        (first, start), (last, end) = self.knots[after - 1 : after + 1]
        part = (step - first) / (last - first)
        if self.between == "cosine":
            part = math.sin(math.pi / 2 * part) ** 2
        # Rounding must not leave the range of the two values.
        return min(max(start + part * (end - start), min(start, end)), max(start, end))

    @property
    def constant(self) -> bool:
        """Whether the value is the same at every step."""
        return len({value for _, value in self.knots}) == 1

    @property
    def is_ever_positive(self) -> bool:
        return any(value > 0 for _, value in self.knots)


Weight = float | Schedule


def as_schedule(key: str, weight: Weight | Mapping[str, Any]) -> Schedule:
    """Return a validated schedule from a config value: a number, a `Schedule`, or its mapping (`plain_weights`).

    Args:
        key: name of the weight in messages, for example `losses.census_occlusion`.
        weight: value from the config.

    Raises:
        UserError: no knots, steps that are negative or do not increase, or a value that is negative or not finite; the
            message starts with the key.
    """
    if isinstance(weight, Mapping):
        knots = [(step, value) for step, value in weight.get("knots", ())]
        known = {"knots", "between", "delay", "stretch", "scale"}
        if unknown := sorted(str(key) for key in set(weight) - known):
            raise UserError(
                f"{key}: a schedule has no {', '.join(unknown)}; its keys are {', '.join(sorted(known))}"
            )
        weight = Schedule(**{**weight, "knots": knots})
    if not isinstance(weight, Schedule):
        check_number(key, weight)
        return Schedule([(0, float(weight))], "step")
    if not weight.knots:
        raise UserError(f"{key}: a schedule needs at least one knot, as in knots: [[0, 0.0], [1000, 1.0]]")
    if weight.between not in BETWEEN:
        raise UserError(f"{key}.between must be one of {', '.join(BETWEEN)}, got {weight.between!r}")
    before: int | None = None
    for number, (step, value) in enumerate(weight.knots):
        if step < 0:
            raise UserError(f"{key}.knots[{number}]: steps start at 0, got {step}")
        if before is not None and step <= before:
            raise UserError(
                f"{key}.knots[{number}]: steps must increase, but {step} follows {before}; sort the knots and "
                "give one value per step"
            )
        check_number(f"{key}.knots[{number}]", value)
        before = step
    check_number(f"{key}.delay", weight.delay)
    check_number(f"{key}.stretch", weight.stretch, positive=True)
    check_number(f"{key}.scale", weight.scale)
    return weight.applied()


def positive_weights(schedules: Mapping[Key, Schedule], step: int) -> dict[Key, float]:
    """Return the non-zero weights at a step, whose terms have to be computed."""
    weights = {name: schedule.at(step) for name, schedule in schedules.items()}
    return {name: weight for name, weight in weights.items() if weight > 0}


def first_step_without_loss(schedules: Mapping[Key, Schedule], steps: int | None = None) -> int | None:
    """Return the first step at which all weights are 0, within the first `steps` if given; None if there is none."""
    # A weight can only become 0 at a knot.
    for step in sorted({0, *(step for schedule in schedules.values() for step, _ in schedule.knots)}):
        if (steps is None or step < steps) and not positive_weights(schedules, step):
            return step
    return None


def plain_weights(value: Any) -> Any:
    """Convert the weights of a setting to plain numbers, lists and dicts, which a checkpoint can store."""
    if isinstance(value, Mapping):
        return {key: plain_weights(each) for key, each in value.items()}
    if isinstance(value, Schedule):
        value = value.applied()
        return {"knots": [list(knot) for knot in value.knots], "between": value.between}
    return value


def check_number(key: str, value: float, positive: bool = False) -> None:
    """Raise `UserError` unless a setting is finite and not negative (or positive)."""
    if not math.isfinite(value) or value < 0 or (positive and value == 0):
        raise UserError(f"{key} must be {'positive' if positive else '0 or more'} and finite, got {value}")
