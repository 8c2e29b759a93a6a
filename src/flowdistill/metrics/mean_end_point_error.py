"""Mean end-point error as a torchmetrics class."""

from torch import Tensor

from flowdistill.metrics import functional
from flowdistill.metrics.exact_sum import PARTS, exact_parts, exact_total
from flowdistill.metrics.pixel_sets import PixelSetMetric


class EndPointError(PixelSetMetric):
    """Mean length of prediction - truth in pixels, pooled over all pixels of all updates; for flow or disparity.

    `compute()` returns float64 scalars: `all` (valid), `noc` (valid and not occluded), `occ` (valid and occluded);
    the last two only if the updates had `valid_noc`. A set without pixels gives NaN; so does, intentionally, a NaN in
    the prediction at a valid pixel. An error of 2**28 px or more counts as infinite.

    Examples:
        >>> import torch
        >>> from flowdistill.metrics import EndPointError
        >>> truth = torch.zeros(1, 2, 1, 4)
        >>> lengths = torch.tensor([0.0, 5.0, 10.0, 99.0])  # px, of the error at each of the four pixels
        >>> prediction = truth + lengths * torch.tensor([0.6, 0.8]).view(2, 1, 1)
        >>> valid = torch.tensor([True, True, True, False]).view(1, 1, 1, 4)
        >>> valid_noc = torch.tensor([True, True, False, False]).view(1, 1, 1, 4)
        >>> metric = EndPointError()
        >>> metric.update(prediction, truth, valid, valid_noc)
        >>> {name: round(mean.item(), 3) for name, mean in metric.compute().items()}
        {'all': 5.0, 'noc': 2.5, 'occ': 10.0}
    """

    sets = ("all", "noc", "occ")

    def __init__(self) -> None:
        super().__init__(PARTS)

    def update(
        self, prediction: Tensor, truth: Tensor, valid: Tensor, valid_noc: Tensor | None = None
    ) -> None:
        """Add a batch: motions (B, C, H, W) px, masks (B, 1, H, W) bool. Raises ValueError for other shapes."""
        self.add(exact_parts(functional.end_point_error(prediction, truth)), valid, valid_noc)

    def totals(self) -> Tensor:
        return exact_total(self.total)

    def compute(self) -> dict[str, Tensor]:
        return self.means()
