"""Plausibility checks of the files' values before a KITTI evaluation.

Odd files are scored nevertheless, as in the official tool.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from flowdistill.evaluation.kitti.files import KittiFiles
from flowdistill.formats import read_kitti_disparity, read_kitti_disparity_codes, read_kitti_flow_codes
from flowdistill.formats.encodings import Oddity, odd_disparity_codes, odd_disparity_factor, odd_flow_codes
from flowdistill.formats.motion import read_motion

_IMAGES = 8  # number of inspected images, evenly spaced


def oddities(files: KittiFiles) -> list[str]:
    """Return one warning per kind of oddity, with the first affected file and the number of the others.

    Small disparities are only judged against the ground truth: the scene may be far away.

    Raises:
        FormatError: a file is damaged or of the wrong kind; the evaluation would raise the same.
    """
    images = files.images[:: -(-len(files.images) // _IMAGES)]
    odd: dict[str, list[tuple[Path, Oddity]]] = {}
    for motion, predictions in files.predictions.items():
        folders = files.truths[motion].values()
        paths = [
            *(predictions[image] for image in images),
            *(f / f"{image}.png" for f in folders for image in images),
        ]
        for path in paths:
            for oddity in _odd_codes(motion, path):
                odd.setdefault(oddity.problem, []).append((path, oddity))
        if motion != "flow" and (factor := _odd_factor(files, motion, images)) is not None:
            odd.setdefault(factor.problem, []).append((predictions[images[0]], factor))
    warnings = []
    for (path, oddity), *others in odd.values():
        more = f"; {len(others)} more like it" if others else ""
        warnings.append(f"warning: {path} {oddity.problem} ({oddity.detail}){more}: {oddity.advice}")
    return warnings


def _odd_codes(motion: str, path: Path) -> list[Oddity]:
    if path.suffix.lower() != ".png":
        return []
    if motion == "flow":
        return odd_flow_codes(read_kitti_flow_codes(path))
    found = odd_disparity_codes(read_kitti_disparity_codes(path))
    return [oddity for oddity in found if oddity.name != "small"]


def _odd_factor(files: KittiFiles, motion: str, images: list[str]) -> Oddity | None:
    """Compare predicted disparities with the true ones, where both are valid."""
    predictions: list[npt.NDArray[np.float32]] = []
    truths: list[npt.NDArray[np.float32]] = []
    folder = next(iter(files.truths[motion].values()))
    for image in images:
        truth, known = read_kitti_disparity(folder / f"{image}.png")
        predicted = read_motion(files.predictions[motion][image], "disparity")
        if predicted.valid.shape == known.shape:
            both = known & predicted.valid
            predictions.append(predicted.values[both, 0])
            truths.append(truth[both, 0])
    return odd_disparity_factor(predictions, truths)
