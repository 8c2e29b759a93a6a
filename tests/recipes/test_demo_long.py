"""The report of `make demo-long`, from predictions with known errors and logs of a resumed run."""

import json
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from here import run_here

from flowdistill.data import KittiDataset, read_split
from flowdistill.errors import UserError
from flowdistill.inference.writer import write_prediction
from flowdistill.recipes import commands, demo_long
from flowdistill.recipes.demo_long import run_demo_long, trained_checkpoint
from flowdistill.recipes.demo_long_report import DWARF, goals, read_curves, report
from flowdistill.recipes.scores import MEAN, ZERO

ROOT = Path(__file__).parents[2]
METRICS = ("val/epe_all", "val/disparity_t0_epe_all", "val/disparity_t1_epe_all")


def write_metrics(run: Path, version: int, values: dict[int, float], steps: range) -> None:
    """Write rows like CSVLogger: a training row every ten steps, and validation rows with other columns filled."""
    lines = ["epoch,step,train/loss," + ",".join(METRICS)]
    for step in steps:
        if step % 10 == 9:
            lines.append(f"0,{step},{1.0},,,")
        if step + 1 in values:
            lines.append(f"0,{step},," + ",".join(str(values[step + 1] * scale) for scale in (1, 10, 100)))
    path = run / f"version_{version}" / "metrics.csv"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n")


def test_curves_of_a_resumed_run_are_joined_where_it_went_on(tmp_path: Path) -> None:
    # Killed after step 250 with the checkpoint of step 100; restarted, killed; the tenth start finished the run.
    write_metrics(tmp_path, 0, {50: 5.0, 100: 4.0, 150: 99.0, 250: 98.0}, range(260))
    write_metrics(tmp_path, 2, {150: 3.0, 200: 2.5}, range(100, 205))
    write_metrics(tmp_path, 10, {250: 2.0, 300: 1.0}, range(200, 300))
    (tmp_path / "version_3").mkdir()
    (tmp_path / "version_3" / "metrics.csv").write_text("")  # killed before its first line
    curves = read_curves(tmp_path, METRICS)
    assert curves["val/epe_all"] == [(50, 5.0), (100, 4.0), (150, 3.0), (200, 2.5), (250, 2.0), (300, 1.0)]
    assert curves["val/disparity_t1_epe_all"][-1] == (300, 100.0)


def test_what_lay_beyond_the_checkpoint_is_dropped_though_nothing_replaces_it(tmp_path: Path) -> None:
    write_metrics(tmp_path, 0, {100: 4.0, 150: 99.0}, range(160))
    write_metrics(tmp_path, 1, {}, range(100, 120))
    assert read_curves(tmp_path, ["val/epe_all"]) == {"val/epe_all": [(100, 4.0)]}


def test_a_run_without_validation_has_no_curve(tmp_path: Path) -> None:
    write_metrics(tmp_path, 0, {}, range(30))
    with pytest.raises(UserError, match=r"contains val/epe_all"):
        read_curves(tmp_path, ["val/epe_all"])


