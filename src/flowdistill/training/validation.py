"""Metrics of one validation pass, collected over batches whose labels may be missing.

flow           # (B, 2, H, W) px
disparity_*    # (B, 1, H, W) px
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from flowdistill.data.sample import Batch
from flowdistill.metrics import SCENE_FLOW_KEYS, EndPointError, OutlierRate, SceneFlowOutlierRate

# Logged name of each motion's mean error and outlier rate.
_NAMES = {
    "flow": ("epe", "fl"),
    "disparity_t0": ("disparity_t0_epe", "d1"),
    "disparity_t1": ("disparity_t1_epe", "d2"),
}


class MotionValidation(nn.Module):
    """End-point errors (px) and outlier rates (percent) of the given motions, and of scene flow if all three are.

    Args:
        motions: keys of the batch contract, of `flow disparity_t0 disparity_t1`.
        means: names of further numbers, given by `add`; their mean over samples is reported. (Not Lightning's
            `log(..., sync_dist=True)`: it is wrong where processes have unequal numbers of samples.)
    """

    def __init__(self, *motions: str, means: Sequence[str] = ()) -> None:
        super().__init__()
        self.means = nn.ModuleDict({name: MeanMetric() for name in means})
        self.motions = motions
        metrics: dict[str, Metric] = {}
        for motion in motions:
            error, rate = _NAMES[motion]
            metrics |= {error: EndPointError(), rate: OutlierRate()}
        if set(motions) == set(SCENE_FLOW_KEYS):
            metrics["sf"] = SceneFlowOutlierRate()
        self.metrics = nn.ModuleDict(metrics)

    def update(self, prediction: Mapping[str, Tensor], batch: Batch) -> None:
        """Add a batch; one without labels is passed over, there is nothing to compare with."""
        labels = cast("dict[str, Any]", batch)
        if any(motion not in labels for motion in self.motions):
            return
        for motion in self.motions:
            for name in _NAMES[motion]:
                truth = (labels[motion], labels[f"valid_{motion}"], labels.get(f"valid_{motion}_noc"))
                self._metric(name).update(prediction[motion], *truth)
        if "sf" in self.metrics:
            valid = {motion: labels[f"valid_{motion}"] for motion in self.motions}
            noc = {
                motion: labels[f"valid_{motion}_noc"]
                for motion in self.motions
                if f"valid_{motion}_noc" in labels
            }
            self._metric("sf").update(
                prediction, labels, valid, noc if len(noc) == len(self.motions) else None
            )

    def add(self, name: str, value: Tensor, samples: int) -> None:
        """Add a batch's mean of one of `means`."""
        cast(Metric, self.means[name]).update(value, weight=samples)

    def compute(self) -> dict[str, float]:
        """`NAME_{all,noc,occ}` -> value; nothing without labels, and no `occ` where nothing is occluded."""
        means = {name: cast(Metric, metric) for name, metric in self.means.items()}
        values = {name: float(metric.compute()) for name, metric in means.items() if metric.update_called}
        for name in self.metrics:
            if not self._metric(name).update_called:
                continue
            found = {pixels: float(value) for pixels, value in self._metric(name).compute().items()}
            # NaN beside a finite `all` is an empty set. Where `all` is NaN the predictions are: that must show.
            broken = math.isnan(found["all"])
            values |= {f"{name}_{k}": value for k, value in found.items() if broken or not math.isnan(value)}
        return values

    def reset(self) -> None:
        for metric in (*self.metrics.values(), *self.means.values()):
            cast(Metric, metric).reset()

    def _metric(self, name: str) -> Metric:
        return cast(Metric, self.metrics[name])
