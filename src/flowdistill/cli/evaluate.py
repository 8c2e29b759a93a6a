"""`flowdistill evaluate`: score prediction files as the benchmarks do."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from flowdistill.errors import UserError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: "Subparsers") -> None:
    """Add the command group `evaluate`."""
    group = subparsers.add_parser("evaluate", help="score predictions as the benchmarks do")
    commands = group.add_subparsers(title="benchmarks", required=True, metavar="BENCHMARK")
    _add_kitti(commands)
    _add_sintel(commands)


def _add_kitti(commands: "Subparsers") -> None:
    parser = commands.add_parser(
        "kitti",
        help="KITTI 2015 and 2012: D1, D2, Fl, SF",
        description="Score KITTI's 16-bit files, .flo and .pfm with the exact counts of the official tool, including "
        "its filling of missing predictions. The ground-truth files, or --split, determine the required predictions.",
    )
    parser.add_argument(
        "--predictions", metavar="DIR", type=Path, required=True, help="folder with disp_0, disp_1, flow"
    )
    parser.add_argument(
        "--ground-truth",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder with disp_occ_0, disp_noc_0, ..., flow_occ, flow_noc, obj_map (KITTI's training/)",
    )
    parser.add_argument(
        "--split",
        metavar="FILE",
        type=Path,
        help="evaluate only the ids in this split file, such as data_splits/kitti_40.txt (default: all)",
    )
    parser.add_argument("--json", metavar="OUT", type=Path, help="write all counts, pooled and per image")
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="processes (default: 1)")
    parser.set_defaults(run=run_kitti)


def _add_sintel(commands: "Subparsers") -> None:
    parser = commands.add_parser(
        "sintel",
        help="Sintel: end-point errors by visibility, distance to occlusions and speed",
        description="Score .flo files with the end-point errors of Sintel's table, for the passes clean and final. The "
        "ground-truth files determine the required predictions.",
    )
    parser.add_argument(
        "--predictions",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder with clean/SCENE/frame_NNNN.flo (or frameNNNN.flo), final/...",
    )
    parser.add_argument(
        "--ground-truth",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder with flow, occlusions and invalid (Sintel's training/)",
    )
    parser.add_argument(
        "--scenes",
        metavar="SCENE",
        nargs="+",
        help="evaluate only these scenes, such as those of a validation split (default: all)",
    )
    parser.add_argument(
        "--json", metavar="OUT", type=Path, help="write all numbers: pooled, per scene and per frame"
    )
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="processes (default: 1)")
    parser.set_defaults(run=run_sintel)


def run_sintel(options: argparse.Namespace) -> int:
    """Evaluate, write the JSON and print the table; returns the exit code."""
    from flowdistill.evaluation.sintel.files import find_files
    from flowdistill.evaluation.sintel.frames import evaluate_frames, pool
    from flowdistill.evaluation.sintel.report import table, to_json

    if options.json is not None:
        check_output(options.json, "--json")
    files = find_files(options.predictions, options.ground_truth, options.scenes)
    for note in files.notes:
        print(note)
    frames = evaluate_frames(files, options.workers)
    if options.json is not None:
        write_json(options.json, to_json(frames))
    print(f"\n{len(frames)} frames, mean end-point error in px\n")
    print(table(pool(frames.values())))
    return 0


def run_kitti(options: argparse.Namespace) -> int:
    """Evaluate, write the JSON and print the table; returns the exit code."""
    from flowdistill.evaluation.kitti.files import find_files
    from flowdistill.evaluation.kitti.images import evaluate_images, pool
    from flowdistill.evaluation.kitti.oddities import oddities
    from flowdistill.evaluation.kitti.report import table, to_json

    if options.json is not None:
        check_output(options.json, "--json")
    files = find_files(options.predictions, options.ground_truth, options.split)
    for note in files.notes:
        print(note)
    images = evaluate_images(files, options.workers)
    for warning in oddities(files):
        print(warning)
    if options.json is not None:
        write_json(options.json, to_json(images, options.split))
    chosen = "" if options.split is None else f" of {options.split}"
    print(
        f"\n{len(images)} images{chosen}, outliers (over 3 px and over 5 %) in percent, missing predictions filled\n"
    )
    print(table(pool(images)))
    return 0


def check_output(path: Path, option: str) -> None:
    """Raise UserError before any work is done if a file obviously cannot be written."""
    if path.is_dir():
        raise UserError(f"{option}: {path} is a folder; give a file")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise UserError(f"{option}: cannot write {path}, because {parent} is not a folder")


def write_json(path: Path, content: object) -> None:
    """Write a JSON file atomically; its folder is created if needed."""
    from flowdistill.formats import write_atomically

    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot create its folder ({error.strerror or error})") from error
    write_atomically(path, text.encode())
