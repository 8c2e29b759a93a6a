"""Labels of DDFlow's teacher for its student, as in the released code: flow of whole frames, written to files.

OUTPUT/STAGE/data/           a data folder: links to everything in the student's, and
OUTPUT/STAGE/data/labels/    the labels, which `labels=labels` in a split reads
OUTPUT/STAGE/split.txt       the student's pairs with `labels=labels`
OUTPUT/STAGE/parts/          the pairs in parts of `PART`, each with its completion marker

The links leave the user's data folder as it is, and keep the labels of several outputs apart.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from flowdistill.data.datasets import dataset_class, split_entries
from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.recipes import commands
from flowdistill.recipes.commands import finished, read_json
from flowdistill.recipes.reproduce.arguments import label_arguments, merged_config
from flowdistill.recipes.reproduce.cards import split_record, write_stage_card
from flowdistill.recipes.reproduce.marks import LIGHTNING, Done, leave, stored
from flowdistill.recipes.reproduce.settings import Settings
from flowdistill.recipes.reproduce.stages import TEACHER_LABELS, TRAININGS, TeacherLabels
from flowdistill.tracking import file_record, now

LABELS = "labels"
PART = 1000  # pairs: a killed stage repeats at most this many
SMOKE_PAIRS = 240


def make_teacher_labels(settings: Settings, stage: str) -> None:
    """Predict the student's pairs with its teacher; finished parts are skipped.

    Raises:
        UserError: the teacher is not finished, or links cannot be created.
    """
    what = TEACHER_LABELS[stage]
    checkpoint = finished(settings.folder(what.teacher))
    if checkpoint is None:
        raise UserError(f'{stage} needs {what.teacher}, which is not done: STAGES="{what.teacher} {stage}"')
    started, entries = now(), pairs(what, settings)
    folder, root = settings.folder(stage), linked_root(what, settings)
    split, parts, labels = folder / "split.txt", folder / "parts", root / LABELS
    inputs = _inputs(what, settings, checkpoint)
    if stored(folder / "done.json", inputs | {"pairs": len(entries)}) is not None and labels.is_dir():
        print(f"done before: {labels}")
        return
    (folder / "done.json").unlink(missing_ok=True)
    if not labels.is_dir():  # deleted by the user: no part is done any more
        shutil.rmtree(parts, ignore_errors=True)
    done = []
    for number in range(0, len(entries), PART):
        mark, part = parts / f"{number:06d}.json", parts / f"{number:06d}.txt"
        lines = "".join(f"{entry.line}\n" for entry in entries[number : number + PART])
        mine: dict[str, Any] = inputs | {"pairs": lines}
        before = stored(mark, mine)
        devices = min(settings.each, len(entries) - number)
        command = ["predict", *label_arguments(what, settings, checkpoint, part, devices, labels)]
        if before is None:
            parts.mkdir(parents=True, exist_ok=True)
            write_atomically(part, lines.encode())
            commands.run(LIGHTNING, command)
            leave(mark, mine, [command])
        done.append(Done(before or [command], before is None))
    lines = "".join(f"{entry.line} labels={LABELS}\n" for entry in entries)
    write_atomically(split, f"# {stage}: the pairs of {what.student}\n{lines}".encode())
    ran = [command for part in done for command in part.commands]
    record = {"labelled": split_record(TRAININGS[what.student].data, str(split), settings)}
    write_stage_card(stage, settings, done, started, {}, [split], {what.teacher: checkpoint}, splits=record)
    leave(folder / "done.json", inputs | {"pairs": len(entries)}, ran)


def labels_are_current(settings: Settings, stage: str) -> bool:
    """Whether the labels are complete, and of the teacher's present weights and data."""
    what = TEACHER_LABELS[stage]
    folder = settings.folder(stage)
    checkpoint, mark = finished(settings.folder(what.teacher)), read_json(folder / "done.json")
    if checkpoint is None or mark is None or not (folder / "data" / LABELS).is_dir():
        return False
    made_from: dict[str, Any] = mark["inputs"]
    return made_from == {**_inputs(what, settings, checkpoint), "pairs": made_from["pairs"]}


def _inputs(what: TeacherLabels, settings: Settings, checkpoint: Path) -> dict[str, str]:
    data = settings.root(TRAININGS[what.student].data)
    return {"weights": file_record(checkpoint)["sha256"], "data": str(data.resolve())}


def pairs(what: TeacherLabels, settings: Settings) -> list[SplitEntry]:
    """Return the student's training pairs; a smoke run takes some of them, evenly spaced."""
    student = TRAININGS[what.student]
    dataset = dataset_class(settings.layout(student.data))
    split = merged_config(student, settings).data.init_args[student.view].train_split
    root = str(settings.root(student.data))
    entries = split_entries(dataset, root, split, dataset.chosen_options(None))
    return entries[:: max(1, len(entries) // SMOKE_PAIRS)] if settings.smoke else entries


def linked_root(what: TeacherLabels, settings: Settings) -> Path:
    """Return a data folder with links to everything in the student's data folder, and a place for the labels.

    Raises:
        UserError: links cannot be created.
    """
    root = settings.folder(what.name) / "data"
    real = settings.root(TRAININGS[what.student].data).resolve()
    try:
        root.mkdir(parents=True, exist_ok=True)
        for link in root.iterdir():
            if link.is_symlink():  # the data may have been moved
                link.unlink()
        for item in real.iterdir():
            if item.name != LABELS:
                (root / item.name).symlink_to(item)
    except OSError as error:
        raise UserError(
            f"{root}: links to the content of {real} cannot be created ({error.strerror or error}); choose "
            "an OUTPUT on a file system with symbolic links"
        ) from error
    return root
