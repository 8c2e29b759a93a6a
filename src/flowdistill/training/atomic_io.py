"""Atomic checkpoint writing that tolerates a full or read-only disk."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from flowdistill.data.notes import note
from flowdistill.disk import refusal


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, then renames; records a failed write instead of raising.

    Lightning's own plugin writes to the temporary folder and moves the file, which is a copy if that folder is on
    another file system: a run killed meanwhile would leave a truncated `last.ckpt`, and a full /tmp would end the run.
    Only one process writes, so an exception there would leave the others waiting.

    Attributes:
        failure: why the latest save failed; None if it succeeded.
    """

    failure: str | None = None

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        self.failure = None
        try:
            _write(checkpoint, Path(path))
        except OSError as error:
            if (reason := refusal(error)) is None:
                raise
            self.failure = f"{path}: {reason}"


def save(trainer: pl.Trainer, path: Path) -> str | None:
    """Save a checkpoint; must be called on all processes. Returns why it failed, or None, on each of them.

    Only disk errors are tolerated: one line reports them, existing files stay unchanged, and the run can continue.
    """
    trainer.save_checkpoint(path)
    failure = getattr(trainer.strategy.checkpoint_io, "failure", None)
    if trainer.world_size > 1:
        failure = trainer.strategy.broadcast(failure)
    if failure is not None:
        note(
            f"no checkpoint was written at step {trainer.global_step}: {failure}. Earlier checkpoints are unchanged; "
            "the run continues and tries again."
        )
    return None if failure is None else str(failure)


def _write(checkpoint: dict[str, Any], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".flowdistill-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("wb") as file:
            watched = _Watched(file)
            try:
                torch.save(checkpoint, cast(Any, watched))
            except RuntimeError as error:  # torch hides the OSError
                if watched.error is not None:
                    raise watched.error from error
                raise
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


class _Watched:
    """A file wrapper that keeps the error of a failed write."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return int(self._file.write(data))
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()
