"""`make demo-long`: DWARF at its published size, pre-trained on rendered data until it has also learned flow.

OUTPUT/data/                     rendered scenes in KITTI's layout
OUTPUT/run/                      the run: config, metrics.csv, checkpoints
OUTPUT/predictions/              KITTI files and colour pictures of the validation scenes
OUTPUT/table.md table.json goals.json curve.png overview.png
"""

from __future__ import annotations

import time
from pathlib import Path

from flowdistill.errors import UserError
from flowdistill.recipes.commands import check_folder, finished, fit, predict, render
from flowdistill.recipes.demo_long_report import report
from flowdistill.recipes.report import print_goals

RENDERING = "--scenes 1024 --frames 3 --size 64x128 --layout kitti2015"
CONFIG = "configs/demo/long.yaml"
TRAIN_SPLIT, VAL_SPLIT = "data_splits/rendered_long_train.txt", "data_splits/rendered_long_val.txt"
OUTPUT = Path("runs/demo-long")  # one folder per seed
RUN = "run"


def run_demo_long(output: Path, seed: int) -> bool:
    """Run the whole demo into `output`; return whether its goals were reached. Finished parts are skipped.

    Raises:
        UserError: a config or split is missing, or a command failed.
    """
    check_folder("demo-long", [CONFIG, TRAIN_SPLIT, VAL_SPLIT])
    started = time.monotonic()
    data = output / "data"
    render(data, f"{RENDERING} --seed {seed}")
    splits = [
        "--data.init_args.scene_flow.train_split", TRAIN_SPLIT,
        "--data.init_args.scene_flow.val_split", VAL_SPLIT,
        "--data.init_args.num_workers", "1",
    ]  # fmt: skip
    options = ["--data.init_args.batch_size", "4", *splits]
    checkpoint = fit(output / RUN, CONFIG, data, seed, options, replace=False)
    predict(CONFIG, data, checkpoint, output / "predictions", splits)
    print("comparing with baselines ...", flush=True)
    reached = print_goals(output, report(output, data, output / RUN, TRAIN_SPLIT, VAL_SPLIT))
    print(
        f"pictures: {output / 'curve.png'}, {output / 'overview.png'} and {output / 'predictions'}/*_colour"
    )
    print(f"checkpoint: {checkpoint}")
    print(f"the demo took {(time.monotonic() - started) / 60:.1f} minutes")
    return reached


def trained_checkpoint(output: Path = OUTPUT / "seed0") -> Path:
    """Return the checkpoint of a finished demo in `output`.

    Raises:
        UserError: there is no run, or it is not finished.
    """
    path = finished(output / RUN)
    if path is None:
        raise UserError(
            f"{output / RUN} contains no finished run: run `make demo-long` first (about 45 minutes; the same command "
            "resumes it), or give a checkpoint of DWARF with --checkpoint"
        )
    return path
