"""The table, the pictures and the goals of `make demo-long`, from the files on disk alone."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from flowdistill.data import KittiDataset, read_split
from flowdistill.formats import write_atomically, write_image
from flowdistill.recipes.demo_long_curve import Panel, draw_curves, read_curves
from flowdistill.recipes.demo_report import COLUMNS, Goal
from flowdistill.recipes.scores import Predict, Row, mean_motions, read_motion, score, zero_motion
from flowdistill.visual import contact_sheet, disparity_to_colours, flow_to_colours

ZERO, MEAN, DWARF = "zero motion", "training set's mean", "DWARF"
DISPARITIES = ("disparity_t0", "disparity_t1")
#: "Clearly below": the error over the better baseline's.
FLOW_LIMIT, DISPARITY_LIMIT = 0.75, 0.5


def report(output: Path, data: Path, run: Path, train_split: str, val_split: str) -> list[Goal]:
    """Write table.md, table.json, curve.png and overview.png into `output`; return the goals.

    Args:
        output: holds predictions/.
        data: the rendered scenes.
        run: holds version_N/metrics.csv.
        train_split: whose mean motion is a baseline.
        val_split: that was predicted.
    """
    train = KittiDataset(str(data), read_split(train_split), "scene_flow", labels=True)
    val = KittiDataset(str(data), read_split(val_split), "scene_flow", labels=True)
    means = mean_motions(train)
    methods: dict[str, Predict] = {
        ZERO: zero_motion,
        MEAN: lambda _, motion: means[motion].view(1, -1, 1, 1),
        DWARF: partial(read_motion, output / "predictions"),
    }
    rows = {method: score(val, predict) for method, predict in methods.items()}
    write_atomically(output / "table.json", json.dumps(rows, indent=2).encode())
    write_atomically(output / "table.md", markdown(rows).encode())
    write_atomically(output / "curve.png", _curve(run, rows))
    write_image(output / "overview.png", overview(val, output / "predictions"))
    return goals(rows)


def goals(rows: dict[str, Row]) -> list[Goal]:
    """Flow clearly below zero and mean motion, both disparities clearly below the mean disparity."""
    better = min((ZERO, MEAN), key=lambda method: rows[method]["flow epe_all"])
    found = [_goal(rows, f"flow EPE over that of the better baseline ({better})", "flow", better, FLOW_LIMIT)]
    for motion in DISPARITIES:
        text = f"{motion}'s EPE over the mean disparity's"
        found.append(_goal(rows, text, motion, MEAN, DISPARITY_LIMIT))
    return found


def markdown(rows: dict[str, Row]) -> str:
    """A row a method, errors in px and percent of the pixels."""
    lines = [
        "| validation scenes | " + " | ".join(COLUMNS.values()) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for method, row in rows.items():
        cells = [f"{row[column]:.2f}" if column in row else "–" for column in COLUMNS]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def overview(dataset: KittiDataset, predictions: Path, scenes: int = 6) -> np.ndarray:
    """Rows of validation scenes: left image, true and predicted flow, true and predicted disparity at t0.

    Truth and prediction share their scale of colours.
    """
    titles = ["left_t0", "true flow", "DWARF's flow", "true disparity", "DWARF's disparity"]
    grid = []
    for index in range(0, len(dataset), max(1, len(dataset) // scenes))[:scenes]:
        sample = cast("dict[str, Any]", dataset[index])
        image = (_pixels(sample["left_t0"]) * 255).round().astype(np.uint8)
        flow, disparity = _pixels(sample["flow"]), _pixels(sample["disparity_t0"])
        fastest, nearest = float(np.linalg.norm(flow, axis=2).max()), float(disparity.max())
        found_flow = read_motion(predictions, sample["name"], "flow")
        found_disparity = read_motion(predictions, sample["name"], "disparity_t0")
        assert found_flow is not None
        assert found_disparity is not None
        grid.append([
            image,
            flow_to_colours(flow, fastest),
            flow_to_colours(_pixels(found_flow[0]), fastest),
            disparity_to_colours(disparity, nearest),
            disparity_to_colours(_pixels(found_disparity[0]), nearest),
        ])  # fmt: skip
    enlarged = [
        [cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST) for picture in row]
        for row in grid
    ]
    return contact_sheet(enlarged, labels=[titles, *([[""] * len(titles)] * (len(grid) - 1))])


def _curve(run: Path, rows: dict[str, Row]) -> bytes:
    names = {"val/disparity_t0_epe_all": "at t0", "val/disparity_t1_epe_all": "at t1"}
    curves = read_curves(run, ["val/epe_all", *names])
    flow = {name: rows[name]["flow epe_all"] for name in (ZERO, MEAN)}
    means = {f"mean, {motion[-2:]}": rows[MEAN][f"{motion} epe_all"] for motion in DISPARITIES}
    panels = [
        Panel("flow EPE, px", {"DWARF": curves["val/epe_all"]}, flow),
        Panel("disparity EPE, px", {f"DWARF {name}": curves[key] for key, name in names.items()}, means),
    ]
    return draw_curves(panels, "make demo-long: errors on validation scenes")


def _goal(rows: dict[str, Row], text: str, motion: str, baseline: str, limit: float) -> Goal:
    ratio = rows[DWARF][f"{motion} epe_all"] / rows[baseline][f"{motion} epe_all"]
    return Goal(text, ratio, limit, ratio <= limit)


def _pixels(value: Any) -> np.ndarray:
    return cast(np.ndarray, value.numpy().transpose(1, 2, 0))
