"""Infer the benchmark and task of a submission from its content."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from flowdistill.errors import UserError
from flowdistill.formats import FormatError
from flowdistill.formats.png import GREY, inspect_png
from flowdistill.submission.kinds import KITTI2015_FOLDERS, SINTEL_PASSES, TASKS
from flowdistill.submission.members import Fault, Members
from flowdistill.submission.names import is_junk

_KITTI_NAME = re.compile(r"(\d{6})_\d{2}\.png")
_LAST_OF_2012 = 194
_LOOKED_AT = 8


def guess_benchmark(members: Members) -> str:
    """Return one of `BENCHMARKS`, inferred from the folder names and image numbers.

    Raises UserError if it cannot be inferred.
    """
    names, folders = _names_and_folders(members)
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
        return "flow"
    names, folders = _names_and_folders(members)
    if benchmark == "kitti2015":
        found = [folder for folder in KITTI2015_FOLDERS["sceneflow"] if folder in folders]
        if found:
            tasks = (task for task, wanted in KITTI2015_FOLDERS.items() if found == wanted)
            return next(tasks, "sceneflow")
    # The task of most of the first images: disparity is grey, flow is not.
    grey = colour = 0
    for name in [name for name in names if name.endswith(".png")][:_LOOKED_AT]:
        content = members.read(name)
        if isinstance(content, Fault):
            continue
        try:
            is_grey = inspect_png(name, content).colour_type == GREY
        except FormatError:
            continue
        grey, colour = grey + is_grey, colour + (not is_grey)
    if not grey + colour:
        raise UserError(
            "no image in the submission can be read, so it is unknown whether it is disparity or flow. Set it with "
            f"--task {' or '.join(TASKS['kitti2012'])}"
        )
    return "stereo" if grey > colour else "flow"


def _names_and_folders(members: Members) -> tuple[list[str], set[str]]:
    """Return the files of a submission that the user added, and the names of their folders."""
    names = [name for name in members.names if not is_junk(name)]
    return names, {part for name in names for part in PurePosixPath(name.replace("\\", "/")).parts[:-1]}
