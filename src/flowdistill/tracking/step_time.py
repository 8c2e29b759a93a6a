"""Time per step, from the start of one to the start of the next."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

WARM_UP = 10
"""Number of steps ignored after a start: loaders fill up, cuDNN and compilers tune."""
WARM_UP_CPU = 2
"""The same on a CPU, where steps take seconds."""


class StepTimer:
    """Measures the time between the starts of consecutive steps.

    A GPU runs asynchronously, but over many steps the host cannot get ahead: the time from start to start is then the
    true time per step, without a synchronisation that would slow the run down.
    """

    def __init__(self, warm_up: int = WARM_UP, clock: Callable[[], float] = time.perf_counter) -> None:
        self._warm_up, self._clock = warm_up, clock
        self._seconds = array("d")
        self._started = 0
        self._last: tuple[int, float] | None = None  # step, when it started

    def batch_starts(self, step: int) -> None:
        """Call before each batch with the number of optimiser steps done; a step may have several batches."""
        if self._last is not None and self._last[0] == step:
            return
        now = self._clock()
        if self._last is not None and self._started > self._warm_up:
            self._seconds.append(now - self._last[1])
        self._started += 1
        self._last = (step, now)

    def pause(self) -> None:
        """Call before other work such as validation: the step before it is not counted."""
        self._last = None

    def summary(self) -> dict[str, Any]:
        """Return the median and quartiles of the seconds per step; None if too few steps were measured."""
        measured = self._seconds
        median, lower, upper = np.quantile(measured, (0.5, 0.25, 0.75)).tolist() if measured else [None] * 3
        return {"median": median, "lower_quartile": lower, "upper_quartile": upper, "count": len(measured)}
