"""wandb.json in a run's folder: identifies its W&B run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORD = "wandb.json"


def read_record(folder: Path) -> dict[str, Any]:
    """Read id, project, entity and url of a run's W&B run; empty if it has none."""
    try:
        stored = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) and "id" in stored else {}
