"""How long a step takes, from the start of one to the start of the next."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable

import numpy as np

from flowdistill.tracking.sections import StepTime

WARM_UP = 10
"""So many steps after a start are not counted: loaders fill up, cuDNN and compilers choose."""
WARM_UP_CPU = 2
"""The same on a CPU, whose steps take seconds."""


class StepTimer:
    """Measures between the starts of steps that follow each other.

    A GPU is still at work when Python has gone through a step. From start to start it has to keep up: in the middle of
    many steps the difference is the true time of one, without a wait that would slow the run down.
    """

    def __init__(self, warm_up: int = WARM_UP, clock: Callable[[], float] = time.perf_counter) -> None:
        self._warm_up, self._clock = warm_up, clock
        self._seconds = array("d")
        self._started = 0
        self._last: tuple[int, float] | None = None  # step, when it started

    def batch_starts(self, step: int) -> None:
        """To be called before each batch with the number of optimiser steps done; several batches may make a step."""
        if self._last is not None and self._last[0] == step:
            return
        now = self._clock()
        if self._last is not None and self._started > self._warm_up:
            self._seconds.append(now - self._last[1])
        self._started += 1
        self._last = (step, now)

    def pause(self) -> None:
        """Something else begins, such as validation: the step it comes after is not counted."""
        self._last = None

    def summary(self) -> StepTime:
        """Median and quartiles of the seconds of a step."""
        if not self._seconds:
            return {"median": None, "lower_quartile": None, "upper_quartile": None, "count": 0}
        lower, median, upper = (float(value) for value in np.quantile(self._seconds, (0.25, 0.5, 0.75)))
        count = len(self._seconds)
        return {"median": median, "lower_quartile": lower, "upper_quartile": upper, "count": count}
