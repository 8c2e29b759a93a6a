"""Infer the benchmark and task of a submission from its content."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from flowdistill.errors import UserError
from flowdistill.formats import FormatError
from flowdistill.formats.png import GREY, inspect_png
from flowdistill.submission.kinds import KITTI2012_MOTIONS, KITTI2015_FOLDERS, SINTEL_PASSES
from flowdistill.submission.kinds import TASKS as TASKS_OF
from flowdistill.submission.members import Members, UnreadableMemberError
from flowdistill.submission.names import is_junk

_KITTI_NAME = re.compile(r"(\d{6})_\d{2}\.png")
_LAST_OF_2012 = 194
_LOOKED_AT = 8


def guess_benchmark(members: Members) -> str:
    """Return one of `BENCHMARKS`, inferred from the folder names and image numbers.

    Raises UserError if it cannot be inferred.
    """
    names = [name for name in members.names if not is_junk(name)]
    folders = {part for name in names for part in PurePosixPath(name.replace("\\", "/")).parts[:-1]}
    if folders & set(SINTEL_PASSES):
        return "sintel"
    numbers = [int(match[1]) for name in names if (match := _KITTI_NAME.fullmatch(PurePosixPath(name).name))]
    last = max(numbers, default=None)
    if folders & set(KITTI2015_FOLDERS["sceneflow"]):
        # Exactly the last five of 2015's 200 scenes would be missing: these are 2012's, in a folder named as in 2015.
        return "kitti2012" if last == _LAST_OF_2012 and "disp_1" not in folders else "kitti2015"
    if last is None:
        raise UserError(
            "cannot infer the benchmark from the submission: there is no folder disp_0, disp_1, flow, clean or final, "
            "and no 000000_10.png. Set it with --kind kitti2015, kitti2012 or sintel"
        )
    return "kitti2012" if last <= _LAST_OF_2012 else "kitti2015"


def guess_task(members: Members, benchmark: str) -> str:
    """Return one of the benchmark's `TASKS`.

    Raises UserError if it cannot be inferred.
    """
    if benchmark == "sintel":
        return TASKS_OF[benchmark][0]
    names = [name for name in members.names if not is_junk(name)]
    if benchmark == "kitti2015":
        parts = {part for name in names for part in PurePosixPath(name.replace("\\", "/")).parts[:-1]}
        found = [folder for folder in KITTI2015_FOLDERS["sceneflow"] if folder in parts]
        for task, folders in KITTI2015_FOLDERS.items():
            if found == list(folders):
                return task
        if found:
            return "sceneflow"
    return _task_of_pictures(members, names)


def _task_of_pictures(members: Members, names: list[str]) -> str:
    """Return the task of most of the first images: disparity is grey, flow is not."""
    grey = colour = 0
    for name in [name for name in names if name.endswith(".png")][:_LOOKED_AT]:
        try:
            is_grey = inspect_png(name, members.read(name)).colour_type == GREY
        except (FormatError, UnreadableMemberError):
            continue
        grey, colour = grey + is_grey, colour + (not is_grey)
    if not grey + colour:
        raise UserError(
            "no image in the submission can be read, so it is unknown whether it is disparity or flow. Set it with "
            f"--task {' or '.join(KITTI2012_MOTIONS)}"
        )
    return "stereo" if grey > colour else "flow"