def test_table_goals_and_pictures(rendered: Path, tmp_path: Path) -> None:
    val = str(rendered / "val.txt")
    dataset = KittiDataset(str(rendered), read_split(val), "scene_flow", labels=True)
    for index in range(len(dataset)):
        sample: Any = dataset[index]
        batch = {k: (v[None] if isinstance(v, torch.Tensor) else [v]) for k, v in sample.items()}
        # Flow is off by (0.3, 0.4) px everywhere, disparity t0 by 0.25 px, disparity t1 is a constant guess.
        found = {
            "flow": batch["flow"] + torch.tensor([0.3, 0.4]).view(1, 2, 1, 1),
            "disparity_t0": batch["disparity_t0"] + 0.25,
            "disparity_t1": torch.full_like(batch["disparity_t1"], 5.0),
        }
        write_prediction(tmp_path / "predictions", sample["name"], found, batch, 0)
    write_metrics(tmp_path / "run", 0, {100: 2.0, 200: 0.5}, range(200))
    reached = report(tmp_path, rendered, tmp_path / "run", str(rendered / "train.txt"), val)
    rows = json.loads((tmp_path / "table.json").read_text())
    assert list(rows) == [ZERO, MEAN, DWARF]
    assert rows[DWARF]["epe_all"] == pytest.approx(0.5, abs=0.02)
    assert rows[DWARF]["disparity_t0_epe_all"] == pytest.approx(0.25, abs=0.01)
    baseline = min(rows[ZERO]["epe_all"], rows[MEAN]["epe_all"])
    assert reached[0].ratio == pytest.approx(0.5 / baseline, rel=0.05)
    assert [goal.reached for goal in reached] == [0.5 / baseline <= 0.75, True, False]
    assert "NOT REACHED: disparity_t1" in str(reached[2])
    table = (tmp_path / "table.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == [ZERO, MEAN, DWARF]
    # Five columns of pictures of twice the frames' size, one row per sample.
    height, width = cv2.imread(str(tmp_path / "overview.png")).shape[:2]
    assert width > 5 * 256
    assert 2 * 128 < height < 3 * 128
    assert cv2.imread(str(tmp_path / "curve.png")).std() > 5


@pytest.mark.parametrize(
    ("zero", "mean", "dwarf", "reached"),
    [(2.0, 1.0, 0.74, True), (2.0, 1.0, 0.76, False), (1.0, 2.0, 0.76, False)],
)
def test_flow_is_measured_by_the_better_baseline(
    zero: float, mean: float, dwarf: float, reached: bool
) -> None:
    disparity = {"disparity_t0_epe_all": 2.0, "disparity_t1_epe_all": 2.0}
    rows = {
        ZERO: {"epe_all": zero},
        MEAN: {"epe_all": mean, **disparity},
        DWARF: {"epe_all": dwarf, "disparity_t0_epe_all": 1.0, "disparity_t1_epe_all": 1.01},
    }
    assert [goal.reached for goal in goals(rows)] == [reached, True, False]


def test_the_checkpoint_of_an_unfinished_demo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run `make demo-long` first"):
        trained_checkpoint(tmp_path)
    checkpoint = tmp_path / "run" / "version_1" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    (tmp_path / "run" / "done.json").write_text(json.dumps({"checkpoint": str(checkpoint)}))
    with pytest.raises(UserError, match=r"--checkpoint"):
        trained_checkpoint(tmp_path)
    checkpoint.touch()
    assert trained_checkpoint(tmp_path) == checkpoint


def test_the_whole_demo_with_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An untrained network does not reach the goals; all outputs exist, and only prediction is repeated."""
    monkeypatch.chdir(ROOT)
    config = (ROOT / demo_long.CONFIG).read_text().replace("initialization: residual", "width: 0.125")
    (tmp_path / "long.yaml").write_text(config.replace("max_steps: 3000", "max_steps: 2"))
    (tmp_path / "train.txt").write_text("000000_00\n000000_01\n")
    (tmp_path / "val.txt").write_text("000001_00\n000001_01\n")
    monkeypatch.setattr(demo_long, "CONFIG", str(tmp_path / "long.yaml"))
    monkeypatch.setattr(demo_long, "TRAIN_SPLIT", str(tmp_path / "train.txt"))
    monkeypatch.setattr(demo_long, "VAL_SPLIT", str(tmp_path / "val.txt"))
    monkeypatch.setattr(demo_long, "RENDERING", demo_long.RENDERING.replace("1024", "2"))
    calls: list[str] = []
    monkeypatch.setattr(commands, "run", run_here(calls, ["--trainer.val_check_interval", "1"]))
    output = tmp_path / "out"
    assert run_demo_long(output, 3) is False
    assert calls == ["data render", "fit", "predict"]
    assert trained_checkpoint(output).is_file()
    curves = read_curves(output / "run", METRICS)
    assert [step for step, _ in curves["val/epe_all"]] == [1, 2]
    # Validation and predictions use the same scenes and weights, except for the files' 16-bit precision.
    rows = json.loads((output / "table.json").read_text())
    assert rows[DWARF]["epe_all"] == pytest.approx(curves["val/epe_all"][-1][1], abs=0.02)
    assert all((output / name).is_file() for name in ("curve.png", "overview.png", "table.md", "goals.json"))
    assert run_demo_long(output, 3) is False
    assert calls == ["data render", "fit", "predict", "predict"]
