"""The demo's table, from predictions with known errors."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from flowdistill.data import KittiDataset, read_split
from flowdistill.inference.writer import write_prediction
from flowdistill.recipes.demo import report
from flowdistill.recipes.scores import MEAN, baselines, mean_motions, score


def test_table_goals_and_picture(rendered: Path, tmp_path: Path) -> None:
    val = str(rendered / "val.txt")
    dataset = KittiDataset(str(rendered), read_split(val), "scene_flow", labels=True)
    for index in range(len(dataset)):
        sample: Any = dataset[index]
        batch = {k: (v[None] if isinstance(v, torch.Tensor) else [v]) for k, v in sample.items()}
        # DDFlow is off by (3, 4) px everywhere, DWARF's disparity by half a pixel.
        moved = batch["flow"] + torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
        write_prediction(tmp_path / "predictions" / "ddflow", sample["name"], {"flow": moved}, batch, 0)
        dwarf = {
            k: batch[k] + (0.5 if k == "disparity_t0" else 0.0)
            for k in ("flow", "disparity_t0", "disparity_t1")
        }
        write_prediction(tmp_path / "predictions" / "dwarf", sample["name"], dwarf, batch, 0)
    goals = report(tmp_path, rendered, str(rendered / "train.txt"), val)
    rows = json.loads((tmp_path / "table.json").read_text())
    assert rows["DDFlow (images alone)"]["epe_all"] == pytest.approx(5.0, abs=0.02)
    assert rows["DWARF (labels)"]["epe_all"] == pytest.approx(0.0, abs=0.01)
    assert rows["DWARF (labels)"]["disparity_t0_epe_all"] == pytest.approx(0.5, abs=0.003)
    assert "disparity_t0_epe_all" not in rows["DDFlow (images alone)"]
    # Zero motion's error is the mean length of the true flow, the mean guess's the mean deviation.
    lengths = torch.cat([dataset[i]["flow"].norm(dim=0).flatten() for i in range(len(dataset))])
    assert rows["zero motion"]["epe_all"] == pytest.approx(lengths.mean().item(), rel=1e-4)
    assert [goal.reached for goal in goals] == [5.0 / lengths.mean().item() <= 0.5, True]
    assert goals[0].ratio == pytest.approx(5.0 / lengths.mean().item(), rel=0.01)
    assert "NOT REACHED" in str(goals[0]) or goals[0].reached
    table = (tmp_path / "table.md").read_text().splitlines()
    assert len(table) == 6
    assert len({line.count("|") for line in table}) == 1
    assert (tmp_path / "overview.png").stat().st_size > 10_000


def test_mean_is_the_best_constant_of_the_training_set(rendered: Path) -> None:
    dataset = KittiDataset(str(rendered), read_split(rendered / "train.txt"), "scene_flow", labels=True)
    means = mean_motions(dataset)
    stacked = torch.stack([dataset[i]["disparity_t0"] for i in range(len(dataset))])
    valid = torch.stack([dataset[i]["valid_disparity_t0"] for i in range(len(dataset))])
    assert means["disparity_t0"].item() == pytest.approx(stacked[valid].mean().item(), rel=1e-5)
    row = score(dataset, baselines(dataset)[MEAN])
    expected = (stacked[valid] - means["disparity_t0"]).abs().mean().item()
    assert row["disparity_t0_epe_all"] == pytest.approx(expected, rel=1e-4)
