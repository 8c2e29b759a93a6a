"""`flowdistill picture`: draw flow and disparity as colours."""

from __future__ import annotations

import argparse
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flowdistill.cli.motion_options import add_common, check_input, folder_result, work_on_folder
from flowdistill.cli.parsers import Commands, add_command, add_path
from flowdistill.errors import UserError

if TYPE_CHECKING:
    from flowdistill.formats.motion import Quantity

_COLOUR = "_colour"


def add_parser(commands: Commands) -> None:
    """Add the command `picture`."""
    parser = add_command(commands, "picture", run, "draw .flo, .pfm, KITTI's PNG and .npz as colour pictures")
    add_path(parser, "input", "FILE|FOLDER", "a file, or a folder, which is searched recursively")
    output = f"the picture, or the folder of pictures (default: FILE{_COLOUR}.png, FOLDER{_COLOUR}/)"
    add_path(parser, "--output", "OUT", output)
    for name, what in (
        ("--max-flow", "flow magnitude with full colour"),
        ("--max-disparity", "disparity of the last colour"),
    ):
        parser.add_argument(name, metavar="PX", type=float, help=f"{what} (default: each file's largest)")
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Draw files of flow (colour wheel: the hue is the direction) and disparity (violet is far, red near) as PNG
    pictures, and print their colour scales. Invalid pixels are black. Exit code 0: all files were drawn, 1: some files
    of a folder were not.
    """
    for name in ("max_flow", "max_disparity"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"--{name.replace('_', '-')} is {value}; give a positive number of pixels")
    check_input(options.input)
    limits = (options.max_flow, options.max_disparity)
    draw = partial(_draw, quantity=options.quantity, limits=limits)
    return _draw_folder(options, draw) if options.input.is_dir() else _draw_file(options, draw)


def _draw_file(options: argparse.Namespace, draw: partial[str]) -> int:
    from flowdistill.data.motion_folder import check_output_file
    from flowdistill.formats.image import WRITTEN_SUFFIXES

    source = options.input
    target = options.output or source.with_name(f"{source.stem}{_COLOUR}.png")
    if target.suffix.lower() not in WRITTEN_SUFFIXES:
        target = target / f"{source.stem}.png"
    check_output_file(source, target, options.overwrite)
    print(draw(source, target))
    return 0


def _draw_folder(options: argparse.Namespace, draw: partial[str]) -> int:
    from flowdistill.data.motion_folder import check_output_folder, find_motions, plan_targets

    folder = options.input
    named = folder if folder.name.strip(".") else folder.resolve()  # . and .. get no suffix
    output = options.output or Path(f"{named}{_COLOUR}")
    check_output_folder(folder, output)
    found = find_motions(folder, options.quantity, output)
    targets = plan_targets(found, folder, output, ".png", options.overwrite)
    texts, errors = work_on_folder(draw, targets.jobs, options.workers, "picture")
    for text in texts.values():
        print(text)
    return folder_result(found, targets, errors)


def _draw(source: Path, target: Path, quantity: Quantity | None, limits: tuple[float | None, ...]) -> str:
    """Draw one file and return a description of its colours."""
    from flowdistill.formats import write_image
    from flowdistill.formats.atomic import make_parent
    from flowdistill.formats.motion import read_motion
    from flowdistill.visual.motion_picture import motion_picture

    picture, text = motion_picture(read_motion(source, quantity), *limits)
    make_parent(target)
    write_image(target, picture)
    return f"{source} -> {target}: {text}"
