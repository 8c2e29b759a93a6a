"""What `flowdistill convert` and `flowdistill picture` have in common: options, and what they say of a folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flowdistill.errors import UserError

if TYPE_CHECKING:
    from flowdistill.data.motion_folder import MotionFolder, Targets


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options of both commands."""
    parser.add_argument(
        "--quantity",
        choices=("flow", "disparity"),
        help="take files of this one only (default: both; each file says what it holds)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there already")
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="processes (default: 1)")


def check_input(path: Path) -> None:
    """Raises UserError unless there is such a file or folder."""
    if not (path.is_file() or path.is_dir()):
        raise UserError(f"there is no file or folder {path} (looked from {Path.cwd()})")


def folder_result(found: MotionFolder, targets: Targets, failures: list[str]) -> int:
    """Print what was left alone and what is wrong; returns the exit code: 1 where something is wrong."""
    from flowdistill.data.tree import few

    left_alone = (
        (targets.present, "there already, left as they are (--overwrite replaces them)"),
        (found.unwanted, "left out, of the other quantity"),
        (found.others, "left out, neither flow nor disparity"),
    )
    for paths, what in left_alone:
        if paths:
            print(f"{len(paths)} {what}: {few([str(path) for path in paths])}")
    faults = [*found.faults, *targets.faults, *failures]
    if faults:
        print(f"problems: {len(faults)}", file=sys.stderr)
    for fault in faults:
        print(f"  {fault}", file=sys.stderr)
    return 1 if faults else 0
