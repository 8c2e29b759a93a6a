"""A separate folder for each run, also for trainings started at the same time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from flowdistill.data.notes import note
from flowdistill.errors import UserError
from flowdistill.tracking.in_use import hold
from flowdistill.training import run_folder

_TRACES = ("config.yaml", "metrics.csv", "checkpoints", "run_card.json", "run_card.md", "hparams.yaml")


def claim_versions(trainer: pl.Trainer) -> None:
    """Make loggers with numbered runs create the run's folder when they pick its number.

    Several loggers with the same SAVE_DIR/NAME share it.
    """
    taken: dict[Path, int] = {}
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger | TensorBoardLogger):
            logger._get_next_version = _claiming(logger, logger._get_next_version, taken)  # type: ignore[method-assign]


def _claiming(logger: Logger, free: Callable[[], int], taken: dict[Path, int]) -> Callable[[], int]:
    def next_version() -> int:
        runs = Path(logger.save_dir or ".", str(logger.name or ""))
        if runs in taken:
            return taken[runs]
        while True:
            version = free()
            if getattr(rank_zero_only, "rank", 0) == 0:  # rank 0 broadcasts it (run_folder)
                try:
                    (runs / f"version_{version}").mkdir(parents=True)
                except FileExistsError:  # another training has just taken it
                    continue
            taken[runs] = version
            return version

    return next_version


def check_is_new(trainer: pl.Trainer, again: bool) -> None:
    """Check before a `fit` that does not resume in the run's folder that the folder does not contain a run.

    That run's log would be deleted and its checkpoints replaced.

    Args:
        trainer: not started yet.
        again: start over in the folder of a run without a checkpoint; its files are moved to a subfolder.

    Raises:
        UserError: the folder contains a run; the message has the options to resume it or to start another.
    """
    if not trainer.loggers or getattr(rank_zero_only, "rank", 0) != 0:
        return
    folder = run_folder(trainer)
    found = [name for name in _TRACES if (folder / name).exists()]
    if not found:
        return
    hold(folder)
    last = folder / "checkpoints" / "last.ckpt"
    if again and not last.exists():
        number = 1
        while (aside := folder / f"attempt_{number}").exists():
            number += 1
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
