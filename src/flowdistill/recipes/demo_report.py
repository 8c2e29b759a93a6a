"""The demo's table and pictures, from the files on disk alone: predictions beside baselines of the same run.

flow        # (1, 2, H, W) px
disparity   # (1, 1, H, W) px
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from flowdistill.data import KittiDataset, read_split
from flowdistill.formats import read_image, read_kitti_disparity, read_kitti_flow, write_image
from flowdistill.metrics import EndPointError, OutlierRate
from flowdistill.visual import contact_sheet, disparity_to_colours, flow_to_colours

MOTIONS = ("flow", "disparity_t0", "disparity_t1")
FOLDERS = {"flow": "flow", "disparity_t0": "disp_0", "disparity_t1": "disp_1"}
COLUMNS = {
    "flow epe_all": "flow EPE", "flow epe_noc": "noc", "flow epe_occ": "occ", "flow rate_all": "Fl %",
    "disparity_t0 epe_all": "disparity EPE", "disparity_t0 rate_all": "D1 %",
    "disparity_t1 epe_all": "disparity t1 EPE", "disparity_t1 rate_all": "D2 %",
}  # fmt: skip

Row = dict[str, float]
Predict = Callable[[str, str], Tensor | None]  # (sample's name, motion) -> prediction, or None: not its task


@dataclass
class Goal:
    """A ratio that the demo promises, with what was measured."""

    text: str
    ratio: float
    limit: float
    reached: bool

    def __str__(self) -> str:
        verdict = "reached" if self.reached else "NOT REACHED"
        return f"{verdict}: {self.text}: ratio {self.ratio:.2f}, at most {self.limit}"


def report(output: Path, data: Path, train_split: str, val_split: str) -> list[Goal]:
    """Write table.md, table.json and overview.png into `output`; return the goals."""
    train = KittiDataset(str(data), read_split(train_split), "scene_flow", labels=True)
    val = KittiDataset(str(data), read_split(val_split), "scene_flow", labels=True)
    means = mean_motions(train)
    predictions = output / "predictions"
    methods: dict[str, Predict] = {
        "zero motion": lambda _, motion: torch.zeros(1, 2, 1, 1) if motion == "flow" else None,
        "training set's mean": lambda _, motion: means[motion].view(1, -1, 1, 1),
        "DDFlow (images alone)": lambda name, motion: _read(predictions / "ddflow", name, motion),
        "DWARF (labels)": lambda name, motion: _read(predictions / "dwarf", name, motion),
    }
    rows = {method: evaluate(val, predict) for method, predict in methods.items()}
    (output / "table.json").write_text(json.dumps(rows, indent=2))
    (output / "table.md").write_text(_markdown(rows))
    write_image(output / "overview.png", _overview(val, predictions))
    return [
        _goal(
            rows, "DDFlow's flow EPE over zero motion's", "flow epe_all",
            "DDFlow (images alone)", "zero motion", 0.5,
        ),
        _goal(
            rows, "DWARF's disparity EPE over the mean disparity's", "disparity_t0 epe_all",
            "DWARF (labels)", "training set's mean", 0.75,
        ),
    ]  # fmt: skip


def mean_motions(dataset: KittiDataset) -> dict[str, Tensor]:
    """Motion -> mean over all valid pixels of a data set, (C,) px: the best constant guess."""
    totals = {motion: torch.zeros(2 if motion == "flow" else 1, dtype=torch.float64) for motion in MOTIONS}
    pixels = dict.fromkeys(MOTIONS, 0)
    for sample in _samples(dataset, "mean motion"):
        for motion in MOTIONS:
            valid = sample[f"valid_{motion}"]
            totals[motion] += (sample[motion] * valid).double().sum(dim=(1, 2))
            pixels[motion] += int(valid.sum())
    return {motion: (totals[motion] / pixels[motion]).float() for motion in MOTIONS}


def evaluate(dataset: KittiDataset, predict: Predict) -> Row:
    """Errors of a method over a data set: "MOTION epe_{all,noc,occ}" in px, "MOTION rate_{all,noc}" in percent."""
    metrics = {motion: (EndPointError(), OutlierRate()) for motion in MOTIONS}
    for sample in _samples(dataset, "compare"):
        for motion in MOTIONS:
            predicted = predict(sample["name"], motion)
            if predicted is None:
                continue
            truth = sample[motion][None]
            masks = (sample[f"valid_{motion}"][None], sample[f"valid_{motion}_noc"][None])
            for metric in metrics[motion]:
                metric.update(predicted.expand_as(truth), truth, *masks)
    row: Row = {}
    for motion, (error, rate) in metrics.items():
        if error.update_called:
            row |= {f"{motion} epe_{pixels}": float(value) for pixels, value in error.compute().items()}
            row |= {f"{motion} rate_{pixels}": float(value) for pixels, value in rate.compute().items()}
    return row


def _samples(dataset: KittiDataset, doing: str) -> Iterator[dict[str, Any]]:
    for index in tqdm(range(len(dataset)), desc=doing, unit="sample", leave=False):
        yield cast("dict[str, Any]", dataset[index])


def _read(folder: Path, name: str, motion: str) -> Tensor | None:
    """A predicted motion (1, C, H, W); None if the method does not predict it."""
    if not (folder / FOLDERS[motion]).is_dir():
        return None
    path = folder / FOLDERS[motion] / f"{name}.png"
    values, _ = read_kitti_flow(path) if motion == "flow" else read_kitti_disparity(path)
    return torch.from_numpy(values.transpose(2, 0, 1).copy())[None]


def _goal(rows: dict[str, Row], text: str, column: str, method: str, baseline: str, limit: float) -> Goal:
    ratio = rows[method][column] / rows[baseline][column]
    return Goal(text, ratio, limit, ratio <= limit)


def _markdown(rows: dict[str, Row]) -> str:
    lines = [
        "| validation scenes | " + " | ".join(COLUMNS.values()) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for method, row in rows.items():
        cells = [f"{row[column]:.2f}" if column in row else "–" for column in COLUMNS]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _overview(dataset: KittiDataset, predictions: Path, scenes: int = 6) -> np.ndarray:
    """Rows of validation scenes: image, true flow, both predicted flows, true and predicted disparity."""
    titles = [
        "left_t0",
        "true flow",
        "DDFlow",
        "DWARF",
        "DWARF error",
        "true disparity",
        "DWARF",
        "DWARF error",
    ]
    grid = []
    step = max(1, len(dataset) // scenes)
    for index in range(0, len(dataset), step)[:scenes]:
        sample = cast("dict[str, Any]", dataset[index])
        name = sample["name"]
        image = (sample["left_t0"].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
        flow = sample["flow"].numpy().transpose(1, 2, 0)
        disparity = sample["disparity_t0"].numpy().transpose(1, 2, 0)
        most = float(np.linalg.norm(flow, axis=2).max())
        found = {
            (model, motion): _read(predictions / model, name, motion)
            for model in ("ddflow", "dwarf")
            for motion in MOTIONS
        }

        def pixels(
            model: str, motion: str, found: dict[tuple[str, str], Tensor | None] = found
        ) -> np.ndarray:
            value = found[model, motion]
            assert value is not None
            return value[0].numpy().transpose(1, 2, 0)

        grid.append([
            image,
            flow_to_colours(flow, most),
            flow_to_colours(pixels("ddflow", "flow"), most),
            flow_to_colours(pixels("dwarf", "flow"), most),
            read_image(predictions / "dwarf" / "flow_error" / f"{name}.png"),
            disparity_to_colours(disparity, float(disparity.max())),
            disparity_to_colours(pixels("dwarf", "disparity_t0"), float(disparity.max())),
            read_image(predictions / "dwarf" / "disp_0_error" / f"{name}.png"),
        ])  # fmt: skip
    enlarged = [
        [cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST) for picture in row]
        for row in grid
    ]
    return contact_sheet(enlarged, labels=[titles, *([[""] * len(titles)] * (len(grid) - 1))])
