"""`lightning fit` and `validate` on two processes (DDP over gloo): same numbers as one, different samples per rank."""

import csv
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lightning(*arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("lightning")), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def rows(version: Path) -> list[dict[str, str]]:
    with (version / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("model", ["ddflow", "dwarf"])
def test_two_processes_train_and_validate_as_one(model: str, rendered: Path, tmp_path: Path) -> None:
    view = {"ddflow": "flow", "dwarf": "scene_flow"}[model]
    # Three validation samples, which do not divide evenly between two processes.
    (tmp_path / "val.txt").write_text("000002_00\n000002_01\n000001_01\n")
    common = [
        "--config", f"configs/demo/{model}.yaml", "--config", "configs/data/rendered.yaml",
        "--config", "configs/trainer/cpu.yaml", "--data.init_args.root", str(rendered),
        "--data.init_args.num_workers", "0", "--data.init_args.batch_size", "2", "--model.init_args.width", "0.125",
        f"--data.init_args.{view}.train_split", str(rendered / "train.txt"),
        f"--data.init_args.{view}.val_split", str(tmp_path / "val.txt"),
        "--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false",
        "--trainer.log_every_n_steps", "1", "--trainer.logger.init_args.save_dir", str(tmp_path),
    ]  # fmt: skip
    both = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    name = ["--trainer.logger.init_args.name"]
    steps = ["--trainer.max_steps", "2", "--trainer.val_check_interval", "2"]
    lightning("fit", *common, *both, *name, "fit", *steps)
    checkpoint = tmp_path / "fit" / "version_0" / "checkpoints" / "last.ckpt"
    found = {}
    for processes, options in (("one", []), ("two", both)):
        lightning("validate", *common, *options, *name, processes, "--ckpt_path", str(checkpoint))
        found[processes] = {
            k: v for k, v in rows(tmp_path / processes / "version_0")[-1].items() if v and "val/" in k
        }
    assert "val/epe_all" in found["one"]
    assert set(found["one"]) == set(found["two"])
    for key, value in found["one"].items():
        # End-point errors and rates are pooled over pixels exactly; the census is a mean over samples.
        assert math.isclose(float(value), float(found["two"][key]), rel_tol=1e-6), key
    trained = [row for row in rows(tmp_path / "fit" / "version_0") if row.get("val/epe_all")]
    assert math.isclose(float(trained[-1]["val/epe_all"]), float(found["two"]["val/epe_all"]), rel_tol=1e-6)
