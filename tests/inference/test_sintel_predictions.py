"""From a rendered Sintel tree to its table: dataset, prediction writer and evaluation use the same pixels."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
import pytorch_lightning as pl
import torch

from flowdistill.cli.flowdistill import main
from flowdistill.data.datasets import open_dataset
from flowdistill.inference.writer import PredictionWriter


def test_written_predictions_are_evaluated(tmp_path: Path) -> None:
    root = tmp_path / "sintel"
    render = [
        "--output",
        str(root),
        "--layout",
        "sintel",
        "--scenes",
        "2",
        "--frames",
        "3",
        "--size",
        "64x96",
    ]
    assert main(["data", "render", *render]) == 0
    dataset = open_dataset("sintel", str(root), "scan", "flow", labels=True)
    samples = [cast(dict[str, Any], dataset[index]) for index in range(len(dataset))]
    assert len(samples) == 8  # two passes of two scenes of two pairs
    writer = PredictionWriter(str(tmp_path / "out"), layout="sintel")
    error = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    pixels = {"all": 0, "matched": 0, "unmatched": 0, "s0-10": 0, "s10-40": 0}
    for sample in samples:
        batch = {"name": [sample["name"]], "flow": sample["flow"][None]}
        wrong = {"clean": error, "final": 2 * error}[sample["name"].split("/")[0]]
        prediction = {"flow": batch["flow"] + wrong, "flow_backward": batch["flow"]}
        writer.write_on_batch_end(
            cast(pl.Trainer, None), cast(pl.LightningModule, None), prediction, None, batch, 0, 0
        )
        if sample["name"].startswith("clean"):
            valid, occluded = sample["valid_flow"], sample["occluded"]
            speed = sample["flow"].norm(dim=0, keepdim=True)
            for region, mask in {
                "all": valid,
                "matched": valid & ~occluded,
                "unmatched": valid & occluded,
                "s0-10": valid & (speed < 10),
                "s10-40": valid & (speed >= 10) & (speed < 40),
            }.items():
                pixels[region] += int(mask.sum())
    folders = ["--predictions", str(tmp_path / "out"), "--ground-truth", str(root / "training")]
    assert main(["evaluate", "sintel", *folders, "--json", str(tmp_path / "out.json")]) == 0
    pooled = json.loads((tmp_path / "out.json").read_text())["pooled"]
    assert pixels["unmatched"] > 100
    for pass_, epe in {"clean": 5.0, "final": 10.0}.items():
        for region, count in pixels.items():
            assert pooled[pass_][region]["pixels"] == count
            if count:
                assert pooled[pass_][region]["epe"] == pytest.approx(epe, abs=1e-5)
    distances = [pooled["clean"][region]["pixels"] for region in ("d0-10", "d10-60", "d60-140")]
    assert min(distances[:2]) > 0
    assert sum(distances) == pixels["all"]
