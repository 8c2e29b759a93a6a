"""How fast a training goes, and how much of the time it waits for its data."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch

SAMPLES, WAIT = "pace/samples_per_second", "pace/data_wait_share"


class Pace(pl.Callback):
    """Logs samples a second, of all processes, and the share of its time in which this process waited for a batch.

    Both are means since they were logged last, from the start of a step to the start of the next. What comes between
    steps (validation, pictures, a checkpoint) is part of that time, but for validation, before which the count pauses.
    The host's clock alone is asked, so that no step waits for the device: over the steps between two logs, which the
    host ends by reading values of the device, the means are true.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self._clock = clock
        self._started: Callable[[], None] | None = None  # ours, in Lightning's fetcher
        self._begun: float | None = None  # of the step before
        self._step = -1
        self._samples = 0  # of the step before
        self._asked = 0.0
        self._waited = 0.0  # since the step before began
        self._sum: dict[str, float] = {}
        self._forget()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begun = None
        self._forget()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        now, samples = (
            self._clock(),
            len(batch["name"]) * trainer.world_size if isinstance(batch, dict) else 0,
        )
        if self._begun is not None and trainer.global_step == self._step:  # another batch of the same step
            self._samples += samples
            return
        if self._begun is not None:
            self._sum["seconds"] += now - self._begun
            self._sum["samples"] += self._samples
            self._sum["waited"] += self._waited
        self._begun, self._waited, self._samples, self._step = now, 0.0, samples, trainer.global_step
        fetcher: Any = trainer.fit_loop._data_fetcher
        if fetcher._start_profiler is not self._started:  # Lightning sets its own for each epoch
            self._listen(fetcher)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begun = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        logs = (
            trainer._logger_connector.should_update_logs
            and not trainer.fit_loop.epoch_loop._should_accumulate()
        )
        if not logs or self._sum["seconds"] <= 0:
            return
        seconds = self._sum["seconds"]
        # On the host: Lightning copies a float to the device.
        pl_module.log(SAMPLES, torch.tensor(self._sum["samples"] / seconds))
        pl_module.log(WAIT, torch.tensor(self._sum["waited"] / seconds))
        self._forget()

    def _forget(self) -> None:
        self._sum = {"seconds": 0.0, "samples": 0.0, "waited": 0.0}

    def _listen(self, fetcher: Any) -> None:
        """Lightning tells its profiler when it asks the loader for a batch, and when it has it."""
        before, after = fetcher._start_profiler, fetcher._stop_profiler

        def start() -> None:
            self._asked = self._clock()
            before()

        def stop() -> None:
            after()
            self._waited += self._clock() - self._asked

        self._started = start
        fetcher._start_profiler, fetcher._stop_profiler = start, stop
