"""Weights that change over a run: piecewise functions of the step, written as data.

    census_occlusion: 1.0                                             # constant
    census_occlusion: {knots: [[0, 0], [100000, 1]], between: step}   # 0 before step 100,000, then 1
    census_occlusion: {knots: ..., delay: 500, stretch: 2, scale: 0.5}  # the same curve, later, slower, lower

Steps are optimiser steps and start at 0. Everything here is a pure function.
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

    Before the first knot it has the first knot's value, after the last knot the last one's.

    Args:
        knots: [step, value] pairs, steps increasing.
        between: "step" holds a value until the next knot, "linear" and "cosine" (half a period, level at both knots)
            go over to the next one.
        delay: steps that are added to every knot's.
        stretch: factor on the knots' steps, before the delay. Knots that would fall on one step follow each other.
        scale: factor on the knots' values.

    The last three are for searches: whatever they are, the schedule stays a valid one (docs/sweeps.md).

    Example:
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
        """The same function with all of it in its knots."""
        knots: list[tuple[int, float]] = []
        for step, value in self.knots:
            least = knots[-1][0] + 1 if knots else 0
            knots.append((max(self.delay + round(self.stretch * step), least), self.scale * value))
        return Schedule(knots, self.between)

    def at(self, step: int) -> float:
        """The value at a step."""
        after = bisect_right(self.knots, step, key=lambda knot: knot[0])
        if after == 0 or after == len(self.knots) or self.between == "step":
            return self.knots[max(after - 1, 0)][1]
        (first, start), (last, end) = self.knots[after - 1 : after + 1]
        part = (step - first) / (last - first)
        if self.between == "cosine":
            part = math.sin(math.pi / 2 * part) ** 2
        # Rounding may not leave the two values' range.
        return min(max(start + part * (end - start), min(start, end)), max(start, end))

    @property
    def constant(self) -> bool:
        """Whether it has one value at every step."""
        return len({value for _, value in self.knots}) == 1

    @property
    def ever_positive(self) -> bool:
        return any(value > 0 for _, value in self.knots)


Weight = float | Schedule


def as_schedule(key: str, weight: Weight | Mapping[str, Any]) -> Schedule:
    """A checked schedule from what a config holds: a number, a `Schedule`, or the mapping of one (`plain_weights`).

    Args:
        key: names the weight in messages, for example `losses.census_occlusion`.
        weight: what the config holds.

    Raises:
        UserError: no knots, steps that are negative or do not increase, or a value that is negative or not finite; the
            message starts with the key.
    """
    if isinstance(weight, Mapping):
        knots = [(step, value) for step, value in weight.get("knots", ())]
        known = {"knots", "between", "delay", "stretch", "scale"}
        if unknown := sorted(str(key) for key in set(weight) - known):
            raise UserError(
                f"{key}: a schedule has no {', '.join(unknown)}; it has {', '.join(sorted(known))}"
            )
        weight = Schedule(**{**weight, "knots": knots})
    if not isinstance(weight, Schedule):
        check_number(key, weight)
        return Schedule([(0, float(weight))], "step")
    if not weight.knots:
        raise UserError(f"{key}: a schedule needs at least one knot, as in knots: [[0, 0.0], [1000, 1.0]]")
    if weight.between not in BETWEEN:
        raise UserError(f"{key}.between is one of {', '.join(BETWEEN)}, not {weight.between!r}")
    before: int | None = None
    for number, (step, value) in enumerate(weight.knots):
        if step < 0:
            raise UserError(f"{key}.knots[{number}]: steps start at 0, got {step}")
        if before is not None and step <= before:
            raise UserError(
                f"{key}.knots[{number}]: steps must increase, but {step} follows {before}; sort the knots and "
                "give one value a step"
            )
        check_number(f"{key}.knots[{number}]", value)
        before = step
    check_number(f"{key}.delay", weight.delay)
    check_number(f"{key}.stretch", weight.stretch, positive=True)
    check_number(f"{key}.scale", weight.scale)
    return weight.applied()


def positive_weights(schedules: Mapping[Key, Schedule], step: int) -> dict[Key, float]:
    """The weights at a step, without those that are 0: what a step has to compute."""
    weights = {name: schedule.at(step) for name, schedule in schedules.items()}
    return {name: weight for name, weight in weights.items() if weight > 0}


def first_empty_step(schedules: Mapping[Key, Schedule], steps: int | None = None) -> int | None:
    """The first step at which all weights are 0, of the first `steps` or of all; None if there is none."""
    # A weight that becomes 0 does so at a knot.
    for step in sorted({0, *(step for schedule in schedules.values() for step, _ in schedule.knots)}):
        if (steps is None or step < steps) and not positive_weights(schedules, step):
            return step
    return None


def plain_weights(value: Any) -> Any:
    """A setting with its weights as numbers, lists and dicts only, which a checkpoint can hold."""
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
