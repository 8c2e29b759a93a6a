"""What all metrics here share: totals over sets of pixels, kept so that processes can add them."""

import torch
from torch import Tensor
from torchmetrics import Metric

from flowdistill.metrics import functional


class PixelSetMetric(Metric):
    """A mean over pixels for each of several sets: `all`, `noc` (non-occluded) and perhaps `occ` (occluded only).

    The state is, per set, the total of a value and the number of pixels, so that any split over batches and
    processes gives the same result. `noc` and `occ` exist only where the updates come with a mask of non-occluded
    pixels; updates with and without one cannot be mixed.
    """

    full_state_update = False
    higher_is_better = False
    is_differentiable = False

    sets: tuple[str, ...]
    total: Tensor
    pixels: Tensor
    updates: Tensor

    def __init__(self, total_type: torch.dtype) -> None:
        super().__init__()
        zeros = torch.zeros(len(self.sets), dtype=torch.int64)
        self.add_state("total", zeros.to(total_type), dist_reduce_fx="sum")
        self.add_state("pixels", zeros, dist_reduce_fx="sum")
        # Updates without and with a mask of non-occluded pixels.
        self.add_state("updates", torch.zeros(2, dtype=torch.int64), dist_reduce_fx="sum")

    def add(self, values: Tensor, valid: Tensor, valid_noc: Tensor | None) -> None:
        """Adds values (B, 1, H, W), px or bool, within each set's mask (B, 1, H, W), bool.

        Raises ValueError for other masks, and where earlier updates were of the other kind.
        """
        kind = 0 if valid_noc is None else 1
        if self.updates[1 - kind] > 0:
            raise self._mixed()
        functional.check_mask(valid, values)
        if valid_noc is None:
            noc = occ = torch.zeros_like(valid)
        else:
            functional.check_mask(valid_noc, values)
            noc, occ = valid & valid_noc, valid & ~valid_noc
        masks = (valid, noc, occ)[: len(self.sets)]
        reduction = functional.masked_count if values.dtype == torch.bool else functional.masked_sum
        self.total = self.total + torch.stack([reduction(values, mask) for mask in masks])
        self.pixels = self.pixels + torch.stack([mask.sum() for mask in masks])
        self.updates = self.updates + torch.tensor([1 - kind, kind], device=self.updates.device)

    def means(self) -> dict[str, Tensor]:
        """Total / pixels per set as float64 scalars; NaN where a set has no pixel."""
        # Processes may differ where each for itself was consistent.
        if (self.updates > 0).all():
            raise self._mixed()
        means = self.total.double() / self.pixels
        sets = self.sets if self.updates[1] > 0 else self.sets[:1]
        return dict(zip(sets, means, strict=False))

    def _mixed(self) -> ValueError:
        name = type(self).__name__
        return ValueError(f"{name}: give valid_noc in every update or in none; some had it and some did not")
