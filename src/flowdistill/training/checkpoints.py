"""Checkpoints of a run."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint


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
