"""Base class of the pixel metrics: totals over sets of pixels, which can be summed over processes."""

import torch
from torch import Tensor
from torchmetrics import Metric

from flowdistill.metrics import functional


class PixelSetMetric(Metric):
    """Mean over pixels for each of several sets: `all`, `noc` (non-occluded) and optionally `occ` (occluded only).

    The state is, per set, the total of a value and the number of pixels, all integers, so that any split over batches
    and processes gives the same result. `noc` and `occ` exist only if the updates have a mask of non-occluded
    pixels; updates with and without one cannot be mixed. Updates do not synchronise with the device.

    Args:
        parts: number of integers that encode the value of a pixel; without it values are True or False.
    """

    full_state_update = False
    higher_is_better = False
    is_differentiable = False

    sets: tuple[str, ...]
    total: Tensor  # (sets,) int64, or (sets, parts)
    pixels: Tensor  # (sets,) int64
    with_noc: Tensor  # () int64: number of updates with a mask of non-occluded pixels
    without_noc: Tensor

    def __init__(self, *parts: int) -> None:
        super().__init__()
        zeros = torch.zeros(len(self.sets), dtype=torch.int64)
        self.add_state("total", zeros.new_zeros(len(self.sets), *parts), dist_reduce_fx="sum")
        self.add_state("pixels", zeros, dist_reduce_fx="sum")
        for name in ("with_noc", "without_noc"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self._kind: bool | None = None

    def reset(self) -> None:
        super().reset()
        self._kind = None

    def add(self, values: Tensor, valid: Tensor, valid_noc: Tensor | None) -> None:
        """Add values (B, 1, H, W) bool, or (B, parts, H, W) int64, within each set's mask (B, 1, H, W), bool.

        Raises ValueError for other masks, and if earlier updates were of the other kind.
        """
        kind = valid_noc is not None
        if self._kind is not None and kind != self._kind:
            raise self._mixed()
        functional.check_mask(valid, values[:, :1])
        if valid_noc is None:
            noc = occ = torch.zeros_like(valid)
        else:
            functional.check_mask(valid_noc, values[:, :1])
            noc, occ = valid & valid_noc, valid & ~valid_noc
        masks = (valid, noc, occ)[: len(self.sets)]
        add = functional.masked_count if values.dtype == torch.bool else functional.masked_sum
        self.total = self.total + torch.stack([add(values, mask) for mask in masks])
        self.pixels = self.pixels + torch.stack([mask.sum() for mask in masks])
        if kind:
            self.with_noc = self.with_noc + 1
        else:
            self.without_noc = self.without_noc + 1
        self._kind = kind

    def totals(self) -> Tensor:
        """Return the totals (sets,) in float64 on the CPU."""
        return self.total.cpu().double()

    def means(self) -> dict[str, Tensor]:
        """Return total / pixels per set as float64 scalars on the CPU; NaN for a set without pixels."""
        # Processes may differ from each other even if each was consistent.
        with_noc = bool(self.with_noc > 0)
        if with_noc and self.without_noc > 0:
            raise self._mixed()
        means = self.totals() / self.pixels.cpu()
        return dict(zip(self.sets if with_noc else self.sets[:1], means, strict=False))

    def _mixed(self) -> ValueError:
        name = type(self).__name__
        return ValueError(f"{name}: pass valid_noc in every update or in none; some had it and some did not")
