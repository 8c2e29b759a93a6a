"""`make demo`: the main job from nothing. Render, train DDFlow and DWARF through `lightning fit`, compare, look.

The two networks train side by side where there are two cores, one thread each: numbers do not depend on it.

OUTPUT/data/            rendered scenes in KITTI's layout
OUTPUT/ddflow/ dwarf/   the runs: config, metrics.csv, checkpoints
OUTPUT/predictions/     KITTI files and colour pictures of the validation scenes
OUTPUT/table.md table.json overview.png
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

from flowdistill.recipes.commands import TRAIN_SPLIT, VAL_SPLIT, check_folder, fit, predict, render
from flowdistill.recipes.demo_report import report
from flowdistill.recipes.side_by_side import side_by_side

RENDERING = "--scenes 256 --frames 3 --size 64x128 --layout kitti2015"
MODELS = ("ddflow", "dwarf")


def run_demo(output: Path, seed: int) -> bool:
    """Run the whole demo into `output`; returns whether its goals were reached. What is done there is not redone.

    Raises:
        UserError: not started in the repository's root, or one of its commands failed.
    """
    configs = {model: f"configs/demo/{model}.yaml" for model in MODELS}
    check_folder("demo", list(configs.values()))
    started = time.monotonic()
    data = output / "data"
    render(data, f"{RENDERING} --seed {seed}")
    side_by_side({model: partial(_train, output, model, config, seed) for model, config in configs.items()})
    print("comparing with baselines ...", flush=True)
    goals = report(output, data, TRAIN_SPLIT, VAL_SPLIT)
    print((output / "table.md").read_text())
    for goal in goals:
        print(goal)
    print(f"pictures: {output / 'overview.png'} and {output / 'predictions'}/*/*_colour")
    print(f"the demo took {(time.monotonic() - started) / 60:.1f} minutes")
    (output / "goals.json").write_text(json.dumps([vars(goal) for goal in goals], indent=2))
    return all(goal.reached for goal in goals)


def _train(output: Path, model: str, config: str, seed: int) -> None:
    checkpoint = fit(output / model, config, output / "data", seed)
    predict(config, output / "data", checkpoint, output / "predictions" / model)
