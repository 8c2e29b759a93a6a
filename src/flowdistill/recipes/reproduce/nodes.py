"""Several machines: the first runs every stage, the others take part in the trainings.

The same command is started on each machine, on the first one first, with MASTER_ADDR, MASTER_PORT and NODE_RANK (0, 1,
...) set, and an output folder that all share.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flowdistill.errors import UserError
from flowdistill.recipes.commands import finished, fit_or_resume
from flowdistill.recipes.reproduce.arguments import fit_arguments, start_of
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.sign_of_life import Watch, at_work
from flowdistill.recipes.reproduce.stages import TRAININGS

BEGUN, SIGN = ".begun", ".first_machine"
_POLL = 2.0  # seconds


def node_rank(settings: Settings) -> int:
    """Which machine this is, 0 for a single one.

    Raises:
        UserError: several machines, and no variable says which this is.
    """
    if settings.nodes == 1:
        return 0
    for name in ("NODE_RANK", "GROUP_RANK", "SLURM_NODEID"):
        if (text := os.environ.get(name)) is not None:
            if not text.isdigit() or int(text) >= settings.nodes:
                raise UserError(
                    f"NODES={settings.nodes}: {name} is {text!r}, and must be 0 to {settings.nodes - 1}"
                )
            return int(text)
    raise UserError(
        f"NODES={settings.nodes}: start this command on each machine with MASTER_ADDR, MASTER_PORT and NODE_RANK set "
        "(0 on the first), and an OUTPUT that all of them share"
    )


def join_trainings(settings: Settings, stages: Sequence[str]) -> None:
    """On a machine that is not the first: join the trainings that are left, one after the other.

    Raises:
        UserError: a training failed, or the first machine ended or is silent.
    """
    watch = Watch(settings.output / SIGN, _POLL)
    for stage in stages:
        if stage not in TRAININGS or finished(settings.folder(stage)) is not None:
            continue
        training = TRAININGS[stage]
        begun = settings.folder(stage) / BEGUN
        print(f"waiting for the first machine to begin {stage} ...", flush=True)
        while not begun.is_file():
            watch.wait(f"to begin {stage}")
        start = start_of(training, settings)
        fit_or_resume(settings.folder(stage), fit_arguments(training, settings, start))
        print(f"waiting for the first machine to end {stage} ...", flush=True)
        while finished(settings.folder(stage)) is None:
            watch.wait(f"to end {stage}")


@contextmanager
def announced(folder: Path, settings: Settings) -> Iterator[None]:
    """On the first machine, around a training: tell the others that it begins."""
    if settings.nodes == 1:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    begun = folder / BEGUN
    begun.touch()
    try:
        yield
    finally:
        begun.unlink(missing_ok=True)


@contextmanager
def announcements(settings: Settings) -> Iterator[None]:
    """On the first machine, around all stages: take back what a killed one left, and give the others signs of life."""
    for begun in settings.output.glob(f"*/{BEGUN}"):
        begun.unlink(missing_ok=True)
    if settings.nodes == 1:
        yield
        return
    with at_work(settings.output / SIGN):
        yield
