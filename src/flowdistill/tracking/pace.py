"""Training throughput, and the share of time spent waiting for data."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch

SAMPLES, WAIT = "pace/samples_per_second", "pace/data_wait_share"


class Pace(pl.Callback):
    """Logs samples per second over all processes, and the share of time in which this process waited for a batch.

    Both are means since the last log, from the start of a step to the start of the next. Work between steps (pictures,
    a checkpoint) is included, except validation, during which the measurement pauses. Only the host's clock is read, so
    that no step waits for the device: the means are accurate over the steps between two logs, since the host reads
    values from the device at each log.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self._clock = clock
        self._started: Callable[[], None] | None = None  # the hook set in Lightning's fetcher
        self._begun: float | None = None  # start of the previous step
        self._step = -1
        self._samples = 0  # of the previous step
        self._asked = 0.0
        self._waited = 0.0  # since the previous step began
        self._sum: dict[str, float] = {}
        self._forget()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begun = None
        self._forget()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        now = self._clock()
        samples = len(batch["name"]) * trainer.world_size if isinstance(batch, dict) else 0
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
        seconds = self._sum["seconds"]
        logs = trainer._logger_connector.should_update_logs and seconds > 0
        if not logs or trainer.fit_loop.epoch_loop._should_accumulate():
            return
        # On the host: Lightning copies a float to the device.
        pl_module.log(SAMPLES, torch.tensor(self._sum["samples"] / seconds))
        pl_module.log(WAIT, torch.tensor(self._sum["waited"] / seconds))
        self._forget()

    def _forget(self) -> None:
        self._sum = {"seconds": 0.0, "samples": 0.0, "waited": 0.0}

    def _listen(self, fetcher: Any) -> None:
        """Hook into the fetcher's profiler calls, before and after it gets a batch from the loader."""
        before, after = fetcher._start_profiler, fetcher._stop_profiler

        def start() -> None:
            self._asked = self._clock()
            before()

        def stop() -> None:
            after()
            self._waited += self._clock() - self._asked

        self._started = start
        fetcher._start_profiler, fetcher._stop_profiler = start, stop
