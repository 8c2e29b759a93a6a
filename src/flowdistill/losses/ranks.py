"""Masked mean over a batch that is distributed over several processes.

Each process has its share of a batch. The mean of the processes' own ratios is not the ratio over the whole batch, so
each computes W * numerator / (sum of all denominators): its mean over the W processes, which is how
DistributedDataParallel combines gradients, is the batch's ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """The processes that share a batch.

    Attributes:
        count: number of processes, W.
        total: the sum of a tensor over all processes, on its device; all must call it in the same order.
    """

    count: int
    total: Callable[[Tensor], Tensor]

    def ratio(self, numerator: Tensor, denominator: Tensor, floor: float) -> Tensor:
        """Return this process's part of sum(numerator) / (sum(denominator) + floor): a scalar with that mean.

        The denominator is detached.
        """
        if self.count == 1:
            return numerator / (denominator + floor)
        return self.count * numerator / (self.total(denominator.detach()) + floor)


ALONE = Ranks(1, lambda value: value)
