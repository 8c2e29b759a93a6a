"""Metrics of one validation pass, accumulated over batches in which some labels may be missing.

flow           # (B, 2, H, W) px
disparity_*    # (B, 1, H, W) px
occluded       # (B, 1, H, W) bool
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from flowdistill.data.sample import Batch
from flowdistill.metrics import (
    SCENE_FLOW_KEYS,
    EndPointError,
    ImageMeans,
    OcclusionScores,
    OutlierRate,
    SampleMean,
    SceneFlowOutlierRate,
)

# Logged names of each motion's mean error and outlier rate.
_NAMES = {
    "flow": ("epe", "fl"),
    "disparity_t0": ("disparity_t0_epe", "d1"),
    "disparity_t1": ("disparity_t1_epe", "d2"),
}
#: Beside them: means of images, as VALUE_mean_of_images.
_PREFIX = {"flow": "", "disparity_t0": "disparity_t0_", "disparity_t1": "disparity_t1_"}


class MotionValidation(nn.Module):
    """End-point errors (px) and outlier rates (percent) of the given motions, and of scene flow if all three are given.

    Args:
        motions: keys of the batch contract, from `flow disparity_t0 disparity_t1`.
        occlusion: also compute precision, recall and F-measure (0 to 1) of the predicted `occluded`, for models that
            predict it.
        means: names of additional values, passed to `add`; their mean over samples is reported. (Not Lightning's
            `log(..., sync_dist=True)`, which is wrong if processes have unequal numbers of samples.)
    """

    def __init__(self, *motions: str, occlusion: bool = False, means: Sequence[str] = ()) -> None:
        super().__init__()
        self.means = nn.ModuleDict({name: SampleMean() for name in means})
        self.motions = motions
        metrics: dict[str, Metric] = {}
        for motion in motions:
            error, rate = _NAMES[motion]
            metrics |= {error: EndPointError(), rate: OutlierRate()}
        if set(motions) == set(SCENE_FLOW_KEYS):
            metrics["sf"] = SceneFlowOutlierRate()
        self.image_means = nn.ModuleDict({motion: ImageMeans() for motion in motions})
        if occlusion:
            metrics["occlusion"] = OcclusionScores()
        self.metrics = nn.ModuleDict(metrics)

    def update(self, prediction: Mapping[str, Tensor], batch: Batch) -> None:
        """Add a batch, using the labels it has: KITTI 2012 lacks disparity at t1, unlabeled frames lack all."""
        labels = cast("dict[str, Any]", batch)
        if "occlusion" in self.metrics:
            self._update_occlusion(prediction["occluded"], labels)
        labeled = [motion for motion in self.motions if motion in labels]
        for motion in labeled:
            for name in _NAMES[motion]:
                truth = (labels[motion], labels[f"valid_{motion}"], labels.get(f"valid_{motion}_noc"))
                self._metric(name).update(prediction[motion], *truth)
            cast(Metric, self.image_means[motion]).update(prediction[motion], *truth[:2])
        if "sf" in self.metrics and labeled == list(self.motions):
            valid = {motion: labels[f"valid_{motion}"] for motion in self.motions}
            noc = {
                motion: labels[f"valid_{motion}_noc"]
                for motion in self.motions
                if f"valid_{motion}_noc" in labels
            }
            self._metric("sf").update(
                prediction, labels, valid, noc if len(noc) == len(self.motions) else None
            )

    def _update_occlusion(self, found: Tensor, labels: dict[str, Any]) -> None:
        """Use the batch's ground-truth mask, else the valid pixels that are missing in its non-occluded labels."""
        valid = labels.get("valid_flow")
        if "occluded" in labels:
            truth = labels["occluded"]
        elif valid is not None and "valid_flow_noc" in labels:
            truth = valid & ~labels["valid_flow_noc"]
        else:
            return
        self._metric("occlusion").update(found, truth, torch.ones_like(truth) if valid is None else valid)

    def add(self, name: str, value: Tensor, samples: int) -> None:
        """Add a batch's mean for one of `means`."""
        cast(Metric, self.means[name]).update(value, samples)

    def compute(self) -> dict[str, float]:
        """Return `NAME_{all,noc,occ}`, `occlusion_{precision,recall,f1}` and, for each motion, `epe_mean_of_images` and
        `bad3_mean_of_images` (for disparities with their prefix) -> value; omits unlabeled or empty sets.
        """
        means = {name: cast(Metric, metric) for name, metric in self.means.items()}
        values = {name: float(metric.compute()) for name, metric in means.items() if metric.update_called}
        for name in self.metrics:
            if not self._metric(name).update_called:
                continue
            found = {pixels: float(value) for pixels, value in self._metric(name).compute().items()}
            # NaN with a finite `all` means an empty set. If `all` is NaN, so are predictions: keep it visible.
            broken = math.isnan(found.get("all", 0.0))
            values |= {f"{name}_{k}": value for k, value in found.items() if broken or not math.isnan(value)}
        for motion, module in self.image_means.items():
            image_means = cast(ImageMeans, module)
            if not image_means.update_called:
                continue
            found = {key: float(value) for key, value in image_means.compute().items()}
            if not math.isnan(found["bad3"]):  # else there is no image with labels, in any process
                values |= {f"{_PREFIX[motion]}{key}_mean_of_images": value for key, value in found.items()}
        return values

    def reset(self) -> None:
        for metric in (*self.metrics.values(), *self.means.values(), *self.image_means.values()):
            cast(Metric, metric).reset()

    def _metric(self, name: str) -> Metric:
        return cast(Metric, self.metrics[name])
