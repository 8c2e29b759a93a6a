"""Run cards of steps other than training: making labels, evaluation, a submission."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from flowdistill.errors import UserError
from flowdistill.tracking.card import RunCard
from flowdistill.tracking.environment import machine, peak_memory, versions
from flowdistill.tracking.git import code_state
from flowdistill.tracking.hashes import file_record, folder_record
from flowdistill.tracking.sections import FileRecord, Split


def now() -> datetime:
    """Return the current time in UTC, as used in run cards."""
    return datetime.now(timezone.utc)


def stage_card(
    name: str,
    command: str | Sequence[str],
    started: datetime,
    metrics: Mapping[str, float] | None = None,
    inputs: Mapping[str, str | Path] | None = None,
    outputs: Mapping[str, str | Path] | None = None,
    config: Mapping[str, Any] | None = None,
    splits: Mapping[str, Split] | None = None,
    seeds: Mapping[str, int | None] | None = None,
    reason: str | None = None,
) -> RunCard:
    """Make the card of a step that ends now; `card_files.write_card` writes it into a folder.

    Args:
        name: of the step.
        command: the command line, as text or as its words.
        started: start time, with time zone (`now()`).
        metrics: name -> number.
        inputs: name -> file or folder that was read; hashed here, which takes about a second per gigabyte.
        outputs: name -> file or folder that was written; hashed, too.
        config: the settings.
        splits: use of the samples -> `splits.combine([splits.source_section(...)])`.
        seeds: name -> seed.
        reason: why the card lacks something, if it does.

    Raises:
        UserError: an input or output does not exist.
    """
    finished = now()
    return RunCard(
        name=name,
        status="completed",
        reason=reason,
        command=command if isinstance(command, str) else shlex.join(command),
        started=started.astimezone(timezone.utc).isoformat(timespec="seconds"),
        finished=finished.isoformat(timespec="seconds"),
        wall_time=(finished - started).total_seconds(),
        code=code_state(),
        versions=versions(),
        machine=machine(),
        seeds=dict(seeds or {}),
        splits=dict(splits or {}),
        inputs={key: _record(key, path) for key, path in (inputs or {}).items()},
        outputs={key: _record(key, path) for key, path in (outputs or {}).items()},
        weights={},
        metrics=dict(metrics or {}),
        memory=peak_memory(torch.device("cuda") if torch.cuda.is_initialized() else None),
        training=None,
        config=dict(config or {}),
    )


def _record(key: str, path: str | Path) -> FileRecord:
    path = Path(path)
    if not path.exists():
        raise UserError(f"run card: {key} is given as {path}, which does not exist")
    return folder_record(path) if path.is_dir() else file_record(path)
