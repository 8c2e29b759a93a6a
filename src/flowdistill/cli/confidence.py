"""`flowdistill confidence`: probabilities that a checkpoint's motions are right."""

from __future__ import annotations

import argparse

from flowdistill.cli.parsers import Commands, add_command, add_group, add_number, add_path, parse_size
from flowdistill.errors import UserError


def add_parser(commands: Commands) -> None:
    """Add the command group `confidence`."""
    group = add_group(commands, "confidence", "calibrated confidence of a checkpoint's motions")
    parser = add_command(
        group, "fit", run, "fit on rendered rooms, test on rendered streets", runs_network=True
    )
    add_path(parser, "--checkpoint", "CKPT", "checkpoint, or .safetensors of weights", required=True)
    add_path(
        parser, "--output", "FILE", "the calibration (default: CKPT.confidence.json beside the checkpoint)"
    )
    add_number(parser, "--scenes", 32, "scenes of each world")
    about = "rows x columns of the frames (default: 96x192); use the size that the network was trained on"
    parser.add_argument("--size", metavar="HxW", default="96x192", help=about)
    add_number(parser, "--stride", 2, "time steps between frames: larger is faster motion")
    add_number(parser, "--seed", 12_345, "of the scenes; not that of the training data")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")


def run(options: argparse.Namespace) -> int:
    """Fit the probabilities that the error of a motion is under 1 px and under 3 px, from the forward-backward or
    left-right gap, the photometric difference and the spread under flipping. Prints the test on scenes of another
    world, and writes the calibration, which `flowdistill infer --confidence` finds, and its curves.
    """
    size = parse_size(options.size, example="96x192")
    if min(size) < 64:
        raise UserError(f"--size: {options.size}: both sides must be at least 64")
    if options.scenes < 2:
        raise UserError(f"--scenes is {options.scenes}; use at least 2")
    if options.stride < 1 or options.seed < 0:
        raise UserError("--stride must be at least 1, --seed at least 0")
    from flowdistill.inference.load import load_model
    from flowdistill.inference.predictor import CALIBRATION_SUFFIX, Predictor
    from flowdistill.recipes.confidence import Scenes, fit_confidence, plot, table

    checkpoint = options.checkpoint
    predictor = Predictor(load_model(checkpoint, "--checkpoint", options.device))
    path = options.output or checkpoint.with_name(checkpoint.stem + CALIBRATION_SUFFIX)
    if path.suffix != ".json":
        raise UserError(f"--output: {path} must end with .json")
    if not path.parent.is_dir():
        raise UserError(f"--output: the folder {path.parent} does not exist; create it first")
    scenes = Scenes(options.scenes, size, options.stride, options.seed)
    calibration, test = fit_confidence(predictor, scenes)
    calibration.save(path)
    picture = path.with_suffix(".png")
    plot(test, calibration, picture)
    print(table(calibration))
    print(f"{path}\n{picture}")
    return 0
