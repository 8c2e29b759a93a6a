"""`flowdistill evaluate kitti`: score folders of predictions with the numbers of KITTI's official tool.

Source: KITTI 2015 development kit, `evaluate_scene_flow`; docs/evaluation.md states its rules.
"""

from __future__ import annotations

from functools import partial, reduce
from operator import add
from pathlib import Path

import numpy as np

from flowdistill.errors import UserError
from flowdistill.evaluation.kitti.counts import Mask, MetricCounts, Motion, count, error_and_outliers
from flowdistill.evaluation.kitti.files import MOTIONS, SCENE_FLOW, KittiFiles
from flowdistill.evaluation.kitti.fill import fill_missing
from flowdistill.evaluation.sizes import Sizes, check_size
from flowdistill.formats import read_kitti_disparity, read_kitti_flow, read_object_map
from flowdistill.formats.motion import read_motion
from flowdistill.in_order import in_order

Counts = dict[str, MetricCounts]  # by metric

# Values of the official tool's arrays where even filling leaves a pixel empty.
_UNFILLED = {"disp_0": -1.0, "disp_1": -1.0, "flow": 0.0}


def evaluate_images(files: KittiFiles, workers: int = 1) -> dict[str, Counts]:
    """Return counts by image, ordered by name for any number of worker processes.

    Raises UserError (including FormatError) for the first image in that order with an unusable file, or for fewer than
    one worker.
    """
    counts = in_order(partial(evaluate_image, files), files.images, workers, "image", "evaluate")
    return dict(zip(files.images, counts, strict=True))


def pool(images: dict[str, Counts]) -> Counts:
    """Sum over images, by metric: large images have more weight, as in the official tool."""
    metrics = next(iter(images.values()))
    return {metric: reduce(add, [counts[metric] for counts in images.values()]) for metric in metrics}


def evaluate_image(files: KittiFiles, image: str) -> Counts:
    """Return the counts of one image by metric: `disp_0_noc`, ..., `scene_flow_occ`.

    Raises FormatError for a file that is damaged or of the wrong kind, UserError for one whose size differs from the
    image's first ground truth.
    """
    name = f"{image}.png"
    sizes: Sizes = {}
    foreground: Mask | None = None
    if files.object_maps is not None:
        objects = read_object_map(files.object_maps / name)
        check_size(sizes, files.object_maps / name, objects.shape)
        foreground = objects != 0
    counts: Counts = {}
    submitted: dict[str, Mask] = {}
    outliers: dict[str, Mask] = {}
    valid: dict[str, Mask] = {}
    for motion, predictions in files.predictions.items():
        truths = {o: _read(motion, path / name, sizes) for o, path in files.truths[motion].items()}
        raw, submitted[motion] = _read_prediction(motion, predictions[image], sizes)
        prediction, _ = fill_missing(raw, submitted[motion], _UNFILLED[motion])
        for occlusion, (truth, known) in truths.items():
            metric = f"{motion}_{occlusion}"
            error, outliers[metric] = error_and_outliers(prediction, truth)
            valid[metric] = known
            counts[metric] = count(outliers[metric], known, submitted[motion], foreground, error)
    for occlusion in files.scene_flow:
        metrics = [f"{motion}_{occlusion}" for motion in MOTIONS]
        wrong = np.logical_or.reduce([outliers[metric] for metric in metrics])
        known = np.logical_and.reduce([valid[metric] for metric in metrics])
        # The official tool uses only disp_0 to determine whether a pixel was submitted.
        counts[f"{SCENE_FLOW}_{occlusion}"] = count(wrong, known, submitted["disp_0"], foreground, None)
    return counts


def _read(motion: str, path: Path, sizes: Sizes) -> tuple[Motion, Mask]:
    values, valid = read_kitti_flow(path) if motion == "flow" else read_kitti_disparity(path)
    check_size(sizes, path, valid.shape)
    return values, valid


def _read_prediction(motion: str, path: Path, sizes: Sizes) -> tuple[Motion, Mask]:
    """Read a prediction by its suffix; unknown pixels of .flo and .pfm and negative disparities are not submitted."""
    if path.suffix.lower() == ".png":
        return _read(motion, path, sizes)
    stored = read_motion(path, "flow" if motion == "flow" else "disparity")
    values, valid = stored.values.astype(np.float32), stored.valid
    check_size(sizes, path, valid.shape)
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
