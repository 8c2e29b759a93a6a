"""Samples per second and the share of waiting, against a clock set by the test."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from torch.utils.data import DataLoader, IterableDataset

from flowdistill.tracking.pace import SAMPLES, WAIT, Pace
from small_trainer import Recorder, flow_data, small_ddflow, trainer

STEP, LOAD, VALIDATION = 1.0, 3.0, 100.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow(IterableDataset[Any]):
    """Batches of two samples that take three seconds each."""

    def __init__(self, batch: Any, clock: Clock) -> None:
        self.batch, self.clock = batch, clock

    def __iter__(self) -> Any:
        while True:
            self.clock.now += LOAD
            yield self.batch


class Work(pl.Callback):
    """A step takes a second, a validation a hundred."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_before_optimizer_step(self, *_: Any) -> None:
        self.clock.now += STEP

    def on_validation_epoch_start(self, *_: Any) -> None:
        self.clock.now += VALIDATION


@pytest.mark.parametrize("accumulated", [1, 2])
def test_pace_is_that_of_the_clock(rendered: Path, tmp_path: Path, accumulated: int) -> None:
    clock, logged, source = Clock(), Recorder(), flow_data(rendered)
    fit = trainer(
        tmp_path, 8, logger=logged, log_every_n_steps=2, val_check_interval=3 * accumulated,
        accumulate_grad_batches=accumulated, callbacks=[Pace(clock), Work(clock)],
    )  # fmt: skip
    model = small_ddflow()
    fit.datamodule = source
    vars(source)["trainer"] = fit
    fit.strategy.connect(model)
    batch = next(iter(source.train_dataloader()))
    fit.datamodule = None
    clock.now = 0.0
    fit.fit(model, DataLoader(Slow(batch, clock), batch_size=None), DataLoader([batch], batch_size=None))
    # Lightning prefetches one batch, so each step's own wait is three seconds per batch, too.
    seconds = STEP + accumulated * LOAD
    samples = accumulated * len(batch["name"])
    seen = [(step[SAMPLES], step[WAIT]) for step in logged.steps if SAMPLES in step]
    assert len(seen) >= 3
    for per_second, share in seen:
        assert per_second == pytest.approx(samples / seconds)
        assert share == pytest.approx(accumulated * LOAD / seconds)


def test_a_run_that_has_measured_nothing_logs_no_pace(rendered: Path, tmp_path: Path) -> None:
    logged = Recorder()
    trainer(tmp_path, 1, logger=logged, callbacks=[Pace()]).fit(small_ddflow(), flow_data(rendered))
    (step,) = logged.steps
    assert SAMPLES not in step
    assert "train/gradient_norm" in step
