"""Checkpoints of a run: `last.ckpt`, and `best.ckpt` by a metric of validation."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from flowdistill.errors import UserError

BEST = "best.ckpt"


class Checkpoints(ModelCheckpoint):
    """A checkpoint every `every_n_train_steps`, the newest also as `last.ckpt`, and the very last step for certain.

    Lightning's own callback leaves `last.ckpt` at the last multiple of its interval: a run of 50,000 steps with an
    interval of 3,000 would lose 2,000.

    Args:
        every_n_train_steps: interval in optimiser steps.
    """

    def __init__(self, every_n_train_steps: int) -> None:
        super().__init__(every_n_train_steps=every_n_train_steps, save_last=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        if self.dirpath is not None:
            trainer.save_checkpoint(Path(self.dirpath) / f"{self.CHECKPOINT_NAME_LAST}{self.FILE_EXTENSION}")


class BestCheckpoint(pl.Callback):
    """Keeps `best.ckpt` beside `last.ckpt`: the weights whose validation was best so far.

    A resumed run goes on from the best value it had, with its file.

    Args:
        metric: name of what validation logs, for example val/epe_all; without one nothing is kept.
        mode: whether the smallest or the largest value is the best.
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
        # Values of another metric say nothing about this one.
        if state_dict.get("metric") == self.metric and state_dict.get("mode") == self.mode:
            self.value, self.path = state_dict["value"], Path(state_dict["path"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A resumed run has a folder of its own: bring the best file along, or start anew if it is gone."""
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
            # Two samples of the sanity check may lack what all together have, such as occluded pixels.
            stem = self.metric.rpartition("_")[0]
            if trainer.sanity_checking and any(name.rpartition("_")[0] == stem for name in logged):
                return
            names = sorted(name for name in logged if not name.startswith("train/"))
            raise UserError(
                f"--best.metric: validation logs no {self.metric!r}. It logs: {', '.join(names) or 'nothing'}."
            )
        # All processes must do the same, and metrics of training may differ between them.
        value = float(trainer.strategy.broadcast(logged[self.metric]))
        if trainer.sanity_checking or not self._better(value):
            return
        self.value, self.path = value, self._target(trainer)
        trainer.save_checkpoint(self.path)

    def _better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.value is None:
            return True
        return value < self.value if self.mode == "min" else value > self.value

    def _target(self, trainer: pl.Trainer) -> Path:
        folder = getattr(trainer.checkpoint_callback, "dirpath", None)
        if folder is None:
            raise UserError(
                "--best.metric keeps best.ckpt beside the run's other checkpoints, but this run keeps none: add the "
                "callback flowdistill.training.Checkpoints, as configs/trainer/ does"
            )
        return Path(folder) / BEST
