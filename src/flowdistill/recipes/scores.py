"""Errors of predictions on disk and of baselines, over a data set with truth.

flow        # (1, 2, H, W) px
disparity   # (1, 1, H, W) px
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from tqdm import tqdm

from flowdistill.data.dataset import MotionDataset
from flowdistill.formats import read_kitti_disparity, read_kitti_flow
from flowdistill.formats.kitti import FOLDERS
from flowdistill.metrics import EndPointError, OutlierRate

MOTIONS = ("flow", "disparity_t0", "disparity_t1")

Row = dict[str, float]
Predict = Callable[[str, str], Tensor | None]  # (sample's name, motion) -> prediction, or None: not its task


def zero_motion(name: str, motion: str) -> Tensor | None:
    """The baseline that nothing moves, (1, 2, 1, 1) px; it says nothing of disparity."""
    return torch.zeros(1, 2, 1, 1) if motion == "flow" else None


def read_motion(folder: Path, name: str, motion: str) -> Tensor | None:
    """A predicted motion (1, C, H, W) px; None if the method does not predict it."""
    if not (folder / FOLDERS[motion]).is_dir():
        return None
    path = folder / FOLDERS[motion] / f"{name}.png"
    values, _ = read_kitti_flow(path) if motion == "flow" else read_kitti_disparity(path)
    return torch.from_numpy(values.transpose(2, 0, 1).copy())[None]


def mean_motions(dataset: MotionDataset) -> dict[str, Tensor]:
    """Motion -> mean over all valid pixels of a data set, (C,) px: the best constant guess."""
    totals = {motion: torch.zeros(2 if motion == "flow" else 1, dtype=torch.float64) for motion in MOTIONS}
    pixels = dict.fromkeys(MOTIONS, 0)
    for sample in samples(dataset, "mean motion"):
        for motion in MOTIONS:
            valid = sample[f"valid_{motion}"]
            totals[motion] += (sample[motion] * valid).double().sum(dim=(1, 2))
            pixels[motion] += int(valid.sum())
    return {motion: (totals[motion] / pixels[motion]).float() for motion in MOTIONS}


def score(dataset: MotionDataset, predict: Predict) -> Row:
    """Errors of a method over a data set: "MOTION epe_{all,noc,occ}" in px, "MOTION rate_{all,noc}" in percent.

    Motions that the samples do not have, or the method does not predict, are left out.
    """
    metrics = {motion: (EndPointError(), OutlierRate()) for motion in MOTIONS}
    for sample in samples(dataset, "compare"):
        for motion in MOTIONS:
            predicted = predict(sample["name"], motion) if motion in sample else None
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


def samples(dataset: MotionDataset, doing: str) -> Iterator[dict[str, Any]]:
    """All samples, with a progress bar."""
    for index in tqdm(range(len(dataset)), desc=doing, unit="sample", leave=False):
        yield cast("dict[str, Any]", dataset[index])
