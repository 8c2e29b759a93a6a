"""Completion markers of stages that are not trainings: the inputs, and the commands that ran."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from flowdistill.formats import write_atomically
from flowdistill.recipes import commands as recipe_commands
from flowdistill.recipes.commands import read_json

FLOWDISTILL, LIGHTNING = "flowdistill.cli.flowdistill", "flowdistill.cli.lightning"


class Done(NamedTuple):
    """Commands of a part of a stage, and whether they ran just now."""

    commands: list[list[str]]
    is_new: bool


def once(mark: Path, inputs: dict[str, Any], commands: list[list[str]], made: Path, exists: bool) -> Done:
    """Run commands unless their completion marker has the same inputs and the output exists.

    Args:
        mark: the completion marker.
        inputs: what the output depends on.
        commands: `lightning predict`, or of `flowdistill`.
        made: the output; one that is incomplete, or of other inputs, is deleted.
        exists: whether it is complete.
    """
    before = stored(mark, inputs)
    if before is not None and exists:
        print(f"done before: {made}")
        return Done(before, False)
    if made.is_dir():
        shutil.rmtree(made)
    made.unlink(missing_ok=True)
    mark.parent.mkdir(parents=True, exist_ok=True)
    for command in commands:
        recipe_commands.run(LIGHTNING if command[0] == "predict" else FLOWDISTILL, command)
    leave(mark, inputs, commands)
    return Done(commands, True)


def stored(mark: Path, inputs: dict[str, Any]) -> list[list[str]] | None:
    """Return a stage's commands if its completion marker exists and has the same inputs.

    Raises:
        UserError: the marker is damaged.
    """
    content = read_json(mark)
    if content is None or content.get("inputs") != inputs:
        return None
    commands: list[list[str]] = content["commands"]
    return commands


def leave(mark: Path, inputs: dict[str, Any], commands: list[list[str]]) -> None:
    """Write a completion marker."""
    mark.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(mark, json.dumps({"inputs": inputs, "commands": commands}, indent=1).encode())
