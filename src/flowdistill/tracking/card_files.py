"""Read and write run cards: JSON for programs, Markdown for people."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.tracking.card import FORMAT, RunCard
from flowdistill.tracking.markdown import to_markdown

JSON_NAME, MARKDOWN_NAME = "run_card.json", "run_card.md"


def write_card(card: RunCard, folder: str | Path) -> Path:
    """Write run_card.md, then run_card.json, each atomically, into an existing folder; returns the latter."""
    folder = Path(folder)
    write_atomically(folder / MARKDOWN_NAME, to_markdown(card, folder).encode())
    write_atomically(folder / JSON_NAME, card.to_json().encode())
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
