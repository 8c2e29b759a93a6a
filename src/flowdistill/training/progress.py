"""State of Lightning's loops between a step and its validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

TRAIN_ROW = "train_row"  # checkpoint key


def validation_is_due(trainer: pl.Trainer) -> bool:
    """Whether Lightning validates between this step and the next; for use in `on_train_batch_end`."""
    loop = trainer.fit_loop.epoch_loop
    fetcher = trainer.fit_loop._data_fetcher
    if fetcher is None or loop.val_loop._combined_loader is None or loop.val_loop.skip:
        return False
    return bool(loop._should_check_val_fx(fetcher))


def validation_is_owed(trainer: pl.Trainer) -> bool:
    """Whether the latest step needs a validation that has not finished.

    Only for epochs without an end, as with flowdistill's data; Lightning treats an epoch's last step differently.
    """
    loop = trainer.fit_loop.epoch_loop
    if trainer.num_training_batches != float("inf"):
        return False
    if trainer.validating:
        return loop.val_loop.batch_progress.current.completed < sum(loop.val_loop.max_batches)
    steps: Any = loop.batch_progress.current
    # A step counts as completed only after the callbacks.
    return steps.completed < steps.processed and validation_is_due(trainer)


def validate_on_resume(checkpoint: dict[str, Any]) -> None:
    """Mark a checkpoint's validation as unfinished, so that a run resumed from it validates first.

    Lightning writes such a checkpoint with the validation counted as done, so its metrics would be missing. Lightning
    supports runs interrupted within a validation; this sets the counters of such a run, with no batch validated.

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
    """Sets the logged step count to the optimizer's; must be the first callback.

    Lightning's own count is off by one in a run that is extended after a validation of its last step: when resumed, it
    skips that validation, and counts a step for it.
    """

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step


def validates_first(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a run resumed from this checkpoint starts with a validation."""
    total = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]["total"]
    return bool(total["started"] == total["ready"] == total["processed"] + 1)


def validate_if_owed(trainer: pl.Trainer) -> None:
    """Run the outstanding validation of the last step in a resumed `fit` that has no steps left."""
    loop = trainer.fit_loop.epoch_loop
    loop.val_loop.update_restart_stage()
    if loop.val_loop.restarted_mid_evaluation and 0 <= trainer.max_steps <= trainer.global_step:
        trainer.validating = True
        loop.val_loop.run()
        trainer.training = True


def row_to_come(trainer: pl.Trainer) -> dict[str, Any] | None:
    """Return the row that Lightning is about to log for this step, or None; for use in `on_train_batch_end`."""
    steps: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    connector = trainer._logger_connector
    within = not trainer.validating and steps.completed < steps.processed
    if not within or not trainer.loggers or not connector.should_update_logs:
        return None
    values = {name: float(value) for name, value in connector.metrics["log"].items()}
    step = trainer.fit_loop.epoch_loop._batches_that_stepped
    return {**values, "epoch": trainer.current_epoch, "step": step} if values else None


def train_row(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the log row of the checkpoint's step if it may be missing from the run's log, else None."""
    row: dict[str, Any] | None = checkpoint.get(TRAIN_ROW)
    return row
