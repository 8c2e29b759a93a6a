"""Checkpoints of a run: `last.ckpt`, some older ones, and `best.ckpt` by a validation metric."""

from __future__ import annotations

import math
import os
import re
import shutil
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from flowdistill.errors import UserError
from flowdistill.training.atomic_io import save
from flowdistill.training.progress import validation_is_owed
from flowdistill.training.run_folder import checkpoint_folder, run_folder

LAST, BEST = "last.ckpt", "best.ckpt"
_OLDER = re.compile(r"step_(\d+)\.ckpt")


class Checkpoints(Checkpoint):
    """Saves `last.ckpt` every `every_n_train_steps` steps, and always at the final step.

    The previous one becomes `step_000005000.ckpt` once the next is complete; `keep` of these are kept, in case the
    last one is damaged. They are in checkpoints/ in the run's folder.

    Args:
        every_n_train_steps: interval in optimiser steps.
        keep: number of older checkpoints to keep besides last.ckpt and best.ckpt.
    """

    def __init__(self, every_n_train_steps: int, keep: int = 1) -> None:
        super().__init__()
        for name, value, least in (("every_n_train_steps", every_n_train_steps, 1), ("keep", keep, 0)):
            if value < least:
                raise UserError(f"Checkpoints: {name} must be {least} or more, not {value}")
        self.every_n_train_steps, self.keep = every_n_train_steps, keep
        self.dirpath: str | None = None
        self._saved: int | None = None  # step of last.ckpt, if this process wrote or resumed it
        self._validated = True  # whether it includes the validation of its step

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit" and not getattr(trainer, "fast_dev_run", False):
            self.dirpath = str(run_folder(trainer) / "checkpoints")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.ckpt_path is not None and self.dirpath is not None:
            resumed = Path(str(trainer.ckpt_path)).resolve()
            self._saved = trainer.global_step if resumed == Path(self.dirpath, LAST).resolve() else None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step % self.every_n_train_steps == 0 and step != self._saved and step > 0:
            self.save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step == self._saved and self._validated:
            return
        failure = self.save(trainer)
        if failure is not None:
            saved = f"{LAST} is of step {self._saved}"
            before = "no checkpoint was saved before" if self._saved is None else saved
            raise UserError(
                f"training finished, but the final weights could not be written ({failure}); {before}. Free disk "
                "space and resume from it: only the steps since then are repeated."
            )

    def save(self, trainer: pl.Trainer) -> str | None:
        """Save the current step as last.ckpt; must be called on all processes. Returns why it failed, or None."""
        if self.dirpath is None:
            return None
        for logger in trainer.loggers:
            logger.save()  # flush the rows so far, such as the learning rate's, which Lightning buffers
        last = Path(self.dirpath, LAST)
        before = last.with_name(f"step_{self._saved or 0:09d}.ckpt")
        keeps = trainer.is_global_zero and self._saved not in (None, trainer.global_step)
        older = keeps and _link(last, before)
        self._validated = not validation_is_owed(trainer)
        try:
            failure = save(trainer, last)
        except BaseException:  # such as weights that are not finite
            if older:
                before.unlink(missing_ok=True)
            raise
        if failure is None:
            self._saved = trainer.global_step
        if trainer.is_global_zero:
            for path in older_checkpoints(Path(self.dirpath))[self.keep :]:
                path.unlink(missing_ok=True)
        return failure


def older_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints older than last.ckpt, newest first."""
    found = [
        (int(match[1]), path) for path in folder.glob("*.ckpt") if (match := _OLDER.fullmatch(path.name))
    ]
    return [path for _, path in sorted(found, reverse=True)]


def _link(source: Path, target: Path) -> bool:
    """Hard-link a file, or copy it if the file system has no links. Returns whether the target exists."""
    if not source.is_file():
        return False
    try:
        target.unlink(missing_ok=True)
        os.link(source, target)
    except OSError:
        try:
            shutil.copyfile(source, target)
        except OSError:  # a full disk: continue without the older checkpoint
            target.unlink(missing_ok=True)
            return False
    return True


class BestCheckpoint(pl.Callback):
    """Keeps `best.ckpt` beside `last.ckpt`: the weights with the best validation metric so far.

    A resumed run keeps the best value so far and its file.

    Args:
        metric: logged name of a validation metric, for example val/epe_all; None keeps no best checkpoint.
        mode: whether the smallest or the largest value is best.
    """

    def __init__(self, metric: str | None = None, mode: Literal["min", "max"] = "min") -> None:
        super().__init__()
        self.metric, self.mode = metric, mode
        self.value: float | None = None
        self.path: Path | None = None

    def state_dict(self) -> dict[str, Any]:
        if self.value is None:
            return {}
        return {"metric": self.metric, "mode": self.mode, "value": self.value, "path": str(self.path)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # Values of another metric are not comparable.
        if state_dict.get("metric") == self.metric and state_dict.get("mode") == self.mode:
            self.value, self.path = state_dict["value"], Path(state_dict["path"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the best file to the resumed run's own folder, or reset the best value if the file is gone."""
        if self.value is None or self.path is None:
            return
        target = self._target(trainer)
        there = trainer.strategy.broadcast(self.path.is_file())
        if not there:
            self.value = self.path = None
        elif self.path != target:
            if trainer.is_global_zero:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.path, target)
            trainer.strategy.barrier()
            self.path = target

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.metric is None or trainer.state.fn != "fit":
            return
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self.metric not in logged:
            # The sanity check's two samples may lack what the whole set has, such as occluded pixels.
            stem = self.metric.rpartition("_")[0]
            if trainer.sanity_checking and any(name.rpartition("_")[0] == stem for name in logged):
                return
            names = sorted(name for name in logged if not name.startswith("train/"))
            raise UserError(
                f"--best.metric: validation logs no {self.metric!r}. It logs: {', '.join(names) or 'nothing'}."
            )
        # All processes must take the same branch, and training metrics may differ between them.
        value = float(trainer.strategy.broadcast(logged[self.metric]))
        if trainer.sanity_checking or not self._better(value):
            return
        before = self.value, self.path
        self.value, self.path = value, self._target(trainer)  # set first: they are saved in the file
        if save(trainer, self.path) is not None:
            self.value, self.path = before

    def _better(self, value: float) -> bool:
        if self.value is None:
            return not math.isnan(value)
        return value < self.value if self.mode == "min" else value > self.value  # False for NaN

    def _target(self, trainer: pl.Trainer) -> Path:
        folder = checkpoint_folder(trainer)
        if folder is None:
            raise UserError(
                "--best.metric keeps best.ckpt beside the run's other checkpoints, but this run saves none: add the "
                "callback flowdistill.training.Checkpoints, as configs/trainer/ does"
            )
        return folder / BEST
