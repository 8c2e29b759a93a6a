"""`flowdistill convert`: convert flow and disparity between file formats."""

from __future__ import annotations

import argparse
from collections import Counter
from functools import partial, reduce
from operator import add
from typing import TYPE_CHECKING

from flowdistill.cli.motion_options import add_common, check_input, folder_result, work_on_folder
from flowdistill.cli.parsers import Commands, add_command, add_path
from flowdistill.errors import UserError

if TYPE_CHECKING:
    from flowdistill.formats.conversion import Conversion

# Copy of `formats.motion.SUFFIXES`, so that --help need not import the readers.
FORMATS = ("flo", "pfm", "png", "npz")


def add_parser(commands: Commands) -> None:
    """Add the command `convert`."""
    about = "convert flow and disparity between .flo, .pfm, KITTI's PNG and .npz"
    parser = add_command(commands, "convert", run, about)
    add_path(parser, "input", "IN", "a file, or a folder, which is searched recursively")
    add_path(parser, "output", "OUT", "a file, whose suffix sets the format, or a folder")
    parser.add_argument("--to", choices=FORMATS, help="the target format, for a folder")
    negate = "flip the sign of disparities: FlyingThings3D's subset stores them negative, KITTI positive"
    parser.add_argument("--negate-disparities", action="store_true", help=negate)
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """Convert a flow or disparity file, or all files of a folder, between .flo, .pfm, KITTI's 16-bit PNG and .npz, and
    report losses. Exit code 0: all files were converted, 1: some files of a folder were not.
    """
    check_input(options.input)
    return _convert_folder(options) if options.input.is_dir() else _convert_file(options)


def _convert_file(options: argparse.Namespace) -> int:
    from flowdistill.data.motion_folder import check_output_file
    from flowdistill.formats.conversion import convert_motion
    from flowdistill.formats.motion import inspect_motion

    source, target = options.input, options.output
    check_output_file(source, target, options.overwrite)
    suffix = target.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise UserError(f"{target}: the suffix sets the format; use one of .{', .'.join(FORMATS)}")
    if options.to not in (None, suffix):
        raise UserError(f"--to is {options.to}, but {target} is a .{suffix}")
    quantity = inspect_motion(source, options.quantity)
    if options.negate_disparities and quantity == "flow":
        raise UserError(f"--negate-disparities: {source} contains flow")
    conversion = convert_motion(source, target, options.quantity, options.negate_disparities)
    print(f"{source} -> {target}: {quantity}, {_summary(conversion)}")
    return 0


def _convert_folder(options: argparse.Namespace) -> int:
    from flowdistill.data.motion_folder import check_output_folder, find_motions, plan_targets
    from flowdistill.data.tree import few
    from flowdistill.formats.conversion import Conversion, convert_motion
    from flowdistill.formats.motion import can_hold

    folder, output = options.input, options.output
    if options.to is None:
        raise UserError(f"{folder} is a folder: set the target format with --to {'|'.join(FORMATS)}")
    check_output_folder(folder, output)
    found = find_motions(folder, options.quantity, output)
    suffix = f".{options.to}"
    unfit = [str(path) for path, quantity in found.motions.items() if not can_hold(suffix, quantity)]
    found.motions = {path: quantity for path, quantity in found.motions.items() if can_hold(suffix, quantity)}
    targets = plan_targets(found, folder, output, suffix, options.overwrite)
    work = partial(convert_motion, quantity=options.quantity, negate_disparity=options.negate_disparities)
    done, errors = work_on_folder(work, targets.jobs, options.workers, "convert")
    if done:
        total = reduce(add, done.values(), Conversion())
        kinds = Counter(found.motions[source] for source in done)
        counts = ", ".join(f"{count} of {kind}" for kind, count in kinds.items())
        print(f"{folder} -> {output}: {counts}; {_summary(total)}")
        losers = [str(source) for source, conversion in done.items() if conversion.lost]
        if losers:
            print(f"  pixels were lost in {few(losers)}")
    if unfit:
        what = "disparities, which .flo cannot store (--quantity flow skips them)"
        targets.faults.append(f"{what}: {few(unfit)}")
    return folder_result(found, targets, errors)


def _summary(conversion: Conversion) -> str:
    """Return a summary line, followed by one indented line per kind of loss."""
    lines = [f"{conversion.pixels} pixels, {conversion.valid} of them valid"]
    lines += [f"{what}: {count}" for what, count in conversion.lost.items()]
    if conversion.negative:
        what = "negative disparities, unchanged (--negate-disparities flips their sign)"
        lines.append(f"{what}: {conversion.negative}")
    if conversion.largest_rounding:
        largest, mean = conversion.largest_rounding, conversion.mean_rounding
        lines.append(f"rounded by {largest:.3g} px at most, {mean:.3g} px on average")
    if len(lines) == 1:
        lines[0] += "; nothing is lost"
    return "\n  ".join(lines)
