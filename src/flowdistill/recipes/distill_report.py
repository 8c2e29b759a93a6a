"""The table, the verdict and the picture of `make demo-distill`.

flow   # (H, W, 2) px
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any, cast

import cv2
import numpy as np
from torch import Tensor

from flowdistill.data import KittiDataset
from flowdistill.formats import read_image
from flowdistill.recipes.scores import Row, read_motion
from flowdistill.visual import contact_sheet, flow_to_colours

Scores = dict[str, Row]  # method -> errors
PIXELS = ("all", "noc", "occ")
STUDENT = "student (stage 3)"
TEACHER, CONTROL = "teacher (stages 1 and 2)", "control (stage 2 goes on)"


def table(scores: Mapping[int, Scores]) -> str:
    """Markdown: a row for each seed and method, then the means over the seeds."""
    lines = ["| seed | method | EPE all | noc | occ |", "|---|---|---|---|---|"]
    for seed, methods in sorted(scores.items()):
        for method, row in methods.items():
            lines.append(_line(str(seed), method, [row[f"flow epe_{pixels}"] for pixels in PIXELS]))
    for method in next(iter(scores.values())):
        errors = [[methods[method][f"flow epe_{pixels}"] for methods in scores.values()] for pixels in PIXELS]
        lines.append(_line("mean", method, [mean(values) for values in errors]))
    return "\n".join(lines) + "\n"


def claim(scores: Mapping[int, Scores]) -> tuple[bool, str]:
    """Whether the paper's claim shows, and a sentence for each comparison.

    On occluded pixels the student's error must be lower than the teacher's and the control's, by more than the spread
    over the seeds. Each seed has its own scenes, so errors are compared within a seed, as the share that the student
    takes off; the spread is the largest share minus the smallest.
    """
    shown, sentences = True, []
    for other in (TEACHER, CONTROL):
        gains = [
            1 - methods[STUDENT]["flow epe_occ"] / methods[other]["flow epe_occ"]
            for methods in scores.values()
        ]
        spread = max(gains) - min(gains)
        enough = len(gains) > 1 and mean(gains) > spread
        shown = shown and enough
        verdict = (
            "shows" if enough else "does NOT show" if len(gains) > 1 else "needs a second seed to be judged"
        )
        sentences.append(
            f"occluded pixels, student beside {other}: EPE {100 * mean(gains):.1f} % lower "
            f"(mean of {len(gains)} seeds, spread {100 * spread:.1f}): {verdict}"
        )
    return shown, "\n".join(sentences)


def overview(dataset: KittiDataset, predictions: Path, scenes: int = 6) -> np.ndarray:
    """Rows of validation scenes: image, what is occluded, true flow, the three predictions."""
    runs = {"census": "teacher", "control": "control", "student": "student"}
    titles = [
        "left_t0",
        "occluded",
        "true flow",
        *runs.values(),
        *(f"{name}'s error" for name in runs.values()),
    ]
    grid = []
    for index in range(0, len(dataset), max(1, len(dataset) // scenes))[:scenes]:
        sample = cast("dict[str, Any]", dataset[index])
        name, flow = sample["name"], sample["flow"].numpy().transpose(1, 2, 0)
        most = float(np.linalg.norm(flow, axis=2).max())
        hidden = (sample["valid_flow"] & ~sample["valid_flow_noc"]).numpy()[0]
        found = [cast(Tensor, read_motion(predictions / run, name, "flow")) for run in runs]
        grid.append([
            (sample["left_t0"].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8),
            np.repeat(hidden[..., None], 3, axis=2).astype(np.uint8) * 255,
            flow_to_colours(flow, most),
            *(flow_to_colours(value[0].numpy().transpose(1, 2, 0), most) for value in found),
            *(read_image(predictions / run / "flow_error" / f"{name}.png") for run in runs),
        ])  # fmt: skip
    enlarged = [
        [cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST) for picture in row]
        for row in grid
    ]
    return contact_sheet(enlarged, labels=[titles, *([[""] * len(titles)] * (len(grid) - 1))])


def _line(seed: str, method: str, errors: list[float]) -> str:
    return f"| {seed} | {method} | " + " | ".join(f"{error:.2f}" for error in errors) + " |"
