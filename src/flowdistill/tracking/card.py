"""The run card: which weights were trained on what."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from flowdistill.tracking.sections import (
    CheckpointRecord,
    Code,
    FileRecord,
    Machine,
    Memory,
    Split,
    Training,
    json_values,
)

FORMAT = 1
"""Raised whenever a key changes its name or meaning."""

Status = Literal["completed", "interrupted"]


@dataclass(frozen=True)
class RunCard:
    """What a run or another step did, from what, and what came of it; `sections.py` says what the sections hold.

    All values are as JSON has them (`sections.json_values`), so that a card that is read back equals the one written.
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
            object.__setattr__(self, entry.name, json_values(getattr(self, entry.name)))

    def to_json(self) -> str:
        return (
            json.dumps({"format": FORMAT, **asdict(self)}, indent=2, allow_nan=False, ensure_ascii=False)
            + "\n"
        )
