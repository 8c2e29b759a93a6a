"""Log checkpoints as W&B artifacts, if a logger's `log_model` is set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import WandbLogger

from flowdistill.tracking.card import JSON_NAME, MARKDOWN_NAME
from flowdistill.training import BEST, LAST


class Artifacts(pl.Callback):
    """Logs last.ckpt and best.ckpt with the run card as one artifact, `model-ID`, with aliases `last` and `best`.

    `log_model: true` logs them when the training ends, also by an error; `all` also each time last.ckpt was written
    meanwhile. Lightning's logger supports only its own ModelCheckpoint. Runs on rank 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logged: dict[Path, int] = {}  # modification time of the logged version of a file

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._log(trainer, [logger for logger in _asked(trainer) if logger._log_model == "all"], (LAST,))

    # Runs after the run card's on_fit_end.
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._log(trainer, _asked(trainer), (LAST, BEST))

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._log(trainer, _asked(trainer), (LAST, BEST))

    def _log(self, trainer: pl.Trainer, loggers: list[WandbLogger], names: tuple[str, ...]) -> None:
        folder = getattr(trainer.checkpoint_callback, "dirpath", None)
        if not loggers or folder is None:
            return
        import wandb

        for name in names:
            path = Path(folder, name)
            written = path.stat().st_mtime_ns if path.is_file() else None
            if written is None or self._logged.get(path) == written:
                continue
            self._logged[path] = written
            for logger in loggers:
                metadata = {"file": str(path), "step": trainer.global_step}
                artifact = wandb.Artifact(f"model-{logger.version}", type="model", metadata=metadata)
                # A copy: the file may be replaced while wandb uploads it.
                artifact.add_file(str(path), name=name, policy="mutable")
                for card in (JSON_NAME, MARKDOWN_NAME):
                    if (path.parents[1] / card).is_file():
                        artifact.add_file(str(path.parents[1] / card), name=card, policy="mutable")
                logger.experiment.log_artifact(artifact, aliases=[Path(name).stem])


def _asked(trainer: pl.Trainer) -> list[WandbLogger]:
    if not trainer.is_global_zero:
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger) and logger._log_model]
