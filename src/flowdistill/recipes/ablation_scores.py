"""All numbers of the ablation's table for one method: errors, rates, and the share of the pixels that it speaks of.

flow        # (1, 2, H, W) px
disparity   # (1, 1, H, W) px
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from flowdistill.data.dataset import MotionDataset
from flowdistill.data.proxies import SCENE_FLOW_VIEW
from flowdistill.data.sample import Batch
from flowdistill.formats import read_kitti_disparity, read_kitti_flow
from flowdistill.metrics import SCENE_FLOW_KEYS, end_point_error
from flowdistill.recipes.scores import Row, samples
from flowdistill.training.validation import MotionValidation

Found = tuple[Tensor, Tensor]  # motion (1, C, H, W) px, where it is known (1, 1, H, W) bool; H and W may be 1
Predict = Callable[
    [str, str], Found | None
]  # (sample's name, motion) -> what is known, or None: not its task


def known(motion: Tensor | None) -> Found | None:
    """A motion that is known everywhere."""
    return None if motion is None else (motion, torch.ones(1, 1, 1, 1, dtype=torch.bool))


def read_labels(folder: Path, name: str, motion: str) -> Found:
    """A proxy label of the left camera, as `flowdistill labels make` wrote it."""
    path = folder / "left" / SCENE_FLOW_VIEW[motion][0] / f"{name}.png"
    values, valid = read_kitti_flow(path) if motion == "flow" else read_kitti_disparity(path)
    return torch.from_numpy(values.transpose(2, 0, 1).copy())[None], torch.from_numpy(valid.copy())[
        None, None
    ]


def score(dataset: MotionDataset, predict: Predict) -> Row:
    """Errors of a method over a data set with truth, pooled over the pixels that have truth and a prediction.

    Args:
        dataset: of the scene-flow view, with labels.
        predict: the method; a motion for which it returns None is left out.

    Returns:
        what validation logs (`epe_all` px, `fl_all`, `disparity_t0_epe_all` px, `d1_all`, ..., `sf_all` where all three
        motions are predicted; rates in percent), `MOTION_bad1`: percent of the disparities that are off by more than
        1 px, and `MOTION_density`: percent of the pixels with truth that have a prediction.
    """
    validation = MotionValidation(*SCENE_FLOW_KEYS)
    counts: dict[
        str, list[int]
    ] = {}  # motion -> pixels with truth, of these predicted, of these off by over 1 px
    for sample in samples(dataset, "compare"):
        batch = {key: value[None] if isinstance(value, Tensor) else value for key, value in sample.items()}
        prediction: dict[str, Tensor] = {}
        for motion in SCENE_FLOW_KEYS:
            truth = batch[motion]
            found = predict(sample["name"], motion)
            if found is None:
                del batch[motion]  # validation leaves out what has no label
                continue
            prediction[motion] = found[0].expand_as(truth)
            valid = batch[f"valid_{motion}"]
            both = valid & found[1]
            bad = both & (end_point_error(prediction[motion], truth) > 1)
            more = [int(mask.sum()) for mask in (valid, both, bad)]
            counts[motion] = [a + b for a, b in zip(counts.get(motion, [0, 0, 0]), more, strict=True)]
            batch[f"valid_{motion}"] = both
            batch[f"valid_{motion}_noc"] = batch[f"valid_{motion}_noc"] & found[1]
        validation.update(prediction, cast(Batch, batch))
    row = validation.compute()
    for motion, (true, both_, bad_) in counts.items():
        row[f"{motion}_density"] = 100 * both_ / true
        if motion != "flow" and both_:
            row[f"{motion}_bad1"] = 100 * bad_ / both_
    return row
