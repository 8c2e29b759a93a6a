"""Order-independent sums of errors, in integers, whose addition does not round.

error   # (B, 1, H, W) float32 px, 0 or more
parts   # (B, 4, H, W) int64: coarse and fine digits of the error in steps of 2**-20 px, whether infinite, whether NaN

The digits are summed separately so that sums overflow after 2**39 pixels at the earliest.
"""

import torch
from torch import Tensor

from flowdistill.metrics.rules import SUM_STEP

#: px. Errors of this size or larger, of a network that has diverged, count as infinite.
INFINITE = 2.0**28
PARTS = 4
_DIGIT = 24  # bits


def exact_parts(error: Tensor) -> Tensor:
    """Encode errors (B, 1, H, W) px, each rounded to 2**-20 px, as integers (B, 4, H, W).

    >>> exact_total(exact_parts(torch.tensor([0.1, 0.2, 2.0**20]).view(1, 1, 1, 3)).sum((0, 2, 3))).item()
    1048576.3000001907
    """
    finite = error < INFINITE  # false for NaN
    # Dividing by a power of two is exact, and values too large for a fraction need no rounding.
    steps = (error.masked_fill(~finite, 0.0) / SUM_STEP).round().long()
    nan = error.isnan()
    coarse, fine = steps >> _DIGIT, steps & ((1 << _DIGIT) - 1)
    return torch.cat([coarse, fine, (~finite & ~nan).long(), nan.long()], dim=1)


def exact_total(sums: Tensor) -> Tensor:
    """Return the sum of errors in px from the sums of their parts (..., 4): float64 (...), on the CPU.

    Exact below 2**33 px. NaN if any error was, else infinite if any was.
    """
    coarse, fine, infinite, nan = sums.cpu().double().unbind(-1)
    total = (coarse * 2**_DIGIT + fine) * SUM_STEP
    return total.masked_fill(infinite > 0, torch.inf).masked_fill(nan > 0, torch.nan)
