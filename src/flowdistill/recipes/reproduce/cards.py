"""Run cards of the stages, all in one place: OUTPUT/cards/STAGE/run_card.json and run_card.md."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from flowdistill.data.datasets import dataset_class, split_entries
from flowdistill.errors import UserError
from flowdistill.recipes.commands import finished, version
from flowdistill.recipes.reproduce.marks import Done
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import DataName
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


def split_record(data: DataName, split: str, settings: Settings) -> Split:
    """Return the card's section for a split of a data set."""
    name, root = settings.layout(data), str(settings.root(data))
    dataset = dataset_class(name)
    entries = split_entries(dataset, root, split, dataset.chosen_options(None))
    return combine([source_section(name, root, split, entries)])


def finished_ones(names: Iterable[str], settings: Settings, done: str, nothing: str) -> dict[str, Path]:
    """Return the finished ones of these trainings with their checkpoints.

    Args:
        names: of trainings.
        settings: of the reproduction.
        done: what is done with them, for the message about the others.
        nothing: the error if there are none.
    """
    found = {name: finished(settings.folder(name)) for name in names}
    if not any(found.values()):
        raise UserError(nothing)
    for name, checkpoint in found.items():
        if checkpoint is None:
            print(f"{name} is not finished and not {done}")
    return {name: checkpoint for name, checkpoint in found.items() if checkpoint is not None}


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
