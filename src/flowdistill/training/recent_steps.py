"""Values of the latest steps: kept on the device, copied to the host only on request.

values   # (N,) float32: a batch's loss and terms, in the order of `names`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

#: Maximum number of steps kept. In a run that logs less often, values are read in between.
MOST = 1000


@dataclass(frozen=True)
class BatchOrigin:
    """Origin of a batch: sufficient to load it again."""

    samples: tuple[str, ...]
    number: int  # of this process, counted from the start of the run
    rank: int
    seed: int  # of the data


@dataclass(frozen=True)
class RecentStep:
    """One training step, with values on the host."""

    step: int  # optimizer step, from 0
    origin: BatchOrigin
    values: dict[str, float]  # of this process
    means: dict[str, float]  # over all processes: NaN or infinite on all of them if it is on one


@dataclass
class _Unread:
    step: int
    origin: BatchOrigin
    names: tuple[str, ...]
    values: Tensor


class RecentSteps:
    """Values of the steps since the last `read`, the only call in which the host waits for the device."""

    def __init__(self) -> None:
        self._unread: list[_Unread] = []

    def __len__(self) -> int:
        return len(self._unread)

    @property
    def full(self) -> bool:
        return len(self._unread) >= MOST

    def add(self, step: int, origin: BatchOrigin, values: Mapping[str, Tensor]) -> Tensor:
        """Keep a step's scalars, without their graph. Returns them as one tensor (N,)."""
        stacked = torch.stack([value.detach().float() for value in values.values()])
        self._unread.append(_Unread(step, origin, tuple(values), stacked))
        return stacked

    def add_to_newest(self, name: str, value: Tensor) -> None:
        """Add a scalar to the latest step that is available only after the backward pass."""
        newest = self._unread[-1]
        newest.names = (*newest.names, name)
        newest.values = torch.cat([newest.values, value.detach().float().reshape(1)])

    def read(self, mean: Callable[[Tensor], Tensor] | None = None) -> list[RecentStep]:
        """Return the steps in order and clear them: one copy from the device for all of them.

        Args:
            mean: averages a tensor over all processes; None for a single process.
        """
        unread, self._unread = self._unread, []
        if not unread:
            return []
        own = torch.cat([step.values for step in unread])
        both = torch.stack([own, own if mean is None else mean(own.clone())])
        values, means = to_host(both)
        ends = [0]
        for step in unread:
            ends.append(ends[-1] + len(step.names))
        return [
            RecentStep(
                step.step,
                step.origin,
                dict(zip(step.names, values[start:end], strict=True)),
                dict(zip(step.names, means[start:end], strict=True)),
            )
            for step, (start, end) in zip(unread, pairwise(ends), strict=True)
        ]


def to_host(values: Tensor) -> list[list[float]]:
    """Copy (2, N) values to the host: waits until the device has computed them."""
    rows: list[list[float]] = values.tolist()
    return rows


def nan_unless_finite(values: Tensor) -> Tensor:
    """Return 1 if all of `values` (N,) are finite, else NaN: a scalar on the same device, without a graph.

    Multiplying a loss by it leaves the loss and its gradient bitwise unchanged, or makes the gradient NaN, on the other
    processes too, once gradients are reduced.

    >>> nan_unless_finite(torch.tensor([2.0, -1e38])), nan_unless_finite(torch.tensor([2.0, torch.inf]))
    (tensor(1.), tensor(nan))
    """
    return (values.detach() * 0).sum() + 1
