"""`make demo`: the main job from nothing. Render, train DDFlow and DWARF through `lightning fit`, compare, look.

OUTPUT/data/            rendered scenes in KITTI's layout
OUTPUT/ddflow/ dwarf/   the runs: config, metrics.csv, checkpoints
OUTPUT/predictions/     KITTI files and colour pictures of the validation scenes
OUTPUT/table.md table.json overview.png
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from flowdistill.errors import UserError
from flowdistill.recipes.demo_report import Goal, report

SCENES, FRAMES, SIZE = 256, 3, "64x128"
TRAIN_SPLIT = "data_splits/rendered_train.txt"
VAL_SPLIT = "data_splits/rendered_val.txt"
MODELS = ("ddflow", "dwarf")


def run_demo(output: Path, seed: int) -> bool:
    """Run the whole demo into `output`; returns whether its goals were reached.

    Raises:
        UserError: not started in the repository's root, or one of its commands failed.
    """
    missing = [
        path for path in (TRAIN_SPLIT, VAL_SPLIT, "configs/demo/ddflow.yaml") if not Path(path).is_file()
    ]
    if missing:
        raise UserError(f"{missing[0]} is not here: start the demo in the root of the flowdistill repository")
    started = time.monotonic()
    data = output / "data"
    _render(data, seed)
    for model in MODELS:
        checkpoint = _fit(model, output, data, seed)
        _predict(model, output, data, checkpoint)
    print("comparing with baselines ...", flush=True)
    goals = report(output, data, TRAIN_SPLIT, VAL_SPLIT)
    print((output / "table.md").read_text())
    for goal in goals:
        print(goal)
    print(f"pictures: {output / 'overview.png'} and {output / 'predictions'}/*/*_colour")
    print(f"the demo took {(time.monotonic() - started) / 60:.1f} minutes")
    (output / "goals.json").write_text(json.dumps([vars(goal) for goal in goals], indent=2))
    return all(map(_reached, goals))


def _reached(goal: Goal) -> bool:
    return goal.reached


def _render(data: Path, seed: int) -> None:
    done = data.parent / "data.done"  # written last: a broken-off rendering is made anew
    wanted = f"{SCENES} scenes, {FRAMES} frames, {SIZE}, seed {seed}"
    if done.is_file() and done.read_text() == wanted:
        print(f"rendered data is there: {data}")
        return
    done.unlink(missing_ok=True)
    if data.exists():
        shutil.rmtree(data)
    options = (
        f"--scenes {SCENES} --frames {FRAMES} --size {SIZE} --seed {seed} --layout kitti2015 --workers 2"
    )
    _run("flowdistill.cli.flowdistill", ["data", "render", "--output", str(data), *options.split()])
    done.write_text(wanted)


def _fit(model: str, output: Path, data: Path, seed: int) -> Path:
    """`lightning fit` of a committed config; returns the last checkpoint."""
    runs = output / model
    before = set(runs.glob("version_*"))
    _run("flowdistill.cli.lightning", [
        "fit", *_configs(model),
        "--data.init_args.root", str(data),
        "--data.init_args.seed", str(seed),
        "--seed_everything", str(seed),
        "--trainer.logger.init_args.save_dir", str(output),
        "--trainer.logger.init_args.name", model,
    ])  # fmt: skip
    (version,) = set(runs.glob("version_*")) - before
    return version / "checkpoints" / "last.ckpt"


def _predict(model: str, output: Path, data: Path, checkpoint: Path) -> None:
    _run("flowdistill.cli.lightning", [
        "predict", *_configs(model),
        "--data.init_args.root", str(data),
        "--ckpt_path", str(checkpoint),
        "--trainer.logger", "false",
        "--prediction.output", str(output / "predictions" / model),
    ])  # fmt: skip


def _configs(model: str) -> list[str]:
    files = (f"configs/demo/{model}.yaml", "configs/data/rendered.yaml", "configs/trainer/cpu.yaml")
    return [part for file in files for part in ("--config", file)]


def _run(module: str, arguments: list[str]) -> None:
    name = module.rpartition(".")[2]
    print(f"\n$ {name} {shlex.join(arguments)}", flush=True)
    finished = subprocess.run([sys.executable, "-m", module, *arguments], check=False)
    if finished.returncode != 0:
        raise UserError(
            f"`{name} {arguments[0]}` ended with code {finished.returncode}; its message is above"
        )
