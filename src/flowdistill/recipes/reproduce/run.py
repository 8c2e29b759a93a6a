"""Run the stages: finished ones are skipped, interrupted ones resume.

OUTPUT/STAGE/             a training's runs (version_N/checkpoints/last.ckpt), or a stage's output
OUTPUT/cards/STAGE/       run_card.json, run_card.md
OUTPUT/table.md table.json
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from flowdistill.data.shipped import find
from flowdistill.errors import UserError
from flowdistill.recipes.commands import check_folder, finished, last_checkpoint, render, train
from flowdistill.recipes.reproduce.arguments import NEUTRAL, configs, fit_arguments, merged_config, start_of
from flowdistill.recipes.reproduce.cards import keep_training_card
from flowdistill.recipes.reproduce.needs import check_data
from flowdistill.recipes.reproduce.nodes import announced, announcements, join_trainings, node_rank
from flowdistill.recipes.reproduce.others import RUN_OTHER, labels_are_there
from flowdistill.recipes.reproduce.settings import PROXY, Settings
from flowdistill.recipes.reproduce.stages import TRAININGS, Training, title
from flowdistill.recipes.reproduce.table import write_table

# Rendered data of a smoke run, with the names and numbers of KITTI's frames, so that every stage and split runs
# unchanged: 200 sequences of 21 frames. They do not depend on the seed of the trainings.
SMOKE_DATA = {
    "FlyingThings3D": "--scenes 64 --frames 6 --size 72x144 --layout things --seed 1",
    "kitti2015": "--scenes 200 --frames 21 --size 72x144 --layout kitti2015 --seed 0",
}


def reproduce(settings: Settings, stages: Sequence[str]) -> None:
    """Run the unfinished ones of these stages, and write the table of all finished ones.

    Raises:
        UserError: configs or data are missing, a stage needs one that is not done, or a command failed.
    """
    check_files(settings)
    check_data(settings, stages)
    use_threads(settings)
    check_devices(settings, stages)
    if node_rank(settings) > 0:
        join_trainings(settings, stages)
        return
    with exclusive_lock(settings.output), announcements(settings):
        check_needs(settings, stages)
        for stage in stages:
            print(f"\n=== {stage}: {title(stage)}", flush=True)
            started = time.monotonic()
            if stage in TRAININGS:
                run_training(TRAININGS[stage], settings)
            else:
                RUN_OTHER[stage](settings)
            print(f"=== {stage}: {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
        print("\n" + write_table(settings))
        print(f"table: {settings.output / 'table.md'}, run cards: {settings.output / 'cards'}")


def reproduce_smoke(settings: Settings, stages: Sequence[str]) -> None:
    """Run `reproduce` on rendered data, which is created first.

    Raises:
        UserError: as for `reproduce`.
    """
    check_files(settings)
    with exclusive_lock(settings.data_root):
        for name, options in SMOKE_DATA.items():
            render(settings.data_root / name, options)
        # The test scenes are the training scenes again, because they are not scored.
        testing = settings.kitti / "testing"
        if not testing.is_symlink():
            testing.symlink_to("training", target_is_directory=True)
    reproduce(settings, stages)


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Lock the folder; wait, with a message, while another process holds the lock.

    The kernel releases the lock when the process ends for any reason. Some network file systems do not share locks
    between machines; there, commands on two machines are not mutually exclusive.

    Raises:
        UserError: the folder cannot be created or written to.
    """
    make_folder(folder)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process is using {folder}; waiting for it to finish ...", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_folder(folder: Path) -> None:
    """Create a writable folder. Raises UserError if this is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").touch()
    except OSError as error:
        raise UserError(
            f"OUTPUT={folder}: the folder cannot be created or written to ({error.strerror})"
        ) from error


def use_threads(settings: Settings) -> None:
    """Use several threads for real frames, unless the user sets a number; the default of `commands.run` is one."""
    if not settings.smoke:
        os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // settings.devices, 1)))


def check_files(settings: Settings) -> None:
    """Raise UserError unless every config exists."""
    files = [path for training in TRAININGS.values() for path in configs(training, settings)]
    check_folder("reproduction", files)


def check_devices(settings: Settings, stages: Sequence[str]) -> None:
    """Raise UserError if a training would lack GPUs, instead of hours after the start."""
    wanted = settings.devices
    if settings.smoke or settings.accelerator == "cpu" or not any(stage in TRAININGS for stage in stages):
        return
    if (there := torch.cuda.device_count()) < wanted:
        raise UserError(
            f"DEVICES={wanted}, but this machine has {there} GPUs that torch {torch.__version__} can use. "
            "ACCELERATOR=cpu trains on the CPU; DRY_RUN=1 ACCELERATOR=cpu estimates how long that takes"
        )


def check_needs(settings: Settings, stages: Sequence[str]) -> None:
    """Raise UserError for a stage that needs another one that is neither done nor selected."""
    for stage in stages:
        needs = TRAININGS[stage].needs if stage in TRAININGS else ()
        for need in needs:
            if need in stages or is_done(need, settings):
                continue
            hint = f'STAGES="{need} {stage}"'
            if need == "labels":
                hint += f"; or put labels of your own into {settings.kitti / PROXY} (layout: docs/labels.md)"
            raise UserError(f"{stage} needs {need}, which is not done: {hint}")


def is_done(stage: str, settings: Settings) -> bool:
    """Whether a stage's output exists; labels may have any origin."""
    if stage in TRAININGS:
        return finished(settings.folder(stage)) is not None
    if stage == "labels":
        return labels_are_there(settings)
    return (settings.folder(stage) / "done.json").is_file()


def run_training(training: Training, settings: Settings) -> Path:
    """Run a training unless it is done; return the last checkpoint."""
    folder = settings.folder(training.name)
    before = last_checkpoint(folder)
    if before is not None and finished(folder) is None:
        print(f"resuming from {before}")
    start = start_of(training, settings)
    with announced(folder, settings):
        checkpoint = train(
            folder,
            fit_arguments(training, settings, start),
            files=inputs_of(training, settings, start),
            neutral=NEUTRAL,
        )
    keep_training_card(training.name, settings, checkpoint)
    return checkpoint


def inputs_of(training: Training, settings: Settings, start: Path | None) -> list[Path]:
    """Return the files that define a training besides its configs: initial weights, splits, config of the labels."""
    view = merged_config(training, settings).data.init_args[training.view]
    splits = [find(split) for split in (view.train_split, view.val_split) if find(split).is_file()]
    made_by = settings.kitti / PROXY / "labels.yaml"
    labels = [made_by] if training.labels and made_by.is_file() else []
    return [*([] if start is None else [start]), *splits, *labels]
