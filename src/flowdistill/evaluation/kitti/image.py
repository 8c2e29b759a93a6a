"""Evaluate one image's files: counts of every metric."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import numpy as np

from flowdistill.errors import UserError
from flowdistill.evaluation.kitti.counts import Mask, MetricCounts, Motion, count, error_and_outliers
from flowdistill.evaluation.kitti.files import MOTIONS, SCENE_FLOW, KittiFiles
from flowdistill.evaluation.kitti.fill import fill_missing
from flowdistill.formats import read_kitti_disparity, read_kitti_flow, read_object_map
from flowdistill.formats.motion import read_motion

# Values of the official tool's arrays where even filling leaves a pixel empty.
_UNFILLED = {"disp_0": -1.0, "disp_1": -1.0, "flow": 0.0}


def evaluate_image(files: KittiFiles, image: str) -> dict[str, MetricCounts]:
    """Return the counts of one image by metric: `disp_0_noc`, ..., `scene_flow_occ`.

    Raises FormatError for a file that is damaged or of the wrong kind, UserError for one whose size differs from the
    image's first ground truth.
    """
    name = f"{image}.png"
    sizes = _OneSize()
    foreground: Mask | None = None
    if files.object_maps is not None:
        objects = read_object_map(files.object_maps / name)
        sizes.check(files.object_maps / name, objects.shape)
        foreground = objects != 0
    counts: dict[str, MetricCounts] = {}
    submitted: dict[str, Mask] = {}
    outliers: dict[str, dict[str, Mask]] = {}
    valid: dict[str, dict[str, Mask]] = {}
    for motion, predictions in files.predictions.items():
        truths = {o: _read(motion, path / name, sizes) for o, path in files.truths[motion].items()}
        raw, submitted[motion] = _read_prediction(motion, predictions[image], sizes)
        prediction, _ = fill_missing(raw, submitted[motion], _UNFILLED[motion])
        outliers[motion], valid[motion] = {}, {}
        for occlusion, (truth, known) in truths.items():
            error, wrong = error_and_outliers(prediction, truth)
            metric = f"{motion}_{occlusion}"
            counts[metric] = count(wrong, known, submitted[motion], foreground, error)
            outliers[motion][occlusion], valid[motion][occlusion] = wrong, known
    for occlusion in files.scene_flow:
        wrong = reduce(np.logical_or, [outliers[motion][occlusion] for motion in MOTIONS])
        known = reduce(np.logical_and, [valid[motion][occlusion] for motion in MOTIONS])
        # The official tool uses only disp_0 to determine whether a pixel was submitted.
        counts[f"{SCENE_FLOW}_{occlusion}"] = count(wrong, known, submitted["disp_0"], foreground, None)
    return counts


class _OneSize:
    """Check that all files of an image have the size of the first one, which is ground truth."""

    def __init__(self) -> None:
        self.first: tuple[Path, tuple[int, ...]] | None = None

    def check(self, path: Path, size: tuple[int, ...]) -> None:
        if self.first is None:
            self.first = path, size
        first, expected = self.first
        if size != expected:
            raise UserError(
                f"{path}: expected {expected[0]} x {expected[1]} pixels like {first}, found {size[0]} x {size[1]}"
            )


def _read(motion: str, path: Path, sizes: _OneSize) -> tuple[Motion, Mask]:
    values, valid = read_kitti_flow(path) if motion == "flow" else read_kitti_disparity(path)
    sizes.check(path, valid.shape)
    return values, valid


def _read_prediction(motion: str, path: Path, sizes: _OneSize) -> tuple[Motion, Mask]:
    """Read a prediction by its suffix; unknown pixels of .flo and .pfm and negative disparities are not submitted."""
    if path.suffix.lower() == ".png":
        return _read(motion, path, sizes)
    stored = read_motion(path, "flow" if motion == "flow" else "disparity")
    values, valid = stored.values.astype(np.float32), stored.valid
    sizes.check(path, valid.shape)
    if motion != "flow":
        negative = valid & (values[..., 0] < 0)
        wrong, total = np.count_nonzero(negative), np.count_nonzero(valid)
        if 2 * wrong > total:
            raise UserError(
                f"{path}: {wrong} of its {total} disparities are negative, but KITTI's are positive; flip their sign "
                "with `flowdistill convert --negate-disparities`"
            )
        valid = valid & ~negative
    return values, valid
