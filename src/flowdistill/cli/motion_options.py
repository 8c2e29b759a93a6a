"""Options and folder reports shared by `flowdistill convert` and `flowdistill picture`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from flowdistill.cli.parsers import add_number
from flowdistill.errors import UserError

if TYPE_CHECKING:
    from flowdistill.data.motion_folder import MotionFolder, Targets

Result = TypeVar("Result")


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options of both commands."""
    quantity = "use only files of this quantity (default: both, detected per file)"
    parser.add_argument("--quantity", choices=("flow", "disparity"), help=quantity)
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    add_number(parser, "--workers", 1, "processes")


def check_input(path: Path) -> None:
    """Raise UserError unless the file or folder exists."""
    if not (path.is_file() or path.is_dir()):
        raise UserError(f"there is no file or folder {path} (working directory: {Path.cwd()})")


def work_on_folder(
    work: Callable[[Path, Path], Result], jobs: list[tuple[Path, Path]], workers: int, title: str
) -> tuple[dict[Path, Result], list[str]]:
    """Call `work` for each source and target; return the results by source, and the messages of the errors."""
    from flowdistill.in_order import in_order

    outcomes = in_order(partial(_result_or_error, work), jobs, workers, "file", title, delay=1)
    results, errors = {}, []
    for (source, _), outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, UserError):
            errors.append(str(outcome))
        else:
            results[source] = outcome
    return results, errors


def _result_or_error(work: Callable[[Path, Path], Result], job: tuple[Path, Path]) -> Result | UserError:
    try:
        return work(*job)
    except UserError as error:
        return error


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
