"""The networks and every loss are one graph each for torch.compile, and the compiled graph gives the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flowdistill.losses import (
    distillation_loss,
    dwarf_kitti_loss,
    dwarf_pretraining_loss,
    l2_regulariser,
    occlusion_masks,
    photometric_losses,
)
from flowdistill.networks import DDFlowNet, Dwarf, SceneMotion

SIZE = (64, 128)


def one_graph(function: Any, *args: Any, backend: str = "eager") -> Any:
    """Return the function's result through torch.compile, which fails on a graph break."""
    torch._dynamo.reset()
    return torch.compile(function, backend=backend, fullgraph=True)(*args)


def motions(output: Any) -> list[Tensor]:
    if isinstance(output, tuple):
        return [flow for each in output for flow in (*each.levels.values(), each.refined, each.full)]
    return [value for motion in output.levels.values() for value in vars(motion).values()]


@pytest.mark.parametrize("half", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("make", "images"), [(Dwarf, 4), (DDFlowNet, 2)])
def test_a_network_is_one_graph_of_the_same_numbers(
    make: Callable[[float], nn.Module], images: int, half: bool
) -> None:
    torch.manual_seed(0)
    network = make(0.125)
    batch = torch.rand(images, 1, 3, *SIZE)

    def found(function: Any) -> list[Tensor]:
        network.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            values = motions(function(*batch))
        sum(value.abs().mean() for value in values).backward()
        return [*values, *(p.grad for p in network.parameters() if p.grad is not None)]

    expected = found(network)
    torch._dynamo.reset()
    compiled = found(torch.compile(network, backend="aot_eager", fullgraph=True))
    assert len(compiled) == len(expected)
    tolerance = 3e-2 if half else 1e-5  # of the largest value; half precision rounds at other points
    for value, reference in zip(compiled, expected, strict=True):
        assert value.dtype == torch.float32
        assert (value - reference).abs().max() <= tolerance * reference.abs().max().clamp_min(1e-6)


def test_every_loss_is_one_graph_of_the_same_numbers() -> None:
    torch.manual_seed(0)
    height, width = SIZE
    levels = {
        level: SceneMotion(*(torch.rand(1, c, height >> level, width >> level) for c in (2, 1, 1)))
        for level in (2, 3, 4, 5, 6)
    }
    truth = (torch.rand(1, 2, *SIZE), torch.rand(1, 1, *SIZE), torch.rand(1, 1, *SIZE))
    truth[0][..., :20] = torch.nan
    valid = [torch.rand(1, 1, *SIZE) > 0.5 for _ in range(3)]
    images = torch.rand(2, 1, 3, *SIZE)
    flows = list(torch.randn(4, 1, 2, *SIZE))
    masks = valid[:2]
    weights = [torch.rand(3, 4, requires_grad=True), torch.rand(4, requires_grad=True)]
    losses: dict[str, Callable[[], Any]] = {
        "pretraining, zero": lambda: dwarf_pretraining_loss(levels, *truth, non_finite="zero"),
        "pretraining, mask": lambda: dwarf_pretraining_loss(levels, *truth, non_finite="mask"),
        "kitti": lambda: dwarf_kitti_loss(levels, *truth, *valid, non_finite="mask"),
        "photometric": lambda: photometric_losses(*images, flows[0], flows[1], *masks),
        "occlusion": lambda: dict(enumerate(occlusion_masks(flows[0], flows[1]))),
        "distillation": lambda: {"": distillation_loss(*flows, *masks)},
        "weights": lambda: {"": l2_regulariser(weights)},
    }
    for name, loss in losses.items():
        found = one_graph(loss)
        for key, expected in loss().items():
            torch.testing.assert_close(found[key], expected, rtol=1e-6, atol=1e-6, msg=f"{name}: {key}")
