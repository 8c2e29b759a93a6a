"""Log the whole config, the code's commit and the run's folder to every logger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from flowdistill.tracking.environment import code_state
from flowdistill.training import run_folder


class WholeConfig(pl.Callback):
    """Logs the whole config as hyper-parameters in a `fit`, instead of only the model's.

    Additional keys: `code` (commit, dirty) and `run_folder`.

    Args:
        config: the parsed config of the run, plain values.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = config

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            pl_module._log_hyperparams = False  # Lightning's own logging, of the model's only

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        folder = run_folder(trainer)
        if not trainer.loggers or not trainer.is_global_zero or getattr(trainer, "fast_dev_run", False):
            return
        code = code_state()
        told = {
            **self.config,
            "code": {"commit": code["commit"], "dirty": code["dirty"]},
            "run_folder": str(folder),
        }
        for logger in trainer.loggers:
            logger.log_hyperparams(told)
            logger.save()
