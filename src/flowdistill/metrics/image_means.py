"""End-point error and bad-3 as means of images, as a torchmetrics class."""

import torch
from torch import Tensor
from torchmetrics import Metric

from flowdistill.metrics import functional
from flowdistill.metrics.exact_sum import PARTS, exact_parts, exact_total
from flowdistill.metrics.rules import OUTLIER_PIXELS


class ImageMeans(Metric):
    """Each image's mean error and share of errors over 3 px, averaged over images: an image counts once, however many
    valid pixels it has. For flow or disparity.

    `compute()` returns float64 scalars on the CPU: `epe` in px, and `bad3` in percent, without the 5 % condition of
    KITTI's rule; NaN without images. Images without a valid pixel are left out. A NaN in the prediction at a valid
    pixel makes `epe` NaN and counts as over 3 px. The states are integers: any split over batches and processes gives
    the same result.

    Examples:
        >>> import torch
        >>> from flowdistill.metrics import ImageMeans
        >>> truth = torch.zeros(2, 1, 1, 4)  # disparities of two images
        >>> prediction = torch.tensor([[4.0, 0, 0, 0], [1, 1, 1, 1]]).view(2, 1, 1, 4)
        >>> valid = torch.tensor([[True, False, False, False], [True, True, True, True]]).view(2, 1, 1, 4)
        >>> metric = ImageMeans()
        >>> metric.update(prediction, truth, valid)
        >>> {name: value.item() for name, value in metric.compute().items()}  # pooled: 1.6 px, 20 %
        {'epe': 2.5, 'bad3': 50.0}
    """

    full_state_update = False
    higher_is_better = False
    is_differentiable = False

    total: Tensor  # (2, PARTS) int64: mean errors in px, shares over 3 px
    images: Tensor  # () int64

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(2, PARTS, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, truth: Tensor, valid: Tensor) -> None:
        """Add a batch: motions (B, C, H, W) px, mask (B, 1, H, W) bool. Raises ValueError for other shapes."""
        error = functional.end_point_error(prediction, truth)
        functional.check_mask(valid, error)
        pixels = valid.sum(dim=(1, 2, 3))
        known = error.masked_fill(~valid, 0.0)
        wrong = valid & ~(known <= OUTLIER_PIXELS)  # NaN is wrong
        # Per image in float64, whose rounding is far below the step of the sums.
        mean = known.double().sum(dim=(1, 2, 3)) / pixels.clamp(min=1)
        share = wrong.sum(dim=(1, 2, 3)).double() / pixels.clamp(min=1)
        values = (
            torch.stack([mean, share]).view(2, -1, 1, 1).movedim(1, 0).reshape(-1, 1, 2, 1)
        )  # (B, 1, 2, 1)
        self.total = self.total + exact_parts(values).sum(dim=(0, 3)).T
        self.images = self.images + (pixels > 0).sum()

    def compute(self) -> dict[str, Tensor]:
        epe, bad3 = exact_total(self.total) / self.images.cpu()
        return {"epe": epe, "bad3": 100 * bad3}
