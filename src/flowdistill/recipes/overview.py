"""overview.png of a recipe: one row per scene, one column per kind of picture.

flow        # (H, W, 2) px
disparity   # (H, W, 1) px
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from flowdistill.data.dataset import MotionDataset
from flowdistill.formats import read_image
from flowdistill.recipes.scores import predictions
from flowdistill.visual import contact_sheet, disparity_to_colours, flow_to_colours

Draw = Callable[[dict[str, Any]], np.ndarray]  # a sample -> (H, W, 3) uint8 RGB


def overview(dataset: MotionDataset, columns: Mapping[str, Draw], scenes: int = 6) -> np.ndarray:
    """Return a contact sheet of at most `scenes` scenes, evenly spaced, with pictures of twice the frames' size.

    Args:
        dataset: data set with labels.
        columns: title -> function that draws a sample.
        scenes: maximum number of rows.
    """
    chosen: list[Any] = [dataset[i] for i in range(0, len(dataset), max(1, len(dataset) // scenes))][:scenes]
    grid = [[_twice(draw(sample)) for draw in columns.values()] for sample in chosen]
    return contact_sheet(grid, labels=[list(columns), *([[""] * len(columns)] * (len(grid) - 1))])


def left(sample: dict[str, Any]) -> np.ndarray:
    """Return the left image at t0."""
    return (_pixels(sample["left_t0"]) * 255).round().astype(np.uint8)


def occluded(sample: dict[str, Any]) -> np.ndarray:
    """Return a mask that is white where flow is valid and occluded."""
    hidden = (sample["valid_flow"] & ~sample["valid_flow_noc"]).numpy()[0]
    return np.repeat(hidden[..., None], 3, axis=2).astype(np.uint8) * 255


def motion(name: str, folder: Path | None = None) -> Draw:
    """Draw the true motion or, with a folder, the one predicted there; both use the colour scale of the truth."""

    def draw(sample: dict[str, Any]) -> np.ndarray:
        truth = shown = _pixels(sample[name])
        if folder is not None:
            found = predictions(folder)(sample["name"], name)
            assert found is not None
            shown = _pixels(found[0][0])
        if name == "flow":
            return flow_to_colours(shown, float(np.linalg.norm(truth, axis=2).max()))
        return disparity_to_colours(shown, float(truth.max()))

    return draw


def error_map(folder: Path, kind: str) -> Draw:
    """Draw an error map written by `lightning predict`: `flow_error` or `disp_0_error`."""
    return lambda sample: read_image(folder / kind / f"{sample['name']}.png")


def _pixels(value: Any) -> np.ndarray:
    return np.asarray(value.numpy().transpose(1, 2, 0))


def _twice(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
