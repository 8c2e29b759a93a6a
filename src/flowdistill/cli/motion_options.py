"""Options and folder reports shared by `flowdistill convert` and `flowdistill picture`."""

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
        help="use only files of this quantity (default: both, detected per file)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="processes (default: 1)")


def check_input(path: Path) -> None:
    """Raise UserError unless the file or folder exists."""
    if not (path.is_file() or path.is_dir()):
        raise UserError(f"there is no file or folder {path} (working directory: {Path.cwd()})")


def folder_result(found: MotionFolder, targets: Targets, failures: list[str]) -> int:
    """Print skipped files and problems; return the exit code: 1 if there are problems."""
    from flowdistill.data.tree import few

    left_alone = (
        (targets.present, "existing, skipped (--overwrite replaces them)"),
        (found.unwanted, "skipped, of the other quantity"),
        (found.others, "skipped, neither flow nor disparity"),
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
