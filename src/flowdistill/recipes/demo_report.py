"""The demo's table and pictures, from the files on disk alone: predictions beside baselines of the same run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from torch import Tensor

from flowdistill.data import KittiDataset, read_split
from flowdistill.formats import read_image, write_image
from flowdistill.recipes.scores import MOTIONS, Predict, Row, mean_motions, read_motion, score, zero_motion
from flowdistill.visual import contact_sheet, disparity_to_colours, flow_to_colours

COLUMNS = {
    "flow epe_all": "flow EPE", "flow epe_noc": "noc", "flow epe_occ": "occ", "flow rate_all": "Fl %",
    "disparity_t0 epe_all": "disparity EPE", "disparity_t0 rate_all": "D1 %",
    "disparity_t1 epe_all": "disparity t1 EPE", "disparity_t1 rate_all": "D2 %",
}  # fmt: skip


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
        "zero motion": zero_motion,
        "training set's mean": lambda _, motion: means[motion].view(1, -1, 1, 1),
        "DDFlow (images alone)": lambda name, motion: read_motion(predictions / "ddflow", name, motion),
        "DWARF (labels)": lambda name, motion: read_motion(predictions / "dwarf", name, motion),
    }
    rows = {method: score(val, predict) for method, predict in methods.items()}
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
            (model, motion): read_motion(predictions / model, name, motion)
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
