"""The commands that recipes are made of: render, fit, predict.

Rendering and fitting leave a mark when they are done, and are not done again.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from flowdistill.errors import UserError

DATA_CONFIG, TRAINER_CONFIG = "configs/data/rendered.yaml", "configs/trainer/cpu.yaml"
TRAIN_SPLIT, VAL_SPLIT = "data_splits/rendered_train.txt", "data_splits/rendered_val.txt"


def check_folder(recipe: str, files: Sequence[str]) -> None:
    """Raises UserError unless the repository's files are here, as seen from the current folder."""
    missing = [path for path in (TRAIN_SPLIT, VAL_SPLIT, *files) if not Path(path).is_file()]
    if missing:
        raise UserError(
            f"{missing[0]} is not here: start the {recipe} in the root of the flowdistill repository"
        )


def render(data: Path, options: str) -> None:
    """`flowdistill data render` into the folder `data`, made anew if it was broken off or had other options."""
    done = data.parent / "data.done"
    if done.is_file() and done.read_text() == options:
        print(f"rendered data is there: {data}")
        return
    done.unlink(missing_ok=True)
    if data.exists():
        shutil.rmtree(data)
    arguments = ["data", "render", "--output", str(data), *shlex.split(options), "--workers", "2"]
    run("flowdistill.cli.flowdistill", arguments)
    done.write_text(options)


def fit(folder: Path, config: str, data: Path, seed: int, options: Sequence[str] = ()) -> Path:
    """`lightning fit` of a committed config; runs lie in `folder`; returns the last checkpoint.

    A run that is done (with the same config, data and options) is not repeated; one that was broken off goes on from
    its last checkpoint.
    """
    done = folder / "done.json"
    arguments = [
        *config_arguments(config),
        "--data.init_args.root", str(data),
        "--data.init_args.seed", str(seed),
        "--seed_everything", str(seed),
        *options,
    ]  # fmt: skip
    settings = {"arguments": arguments, "config": Path(config).read_text()}
    if done.is_file():
        stored = json.loads(done.read_text())
        checkpoint = Path(stored["checkpoint"])
        if stored["settings"] == settings and checkpoint.is_file():
            print(f"done before: {folder}")
            return checkpoint
        shutil.rmtree(folder)
    logger = [
        "--trainer.logger.init_args.save_dir", str(folder.parent),
        "--trainer.logger.init_args.name", folder.name,
    ]  # fmt: skip
    started = folder / "started.json"
    resume: list[str] = []
    if started.is_file() and json.loads(started.read_text()) == settings:
        if (last := _last_checkpoint(folder)) is not None:
            resume = ["--ckpt_path", str(last)]
    elif folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    started.write_text(json.dumps(settings))
    run("flowdistill.cli.lightning", ["fit", *arguments, *logger, *resume])
    last = _last_checkpoint(folder)
    if last is None:
        raise UserError(
            f"{config} left no checkpoint in {folder}: its trainer needs the callback Checkpoints"
        )
    done.write_text(json.dumps({"checkpoint": str(last), "settings": settings}))
    return last


def predict(config: str, data: Path, checkpoint: Path, output: Path) -> None:
    """`lightning predict` on the validation split, into `output`."""
    run("flowdistill.cli.lightning", [
        "predict", *config_arguments(config),
        "--data.init_args.root", str(data),
        "--ckpt_path", str(checkpoint),
        "--trainer.logger", "false",
        "--prediction.output", str(output),
    ])  # fmt: skip


def config_arguments(config: str) -> list[str]:
    """Model, data, trainer."""
    return [part for file in (config, DATA_CONFIG, TRAINER_CONFIG) for part in ("--config", file)]


def run(module: str, arguments: Sequence[str]) -> None:
    """Run one of our console scripts in a process of its own. Raises UserError if it fails."""
    name = module.rpartition(".")[2]
    print(f"\n$ {name} {shlex.join(arguments)}", flush=True)
    # One thread: frames this small gain nothing from a second one, and threads that wait for each other on a busy
    # machine make a step up to ten times slower.
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    finished = subprocess.run([sys.executable, "-m", module, *arguments], check=False, env=environment)
    if finished.returncode != 0:
        raise UserError(
            f"`{name} {arguments[0]}` ended with code {finished.returncode}; its message is above"
        )


def _last_checkpoint(folder: Path) -> Path | None:
    """last.ckpt of the newest run that has one."""
    found = list(folder.glob("version_*/checkpoints/last.ckpt"))
    return max(found, key=lambda path: int(path.parts[-3].removeprefix("version_")), default=None)
