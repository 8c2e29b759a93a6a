"""Errors of predictions on disk, of proxy labels and of baselines, over a data set with ground truth.

flow        # (1, 2, H, W) px
disparity   # (1, 1, H, W) px
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor
from tqdm import tqdm

from flowdistill.data import KittiDataset, read_split
from flowdistill.data.dataset import MotionDataset
from flowdistill.data.sample import Batch
from flowdistill.formats import read_kitti_disparity, read_kitti_flow
from flowdistill.formats.kitti import FOLDERS
from flowdistill.metrics import SCENE_FLOW_KEYS, end_point_error
from flowdistill.training.validation import MotionValidation

ZERO, MEAN = "zero motion", "training set's mean"

Row = dict[str, float]
Found = tuple[Tensor, Tensor]  # motion (1, C, H, W) px, validity (1, 1, H, W) bool; H and W may be 1
_EVERYWHERE = torch.ones(1, 1, 1, 1, dtype=torch.bool)
Predict = Callable[[str, str], Found | None]  # (sample's name, motion) -> prediction, or None: not predicted


def rendered_scenes(
    data: Path, split: str, view: Literal["flow", "scene_flow"] = "scene_flow"
) -> KittiDataset:
    """Open rendered scenes with their ground truth."""
    return KittiDataset(str(data), read_split(split), view, labels=True)


def baselines(train: MotionDataset) -> dict[str, Predict]:
    """Return zero motion, which has no disparity, and the mean motion of a training set, the best constant guess."""
    means = mean_motions(train)
    return {
        ZERO: lambda _, motion: _everywhere(torch.zeros(2)) if motion == "flow" else None,
        MEAN: lambda _, motion: _everywhere(means[motion]),
    }


def predictions(folder: Path) -> Predict:
    """Read the KITTI files that `lightning predict` wrote to `folder`; some motions may be missing."""
    return partial(_read, folder, False)


def proxy_labels(folder: Path) -> Predict:
    """Read the labels of the left camera that `flowdistill labels make` wrote to `folder`."""
    return partial(_read, folder / "left", True)


def _everywhere(motion: Tensor) -> Found:
    return motion.view(1, -1, 1, 1), _EVERYWHERE


def _read(folder: Path, sparse: bool, name: str, motion: str) -> Found | None:
    if not (folder / FOLDERS[motion]).is_dir():
        return None
    path = folder / FOLDERS[motion] / f"{name}.png"
    values, valid = read_kitti_flow(path) if motion == "flow" else read_kitti_disparity(path)
    found = torch.from_numpy(values.transpose(2, 0, 1).copy())[None]
    # The file cannot distinguish a disparity of 0 px from no prediction; for a network, it is a prediction.
    return found, torch.from_numpy(valid.copy())[None, None] if sparse else _EVERYWHERE


def mean_motions(dataset: MotionDataset) -> dict[str, Tensor]:
    """Return motion -> mean over all valid pixels of a data set, (C,) px: the best constant guess."""
    motions = SCENE_FLOW_KEYS if dataset.view == "scene_flow" else ("flow",)
    totals = {motion: torch.zeros(2 if motion == "flow" else 1, dtype=torch.float64) for motion in motions}
    pixels = dict.fromkeys(motions, 0)
    for sample in samples(dataset, "mean motion"):
        for motion in motions:
            valid = sample[f"valid_{motion}"]
            totals[motion] += (sample[motion] * valid).double().sum(dim=(1, 2))
            pixels[motion] += int(valid.sum())
    return {motion: (totals[motion] / pixels[motion]).float() for motion in motions}


def score(dataset: MotionDataset, predict: Predict) -> Row:
    """Compute the errors of a method over a data set, pooled over the pixels with ground truth and a prediction.

    Args:
        dataset: data set with labels, of the flow or the scene-flow view.
        predict: the method; motions for which it returns None are skipped.

    Returns:
        The metrics of validation (`epe_all` px, `fl_all`, `disparity_t0_epe_all` px, `d1_all`, ..., `sf_all` if all
        three motions are predicted; rates in percent), `MOTION_bad1`: percentage of disparities that are off by more
        than 1 px, and `MOTION_density`: percentage of pixels with ground truth that have a prediction.
    """
    validation = MotionValidation(*SCENE_FLOW_KEYS)
    # Motion -> pixels with ground truth, of these predicted, of these off by over 1 px.
    counts: dict[str, Tensor] = {}
    for sample in samples(dataset, "compare"):
        batch = {key: value[None] if isinstance(value, Tensor) else value for key, value in sample.items()}
        prediction: dict[str, Tensor] = {}
        for motion in SCENE_FLOW_KEYS:
            found = predict(sample["name"], motion) if motion in batch else None
            if found is None:
                batch.pop(motion, None)  # validation skips motions without labels
                continue
            prediction[motion] = found[0].expand_as(batch[motion])
            valid = batch[f"valid_{motion}"]
            both = valid & found[1]
            bad = both & (end_point_error(prediction[motion], batch[motion]) > 1)
            counts[motion] = counts.get(motion, 0) + torch.stack([valid.sum(), both.sum(), bad.sum()])
            batch[f"valid_{motion}"] = both
            batch[f"valid_{motion}_noc"] = batch[f"valid_{motion}_noc"] & found[1]
        validation.update(prediction, cast(Batch, batch))
    row = validation.compute()
    for motion, (true, known, off) in ((motion, count.tolist()) for motion, count in counts.items()):
        row[f"{motion}_density"] = 100 * known / true
        if motion != "flow" and known:
            row[f"{motion}_bad1"] = 100 * off / known
    return row


def samples(dataset: MotionDataset, doing: str) -> Iterator[dict[str, Any]]:
    """Iterate over all samples with a progress bar."""
    for index in tqdm(range(len(dataset)), desc=doing, unit="sample", leave=False):
        yield cast("dict[str, Any]", dataset[index])
