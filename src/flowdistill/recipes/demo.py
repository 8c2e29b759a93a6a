"""`make demo`: the main workflow from scratch. Render, train DDFlow and DWARF with `lightning fit`, compare, visualise.

With two cores, the two networks train in parallel, one thread each; the results do not depend on it.

OUTPUT/data/            rendered scenes in KITTI's layout
OUTPUT/ddflow/ dwarf/   the runs: config, metrics.csv, checkpoints
OUTPUT/predictions/     KITTI files and colour pictures of the validation scenes
OUTPUT/table.md table.json overview.png
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from flowdistill.formats import write_image
from flowdistill.recipes.commands import TRAIN_SPLIT, VAL_SPLIT, check_folder, fit, predict, render
from flowdistill.recipes.overview import error_map, left, motion, overview
from flowdistill.recipes.report import Goal, compare, goal, print_goals
from flowdistill.recipes.scores import MEAN, ZERO
from flowdistill.recipes.side_by_side import side_by_side

RENDERING = "--scenes 256 --frames 3 --size 64x128 --layout kitti2015"
MODELS = ("ddflow", "dwarf")
DDFLOW, DWARF = "DDFlow (images alone)", "DWARF (labels)"


def run_demo(output: Path, seed: int) -> bool:
    """Run the whole demo into `output`; return whether its goals were reached. Finished parts are skipped.

    Raises:
        UserError: a config or split is missing, or a command failed.
    """
    configs = {model: f"configs/demo/{model}.yaml" for model in MODELS}
    check_folder("demo", list(configs.values()))
    started = time.monotonic()
    data = output / "data"
    render(data, f"{RENDERING} --seed {seed}")
    side_by_side({model: partial(_train, output, model, config, seed) for model, config in configs.items()})
    print("comparing with baselines ...", flush=True)
    reached = print_goals(output, report(output, data, TRAIN_SPLIT, VAL_SPLIT))
    print(f"pictures: {output / 'overview.png'} and {output / 'predictions'}/*/*_colour")
    print(f"the demo took {(time.monotonic() - started) / 60:.1f} minutes")
    return reached


def _train(output: Path, model: str, config: str, seed: int) -> None:
    checkpoint = fit(output / model, config, output / "data", seed)
    predict(config, output / "data", checkpoint, output / "predictions" / model)


def report(output: Path, data: Path, train_split: str, val_split: str) -> list[Goal]:
    """Write table.md, table.json and overview.png from the predictions in `output`; return the goals."""
    ddflow, dwarf = output / "predictions" / "ddflow", output / "predictions" / "dwarf"
    val, rows = compare(output, data, train_split, val_split, {DDFLOW: ddflow, DWARF: dwarf})
    columns = {
        "left_t0": left,
        "true flow": motion("flow"),
        "DDFlow": motion("flow", ddflow),
        "DWARF": motion("flow", dwarf),
        "DWARF error": error_map(dwarf, "flow_error"),
        "true disparity": motion("disparity_t0"),
        "DWARF disparity": motion("disparity_t0", dwarf),
        "its error": error_map(dwarf, "disp_0_error"),
    }
    write_image(output / "overview.png", overview(val, columns))
    disparity = "DWARF's disparity EPE over the mean disparity's"
    return [
        goal(rows, "DDFlow's flow EPE over zero motion's", "epe_all", DDFLOW, ZERO, 0.5),
        goal(rows, disparity, "disparity_t0_epe_all", DWARF, MEAN, 0.75),
    ]
