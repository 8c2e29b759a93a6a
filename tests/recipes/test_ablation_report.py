"""The ablation's numbers, table and verdict."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flowdistill.data import KittiDataset, read_split
from flowdistill.formats import write_kitti_disparity, write_kitti_flow
from flowdistill.recipes.ablation_report import (
    CLAIMED,
    GT,
    GT_PX,
    PROXY,
    PX,
    START,
    claim,
    table,
)
from flowdistill.recipes.report import Scores
from flowdistill.recipes.scores import MEAN, ZERO, baselines, proxy_labels, score


def scores(px: float, gt: float = 1.0, both: float = 0.5, start_flow: float = 1.0) -> Scores:
    """Every disparity measure of a method is one number, every flow measure another."""
    flow = dict.fromkeys(("epe_all", "fl_all", "sf_all"), 1.0)
    errors = {START: 2.0, GT: gt, PX: px, GT_PX: both}
    rows = {method: {**dict.fromkeys(CLAIMED, error), **flow} for method, error in errors.items()}
    rows[START] |= {"epe_all": start_flow}
    density = {f"{motion}_density": 50.0 for motion in ("flow", "disparity_t0", "disparity_t1")}
    return {
        ZERO: {"epe_all": 2.0},
        MEAN: {**dict.fromkeys(CLAIMED, 3.0), **flow, "epe_all": 1.5},
        **rows,
        PROXY: {**dict.fromkeys(CLAIMED, 0.25), **flow, **density},
    }


def test_a_difference_shows_if_it_is_larger_than_its_spread_over_the_seeds() -> None:
    # Px is lower by 0.4 and 0.2 (spread 0.2, mean 0.3); Gt+Px is lower than Px by 0.1 and 0.5 (spread 0.4, mean 0.3).
    text = claim({0: scores(0.6, both=0.5), 1: scores(0.8, both=0.3)})
    lines = text.splitlines()
    assert lines[1].startswith(
        "- Px lower than Gt by: disparity EPE t0 +0.300 px (spread 0.200): supported; "
    )
    assert "D1 +0.300 % (spread 0.200): supported" in lines[1]
    assert lines[3].startswith(
        "- Gt+Px lower than Px by: disparity EPE t0 +0.300 px (spread 0.400): within the"
    )
    assert lines[4] == "8 of 12 comparisons are supported."


def test_a_difference_the_other_way_does_not_show() -> None:
    text = claim({0: scores(1.2), 1: scores(1.21)})
    assert "- Px lower than Gt by: disparity EPE t0 -0.205 px (spread 0.010): NOT supported" in text
    assert "0 of 9 comparisons are supported." in text  # flow is the same for all


def test_one_seed_is_not_judged() -> None:
    text = claim({0: scores(0.5)})
    assert "inconclusive with one seed" in text
    assert "0 of 12 comparisons are supported." in text


@pytest.mark.parametrize(("start_flow", "counts"), [(1.4, True), (1.6, False)])
def test_flow_counts_only_below_both_baselines_at_every_seed(start_flow: float, counts: bool) -> None:
    text = claim({0: scores(0.5), 1: scores(0.5, start_flow=start_flow)})
    assert ("so that flow counts, too" in text) is counts
    assert ("Flow does NOT count" in text) is not counts


def test_table_has_every_row_the_means_and_the_spread() -> None:
    lines = table({1: scores(0.5), 0: scores(0.9)}).splitlines()
    methods = [ZERO, MEAN, START, GT, PX, GT_PX, PROXY]
    rows = [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines[2:30]]
    assert rows == [(seed, method) for seed in ("0", "1", "mean", "spread") for method in methods]
    assert len({line.count("|") for line in lines[:30]}) == 1
    assert lines[0].split("|")[3].strip() == "disparity EPE t0 px"  # the finer measure comes first
    assert "| mean | Px | 0.70 | 0.70 |" in lines[20]
    assert "| spread | Px | 0.40 | 0.40 |" in lines[27]
    assert "| 0 | zero motion | – |" in lines[2]
    assert lines[8].endswith("| 50, 50, 50 |")


@pytest.fixture
def dataset(rendered: Path) -> KittiDataset:
    return KittiDataset(str(rendered), read_split(rendered / "val.txt"), "scene_flow", labels=True)


def test_labels_are_scored_where_they_are(dataset: KittiDataset, tmp_path: Path) -> None:
    """Left half labelled, with known errors; recomputed in numpy."""
    truths: list[Any] = []
    for index in range(len(dataset)):
        sample: Any = dataset[index]
        truths.append(sample)
        valid = np.zeros(sample["flow"].shape[1:], dtype=bool)
        valid[:, : valid.shape[1] // 2] = True
        off = {"disparity_t0": 0.5, "disparity_t1": 2.0 if index == 0 else 0.0}
        for motion, folder in (("disparity_t0", "disp_0"), ("disparity_t1", "disp_1")):
            path = tmp_path / "left" / folder / f"{sample['name']}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            values = sample[motion].numpy().transpose(1, 2, 0) + np.float32(off[motion])
            write_kitti_disparity(path, values, valid)
        path = tmp_path / "left" / "flow" / f"{sample['name']}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_kitti_flow(path, sample["flow"].numpy().transpose(1, 2, 0) + np.float32([3.0, 4.0]), valid)
    row = score(dataset, proxy_labels(tmp_path))
    assert row["disparity_t0_epe_all"] == pytest.approx(0.5, abs=0.01)
    assert row["disparity_t0_bad1"] == 0.0
    assert row["epe_all"] == pytest.approx(5.0, abs=0.02)
    half = [sample["valid_disparity_t1"][0, :, :64].numpy() for sample in truths]
    whole = [sample["valid_disparity_t1"].numpy() for sample in truths]
    pixels = sum(int(mask.sum()) for mask in half)
    assert row["disparity_t1_bad1"] == pytest.approx(100 * int(half[0].sum()) / pixels)
    expected = 100 * pixels / sum(int(mask.sum()) for mask in whole)
    assert row["disparity_t1_density"] == pytest.approx(expected)
    fast = [
        (sample["flow"][:, :, :64].norm(dim=0) < 100) & sample["valid_flow"][0, :, :64] for sample in truths
    ]
    wrong, known_ = (
        sum(int(mask.sum()) for mask in fast),
        sum(int(s["valid_flow"][0, :, :64].sum()) for s in truths),
    )
    assert row["fl_all"] == pytest.approx(
        100 * wrong / known_
    )  # 5 px is over 3 px, and over 5 % below 100 px


def test_what_a_method_does_not_predict_is_left_out(dataset: KittiDataset) -> None:
    row = score(dataset, baselines(dataset)[ZERO])
    lengths = torch.cat([dataset[i]["flow"].norm(dim=0).flatten() for i in range(len(dataset))])
    assert row["epe_all"] == pytest.approx(lengths.mean().item(), rel=1e-4)
    assert row["flow_density"] == 100.0
    assert not [key for key in row if "disparity" in key or key.startswith(("d1", "d2", "sf"))]
