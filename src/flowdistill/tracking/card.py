"""Make the card of a step, and write and read cards: JSON for programs, Markdown for people."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.tracking.environment import code_state, machine, peak_memory, versions
from flowdistill.tracking.markdown import to_markdown
from flowdistill.tracking.sections import FORMAT, FileRecord, RunCard, Split, file_record, folder_record

JSON_NAME, MARKDOWN_NAME = "run_card.json", "run_card.md"


def write_card(card: RunCard, folder: str | Path) -> Path:
    """Write run_card.md, then run_card.json, each atomically, into an existing folder; returns the latter."""
    folder = Path(folder)
    content = {"format": FORMAT, **asdict(card)}  # first, for people
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_atomically(folder / MARKDOWN_NAME, to_markdown(card, folder).encode())
    write_atomically(folder / JSON_NAME, text.encode())
    return folder / JSON_NAME


def read_card(path: str | Path) -> RunCard:
    """Read a card from its JSON file, or from the folder that contains it.

    Raises:
        UserError: there is none, it is not a run card, or has another format.
    """
    path = Path(path)
    path = path / JSON_NAME if path.is_dir() else path
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no run card can be read there ({error})") from error
    if not isinstance(stored, dict) or "format" not in stored:
        raise UserError(f"{path} is not a run card: it has no key `format`")
    if stored["format"] != FORMAT:
        raise UserError(
            f"{path} is a run card of format {stored['format']}, but this flowdistill reads {FORMAT}: read it with the "
            "version of flowdistill in its key `versions`"
        )
    expected = {entry.name for entry in fields(RunCard)}
    if missing := sorted(expected - set(stored)):
        raise UserError(f"{path} is not a complete run card: it lacks {', '.join(missing)}")
    if unknown := sorted(set(stored) - expected):
        raise UserError(f"{path} is a run card with unknown keys: {', '.join(unknown)}")
    return RunCard(**stored)


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
    """Make the card of a step that ends now; `write_card` writes it into a folder.

    Args:
        name: of the step.
        command: the command line, as text or as its words.
        started: start time, with time zone (`now()`).
        metrics: name -> number.
        inputs: name -> file or folder that was read; hashed here, which takes about a second per gigabyte.
        outputs: name -> file or folder that was written; hashed, too.
        config: the settings.
        splits: use of the samples -> `combine([source_section(...)])`.
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
