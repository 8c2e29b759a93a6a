"""Completion markers of stages with their inputs: a stage with other inputs is not done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flowdistill.formats import write_atomically
from flowdistill.recipes.commands import read_json


def stored(mark: Path, inputs: dict[str, Any]) -> list[list[str]] | None:
    """Return the stage's commands if the marker exists and has the same inputs.

    Raises:
        UserError: the marker is damaged.
    """
    content = read_json(mark)
    if content is None or content.get("inputs") != inputs:
        return None
    commands: list[list[str]] = content["commands"]
    return commands


def leave(mark: Path, inputs: dict[str, Any], commands: list[list[str]]) -> None:
    """Write a marker."""
    mark.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(mark, json.dumps({"inputs": inputs, "commands": commands}, indent=1).encode())
