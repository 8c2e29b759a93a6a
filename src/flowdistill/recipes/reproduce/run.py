"""Run the stages: finished ones are skipped, interrupted ones resume.

OUTPUT/STAGE/             a training's runs (version_N/checkpoints/last.ckpt), or a stage's output
OUTPUT/cards/STAGE/       run_card.json, run_card.md
OUTPUT/table.md table.json
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container, Sequence
from functools import partial
from pathlib import Path

import torch

from flowdistill.data.shipped import find
from flowdistill.errors import UserError
from flowdistill.recipes.commands import check_folder, finished, last_checkpoint, train
from flowdistill.recipes.reproduce.arguments import (
    configs,
    fit_arguments,
    merged_config,
    neutral,
    record_start,
    start_of,
    start_stage,
)
from flowdistill.recipes.reproduce.cards import keep_training_card
from flowdistill.recipes.reproduce.lock import exclusive_lock
from flowdistill.recipes.reproduce.needs import check_data
from flowdistill.recipes.reproduce.nodes import announced, announcements, join_trainings, node_rank
from flowdistill.recipes.reproduce.prepare import check, labels
from flowdistill.recipes.reproduce.requirements import check_needs, needs_of
from flowdistill.recipes.reproduce.score import evaluate
from flowdistill.recipes.reproduce.settings import PROXY, Settings
from flowdistill.recipes.reproduce.stages import (
    CHECKED,
    EVALUATED,
    SUBMITTED,
    TEACHER_LABELS,
    TRAININGS,
    Name,
    Training,
    title,
)
from flowdistill.recipes.reproduce.submissions import submit
from flowdistill.recipes.reproduce.table import write_table
from flowdistill.recipes.reproduce.teacher_labels import make_teacher_labels
from flowdistill.recipes.side_by_side import as_needed, cores


def reproduce(settings: Settings, stages: Sequence[str], reproduction: Name = "kitti") -> None:
    """Run the unfinished ones of these stages, and write the table of all finished ones.

    On several devices, stages that do not need each other run side by side (`Settings.places`).

    Raises:
        UserError: configs or data are missing, a stage needs one that is not done, or a command failed.
    """
    check_files(settings)
    if not settings.smoke:  # which renders what it reads
        check_data(settings, stages, reproduction)
    use_threads(settings)
    check_devices(settings, stages)
    if node_rank(settings) > 0:
        join_trainings(settings, stages)
        return
    with exclusive_lock(settings.output), announcements(settings):
        check_needs(settings, stages)
        if settings.root("things").name == "FlyingThings3D" and "pretrain" in stages and not settings.smoke:
            print(STAND_IN)
        jobs = {stage: partial(run_stage, stage, settings, stages) for stage in stages}
        as_needed(jobs, {stage: needs_of(stage, settings, stages) for stage in stages}, settings.places)
        text, file = write_table(settings, reproduction)
        print(f"\n{text}\ntable: {file}, run cards: {settings.output / 'cards'}")


#: The published pre-training reads the subset.
STAND_IN = (
    "note: the original FlyingThings3D stands in for the subset that the released code reads, which leaves out pairs; "
    "for the published training, put the subset into DATA_ROOT/FlyingThings3D_subset"
)


def run_stage(stage: str, settings: Settings, stages: Sequence[str]) -> None:
    """Run the unfinished part of a stage."""
    print(f"\n=== {stage}: {title(stage)}", flush=True)
    started = time.monotonic()
    if stage in TRAININGS:
        run_training(TRAININGS[stage], settings, stages)
    elif stage in TEACHER_LABELS:
        make_teacher_labels(settings, stage)
    elif stage == "labels":
        labels(settings)
    else:
        kinds: list[tuple[Container[str], Callable[[Settings, str], None]]] = [
            (CHECKED, check), (EVALUATED, evaluate), (SUBMITTED, submit)
        ]  # fmt: skip
        next(run for members, run in kinds if stage in members)(settings, stage)
    print(f"=== {stage}: {(time.monotonic() - started) / 60:.1f} minutes", flush=True)


def use_threads(settings: Settings) -> None:
    """Use several threads for real frames, unless the user sets a number; the default of `commands.run` is one."""
    if not settings.smoke:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(cores() // settings.devices, 1)))


def check_files(settings: Settings) -> None:
    """Raise UserError unless every config exists."""
    files = [path for training in TRAININGS.values() for path in configs(training, settings)]
    check_folder("reproduction", files)


def check_devices(settings: Settings, stages: Sequence[str]) -> None:
    """Raise UserError if a training would lack GPUs, instead of hours after the start."""
    wanted = settings.devices
    trains = any(stage in TRAININGS or stage in TEACHER_LABELS for stage in stages)
    if settings.smoke or settings.accelerator == "cpu" or not trains:
        return
    if (there := torch.cuda.device_count()) < wanted:
        raise UserError(
            f"DEVICES={wanted}, but this machine has {there} GPUs that torch {torch.__version__} can use. "
            "ACCELERATOR=cpu trains on the CPU; DRY_RUN=1 ACCELERATOR=cpu estimates how long that takes"
        )


def run_training(training: Training, settings: Settings, stages: Sequence[str] = ()) -> Path:
    """Run a training unless it is done; return the last checkpoint."""
    folder = settings.folder(training.name)
    before, done = last_checkpoint(folder), finished(folder)
    if before is not None and done is None:
        print(f"resuming from {before}")
    start = start_of(training, settings, stages)
    source = start_stage(training, settings, stages)
    if source is not None and before is None and done is None:
        record_start(training, settings, source)
    with announced(folder, settings):
        checkpoint = train(
            folder,
            fit_arguments(training, settings, start),
            files=inputs_of(training, settings, start),
            neutral=neutral(training),
        )
    keep_training_card(training.name, settings, checkpoint)
    return checkpoint


def inputs_of(training: Training, settings: Settings, start: Path | None) -> list[Path]:
    """Return the files that define a training besides its configs: initial weights, splits, config of the labels."""
    view = merged_config(training, settings).data.init_args[training.view]
    train_split = find(view.train_split)
    if training.labels in TEACHER_LABELS:
        train_split = settings.folder(str(training.labels)) / "split.txt"
    made_by = [settings.root("kitti") / PROXY / "labels.yaml"] if training.labels == "labels" else []
    files = [*([] if start is None else [start]), train_split, find(view.val_split), *made_by]
    return [
        file for file in files if file.is_file()
    ]  # a split may be a word, and labels may have another origin
