"""Activation checkpointing changes no bit of any gradient and keeps fewer bytes for backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from flowdistill.networks import DDFlowNet, Dwarf

Network = Dwarf | DDFlowNet
NETWORKS = [(Dwarf, 4), (DDFlowNet, 2)]
SIZE = (64, 128)


def motions(output: Any) -> list[Tensor]:
    if isinstance(output, tuple):
        return [flow for each in output for flow in (*each.levels.values(), each.refined, each.full)]
    return [value for motion in output.levels.values() for value in vars(motion).values()]


def made(make: Callable[[float], Network], recompute: bool) -> Network:
    torch.manual_seed(0)
    network = make(0.25)
    network.checkpoint_activations = recompute
    return network


def trained(network: Network, images: int, half: bool = False, function: Any = None) -> list[Tensor]:
    """Outputs and gradients, including those of the images."""
    batch = torch.rand(images, 1, 3, *SIZE, generator=torch.Generator().manual_seed(1)).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        values = motions((network if function is None else function)(*batch))
    torch.stack([value.abs().mean() for value in values]).sum().backward()
    return [*values, batch.grad, *(p.grad for p in network.parameters())]  # type: ignore[list-item]


def kept_bytes(network: Network, images: int) -> int:
    """Bytes of the distinct storages saved for backward, excluding weights."""
    storages: dict[int, int] = {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}

    def pack(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
        return value

    batch = torch.rand(images, 1, 3, *SIZE)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        output = network(*batch)  # kept alive: no storage is used twice meanwhile
    assert output is not None
    return sum(storages.values())


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("make", "images"), NETWORKS)
def test_every_bit_of_outputs_and_gradients_is_the_same(
    make: Callable[[float], Network], images: int, half: bool
) -> None:
    kept, again = (trained(made(make, recompute), images, half) for recompute in (False, True))
    assert len(kept) == len(again) > 100 if make is Dwarf else len(kept) > 60
    for value, other in zip(kept, again, strict=True):
        assert value.abs().sum() > 0 or make is DDFlowNet
        assert torch.equal(value, other)


@pytest.mark.parametrize(("make", "images"), NETWORKS)
def test_fewer_bytes_wait_for_backward(make: Callable[[float], Network], images: int) -> None:
    kept, again = (kept_bytes(made(make, recompute), images) for recompute in (False, True))
    print(kept, again)
    assert again < 0.6 * kept


@pytest.mark.parametrize(("make", "images"), NETWORKS)
def test_each_level_is_computed_twice_in_training_and_once_otherwise(
    make: Callable[[float], Network], images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = made(make, True)
    calls: list[int] = []
    part = network.estimators["2"]
    first = next(module for module in part.modules() if isinstance(module, torch.nn.Conv2d))
    first.register_forward_hook(lambda *_: calls.append(1))
    trained(network, images)
    assert len(calls) == 2
    with torch.no_grad():
        network(*torch.rand(images, 1, 3, *SIZE))
    assert len(calls) == 3


@pytest.mark.parametrize(("make", "images"), NETWORKS)
def test_compiled_beside_it(make: Callable[[float], Network], images: int) -> None:
    expected = trained(made(make, True), images)
    network = made(make, True)
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    found = trained(network, images, function=compiled)
    torch._dynamo.reset()
    for value, reference in zip(found, expected, strict=True):
        assert (value - reference).abs().max() <= 1e-5 * reference.abs().max().clamp_min(1e-6)
