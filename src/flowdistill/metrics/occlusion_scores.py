"""Precision, recall and F-measure of an occlusion mask, as a torchmetrics class over integer counts."""

import torch
from torch import Tensor
from torchmetrics import Metric

from flowdistill.metrics import functional


class OcclusionScores(Metric):
    """Precision, recall and F-measure of estimated occlusions, pooled over all pixels of all images.

    `compute()` returns float64 scalars from 0 to 1, on the CPU: `precision`, the share of the found occlusions that are
    true; `recall`, the share of the true ones that were found; and `f1`, their harmonic mean, the F-measure. NaN if
    nothing was found, or nothing is occluded; `f1` only if both.
    The states are counts: any split over batches and processes gives the same result.

    Examples:
        >>> import torch
        >>> from flowdistill.metrics import OcclusionScores
        >>> found = torch.tensor([True, True, False, False, False]).view(1, 1, 1, 5)
        >>> truth = torch.tensor([True, False, True, True, True]).view(1, 1, 1, 5)
        >>> scores = OcclusionScores()
        >>> scores.update(found, truth, valid=torch.ones_like(truth))
        >>> {name: score.item() for name, score in scores.compute().items()}  # 1 of 2 found, 1 of 4 true
        {'precision': 0.5, 'recall': 0.25, 'f1': 0.3333333333333333}
    """

    full_state_update = False
    higher_is_better = True
    is_differentiable = False

    counts: Tensor  # (3,) int64: found and true, found, true

    def __init__(self) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(3, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, found: Tensor, truth: Tensor, valid: Tensor) -> None:
        """Add a batch, all (B, 1, H, W) bool; only `valid` pixels count. Raises ValueError for other masks."""
        for mask in (found, truth, valid):
            functional.check_mask(mask, found)
        masks = (found & truth, found, truth)
        self.counts = self.counts + torch.stack([functional.masked_count(mask, valid) for mask in masks])

    def compute(self) -> dict[str, Tensor]:
        both, found, true = self.counts.cpu().double()
        return {"precision": both / found, "recall": both / true, "f1": 2 * both / (found + true)}
