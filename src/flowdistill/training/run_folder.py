"""The output folder of a run: logs, checkpoints, run card."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl


def run_folder(trainer: pl.Trainer) -> Path:
    """Return SAVE_DIR/NAME/VERSION of the first logger; must be called on all processes, and is the same on all.

    Without a logger it is the trainer's default_root_dir. (`trainer.log_dir` is the shared SAVE_DIR for loggers that
    Lightning does not support.)
    """
    folder = Path(trainer.default_root_dir)
    if trainer.loggers:
        logger = trainer.loggers[0]
        version = logger.version if isinstance(logger.version, str) else f"version_{logger.version}"
        folder = Path(logger.save_dir or folder, str(logger.name or ""), version)
    return Path(trainer.strategy.broadcast(str(folder)))


def checkpoint_folder(trainer: pl.Trainer) -> Path | None:
    """Return the folder of a run's checkpoints; None if it saves none."""
    folder = getattr(trainer.checkpoint_callback, "dirpath", None)
    return None if folder is None else Path(folder)
