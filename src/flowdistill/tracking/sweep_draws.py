"""Sweep samplers whose values depend only on a trial's number, not on the number or order of processes.

An interrupted search that resumes draws the same values as without the interruption.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from flowdistill.tracking.sweep_file import Choice, Parameter, Scalar, Sweep


class ByNumber(BaseSampler):
    """Samples the points of a grid in order, the last parameter fastest; else parameters independently at random."""

    def __init__(self, sweep: Sweep, seed: int) -> None:
        self.parameters, self.seed = sweep.parameters, seed
        self.points: list[tuple[Scalar, ...]] = []
        if sweep.method == "grid":
            choices = [choice.values for choice in sweep.parameters.values() if isinstance(choice, Choice)]
            self.points = list(itertools.product(*choices))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        index = list(self.parameters).index(param_name)
        if self.points:
            return self.points[trial.number % len(self.points)][index]
        return _drawn(self.parameters[param_name], np.random.default_rng((self.seed, trial.number, index)))


def _drawn(parameter: Parameter, rng: np.random.Generator) -> Scalar:
    if isinstance(parameter, Choice):
        return parameter.values[int(rng.integers(len(parameter.values)))]
    low, high = parameter.low, parameter.high
    if parameter.step is not None or parameter.whole:
        step = 1 if parameter.step is None else parameter.step
        value = low + step * int(rng.integers(int((high - low) / step + 1e-9) + 1))
        return int(value) if parameter.whole else float(value)
    if parameter.log:
        return float(np.clip(np.exp(rng.uniform(np.log(low), np.log(high))), low, high))
    return float(rng.uniform(low, high))
