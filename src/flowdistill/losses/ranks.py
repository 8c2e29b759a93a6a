"""A masked mean over the batch of several processes: sums are added before they are divided.

Each process has its share of a batch. The mean of the processes' own ratios is not the ratio over the whole batch, so
each takes W * numerator / (sum of all denominators): the mean of that over the W processes, which is what
DistributedDataParallel makes of gradients, is the batch's ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """The processes that share a batch.

    Attributes:
        count: how many there are, W.
        total: the sum of a tensor over all of them, on its device; called by all of them in the same order.
    """

    count: int
    total: Callable[[Tensor], Tensor]

    def ratio(self, numerator: Tensor, denominator: Tensor, floor: float) -> Tensor:
        """This process's part of sum(numerator) / (sum(denominator) + floor), all scalars; the mean of the parts is it.

        No gradient passes through the denominator.
        """
        if self.count == 1:
            return numerator / (denominator + floor)
        return self.count * numerator / (self.total(denominator.detach()) + floor)


ALONE = Ranks(1, lambda value: value)
