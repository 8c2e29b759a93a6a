"""Resolve `--ckpt_path last` and `best` to a file and to the run's folder in which a training resumes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.loggers import WandbLogger

from flowdistill.data.notes import note
from flowdistill.errors import UserError
from flowdistill.training import BEST, LAST, older_checkpoints, slurm_run
from flowdistill.training.base import MotionModule
from flowdistill.training.init_from import read_checkpoint

Word = Literal["last", "best"]


@dataclass(frozen=True)
class Found:
    """A checkpoint of a run."""

    path: Path
    step: int

    @property
    def run(self) -> Path:
        """The run's folder: RUNS/version_3 for RUNS/version_3/checkpoints/last.ckpt."""
        return self.path.parents[1]


def find(word: Word, trainer: pl.Trainer, model: pl.LightningModule) -> tuple[Found | None, str]:
    """Find the newest last.ckpt (or best.ckpt) among the runs of this name whose settings match the model's.

    Returns:
        The checkpoint, or None; and a text that lists the skipped ones, which may be empty.
    """
    folder = runs_folder(trainer)
    name = LAST if word == "last" else BEST
    within = f"{_version(trainer)}/checkpoints/{name}" if trainer.loggers else f"checkpoints/{name}"
    files = sorted(folder.glob(within), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    accepted = any(getattr(callback, "accepts_changes", False) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    passed = []
    for file in files:
        try:
            found, stored = newest_whole(file)
        except UserError as error:
            passed.append(str(error))
            continue
        changed = model.changed_settings(stored) if isinstance(model, MotionModule) else []
        if not changed or accepted:
            return found, _listed(passed)
        passed.append(f"{file}: {', '.join(changed)}")
    return None, f"no {name} of a run with these settings in {folder}" + _listed(passed)


def newest_whole(last: Path) -> tuple[Found, dict[str, Any]]:
    """Return a run's last checkpoint and its content; if it is damaged, the previous one, with a warning.

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
        return Found(path, int(stored.get("global_step", 0))), stored
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
            f"--ckpt_path: {folder} is not a run's folder with a checkpoint (checkpoints/{names[0]} is missing)"
        )
    found, _ = newest_whole(there[0])
    note(f"--ckpt_path: {found.path} (step {found.step})")
    return found


def of_this_slurm_job(trainer: pl.Trainer, model: pl.LightningModule) -> Found | None:
    """Return the newest checkpoint of the run that this SLURM job started before, if its settings match the model's."""
    folder = slurm_run(runs_folder(trainer))
    if folder is None or not (folder / LAST).is_file():
        return None
    found, stored = newest_whole(folder / LAST)
    changed = model.changed_settings(stored) if isinstance(model, MotionModule) else []
    return None if changed else found


def resolve(word: str, subcommand: str, trainer: pl.Trainer, model: pl.LightningModule) -> Found | None:
    """Resolve `--ckpt_path last`, `best` or `hpc`; None if a training starts from scratch. Logs the choice.

    Raises:
        UserError: there is no such checkpoint.
    """
    if word == "hpc":
        raise UserError(
            "--ckpt_path hpc: flowdistill saves no such files; a requeued SLURM job resumes automatically, and "
            "`--ckpt_path last` selects the newest checkpoint of this run name"
        )
    found, passed = find("last" if word == "last" else "best", trainer, model)
    if found is not None:
        if passed:
            note(f"--ckpt_path {word}:{passed}")
        note(f"--ckpt_path {word}: {found.path} (step {found.step})")
        return found
    if subcommand != "fit":
        raise UserError(f"--ckpt_path {word}: {passed}. Give a .ckpt file that `lightning fit` wrote.")
    note(f"--ckpt_path {word}: {passed}; starting from scratch")
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


def _listed(passed: list[str]) -> str:
    return "".join(f"\n  skipped: {text}" for text in passed)
