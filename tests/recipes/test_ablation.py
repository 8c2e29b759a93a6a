"""The whole ablation with two steps per run: every row exists, and finished parts are not repeated."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from here import run_here

from flowdistill.cli.flowdistill import main
from flowdistill.data import KittiDataset, read_split
from flowdistill.errors import UserError
from flowdistill.recipes import ablation, commands
from flowdistill.recipes.ablation import Ablation, fit_one, run_ablation
from flowdistill.recipes.ablation import once as once_made
from flowdistill.recipes.ablation_report import GT, GT_PX, PROXY, PX, START
from flowdistill.recipes.ablation_zoom import KEPT, NEAREST, RELEASED, run_zoom_comparison, thin
from flowdistill.recipes.scores import MEAN, ZERO
from flowdistill.training import DwarfModule

ROOT = Path(__file__).parents[2]
CONFIG = """\
model:
  class_path: flowdistill.training.DwarfModule
  init_args: {loss: sparse_full_resolution, alphas: {2: 0.001}, l2_weight: 1.1e-5, width: 0.125, learning_rate: 1.0e-4}
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
def small(tmp_path: Path) -> Ablation:
    """The recipe with three scenes and a narrow network."""
    files = {
        "model": CONFIG,
        "labels": LABELS,
        "gt": SCENES[0],
        "px": "\n".join(f"{name} labels=proxy" for name in SCENES),
        "gt_px": "\n".join([SCENES[0], *(f"{name} labels=proxy" for name in SCENES[1:])]),
        "train": "\n".join(SCENES),
        "val": "000002_00\n000002_01",
        "data": "data: {init_args: {num_workers: 0, scene_flow: {zoom_probability: 0.5, colour_probability: 0.5}}}",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    parts = {name: str(tmp_path / name) for name in ("model", "data", "labels", "train", "val")}
    splits = {name: str(tmp_path / name) for name in ("gt", "px", "gt_px")}
    scenes = Ablation().rendering.replace("--scenes 256", "--scenes 3")
    return Ablation(rendering=scenes, splits=splits, **parts)


@pytest.fixture
def commands_run(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands run by the recipe, in this process."""
    monkeypatch.chdir(ROOT)
    calls: list[str] = []
    run = run_here(calls)
    monkeypatch.setattr(commands, "run", run)
    monkeypatch.setattr(ablation, "run", run)
    return calls


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Checkpoint of an untrained network."""
    import pytorch_lightning as pl

    torch.manual_seed(0)
    model = DwarfModule("sparse_full_resolution", {2: 0.001}, width=0.125, initialization="residual")
    trainer = pl.Trainer(
        logger=False, accelerator="cpu", default_root_dir=tmp_path, enable_progress_bar=False
    )
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "start.ckpt")
    return tmp_path / "start.ckpt"


def test_every_row_is_there_and_nothing_is_done_twice(
    small: Ablation,
    commands_run: list[str],
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out"
    run_ablation(output, checkpoint, [5], ablation=small)
    once = ["data render", "labels make", *["fit"] * 3, *["predict"] * 4]
    assert commands_run == once
    scores = json.loads((output / "table.json").read_text())["5"]
    assert list(scores) == [ZERO, MEAN, START, GT, PX, GT_PX, PROXY]
    table = (output / "table.md").read_text()
    assert table in capsys.readouterr().out
    assert len([line for line in table.splitlines() if line.startswith("| 5 |")]) == 7
    # After two steps, weights differ from the initial ones and between supervisions.
    errors = [scores[name]["disparity_t0_epe_all"] for name in (START, GT, PX, GT_PX)]
    assert len(set(errors)) == 4
    assert 0 < scores[PROXY]["disparity_t0_density"] < 100
    assert scores[PROXY]["disparity_t0_epe_all"] < scores[MEAN]["disparity_t0_epe_all"]
    # Two samples; image, truth, and two pictures for each of four methods, all twice as large.
    height, width = cv2.imread(str(output / "seed5" / "overview.png")).shape[:2]
    assert width > 10 * 256
    assert 2 * 128 < height < 3 * 128

    run_ablation(output, checkpoint, [5], ablation=small)
    assert commands_run == once
    assert (output / "table.md").read_text() == table


def test_what_was_made_of_other_files_is_made_anew(checkpoint: Path, tmp_path: Path) -> None:
    asked: list[int] = []

    def compute() -> dict[str, dict[str, float]]:
        asked.append(len(asked))
        return {PX: {"d1_all": float(len(asked))}}

    folder, mark = tmp_path / "seed0" / "px", tmp_path / "seed0" / "labels.done"
    mark.parent.mkdir()
    mark.write_text("one config")
    first = once_made(folder, [mark, checkpoint], compute)
    assert once_made(folder, [mark, checkpoint], compute) == first == {PX: {"d1_all": 1.0}}
    mark.write_text("another config")
    assert once_made(folder, [mark, checkpoint], compute) == {PX: {"d1_all": 2.0}}


def test_a_run_of_other_labels_or_weights_is_refused(
    small: Ablation, commands_run: list[str], checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "seed0"
    (folder / "px" / "version_0" / "checkpoints").mkdir(parents=True)
    shutil.copy(checkpoint, folder / "px" / "version_0" / "checkpoints" / "last.ckpt")
    for name in ("data.done", "labels.done"):
        (folder / name).write_text("one")
    with pytest.raises(UserError, match="contains something other"):
        fit_one(small, folder, "px", 0, checkpoint)  # without a marker, its settings are unknown
    settings = {"arguments": [], "configs": {}, "files": {"labels.done": "another"}}
    (folder / "px" / "started.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=r"labels\.done has changed"):
        fit_one(small, folder, "px", 0, checkpoint)
    assert commands_run == []


def test_a_missing_checkpoint_is_named(commands_run: list[str], tmp_path: Path) -> None:
    arguments = ["ablation", "--output", str(tmp_path / "out"), "--checkpoint", str(tmp_path / "none.ckpt")]
    assert main(arguments) == 2
    with pytest.raises(UserError, match=r"there is no file .*none\.ckpt"):
        run_ablation(tmp_path / "out", tmp_path / "none.ckpt", [0])
    assert commands_run == []


def test_no_jobs_at_all_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablation", "--jobs", "0"]) == 2
    assert "--jobs is 0" in capsys.readouterr().err


def test_the_released_zoom_is_compared_on_thinned_labels(
    small: Ablation, commands_run: list[str], checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    text = run_zoom_comparison(output, checkpoint, [5], ablation=small)
    once = ["data render", *["fit"] * 2, *["predict"] * 3]
    assert commands_run == once
    scores = json.loads((output / "zoom.json").read_text())["5"]
    assert list(scores) == [START, NEAREST, RELEASED]
    errors = [row["disparity_t0_epe_all"] for row in scores.values()]
    assert len(set(errors)) == 3
    assert text == (output / "zoom.md").read_text()
    run_zoom_comparison(output, checkpoint, [5], ablation=small)
    assert commands_run == once
    # Only the training sample is thinned, in all its files alike; the original is untouched.
    folder = output / "seed5"
    opened: list[dict[str, Any]] = [
        dict(KittiDataset(str(folder / name), read_split(small.splits["gt"]), "scene_flow", labels=True)[0])
        for name in ("data", "sparse")
    ]
    dense, sparse = opened
    for key in ("flow", "disparity_t0", "disparity_t1"):
        kept = sparse[f"valid_{key}"]
        assert kept.float().mean().item() == pytest.approx(KEPT, abs=0.02)
        assert dense[f"valid_{key}"].float().mean() > 0.9
        value = [sample[key].expand(2, -1, -1) for sample in (sparse, dense)]
        assert torch.equal(value[0][:, kept[0]], value[1][:, kept[0]])
    val = [KittiDataset(str(folder / name), read_split(small.val), "scene_flow", labels=True)[0]
           for name in ("data", "sparse")]  # fmt: skip
    assert torch.equal(val[0]["valid_flow"], val[1]["valid_flow"])


def test_thinning_that_was_broken_off_is_done_again(
    tmp_path: Path, small: Ablation, commands_run: list[str]
) -> None:
    commands.render(tmp_path / "scenes", f"{small.rendering} --seed 1")
    thin(tmp_path / "scenes", tmp_path / "sparse", [SCENES[0]], seed=1)
    file = tmp_path / "sparse" / "training" / "flow_occ" / f"{SCENES[0]}.png"
    made = file.read_bytes()
    (tmp_path / "sparse.done").unlink()
    file.write_bytes(b"half")
    thin(tmp_path / "scenes", tmp_path / "sparse", [SCENES[0]], seed=1)
    assert file.read_bytes() == made
    before = file.stat().st_mtime_ns
    thin(tmp_path / "scenes", tmp_path / "sparse", [SCENES[0]], seed=1)
    assert file.stat().st_mtime_ns == before
