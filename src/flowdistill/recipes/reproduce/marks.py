"""The mark that a stage leaves when it is done, with what it was done from: other inputs are not the same stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flowdistill.formats import write_atomically
from flowdistill.recipes.commands import read_json


def stored(mark: Path, inputs: dict[str, Any]) -> list[list[str]] | None:
    """The commands that did it, if the mark is there and was made from the same inputs.

    Raises:
        UserError: the mark is damaged.
    """
    content = read_json(mark)
    if content is None or content.get("inputs") != inputs:
        return None
    commands: list[list[str]] = content["commands"]
    return commands


def leave(mark: Path, inputs: dict[str, Any], commands: list[list[str]]) -> None:
    """Leave a mark."""
    mark.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(mark, json.dumps({"inputs": inputs, "commands": commands}, indent=1).encode())
