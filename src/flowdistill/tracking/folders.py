"""A folder for each run: no two trainings get the same one, also where they start at the same moment."""

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
    """Let loggers that number their runs make the folder of a number when they take it.

    Several loggers of one SAVE_DIR/NAME share it.
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
            if getattr(rank_zero_only, "rank", 0) == 0:  # it says which to the others (run_folder)
                try:
                    (runs / f"version_{version}").mkdir(parents=True)
                except FileExistsError:  # of a training that started a moment ago
                    continue
            taken[runs] = version
            return version

    return next_version


def check_is_new(trainer: pl.Trainer, again: bool) -> None:
    """Before a `fit` that does not go on in the run's folder: refuse one that holds a run.

    Its log would be deleted and its checkpoints replaced.

    Args:
        trainer: of which nothing runs yet.
        again: start over in the folder of a run that came to no checkpoint; its files move aside.

    Raises:
        UserError: says how to go on, and how to start another.
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
        note(f"{folder} holds a run without a checkpoint; its files are in {aside.name}/ now")
        return
    how = f"Go on with it by `--ckpt_path {last}`" if last.exists() else "Move it away"
    raise UserError(
        f"{folder} holds a run already ({', '.join(found)}). {how}, or start another: leave out the logger's version "
        "(or id), or give a new one."
    )
