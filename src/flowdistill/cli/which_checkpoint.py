"""Resolve `--ckpt_path last` and `best` to a file and to the run's folder in which a training resumes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import WandbLogger

from flowdistill.data.notes import note
from flowdistill.errors import UserError
from flowdistill.training import BEST, LAST, older_checkpoints, slurm_run
from flowdistill.training.base import MotionModule
from flowdistill.training.init_from import read_checkpoint


@dataclass(frozen=True)
class Found:
    """A checkpoint of a run, and its content."""

    path: Path
    stored: dict[str, Any]

    @property
    def step(self) -> int:
        return int(self.stored.get("global_step", 0))

    @property
    def run(self) -> Path:
        """The run's folder: RUNS/version_3 for RUNS/version_3/checkpoints/last.ckpt."""
        return self.path.parents[1]

    def changed(self, model: pl.LightningModule) -> list[str]:
        """Return the settings in which its model differs from this one."""
        return model.changed_settings(self.stored) if isinstance(model, MotionModule) else []


def newest_whole(last: Path) -> Found:
    """Return a run's last checkpoint; if it is damaged, the previous one, with a warning.

    Raises:
        UserError: none of them can be read.
    """
    for path in (last, *(older_checkpoints(last.parent) if last.name == LAST else [])):
        try:
            stored = read_checkpoint(path, "--ckpt_path")
        except UserError as error:
            damage = str(error)
            continue
        if path != last:
            note(f"{last} is damaged; falling back to {path.name}, step {stored.get('global_step')}")
        return Found(path, stored)
    raise UserError(damage)


def of_folder(folder: Path, subcommand: str) -> Found:
    """Return the newest checkpoint in a run's folder; the best one for everything except training.

    Raises:
        UserError: the folder contains none that can be read.
    """
    names = (LAST,) if subcommand == "fit" else (BEST, LAST)
    files = [folder.resolve() / "checkpoints" / name for name in names]
    there = [file for file in files if file.is_file()]
    if not there:
        raise UserError(
            f"--ckpt_path: {folder} is not a run's folder with a checkpoint (checkpoints/{' or '.join(names)} is "
            "missing)"
        )
    found = newest_whole(there[0])
    note(f"--ckpt_path: {found.path} (step {found.step})")
    return found


def of_this_slurm_job(trainer: pl.Trainer, model: pl.LightningModule) -> Found | None:
    """Return the newest checkpoint of the run that this SLURM job started before, if its settings match the model's."""
    folder = slurm_run(runs_folder(trainer))
    if folder is None or not (folder / LAST).is_file():
        return None
    found = newest_whole(folder / LAST)
    return None if found.changed(model) else found


def resolve(word: str, subcommand: str, trainer: pl.Trainer, model: pl.LightningModule) -> Found | None:
    """Return the newest last.ckpt (or best.ckpt) among the runs of this name whose settings match the model's.

    None if a training starts from scratch. Logs the choice.

    Args:
        word: the value of --ckpt_path: last, best or hpc.
        subcommand: fit, validate, ...
        trainer: determines the folder of the runs.
        model: the model of the config.

    Raises:
        UserError: there is no such checkpoint.
    """
    if word == "hpc":
        raise UserError(
            "--ckpt_path hpc: flowdistill saves no such files; a requeued SLURM job resumes automatically, and "
            "`--ckpt_path last` selects the newest checkpoint of this run name"
        )
    folder, name = runs_folder(trainer), LAST if word == "last" else BEST
    within = f"{_version(trainer)}/checkpoints/{name}" if trainer.loggers else f"checkpoints/{name}"
    files = sorted(folder.glob(within), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    accepted = any(getattr(callback, "accepts_changes", False) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    skipped = ""
    for file in files:
        try:
            found = newest_whole(file)
        except UserError as error:
            skipped += f"\n  skipped: {error}"
            continue
        changed = found.changed(model)
        if changed and not accepted:
            skipped += f"\n  skipped: {file}: {', '.join(changed)}"
            continue
        if skipped:
            note(f"--ckpt_path {word}:{skipped}")
        note(f"--ckpt_path {word}: {found.path} (step {found.step})")
        return found
    missing = f"--ckpt_path {word}: no {name} of a run with these settings in {folder}{skipped}"
    if subcommand != "fit":
        raise UserError(f"{missing}. Give a .ckpt file that `lightning fit` wrote.")
    note(f"{missing}; starting from scratch")
    return None


def runs_folder(trainer: pl.Trainer) -> Path:
    """Return SAVE_DIR/NAME, which contains one folder per run of this name."""
    if not trainer.loggers:
        return Path(trainer.default_root_dir)
    logger = trainer.loggers[0]
    return Path(logger.save_dir or trainer.default_root_dir, str(logger.name or ""))


def _version(trainer: pl.Trainer) -> str:
    """Return the name of the run's folder if the config sets it, otherwise a pattern that matches all."""
    logger = trainer.loggers[0]
    if isinstance(logger, WandbLogger):  # an id without a folder belongs to a new run
        return str(logger.version) if (runs_folder(trainer) / str(logger.version)).is_dir() else "*"
    version = getattr(logger, "_version", None)
    return "*" if version is None else version if isinstance(version, str) else f"version_{version}"
