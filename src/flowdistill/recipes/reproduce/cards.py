"""Run cards of the stages, all in one place: OUTPUT/cards/STAGE/run_card.json and run_card.md."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from flowdistill.data import read_split
from flowdistill.errors import UserError
from flowdistill.recipes.commands import version
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.tracking import (
    JSON_NAME,
    RunCard,
    combine,
    file_record,
    now,
    read_card,
    source_section,
    stage_card,
    write_card,
)
from flowdistill.tracking.sections import CheckpointRecord, Split
from flowdistill.training.init_from import read_checkpoint


class Done(NamedTuple):
    """Commands of a part of a stage, and whether they ran just now."""

    commands: list[list[str]]
    is_new: bool


def training_cards(folder: Path) -> list[RunCard]:
    """Read the run cards of all parts of a training in `folder`, newest last."""
    return [read_card(path) for path in sorted(folder.glob(f"version_*/{JSON_NAME}"), key=version)]


def keep_training_card(stage: str, settings: Settings, checkpoint: Path) -> None:
    """Copy a training's card to the folder of all cards, with its final weights.

    A run that was killed between its last checkpoint and its card resumes with nothing to do: then that part's card
    contains little, and the previous one, if any, is used.
    """
    step = int(read_checkpoint(checkpoint, "the last checkpoint")["global_step"])
    weights: dict[str, CheckpointRecord] = {"last": {**file_record(checkpoint), "step": step}}
    found = [card for card in training_cards(settings.folder(stage)) if card.status == "completed"]
    if not found:
        reason = "the run was killed after its last step and before its card was written"
        found = [stage_card(stage, "lightning fit", now(), reason=reason)]
    card = ([card for card in found if card.weights] or found)[-1]
    _write(dataclasses.replace(card, name=stage, weights={**card.weights, **weights}), settings)


def write_stage_card(
    stage: str,
    settings: Settings,
    done: Sequence[Done],
    started: datetime,
    metrics: Mapping[str, float],
    made: Sequence[Path],
    inputs: Mapping[str, Path] | None = None,
    config: Mapping[str, Any] | None = None,
    splits: Mapping[str, Split] | None = None,
) -> None:
    """Write the card of a stage that is not a training: its commands, inputs, metrics and outputs.

    An existing card is kept if no command ran just now.
    """
    if not any(part.is_new for part in done) and (settings.output / "cards" / stage / JSON_NAME).is_file():
        return
    outputs = {str(path.relative_to(path.parents[1])): path for path in made}
    lines = "\n".join(shlex.join(command) for part in done for command in part.commands)
    seeds = {"seed": settings.seed}
    _write(stage_card(stage, lines, started, metrics, inputs, outputs, config, splits, seeds), settings)


def kitti_split(settings: Settings, split: str) -> Split:
    """Return the card's section for a split of KITTI."""
    return combine([source_section("kitti2015", str(settings.kitti), split, read_split(split))])


def median_step(card: RunCard) -> float:
    """Return the median seconds per training step. Raises UserError if too few steps were timed."""
    median = None if card.training is None else card.training["step_time"]["median"]
    if median is None:
        raise UserError(f"{card.name}: too few steps were timed")
    return median


def _write(card: RunCard, settings: Settings) -> None:
    folder = settings.output / "cards" / card.name
    folder.mkdir(parents=True, exist_ok=True)
    write_card(card, folder)
