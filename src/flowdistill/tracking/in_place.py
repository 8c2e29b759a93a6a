"""Resume a run in its own folder: its log keeps the rows before the checkpoint, without duplicates."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from flowdistill.formats import write_atomically
from flowdistill.tracking.csv_rows import as_csv, read_rows
from flowdistill.tracking.in_use import hold
from flowdistill.training import train_row, validates_first

_ASIDE = "metrics_before_resume.csv"


def go_on_in(trainer: pl.Trainer, folder: Path, checkpoint: Path) -> bool:
    """Make the loggers write into the run's folder, from the checkpoint's step on; call it before `fit`.

    Args:
        trainer: of the new run; its loggers have written nothing yet.
        folder: of the run, SAVE_DIR/NAME/VERSION.
        checkpoint: from which it resumes.

    Returns:
        False if the first logger uses another folder; nothing is changed then.

    Raises:
        UserError: another process trains in the folder.
    """
    first = trainer.loggers[0] if trainer.loggers else None
    by_number = isinstance(first, CSVLogger | TensorBoardLogger) and _runs(first) == folder.resolve().parent
    by_id = isinstance(first, WandbLogger) and _runs(first) / str(first.version) == folder.resolve()
    if not by_number and not by_id:
        return False
    if getattr(rank_zero_only, "rank", 0) == 0:
        hold(folder)
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    for logger in trainer.loggers:
        if not isinstance(logger, CSVLogger | TensorBoardLogger) or _runs(logger) != folder.resolve().parent:
            continue
        logger._version = folder.name
        if isinstance(logger, TensorBoardLogger):
            logger._kwargs.setdefault("purge_step", stored["global_step"])
        elif isinstance(logger, CSVLogger) and getattr(rank_zero_only, "rank", 0) == 0:
            _continue_csv(logger, stored)
    return True


def _runs(logger: Logger) -> Path:
    """Return SAVE_DIR/NAME."""
    return Path(logger.save_dir or ".", str(logger.name or "")).resolve()


def _continue_csv(logger: CSVLogger, checkpoint: Mapping[str, Any]) -> None:
    """Restore the rows before the checkpoint in metrics.csv, which Lightning's logger deletes when it opens."""
    file = Path(logger.log_dir, "metrics.csv")
    aside = file.with_name(_ASIDE)
    if file.is_file():
        file.replace(aside)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Experiment logs directory")  # it warns of the deletion
        experiment = logger.experiment
    if not aside.is_file():
        return
    rows = read_rows(aside)
    kept = rows_before(rows, checkpoint)
    names = sorted({name for row in [*rows[:1], *kept] for name in row})
    experiment.metrics_keys = names
    if names:
        write_atomically(file, as_csv(names, ([row.get(name) for name in names] for row in kept)))
    aside.unlink()


def rows_before(rows: Sequence[Mapping[str, str]], checkpoint: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a log that existed when a checkpoint was written, in order.

    A row's `step` counts from 0; a validation after step S has S - 1. The row of the checkpoint's own step may have
    been written just after it; it is then taken from the checkpoint.
    """
    step = int(checkpoint["global_step"])
    again = validates_first(checkpoint)

    def stays(row: Mapping[str, str]) -> bool:
        at = int(row["step"])
        validated = any(name.startswith("val/") and value != "" for name, value in row.items())
        return at < step and not (validated and again and at == step - 1)

    kept: list[dict[str, Any]] = [dict(row) for row in rows if stays(row)]
    own = train_row(checkpoint)
    if own is not None and not any(
        int(row["step"]) == own["step"] and row.get("train/loss", "") != "" for row in kept
    ):
        kept.append(own)
    return kept
