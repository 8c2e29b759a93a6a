"""DDFlow's stages through the commands, with the committed configs: labels written and read, every kind of teacher."""

import csv
import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from flowdistill.cli.lightning import main
from flowdistill.formats import read_kitti_flow, read_mask
from flowdistill.training.config_schedules import read_schedules

ROOT = Path(__file__).parents[2]
DATA = ("configs/data/rendered.yaml", "configs/trainer/cpu.yaml")


@pytest.fixture(autouse=True)
def _at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("DATA_ROOT", raising=False)


def lightning(command: str, configs: tuple[str, ...], root: Path, *more: str) -> int:
    # Patch and length of the committed configs, reduced.
    return main([
        command, *(part for config in (*configs, *DATA) for part in ("--config", config)),
        "--data.init_args.root", str(root), "--data.init_args.num_workers", "0", "--data.init_args.batch_size", "1",
        "--data.init_args.flow.train_split", str(root / "train.txt"),
        "--data.init_args.flow.val_split", str(root / "val.txt"), "--model.init_args.width", "0.125",
        "--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false", *more,
    ])  # fmt: skip


def fit(name: str, configs: tuple[str, ...], root: Path, tmp_path: Path, steps: int, *more: str) -> Path:
    """The run's folder."""
    code = lightning(
        "fit", configs, root, "--trainer.max_steps", str(steps), "--trainer.log_every_n_steps", "1",
        "--trainer.val_check_interval", str(steps), "--trainer.logger.init_args.save_dir", str(tmp_path),
        "--trainer.logger.init_args.name", name, *more,
    )  # fmt: skip
    assert code == 0
    return tmp_path / name / "version_0"


