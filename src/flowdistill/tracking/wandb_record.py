"""wandb.json in a run's folder: identifies its W&B run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowdistill.formats import write_atomically

RECORD = "wandb.json"


def read_record(folder: Path) -> dict[str, Any]:
    """Read id, project, entity and url of a run's W&B run; empty if it has none."""
    try:
        stored = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) and "id" in stored else {}


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record atomically."""
    write_atomically(folder / RECORD, (json.dumps(record, indent=2) + "\n").encode())
