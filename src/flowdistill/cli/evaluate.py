"""`flowdistill evaluate`: score prediction files as the benchmarks do."""

from __future__ import annotations

import argparse

from flowdistill.cli.output import check_output, write_json
from flowdistill.cli.parsers import Commands, add_command, add_group, add_number, add_path


def add_parser(commands: Commands) -> None:
    """Add the command group `evaluate`."""
    group = add_group(
        commands, "evaluate", "score predictions as the benchmarks do", "benchmarks", "BENCHMARK"
    )
    kitti = add_command(group, "kitti", run_kitti, "KITTI 2015 and 2012: D1, D2, Fl, SF")
    add_path(kitti, "--predictions", "DIR", "folder with disp_0, disp_1, flow", required=True)
    truth = "folder with disp_occ_0, disp_noc_0, ..., flow_occ, flow_noc, obj_map (KITTI's training/)"
    add_path(kitti, "--ground-truth", "DIR", truth, required=True)
    split = "evaluate only the ids in this split file, such as data_splits/kitti_40.txt (default: all)"
    add_path(kitti, "--split", "FILE", split)
    add_path(kitti, "--json", "OUT", "write all counts, pooled and per image")

    about = "Sintel: end-point errors by visibility, distance to occlusions and speed"
    sintel = add_command(group, "sintel", run_sintel, about)
    predictions = "folder with clean/SCENE/frame_NNNN.flo (or frameNNNN.flo), final/..."
    add_path(sintel, "--predictions", "DIR", predictions, required=True)
    truth = "folder with flow, occlusions and invalid (Sintel's training/)"
    add_path(sintel, "--ground-truth", "DIR", truth, required=True)
    scenes = "evaluate only these scenes, such as those of a validation split (default: all)"
    sintel.add_argument("--scenes", metavar="SCENE", nargs="+", help=scenes)
    add_path(sintel, "--json", "OUT", "write all numbers: pooled, per scene and per frame")
    for parser in (kitti, sintel):
        add_number(parser, "--workers", 1, "processes")


def run_sintel(options: argparse.Namespace) -> int:
    """Score .flo files with the end-point errors of Sintel's table, for the passes clean and final. The ground-truth
    files determine the required predictions.
    """
    from flowdistill.evaluation.sintel.files import find_files
    from flowdistill.evaluation.sintel.frames import evaluate_frames, pool
    from flowdistill.evaluation.sintel.report import table, to_json

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
    """Score KITTI's 16-bit files, .flo and .pfm with the exact counts of the official tool, including its filling of
    missing predictions. The ground-truth files, or --split, determine the required predictions.
    """
    from flowdistill.evaluation.kitti.files import find_files
    from flowdistill.evaluation.kitti.images import evaluate_images, pool
    from flowdistill.evaluation.kitti.oddities import oddities
    from flowdistill.evaluation.kitti.report import other_table, table, to_json

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
    units = "outliers (over 3 px and over 5 %) in percent, missing predictions filled"
    print(f"\n{len(images)} images{chosen}, {units}\n")
    print(table(pool(images)))
    print(
        "\nwithout the 5 % rule: KITTI 2012's tables have over 2 to 5 px; papers report `> 3 px` as bad-3\n"
    )
    print(other_table(images))
    return 0
