"""The mark that a stage leaves when it is done, with what it was done from: other inputs are not the same stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flowdistill.formats import write_atomically


def stored(mark: Path, inputs: dict[str, Any]) -> dict[str, Any] | None:
    """The result behind a mark, if it is there and was made from the same inputs."""
    if not mark.is_file():
        return None
    content = json.loads(mark.read_text())
    if content.get("inputs") != inputs:
        return None
    result: dict[str, Any] = content["result"]
    return result


def leave(mark: Path, inputs: dict[str, Any], result: dict[str, Any]) -> None:
    """Leave a mark."""
    mark.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(mark, json.dumps({"inputs": inputs, "result": result}, indent=1).encode())
