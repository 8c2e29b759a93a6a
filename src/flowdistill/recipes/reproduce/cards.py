"""Run cards of the stages, all in one place: OUTPUT/cards/STAGE/run_card.json and run_card.md."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from flowdistill.errors import UserError
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.tracking import JSON_NAME, RunCard, read_card, stage_card


def newest_training_card(folder: Path) -> RunCard:
    """The card that the last `lightning fit` in `folder` left.

    Raises:
        UserError: there is none.
    """
    cards = sorted(
        folder.glob(f"version_*/{JSON_NAME}"), key=lambda path: int(path.parent.name.partition("_")[2])
    )
    if not cards:
        raise UserError(
            f"no training in {folder} left a run card: it was killed at its very end; start again"
        )
    # A run that was killed between its last checkpoint and its mark is resumed with nothing to do and has no weights.
    read = [read_card(path) for path in cards]
    return next((card for card in reversed(read) if card.weights), read[-1])


def keep_training_card(stage: str, settings: Settings) -> None:
    """Put a training's newest card where all cards are."""
    card = dataclasses.replace(newest_training_card(settings.folder(stage)), name=stage)
    _write(card, settings)


def has_card(stage: str, settings: Settings) -> bool:
    """Whether a stage's card is there."""
    return (settings.output / "cards" / stage / JSON_NAME).is_file()


def write_stage_card(
    stage: str,
    settings: Settings,
    commands: Sequence[Sequence[str]],
    started: datetime,
    metrics: Mapping[str, float],
    made: Sequence[Path],
) -> None:
    """The card of a stage that is no training: what it ran, found and made."""
    outputs = {str(path.relative_to(path.parents[1])): path for path in made}
    lines = "\n".join(shlex.join(command) for command in commands)
    _write(
        stage_card(stage, lines, started, metrics, outputs=outputs, seeds={"seed": settings.seed}), settings
    )


def _write(card: RunCard, settings: Settings) -> None:
    folder = settings.output / "cards" / card.name
    folder.mkdir(parents=True, exist_ok=True)
    card.write(folder)
