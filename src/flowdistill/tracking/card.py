"""The run card: provenance of a run's weights or of a step's results."""

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
"""Increased whenever a key changes its name or meaning."""

Status = Literal["completed", "interrupted"]


@dataclass(frozen=True)
class RunCard:
    """Record of a run or another step: inputs, settings and results; see `sections.py` for the sections.

    All values are JSON values (`sections.json_values`), so that a card that is read back equals the one written.
    """

    name: str
    status: Status
    reason: str | None
    """Why it was interrupted, or why the card lacks something."""
    command: str
    started: str
    """ISO 8601, in UTC, like `finished`. For a resumed run: its first start."""
    finished: str
    wall_time: float
    """Seconds. For a resumed run: of all parts, without what a killed part did after its last checkpoint."""
    code: Code
    versions: dict[str, str | None]
    machine: Machine
    seeds: dict[str, int | None]
    splits: dict[str, Split]
    """By use: train, val."""
    inputs: dict[str, FileRecord]
    """Files and folders that the step read: for `lightning fit` the checkpoints named in the model's config."""
    outputs: dict[str, FileRecord]
    """Files and folders that it wrote, other than weights."""
    weights: dict[str, CheckpointRecord]
    """last and best, if they exist."""
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
