"""Checkpoints that are there whole or not at all, also on a disk that is full or cannot be written to."""

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
    """Writes beside the target and renames; notes that the disk does not take a file, in place of ending the run.

    Lightning's own writes into the temporary folder and moves the file, which is a copy where that is another file
    system: a run that is killed meanwhile would leave half a `last.ckpt`, and a full /tmp would end it. Only one
    process writes, so that an exception there would leave the others waiting.

    Attributes:
        failure: why the newest save failed; None if it did not.
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
    """Save a checkpoint; all processes call it, and all learn why it failed, or None.

    Only the disk may fail: then one line says so, what was there before is as it was, and the run can go on.
    """
    trainer.save_checkpoint(path)
    failure = getattr(trainer.strategy.checkpoint_io, "failure", None)
    if trainer.world_size > 1:
        failure = trainer.strategy.broadcast(failure)
    if failure is not None:
        note(
            f"no checkpoint was written at step {trainer.global_step}: {failure}. Those before are as they were; the "
            "run goes on and tries again."
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
            except RuntimeError as error:  # what torch makes of it
                if watched.error is not None:
                    raise watched.error from error
                raise
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


class _Watched:
    """A file that remembers why a write failed."""

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
