"""The trainers' configs: their devices, and that the one for debugging shows whether a model learns."""

import csv
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowdistill.cli.lightning import main

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs" / "trainer"


def trainer_of(name: str) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["trainer"]
    return settings


def test_only_configs_that_say_so_take_several_processes() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {"cpu", "gpu", "ddp", "multi_node", "debug"}
    for name in ("cpu", "gpu", "debug"):
        settings = trainer_of(name)
        assert (settings["devices"], settings.get("num_nodes", 1)) == (1, 1)
    assert trainer_of("multi_node")["num_nodes"] > 1
    for name in ("ddp", "multi_node"):
        assert trainer_of(name)["strategy"] == "ddp"  # which looks for no unused weights


def test_all_count_their_length_in_steps_and_keep_checkpoints() -> None:
    for path in FOLDER.glob("*.yaml"):
        settings = trainer_of(path.stem)
        assert settings["max_epochs"] == -1
        kept = [
            each for each in settings["callbacks"] if each["class_path"] == "flowdistill.training.Checkpoints"
        ]
        assert len(kept) == 1


def test_the_job_for_slurm_requeues_and_goes_on() -> None:
    job = FOLDER / "slurm.sbatch"
    assert subprocess.run(["bash", "-n", str(job)], check=False).returncode == 0
    options = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?", job.read_text(), re.MULTILINE))
    assert options["signal"] == "USR1@120"
    assert "requeue" in options
    assert options["ntasks-per-node"] == options["gpus-per-node"]
    assert re.search(r'^exec srun lightning fit "\$@" --ckpt_path last$', job.read_text(), re.MULTILINE)


def test_debugging_repeats_one_batch_and_its_loss_falls(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    configs = ("configs/demo/dwarf.yaml", "configs/data/rendered.yaml", "configs/trainer/debug.yaml")
    words = [
        "fit", *(part for config in configs for part in ("--config", config)),
        "--data.init_args.root", str(rendered), "--data.init_args.batch_size", "2", "--data.init_args.num_workers", "0",
        "--data.init_args.scene_flow.train_split", str(rendered / "train.txt"), "--model.init_args.width", "0.25",
        "--data.init_args.scene_flow.val_split", str(rendered / "val.txt"), "--trainer.accelerator", "cpu",
        "--trainer.enable_progress_bar", "false", "--trainer.max_steps", "60",
        "--trainer.logger.init_args.save_dir", str(tmp_path),
    ]  # fmt: skip
    assert main(words) == 0
    (log,) = tmp_path.rglob("metrics.csv")
    with log.open(newline="") as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row.get("train/loss")]
    assert len(losses) == 60
    assert min(losses[-10:]) < 0.5 * losses[0]
