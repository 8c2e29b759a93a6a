"""Metrics of one validation pass, collected over batches whose labels may be missing.

flow           # (B, 2, H, W) px
disparity_*    # (B, 1, H, W) px
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn
from torchmetrics import Metric

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
    """

    def __init__(self, *motions: str) -> None:
        super().__init__()
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
            self._metric("sf").update(prediction, labels, valid)

    def compute(self) -> dict[str, float]:
        """`NAME_{all,noc,occ}` -> value; what had no pixels (no labels, no occlusion) is absent."""
        values: dict[str, float] = {}
        for name in self.metrics:
            if self._metric(name).update_called:
                values |= {
                    f"{name}_{pixels}": float(value) for pixels, value in self._metric(name).compute().items()
                }
        return {name: value for name, value in values.items() if not math.isnan(value)}

    def reset(self) -> None:
        for name in self.metrics:
            self._metric(name).reset()

    def _metric(self, name: str) -> Metric:
        return cast(Metric, self.metrics[name])
