"""The whole ablation with two steps a run: every row is there, and nothing that is done is done again."""

import json
from pathlib import Path

import cv2
import pytest
import torch
from here import run_here

from flowdistill.cli.flowdistill import main
from flowdistill.errors import UserError
from flowdistill.recipes import ablation, commands
from flowdistill.recipes.ablation_fit import Fit, fits
from flowdistill.recipes.ablation_report import GT, GT_PX, MEAN, PROXY, PX, START, ZERO
from flowdistill.training import DwarfModule

ROOT = Path(__file__).parents[2]
CONFIG = """\
model:
  class_path: flowdistill.training.DwarfModule
  init_args: {loss: kitti, alphas: {2: 0.001}, decay: 1.1e-5, width: 0.125, learning_rate: 1.0e-4}
trainer: {max_steps: 2, enable_progress_bar: false, enable_model_summary: false}
"""
LABELS = """\
dataset: kitti2015
view: scene_flow
teachers: {matcher: {opencv: {max_disparity: 32}}}
motions: {disparity: [matcher], flow: [matcher]}
confidence:
  disparity: {consistency: {absolute: 1.0}}
  flow: {consistency: {absolute: 0.7}}
"""
SCENES = [f"{scene:06d}_{frame:02d}" for scene in range(2) for frame in range(2)]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The recipe with three scenes and a narrow network; the list of commands that it has run, in this process."""
    monkeypatch.chdir(ROOT)
    files = {
        "CONFIG": CONFIG,
        "LABELS": LABELS,
        "gt": SCENES[0],
        "px": "\n".join(f"{name} labels=proxy" for name in SCENES),
        "gt_px": "\n".join([SCENES[0], *(f"{name} labels=proxy" for name in SCENES[1:])]),
        "TRAIN_SPLIT": "\n".join(SCENES),
        "VAL_SPLIT": "000002_00\n000002_01",
        "data": "data: {init_args: {num_workers: 0, scene_flow: {zoom: 0.5, colour: 0.5}}}",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    for name in ("CONFIG", "LABELS", "TRAIN_SPLIT", "VAL_SPLIT"):
        monkeypatch.setattr(ablation, name, str(tmp_path / name))
    monkeypatch.setattr(ablation, "ABLATION_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(ablation, "SPLITS", {run: str(tmp_path / run) for run in ablation.SPLITS})
    scenes = ablation.RENDERING.replace("--scenes 256", "--scenes 3")
    assert scenes != ablation.RENDERING
    monkeypatch.setattr(ablation, "RENDERING", scenes)
    calls: list[str] = []

    run = run_here(calls)
    monkeypatch.setattr(commands, "run", run)
    monkeypatch.setattr(ablation, "run", run)
    return calls


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Of a network that nobody trained."""
    import pytorch_lightning as pl

    torch.manual_seed(0)
    model = DwarfModule("kitti", {2: 0.001}, width=0.125, start="residual")
    trainer = pl.Trainer(
        logger=False, accelerator="cpu", default_root_dir=tmp_path, enable_progress_bar=False
    )
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "start.ckpt")
    return tmp_path / "start.ckpt"


def test_every_row_is_there_and_nothing_is_done_twice(
    small: list[str], checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    ablation.run_ablation(output, checkpoint, [5])
    once = ["data render", "labels make", *["fit"] * 3, *["predict"] * 4]
    assert small == once
    scores = json.loads((output / "table.json").read_text())["5"]
    assert list(scores) == [ZERO, MEAN, START, GT, PX, GT_PX, PROXY]
    table = (output / "table.md").read_text()
    assert table in capsys.readouterr().out
    assert len([line for line in table.splitlines() if line.startswith("| 5 |")]) == 7
    # Two steps from the same weights: others than these, and others for each supervision.
    errors = [scores[name]["disparity_t0_epe_all"] for name in (START, GT, PX, GT_PX)]
    assert len(set(errors)) == 4
    assert 0 < scores[PROXY]["disparity_t0_density"] < 100
    assert scores[PROXY]["disparity_t0_epe_all"] < scores[MEAN]["disparity_t0_epe_all"]
    # Two samples; image, truth, and two pictures for each of four methods, all twice as large.
    height, width = cv2.imread(str(output / "seed5" / "overview.png")).shape[:2]
    assert width > 10 * 256
    assert 2 * 128 < height < 3 * 128

    ablation.run_ablation(output, checkpoint, [5])
    assert small == once
    assert (output / "table.md").read_text() == table


def test_what_was_made_of_other_files_is_made_anew(checkpoint: Path, tmp_path: Path) -> None:
    asked: list[int] = []

    def compute() -> dict[str, dict[str, float]]:
        asked.append(len(asked))
        return {PX: {"d1_all": float(len(asked))}}

    folder, mark = tmp_path / "seed0" / "px", tmp_path / "seed0" / "labels.done"
    mark.parent.mkdir()
    mark.write_text("one config")
    first = ablation._once(folder, [mark, checkpoint], compute)
    assert ablation._once(folder, [mark, checkpoint], compute) == first == {PX: {"d1_all": 1.0}}
    mark.write_text("another config")
    assert ablation._once(folder, [mark, checkpoint], compute) == {PX: {"d1_all": 2.0}}
    # Of a run, weights, data and labels count as settings, too.
    fit = ablation._fit(folder.parent, "px", 0, checkpoint)
    assert list(fit.files) == [checkpoint, folder.parent / "data.done", mark]


def test_a_missing_checkpoint_is_named(small: list[str], tmp_path: Path) -> None:
    arguments = ["ablation", "--output", str(tmp_path / "out"), "--checkpoint", str(tmp_path / "none.ckpt")]
    assert main(arguments) == 2
    with pytest.raises(UserError, match=r"there is no file .*none\.ckpt"):
        ablation.run_ablation(tmp_path / "out", tmp_path / "none.ckpt", [0])
    assert small == []


def test_no_jobs_at_all_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablation", "--jobs", "0"]) == 2
    assert "--jobs is 0" in capsys.readouterr().err


def test_runs_at_a_time_print_into_logs_and_come_back_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Processes of their own; here they find their runs done, or wrong."""
    work = []
    for name in ("b", "a", "c"):
        folder = tmp_path / name
        (folder / "checkpoints").mkdir(parents=True)
        last = folder / "checkpoints" / "last.ckpt"
        last.touch()
        settings = {"arguments": ["--seed", name], "configs": {}, "files": {}}
        (folder / "started.json").write_text(json.dumps(settings))
        (folder / "done.json").write_text(json.dumps({"checkpoint": "checkpoints/last.ckpt"}))
        work.append(Fit(folder, ["--seed", name], []))
    found = list(fits(work, 2))
    assert [path.parent.parent.name for path in found] == ["b", "a", "c"]
    assert [fit.log.read_text() for fit in work] == [f"done before: {fit.folder}\n" for fit in work]
    assert f"{tmp_path / 'a'}: done" in capsys.readouterr().out
    broken = Fit(tmp_path / "d", ["--nonsense", "1"], [])
    with pytest.raises(UserError, match=r"the run in .*d ended with code 2; its message is in .*d\.log"):
        list(fits([work[0], broken], 2))
    assert "`lightning fit` ended with code 2" in broken.log.read_text()
    assert "nonsense" in broken.log.read_text()
