"""Where a run is between a step and its validation, in Lightning's loops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

TRAIN_ROW = "train_row"  # of a checkpoint


def validation_is_due(trainer: pl.Trainer) -> bool:
    """In `on_train_batch_end`: whether Lightning validates after this step, before the next."""
    loop = trainer.fit_loop.epoch_loop
    fetcher = trainer.fit_loop._data_fetcher
    if fetcher is None or loop.val_loop._combined_loader is None or loop.val_loop.skip:
        return False
    return bool(loop._should_check_val_fx(fetcher))


def validation_is_owed(trainer: pl.Trainer) -> bool:
    """Whether the newest step is one to validate, and its validation has not ended.

    Only where an epoch has no end, as with our data; an epoch's last step has rules of its own.
    """
    loop = trainer.fit_loop.epoch_loop
    if trainer.num_training_batches != float("inf"):
        return False
    if trainer.validating:
        return loop.val_loop.batch_progress.current.completed < sum(loop.val_loop.max_batches)
    steps: Any = loop.batch_progress.current
    # A step is completed after the callbacks.
    return steps.completed < steps.processed and validation_is_due(trainer)


def validate_on_resume(checkpoint: dict[str, Any]) -> None:
    """Let a checkpoint of a step whose validation has not ended say so: a run that goes on from it validates first.

    As Lightning writes it, such a checkpoint counts the validation as done, and its numbers would be missing. Lightning
    knows runs that were broken off within a validation; this is what their counters say, with no batch validated.

    Args:
        checkpoint: changed in place.
    """
    loops = checkpoint["loops"]["fit_loop"]
    step = loops["epoch_loop.batch_progress"]
    for counts in (step["total"], step["current"]):
        counts["completed"] = counts["processed"]
    batches = loops["epoch_loop.val_loop.batch_progress"]
    batches["total"] = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
    batches["current"] = {"ready": 0, "started": 0, "processed": 0, "completed": 0}
    batches["is_last_batch"] = False


class CountSteps(pl.Callback):
    """Lets the log's count of steps be that of the optimizer; the first of all callbacks.

    Lightning's own is one off in a run that is given more steps after a validation of its last one: going on, it skips
    that validation, and counts a step for it.
    """

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step


def validates_first(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a run that goes on from a checkpoint begins with a validation."""
    total = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]["total"]
    return bool(total["started"] == total["ready"] == total["processed"] + 1)


def validate_if_owed(trainer: pl.Trainer) -> None:
    """Before the steps of a `fit`: a resumed run that has none left may still owe the last one's validation."""
    loop = trainer.fit_loop.epoch_loop
    loop.val_loop.update_restart_stage()
    if loop.val_loop.restarted_mid_evaluation and 0 <= trainer.max_steps <= trainer.global_step:
        trainer.validating = True
        loop.val_loop.run()
        trainer.training = True


def row_to_come(trainer: pl.Trainer) -> dict[str, Any] | None:
    """In `on_train_batch_end`: the row that Lightning writes into the logs of this step, a moment later; or None."""
    steps: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    connector = trainer._logger_connector
    within = not trainer.validating and steps.completed < steps.processed
    if not within or not trainer.loggers or not connector.should_update_logs:
        return None
    values = {name: float(value) for name, value in connector.metrics["log"].items()}
    step = trainer.fit_loop.epoch_loop._batches_that_stepped
    return {**values, "epoch": trainer.current_epoch, "step": step} if values else None


def train_row(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """The row of a checkpoint's own step, if its log may lack it."""
    row: dict[str, Any] | None = checkpoint.get(TRAIN_ROW)
    return row