def column(run: Path, name: str) -> list[float]:
    with (run / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


@pytest.mark.parametrize(
    ("patch", "data"),
    [("kitti", "kitti"), ("kitti", "kitti2012"), ("sintel", "sintel"), ("chairs", "chairs")],
)
def test_patches_are_smaller_than_what_the_data_crops(patch: str, data: str) -> None:
    student: Any = OmegaConf.load(f"configs/ddflow/patch/{patch}.yaml")
    view: Any = OmegaConf.load(f"configs/data/{data}.yaml")
    crops = zip(student.model.init_args.student_crop, view.data.init_args.flow.crop, strict=True)
    assert all(64 <= part < whole for part, whole in crops)


@pytest.mark.parametrize(
    "name", ["photometric", "census", "distill_online", "distill_joint", "distill_offline", "single_run"]
)
def test_every_stage_s_schedule_covers_its_run(name: str) -> None:
    """Halvings every 80k steps of each stage, as published, and a loss at every step."""
    found = read_schedules([Path(f"configs/ddflow/{name}.yaml")])
    stages = (
        [(0, 100_000), (100_000, 300_000), (400_000, 300_000)] if name == "single_run" else [(0, found.steps)]
    )
    for start, length in stages:
        for step in (0, 79_999, 80_000, 99_999, *((160_000, 240_000, 299_999) if length > 100_000 else ())):
            assert found.learning_rate.at(start + step) == 1e-4 * 0.5 ** (step // 80_000), (start, step)
    assert found.steps == sum(length for _, length in stages)


def test_the_stages_follow_each_other(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (root / "training").symlink_to(rendered / "training")
    for split in ("train.txt", "val.txt"):
        (root / split).write_bytes((rendered / split).read_bytes())
    small = ("--model.init_args.student_crop", "[64, 96]")

    stage1 = fit(
        "one", ("configs/ddflow/photometric.yaml",), root, tmp_path, 2, "--best.metric", "val/epe_all"
    )
    assert (stage1 / "checkpoints" / "best.ckpt").is_file()
    first = str(stage1 / "checkpoints" / "last.ckpt")
    start = ("--model.init_args.init_from", first)
    stage2 = fit("two", ("configs/ddflow/census.yaml",), root, tmp_path, 2, *start)
    assert (
        f"from {first} (step 2): losses {{'abs_robust_mean_no_occlusion': 1.0}}, width 0.125" in caplog.text
    )
    assert f"config {stage1 / 'config.yaml'}" in caplog.text
    second = str(stage2 / "checkpoints" / "last.ckpt")

    # Labels of both cameras; the right one's are in a separate folder.
    entries = (root / "train.txt").read_text().split()
    both = root / "both.txt"
    both.write_text("".join(f"{id_}\n{id_} camera=right\n" for id_ in entries))
    labels = ("--prediction.layout", "labels", "--prediction.output", str(root / "stage2"))
    wanted = ("--data.init_args.flow.predict_split", str(both), "--data.init_args.predict_labels", "false")
    quiet = ("--trainer.logger", "false", "--ckpt_path", second)
    assert lightning("predict", ("configs/ddflow/census.yaml",), root, *labels, *wanted, *quiet) == 0
    for camera in ("left", "right"):
        for folder in ("flow", "flow_backward"):
            assert sorted(p.stem for p in (root / "stage2" / camera / folder).iterdir()) == entries
        for folder in ("occlusion", "occlusion_backward"):
            assert sorted(p.stem for p in (root / "stage2" / camera / folder).iterdir()) == entries
    left, right = (root / "stage2" / camera / "flow" / f"{entries[0]}.png" for camera in ("left", "right"))
    assert (read_kitti_flow(left)[0] != read_kitti_flow(right)[0]).any()
    assert read_mask(root / "stage2" / "left" / "occlusion" / f"{entries[0]}.png").shape == (64, 128)

    # The sed command from the config's comment.
    comment = Path("configs/ddflow/distill_offline.yaml").read_text()
    command = re.search(r"sed '[^']+'", comment)
    assert command is not None
    (root / "train.txt").write_text(both.read_text())
    assert os.system(f"{command[0]} {both} > {root / 'train.txt'}") == 0
    assert f"{entries[0]} camera=right labels=stage2" in (root / "train.txt").read_text().splitlines()
    steps = 2 * len(entries)
    patch = "configs/ddflow/patch/chairs.yaml"
    offline = ("configs/ddflow/distill_offline.yaml", patch)
    run = fit("offline", offline, root, tmp_path, steps, "--model.init_args.init_from", second, *small)
    assert all(value >= 0 for value in column(run, "train/distillation"))
    assert len(column(run, "train/distillation")) == steps

    (root / "train.txt").write_text("".join(f"{id_}\n" for id_ in entries))
    online = ("configs/ddflow/distill_online.yaml", patch)
    teacher = ("--model.init_args.teacher.checkpoint", second)
    run = fit("online", online, root, tmp_path, 2, *teacher, "--model.init_args.init_from", second, *small)
    assert len(column(run, "train/distillation")) == 2
    checkpoint = run / "checkpoints" / "last.ckpt"
    hyper_parameters = torch.load(checkpoint, weights_only=True)["hyper_parameters"]
    assert hyper_parameters["teacher"] == {
        "class_path": "flowdistill.training.teachers.CheckpointTeacher", "init_args": {"checkpoint": second},
    }  # fmt: skip
    # Evaluation does not need the teacher's file; without labels in the split, the offline teacher reports this.
    quiet = ("--trainer.logger", "false", "--ckpt_path", str(checkpoint))
    assert lightning("validate", online, root, *quiet, *small) == 0
    # The teacher in training: no file to name, and either network is evaluated from one checkpoint.
    together = ("configs/ddflow/distill_joint.yaml", patch)
    run = fit("joint", together, root, tmp_path, 2, "--model.init_args.init_from", second, *small)
    assert len(column(run, "train/teacher_census_occlusion")) == 2
    quiet = ("--trainer.logger", "false", "--ckpt_path", str(run / "checkpoints" / "last.ckpt"), *small)
    for which in ("student", "teacher"):
        capsys.readouterr()
        option = ("--model.init_args.teacher.evaluated", which)
        assert lightning("validate", together, root, *quiet, *option) == 0
        assert ("evaluating the teacher" in capsys.readouterr().err) is (which == "teacher")
    code = lightning("fit", offline, root, "--trainer.max_steps", "1", "--trainer.logger.init_args.save_dir",
                     str(tmp_path), "--model.init_args.init_from", second, *small)  # fmt: skip
    assert code == 2
    assert "has no teacher_flow, teacher_flow_backward" in capsys.readouterr().err


def test_one_run_goes_through_all_stages(rendered: Path, tmp_path: Path) -> None:
    """The committed single run, its steps divided by 50,000."""
    knots = {"abs_robust_mean_no_occlusion": "[[0, 1], [2, 0]]", "census_occlusion": "[[0, 0], [2, 1]]",
             "distillation": "[[0, 0], [4, 1]]"}  # fmt: skip
    shorter = [f"--model.init_args.losses.{term}.knots={value}" for term, value in knots.items()]
    run = fit(
        "single", ("configs/ddflow/single_run.yaml", "configs/ddflow/patch/kitti.yaml"), rendered, tmp_path, 7,
        *shorter, "--model.init_args.student_crop", "[64, 96]",
    )  # fmt: skip
    computed = {term: [not math.isnan(value) for value in column(run, f"train/{term}")] for term in knots}
    assert computed["abs_robust_mean_no_occlusion"] == [True] * 2 + [False] * 5
    assert computed["census_occlusion"] == [False] * 2 + [True] * 5
    assert computed["distillation"] == [False] * 4 + [True] * 3
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert state["teacher.taken_at"] == 4
