"""Record a run's checkpoints with their hashes."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from pytorch_lightning.callbacks import Checkpoint

from flowdistill.errors import UserError
from flowdistill.tracking.hashes import file_record
from flowdistill.tracking.sections import CheckpointRecord
from flowdistill.training import LAST, BestCheckpoint


def weights_of(
    folder: Path, checkpoints: Checkpoint | None, best: BestCheckpoint | None
) -> dict[str, CheckpointRecord]:
    """Return records of `last` and `best`, if they exist; paths are relative to `folder` if inside it.

    Raises:
        UserError: one of them is damaged, for example by an interrupted write.
    """
    found: dict[str, CheckpointRecord] = {}
    kept = getattr(checkpoints, "dirpath", None)  # Lightning's own callback has one, too
    if kept is not None:
        last = Path(kept, LAST)
        if last.is_file():
            found["last"] = _record(last, folder)
    if best is not None and best.path is not None and best.path.is_file():
        found["best"] = _record(best.path, folder)
    return found


def _record(path: Path, folder: Path) -> CheckpointRecord:
    path, folder = path.resolve(), folder.resolve()
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    try:
        # Memory-mapped, since only the step is needed.
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__})") from error
    return {**file_record(path), "path": shown.as_posix(), "step": stored.get("global_step")}
