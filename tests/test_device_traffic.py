"""device_traffic.py detects each way to wait for a device or to copy to it, and nothing else."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor

from device_traffic import DEVICE, Traffic, watched

WAITS: dict[str, Callable[[Tensor], Any]] = {
    "_local_scalar_dense": lambda x: x.sum().item(),
    "_local_scalar_dense by a condition": lambda x: 1 if x.sum() > 0 else 0,
    "_to_copy": lambda x: x.cpu(),
    "_to_copy of a list": lambda x: x.tolist(),
    "copy_": lambda x: torch.empty(3).copy_(x),
    "index": lambda x: x[x > 0],
    "index_put_": lambda x: x.clone().__setitem__(x > 0, x),
    "nonzero": lambda x: x.nonzero(),
    "masked_select": lambda x: x.masked_select(x > 0),
    "equal": lambda x: torch.equal(x, x),
    "repeat_interleave": lambda x: torch.repeat_interleave(x.long()),
}
COPIES: dict[str, Callable[[Tensor], Any]] = {
    "tensor": lambda x: torch.tensor(1.0, device=DEVICE),
    "as_tensor": lambda x: torch.as_tensor([1.0], device=DEVICE),
    "new_tensor": lambda x: x.new_tensor([1.0]),
    "_to_copy": lambda x: torch.ones(3).to(DEVICE),
    "copy_": lambda x: x.copy_(torch.ones(3)),
    "mul": lambda x: x * torch.ones(3),
    "index": lambda x: x[torch.tensor([0, 2])],
}
NEITHER: dict[str, Callable[[Tensor], Any]] = {
    "arithmetic": lambda x: (2 * x + 1).clamp(0, 1).sum(),
    "a scalar of the host": lambda x: x * torch.tensor(2.0),
    "made on the device": lambda x: torch.zeros(3, device=DEVICE) + torch.arange(3, device=DEVICE) + x.new_zeros(3),
    "on the host": lambda x: torch.ones(3).sum().item(),
    "masks": lambda x: torch.where(x > 0, x, 0).masked_fill(x < 0, 1.0),
    "another type": lambda x: x.long().double(),
    "a tensor as it is": lambda x: torch.as_tensor(x),
    "ranges": lambda x: x[1:].flip(0),
}  # fmt: skip


def seen(does: Callable[[Tensor], Any]) -> Traffic:
    with watched(Traffic()) as traffic, suppress(RuntimeError):  # the meta device has no values to give
        does(torch.ones(3, device=DEVICE))
    return traffic


@pytest.mark.parametrize("case", WAITS)
def test_waits(case: str) -> None:
    traffic = seen(WAITS[case])
    assert traffic.waits[0].startswith(f"{case.split()[0]} tests/test_device_traffic.py:")
    assert traffic.copies == []


@pytest.mark.parametrize("case", COPIES)
def test_copies(case: str) -> None:
    traffic = seen(COPIES[case])
    assert [copy.rpartition(":")[0] for copy in traffic.copies] == [f"{case} tests/test_device_traffic.py"]
    assert traffic.waits == []


@pytest.mark.parametrize("case", NEITHER)
def test_neither(case: str) -> None:
    assert seen(NEITHER[case]).all == []
