"""`flowdistill picture`: draw flow and disparity as colours."""

from __future__ import annotations

import argparse
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flowdistill.cli.motion_options import add_common, check_input, folder_result
from flowdistill.errors import UserError

if TYPE_CHECKING:
    from flowdistill.formats.motion import Quantity

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_COLOUR = "_colour"


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `picture`."""
    parser = subparsers.add_parser(
        "picture",
        help="draw .flo, .pfm, KITTI's PNG and .npz as colour pictures",
        description="Draw files of flow (colour wheel: the hue is the direction) and disparity (violet is far, red "
        "near) as PNG pictures, and print their colour scales. Invalid pixels are black. Exit code 0: all files were "
        "drawn, 1: some files of a folder were not.",
    )
    parser.add_argument(
        "input", metavar="FILE|FOLDER", type=Path, help="a file, or a folder, which is searched recursively"
    )
    parser.add_argument(
        "--output",
        metavar="OUT",
        type=Path,
        help=f"the picture, or the folder of pictures (default: FILE{_COLOUR}.png, FOLDER{_COLOUR}/)",
    )
    parser.add_argument(
        "--max-flow",
        metavar="PX",
        type=float,
        help="flow magnitude with full colour (default: each file's largest)",
    )
    parser.add_argument(
        "--max-disparity",
        metavar="PX",
        type=float,
        help="disparity of the last colour (default: each file's largest)",
    )
    add_common(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draw, print the scale of each picture and return the exit code."""
    for name in ("max_flow", "max_disparity"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"--{name.replace('_', '-')} is {value}; give a positive number of pixels")
    check_input(options.input)
    draw = partial(
        _draw, quantity=options.quantity, max_flow=options.max_flow, max_disparity=options.max_disparity
    )
    return _draw_folder(options, draw) if options.input.is_dir() else _draw_file(options, draw)


def _draw_file(options: argparse.Namespace, draw: partial[str]) -> int:
    from flowdistill.data.motion_folder import check_output_file
    from flowdistill.formats.image import WRITTEN_SUFFIXES

    source = options.input
    target = options.output or source.with_name(f"{source.stem}{_COLOUR}.png")
    if target.suffix.lower() not in WRITTEN_SUFFIXES:
        target = target / f"{source.stem}.png"
    check_output_file(source, target, options.overwrite)
    print(draw((source, target)))
    return 0


def _draw_folder(options: argparse.Namespace, draw: partial[str]) -> int:
    from flowdistill.data.motion_folder import check_output_folder, find_motions, plan_targets
    from flowdistill.in_order import in_order

    folder = options.input
    named = folder if folder.name.strip(".") else folder.resolve()  # . and .. get no suffix
    output = options.output or Path(f"{named}{_COLOUR}")
    check_output_folder(folder, output)
    found = find_motions(folder, options.quantity, output)
    targets = plan_targets(found, folder, output, ".png", options.overwrite)
    results = in_order(partial(_or_fault, draw), targets.jobs, options.workers, "file", "picture", delay=1)
    for text, fault in results:
        if not fault:
            print(text)
    return folder_result(found, targets, [text for text, fault in results if fault])


def _draw(
    job: tuple[Path, Path], quantity: Quantity | None, max_flow: float | None, max_disparity: float | None
) -> str:
    """Draw one file and return a description of its colours."""
    from flowdistill.formats import write_image
    from flowdistill.formats.atomic import make_parent
    from flowdistill.formats.motion import read_motion
    from flowdistill.visual.motion_picture import motion_picture

    source, target = job
    picture, text = motion_picture(read_motion(source, quantity), max_flow, max_disparity)
    make_parent(target)
    write_image(target, picture)
    return f"{source} -> {target}: {text}"


def _or_fault(draw: partial[str], job: tuple[Path, Path]) -> tuple[str, bool]:
    """Draw one file of a folder; return the description and False, or the error message and True."""
    try:
        return draw(job), False
    except UserError as error:
        return str(error), True
