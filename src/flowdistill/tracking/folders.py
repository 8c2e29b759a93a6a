"""A run's folder: its own for each training, continued by a resumed one; its log also survives a full disk."""

from __future__ import annotations

import functools
import itertools
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from flowdistill.data.notes import note
from flowdistill.disk import refusal
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.tracking.csv_rows import as_csv, read_rows
from flowdistill.tracking.in_use import hold
from flowdistill.training import run_folder, train_row, validates_first

_TRACES = ("config.yaml", "metrics.csv", "checkpoints", "run_card.json", "run_card.md", "hparams.yaml")
_ASIDE = "metrics_before_resume.csv"


def claim_versions(trainer: pl.Trainer) -> None:
    """Make loggers with numbered runs create the run's folder when they pick its number.

    Several loggers with the same SAVE_DIR/NAME share it.
    """
    taken: dict[Path, int] = {}
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger | TensorBoardLogger):
            claim = functools.partial(_claim, _runs(logger), logger._get_next_version, taken)
            logger._get_next_version = claim  # type: ignore[method-assign]


def _claim(runs: Path, free: Callable[[], int], taken: dict[Path, int]) -> int:
    while runs not in taken:
        version = free()
        if _writes():  # the first process broadcasts it (run_folder)
            try:
                (runs / f"version_{version}").mkdir(parents=True)
            except FileExistsError:  # another training has just taken it
                continue
        taken[runs] = version
    return taken[runs]


def check_is_new(trainer: pl.Trainer, again: bool) -> None:
    """Check before a `fit` that does not resume in the run's folder that the folder does not contain a run.

    That run's log would be deleted and its checkpoints replaced.

    Args:
        trainer: not started yet.
        again: start over in the folder of a run without a checkpoint; its files are moved to a subfolder.

    Raises:
        UserError: the folder contains a run; the message has the options to resume it or to start another.
    """
    if not trainer.loggers or not _writes():
        return
    folder = run_folder(trainer)
    found = [name for name in _TRACES if (folder / name).exists()]
    if not found:
        return
    hold(folder)
    last = folder / "checkpoints" / "last.ckpt"
    if again and not last.exists():
        free = (folder / f"attempt_{number}" for number in itertools.count(1))
        aside = next(folder for folder in free if not folder.exists())
        aside.mkdir()
        for name in found:
            (folder / name).rename(aside / name)
        note(f"{folder} contains a run without a checkpoint; its files were moved to {aside.name}/")
        return
    how = f"Resume it with `--ckpt_path {last}`" if last.exists() else "Move it away"
    raise UserError(
        f"{folder} already contains a run ({', '.join(found)}). {how}, or start another: omit the logger's version "
        "(or id), or give a new one."
    )


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
    if _writes():
        hold(folder)
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    for logger in trainer.loggers:
        if not isinstance(logger, CSVLogger | TensorBoardLogger) or _runs(logger) != folder.resolve().parent:
            continue
        logger._version = folder.name
        if isinstance(logger, TensorBoardLogger):
            logger._kwargs.setdefault("purge_step", stored["global_step"])
        elif isinstance(logger, CSVLogger) and _writes():
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
        write_atomically(file, as_csv(names, kept))
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


def wait_for_the_disk(logger: CSVLogger) -> None:
    """Make a logger keep rows that cannot be written until the disk has space; prints one note each time it starts."""
    write = logger.save
    failing = False

    def save() -> None:
        nonlocal failing
        if not _writes():
            return  # the first process writes
        experiment = logger.experiment
        file = Path(logger.log_dir, "metrics.csv")
        known = list(experiment.metrics_keys)
        new = {name for row in experiment.metrics for name in row} - set(known)
        size = None
        try:
            if new and file.is_file():
                # Lightning would rewrite the whole file in place: a run killed meanwhile would lose it.
                names = sorted({*known, *new})
                write_atomically(file, as_csv(names, read_rows(file)))
                experiment.metrics_keys = names
            size = file.stat().st_size if file.is_file() else None
            write()
            failing = False
        except OSError as error:
            reason = refusal(error)
            if reason is None:
                raise
            if size is not None:
                os.truncate(file, size)
            elif not known:
                file.unlink(missing_ok=True)
                experiment.metrics_keys = known
            if not failing:
                note(f"{file}: {reason}. The run continues; its log is kept in memory until there is space.")
            failing = True

    logger.save = save  # type: ignore[method-assign]


def _writes() -> bool:
    """Whether this is the first process, which writes the run's files."""
    return getattr(rank_zero_only, "rank", 0) == 0
