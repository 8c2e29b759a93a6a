"""KITTI's outlier rates as torchmetrics classes: D1, D2 and Fl (one motion), SF (all three together)."""

from collections.abc import Mapping
from functools import reduce

import torch
from torch import Tensor

from flowdistill.metrics import functional
from flowdistill.metrics.pixel_sets import PixelSetMetric

#: The three motions of a scene flow, by their keys in the batch.
SCENE_FLOW_KEYS = ("disparity_t0", "disparity_t1", "flow")

Motions = Mapping[str, Tensor]


class _PercentOfPixels(PixelSetMetric):
    """Percent of pixels that are outliers; the underlying counts are `total` and `pixels`, int64, one per set."""

    sets = ("all", "noc")

    def compute(self) -> dict[str, Tensor]:
        return {name: 100 * share for name, share in self.means().items()}


class OutlierRate(_PercentOfPixels):
    """Percent of pixels with an error above 3 px and above 5 %: KITTI's Fl on flow, D1 and D2 on the disparities.

    Pooled over all pixels of all updates, as in the official tool. `compute()` returns float64 scalars: `all` over the
    valid pixels, and `noc` over the non-occluded ones if the updates had `valid_noc`; NaN for a set without pixels.

    Examples:
        >>> import torch
        >>> from flowdistill.metrics import OutlierRate
        >>> truth = torch.full((1, 1, 1, 4), 10.0)  # disparity in px
        >>> prediction = truth + torch.tensor([0.0, 2.0, 4.0, 8.0])
        >>> rate = OutlierRate()
        >>> rate.update(prediction, truth, valid=torch.ones(1, 1, 1, 4, dtype=torch.bool))
        >>> rate.compute()["all"].item()  # percent: two of four pixels
        50.0
    """

    def update(
        self, prediction: Tensor, truth: Tensor, valid: Tensor, valid_noc: Tensor | None = None
    ) -> None:
        """Add a batch: motions (B, C, H, W) px, masks (B, 1, H, W) bool. Raises ValueError for other shapes."""
        self.add(functional.outliers(prediction, truth), valid, valid_noc)


class SceneFlowOutlierRate(_PercentOfPixels):
    """KITTI's SF: percent of pixels that are an outlier in disparity_t0, disparity_t1 or flow, each by its own test.

    Only pixels where all three ground truths are valid count. `compute()` as in `OutlierRate`.

    Examples:
        >>> import torch
        >>> from flowdistill.metrics import SCENE_FLOW_KEYS, SceneFlowOutlierRate
        >>> truth = {key: torch.zeros(1, 2 if key == "flow" else 1, 1, 4) for key in SCENE_FLOW_KEYS}
        >>> prediction = {key: motion.clone() for key, motion in truth.items()}
        >>> prediction["flow"][..., 0] = 5.0  # px; one pixel is wrong in the flow ...
        >>> prediction["disparity_t1"][..., 1] = 5.0  # ... and another one in a disparity
        >>> valid = {key: torch.ones(1, 1, 1, 4, dtype=torch.bool) for key in SCENE_FLOW_KEYS}
        >>> rate = SceneFlowOutlierRate()
        >>> rate.update(prediction, truth, valid)
        >>> rate.compute()["all"].item()  # percent
        50.0
    """

    def update(
        self, prediction: Motions, truth: Motions, valid: Motions, valid_noc: Motions | None = None
    ) -> None:
        """Add a batch. Each mapping has `disparity_t0`, `disparity_t1`, `flow`; a batch itself can be the truth.

        Motions (B, C, H, W) px, masks (B, 1, H, W) bool. Raises KeyError for a missing motion, ValueError for other
        shapes.
        """
        wrong = [functional.outliers(prediction[key], truth[key]) for key in SCENE_FLOW_KEYS]
        noc = None if valid_noc is None else _everywhere_true(valid_noc)
        self.add(reduce(torch.logical_or, wrong), _everywhere_true(valid), noc)


def _everywhere_true(masks: Motions) -> Tensor:
    """Return where all three masks are true."""
    return reduce(torch.logical_and, [masks[key] for key in SCENE_FLOW_KEYS])
