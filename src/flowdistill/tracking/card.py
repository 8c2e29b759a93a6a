"""The run card: which weights were trained on what. JSON for programs, Markdown for people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.tracking.markdown import to_markdown
from flowdistill.tracking.sections import (
    CheckpointRecord,
    Code,
    FileRecord,
    Machine,
    Memory,
    Split,
    Training,
    plain,
)

JSON_NAME, MARKDOWN_NAME = "run_card.json", "run_card.md"
FORMAT = 1
"""Raised whenever a key changes its name or meaning."""

Status = Literal["completed", "interrupted"]


@dataclass(frozen=True)
class RunCard:
    """What a run or another step did, from what, and what came of it; `sections.py` says what the sections hold.

    All values are as JSON has them (`sections.plain`), so that a card that is read back equals the one written.
    """

    name: str
    status: Status
    reason: str | None
    """Why it was interrupted, or why the card lacks something."""
    command: str
    started: str
    """ISO 8601, in UTC, as `finished`. Of a resumed run: when it was started first."""
    finished: str
    wall_time: float
    """Seconds. Of a resumed run: of all its parts; what a killed part did after its last checkpoint does not count."""
    code: Code
    versions: dict[str, str | None]
    machine: Machine
    seeds: dict[str, int | None]
    splits: dict[str, Split]
    """By what they are for: train, val."""
    inputs: dict[str, FileRecord]
    """Files and folders that the step read: for `lightning fit` the checkpoints that the model's config names."""
    outputs: dict[str, FileRecord]
    """Files and folders that it wrote, beside weights."""
    weights: dict[str, CheckpointRecord]
    """last and best, as far as they exist."""
    metrics: dict[str, float | str]
    memory: Memory
    training: Training | None
    config: dict[str, Any]
    format: int = field(default=FORMAT)

    def __post_init__(self) -> None:
        for entry in fields(self):
            object.__setattr__(self, entry.name, plain(getattr(self, entry.name)))

    def to_json(self) -> str:
        return (
            json.dumps({"format": FORMAT, **asdict(self)}, indent=2, allow_nan=False, ensure_ascii=False)
            + "\n"
        )

    def to_markdown(self) -> str:
        return to_markdown(self)

    def write(self, folder: str | Path) -> Path:
        """Write run_card.md, then run_card.json, each atomically, into a folder that is there; returns the latter."""
        folder = Path(folder)
        write_atomically(folder / MARKDOWN_NAME, self.to_markdown().encode())
        write_atomically(folder / JSON_NAME, self.to_json().encode())
        return folder / JSON_NAME


def read_card(path: str | Path) -> RunCard:
    """A card from its JSON file, or from the folder that holds one.

    Raises:
        UserError: there is none, it is no run card, or one of another format.
    """
    path = Path(path)
    path = path / JSON_NAME if path.is_dir() else path
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no run card can be read there ({error})") from error
    if not isinstance(stored, dict) or "format" not in stored:
        raise UserError(f"{path} is no run card: it has no key `format`")
    if stored["format"] != FORMAT:
        raise UserError(
            f"{path} is a run card of format {stored['format']}, and this flowdistill reads {FORMAT}: read it with the "
            "flowdistill that its key `versions` names"
        )
    expected = {entry.name for entry in fields(RunCard)}
    if missing := sorted(expected - set(stored)):
        raise UserError(f"{path} is no whole run card: it lacks {', '.join(missing)}")
    if unknown := sorted(set(stored) - expected):
        raise UserError(f"{path} is a run card with unknown keys: {', '.join(unknown)}")
    return RunCard(**stored)
