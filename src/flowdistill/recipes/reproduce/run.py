"""Running the stages: what is done is not redone, what was broken off goes on.

OUTPUT/STAGE/             a training's runs (version_N/checkpoints/last.ckpt), or what a stage made
OUTPUT/cards/STAGE.json STAGE.md
OUTPUT/table.md table.json
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from flowdistill.errors import UserError
from flowdistill.recipes.commands import check_folder, finished, last_checkpoint, train
from flowdistill.recipes.reproduce.arguments import configs, fit_arguments
from flowdistill.recipes.reproduce.cards import keep_training_card
from flowdistill.recipes.reproduce.lock import alone_in
from flowdistill.recipes.reproduce.needs import check_data
from flowdistill.recipes.reproduce.nodes import node_rank, take_part
from flowdistill.recipes.reproduce.others import run_other
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.smoke import render_data
from flowdistill.recipes.reproduce.stages import TRAININGS, Training, title
from flowdistill.recipes.reproduce.table import write_table


def reproduce(settings: Settings, stages: Sequence[str]) -> None:
    """Run these stages, as far as they are not done, and write the table of all that are.

    Raises:
        UserError: not started in the repository's root, data are missing, a stage needs one that is not done, or a
            command failed.
    """
    check_files(settings)
    check_data(settings, stages)
    check_devices(settings, stages)
    if node_rank(settings) > 0:
        take_part(settings, stages)
        return
    with alone_in(settings.output):
        check_needs(settings, stages)
        for stage in stages:
            print(f"\n=== {stage}: {title(stage)}", flush=True)
            started = time.monotonic()
            if stage in TRAININGS:
                run_training(TRAININGS[stage], settings)
            else:
                run_other(stage, settings)
            print(f"=== {stage}: {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
        print("\n" + write_table(settings))
        print(f"table: {settings.output / 'table.md'}, run cards: {settings.output / 'cards'}")


def reproduce_smoke(settings: Settings, stages: Sequence[str]) -> None:
    """The same on rendered data, which is made first.

    Raises:
        UserError: as `reproduce`.
    """
    check_files(settings)
    with alone_in(settings.data_root):
        render_data(settings.data_root)
    reproduce(settings, stages)


def check_files(settings: Settings) -> None:
    """Raises UserError unless every config of the repository is here."""
    files = [path for training in TRAININGS.values() for path in configs(training, settings)]
    check_folder("reproduction", files)


def check_devices(settings: Settings, stages: Sequence[str]) -> None:
    """Raises UserError where a training would not find its GPUs, hours after the start."""
    wanted = settings.devices
    if settings.smoke or settings.accelerator == "cpu" or not any(stage in TRAININGS for stage in stages):
        return
    if (there := torch.cuda.device_count()) < wanted:
        raise UserError(
            f"DEVICES={wanted}, and this machine has {there} GPUs that torch {torch.__version__} can use. "
            "ACCELERATOR=cpu trains on the CPU; DRY_RUN=1 ACCELERATOR=cpu says how long that takes"
        )


def check_needs(settings: Settings, stages: Sequence[str]) -> None:
    """Raises UserError for a stage that needs another which is neither done nor picked."""
    for stage in stages:
        needs = TRAININGS[stage].needs if stage in TRAININGS else ()
        for need in needs:
            if need not in stages and not is_done(need, settings):
                raise UserError(f'{stage} needs {need}, which is not done: STAGES="{need} {stage}"')


def is_done(stage: str, settings: Settings) -> bool:
    """Whether a stage left its mark."""
    return (settings.folder(stage) / "done.json").is_file()


def run_training(training: Training, settings: Settings) -> Path:
    """Fit, unless it is done; returns the last checkpoint."""
    start = None if training.start is None else finished(settings.folder(training.start))
    folder = settings.folder(training.name)
    arguments = fit_arguments(training, settings, start)
    before = last_checkpoint(folder)
    if before is not None and not is_done(training.name, settings):
        print(f"going on from {before}")
    checkpoint = train(folder, arguments, files=[] if start is None else [start])
    keep_training_card(training.name, settings)
    return checkpoint
