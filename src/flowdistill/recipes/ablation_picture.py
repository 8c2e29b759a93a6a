"""The picture of `make ablation`: one seed's held-back scenes, and what each kind of supervision makes of them.

disparity   # (H, W, 1) px
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from flowdistill.data import KittiDataset
from flowdistill.formats import read_image
from flowdistill.recipes.scores import read_motion
from flowdistill.visual import contact_sheet, disparity_to_colours


def overview(dataset: KittiDataset, predictions: Mapping[str, Path], scenes: int = 6) -> np.ndarray:
    """Rows of scenes: left image, true disparity at t0, every method's and its error map, in the same colours.

    Args:
        dataset: the held-back scenes, scene-flow view with labels.
        predictions: method -> folder that `lightning predict` wrote.
        scenes: at most so many rows.
    """
    titles = ["left_t0", "true disparity"]
    titles += [title for method in predictions for title in (method, f"{method}: error")]
    grid = []
    for index in range(0, len(dataset), max(1, len(dataset) // scenes))[:scenes]:
        sample = cast("dict[str, Any]", dataset[index])
        truth = sample["disparity_t0"].numpy().transpose(1, 2, 0)
        most = float(truth.max())
        row = [
            (sample["left_t0"].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8),
            disparity_to_colours(truth, most),
        ]
        for folder in predictions.values():
            found = read_motion(folder, sample["name"], "disparity_t0")
            assert found is not None
            row.append(disparity_to_colours(found[0].numpy().transpose(1, 2, 0), most))
            row.append(read_image(folder / "disp_0_error" / f"{sample['name']}.png"))
        grid.append([cv2.resize(part, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST) for part in row])
    return contact_sheet(grid, labels=[titles, *([[""] * len(titles)] * (len(grid) - 1))])
