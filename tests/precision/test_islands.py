"""Float32 under autocast: labels, losses and their gradients bit-exactly, and every motion."""

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
    robust_loss,
    squared_weights,
)
from flowdistill.networks import DDFlowNet, Dwarf, SceneMotion
from flowdistill.networks.ddflow import estimator_input
from flowdistill.networks.initialisation import start_as_residual
from flowdistill.ops.area import area_average, area_averages
from flowdistill.ops.resize import resize_flow, resize_legacy_bilinear

HALF = (torch.bfloat16, torch.float16)
SIZE = (64, 128)


def labels(generator: torch.Generator) -> dict[str, Tensor]:
    flow = torch.randn(2, 2, *SIZE, generator=generator) * 100
    flow[:, :, 10:30, 20:90] = torch.nan
    disparity = torch.rand(2, 1, *SIZE, generator=generator) * 200
    return {"flow": flow, "disparity_t0": disparity, "disparity_t1": disparity + 1}


def motions(generator: torch.Generator) -> dict[int, SceneMotion]:
    found = {}
    for level in (2, 3, 4, 5, 6):
        values = torch.randn(2, 4, *(side >> level for side in SIZE), generator=generator) * 100
        values.requires_grad_()
        found[level] = SceneMotion(values[:, :2], values[:, 2:3], values[:, 3:])
    return found


def case(name: str) -> tuple[Callable[[], Any], list[Tensor]]:
    """Return a loss of fixed float32 tensors, and the tensors with gradients."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    levels = motions(generator)
    leaves = [motion.flow._base for motion in levels.values() if motion.flow._base is not None]
    truth = labels(generator)
    valid = {f"valid_{key}": value[:, :1] > 20 for key, value in truth.items()}
    images = [torch.rand(2, 3, *SIZE, generator=generator) for _ in range(2)]
    flows = [(normal(2, 2, *SIZE) * 5).requires_grad_() for _ in range(2)]
    teachers = [normal(2, 2, *SIZE) * 100 for _ in range(2)]
    masks = [normal(2, 1, *SIZE) > 0 for _ in range(2)]
    weights = [normal(5, 7, 3, 3).requires_grad_(), normal(5).requires_grad_()]
    cases: dict[str, tuple[Callable[[], Any], list[Tensor]]] = {
        "pretraining, zero": (lambda: dwarf_pretraining_loss(levels, **truth, non_finite="zero"), leaves),
        "pretraining, mask": (lambda: dwarf_pretraining_loss(levels, **truth, non_finite="mask"), leaves),
        "kitti": (lambda: dwarf_kitti_loss(levels, **truth, **valid, non_finite="mask"), leaves[:1]),
        "photometric": (lambda: photometric_losses(*images, *flows, *masks), flows),
        "distillation": (lambda: {"loss": distillation_loss(*flows, *teachers, *masks)}, flows),
        "robust": (lambda: {"loss": robust_loss(flows[0], masks[0].float())}, flows[:1]),
        "weights": (lambda: {"loss": l2_regulariser(weights) + squared_weights(weights)}, weights),
    }
    return cases[name]


def values_and_gradients(name: str) -> list[Tensor]:
    loss, leaves = case(name)
    terms = loss()
    gradients = torch.autograd.grad(sum(terms.values()), leaves)
    return [*terms.values(), *gradients]


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize(
    "name",
    ["pretraining, zero", "pretraining, mask", "kitti", "photometric", "distillation", "robust", "weights"],
)
def test_losses_are_float32_to_the_bit(name: str, dtype: torch.dtype) -> None:
    expected = values_and_gradients(name)
    with torch.autocast("cpu", dtype=dtype):
        found = values_and_gradients(name)
    for value, reference in zip(found, expected, strict=True):
        assert value.dtype == torch.float32
        assert torch.equal(value, reference)


@pytest.mark.parametrize("dtype", HALF)
def test_labels_are_float32_to_the_bit(dtype: torch.dtype) -> None:
    flow = labels(torch.Generator().manual_seed(0))["flow"]
    assert torch.isnan(flow).any()
    odd = flow[..., :-3, :-5]

    def found() -> list[Tensor]:
        averages = [
            area_average(each, 2, policy) for each in (flow, odd) for policy in ("spread", "leave_out")
        ]
        finite = torch.nan_to_num(flow)
        resized = [resize_flow(finite, (100, 300)), resize_legacy_bilinear(finite, (100, 300))]
        return [torch.nan_to_num(each) for each in (*averages, *resized, *occlusion_masks(finite, finite))]

    expected = found()
    with torch.autocast("cpu", dtype=dtype):
        assert all(torch.equal(a, b) for a, b in zip(found(), expected, strict=True))
        # The matrix products that formerly averaged labels, which this test must detect.
        rows = torch.eye(SIZE[0] >> 2).repeat_interleave(4, dim=1) / 4
        assert not torch.equal((rows @ flow[..., :9]).float(), area_average(flow, 2)[..., :9])


def test_reduced_precision_of_matrix_products_does_not_reach_labels() -> None:
    flow = labels(torch.Generator().manual_seed(0))["flow"]
    before = torch.get_float32_matmul_precision()
    try:
        found = []
        for precision in ("highest", "medium"):
            torch.set_float32_matmul_precision(precision)
            averages = area_averages(flow, range(7), "leave_out")
            uneven = area_averages(flow[..., :-3, :-5], range(6), "leave_out")
            found.append([torch.nan_to_num(each) for each in (*averages.values(), *uneven.values())])
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("dtype", HALF)
def test_half_arguments_are_raised(dtype: torch.dtype) -> None:
    """A third-party network may return half-precision motions: they are used as the float32 values they represent."""
    generator = torch.Generator().manual_seed(0)
    truth = labels(generator)
    half = {
        level: SceneMotion(*(value.detach().to(dtype) for value in vars(motion).values()))
        for level, motion in motions(generator).items()
    }
    full = {
        level: SceneMotion(*(value.float() for value in vars(motion).values()))
        for level, motion in half.items()
    }
    for found, expected in (
        (dwarf_pretraining_loss(half, **truth), dwarf_pretraining_loss(full, **truth)),
        (vars(half[2].resize(SIZE)), vars(full[2].resize(SIZE))),
    ):
        for name, value in expected.items():
            assert found[name].dtype == torch.float32, name
            assert torch.equal(found[name], value), name
    flow = torch.randn(2, 2, *SIZE, generator=generator).to(dtype)
    mask = torch.ones(2, 1, *SIZE)
    assert torch.equal(robust_loss(flow, mask), robust_loss(flow.float(), mask))
    assert torch.equal(squared_weights([flow]), squared_weights([flow.float()]))


class _HalfConvolutions:
    """Records the dtypes of a network's convolutions that are not motion heads."""

    def __init__(self, network: nn.Module) -> None:
        self.dtypes: set[torch.dtype] = set()
        for module in network.modules():
            if isinstance(module, nn.Conv2d) and module.out_channels > 2:
                module.register_forward_hook(lambda _module, _inputs, output: self.dtypes.add(output.dtype))


@pytest.mark.parametrize("dtype", HALF)
def test_every_motion_is_float32_while_convolutions_run_in_half(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    dwarf, ddflow = Dwarf(0.25), DDFlowNet(0.25)
    for network in (dwarf, ddflow):
        convolutions = _HalfConvolutions(network)
        with torch.autocast("cpu", dtype=dtype):
            if network is dwarf:
                output = dwarf(*torch.rand(4, 1, 3, 64, 128))
                found = [value for motion in output.levels.values() for value in vars(motion).values()]
                found += list(vars(output.full).values())
            else:
                pyramids = ddflow(*torch.rand(2, 1, 3, 64, 128))
                found = [flow for pyramid in pyramids for flow in (*pyramid.levels.values(), pyramid.full)]
                found += [pyramid.refined for pyramid in pyramids]
        assert convolutions.dtypes == {dtype}
        assert len(found) == (18 if network is dwarf else 14)
        assert {value.dtype for value in found} == {torch.float32}
        sum(value.mean() for value in found).backward()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("dtype", HALF)
def test_a_motion_of_100_pixels_passes_the_levels_unrounded(dtype: torch.dtype) -> None:
    """DWARF set up so that each level passes on the coarser one's motion: only rounding could change it."""
    torch.manual_seed(0)
    network = Dwarf(0.25)
    start_as_residual(network)
    with torch.no_grad():
        for level, estimator in network.estimators.items():
            for name, motion in (("flow", 2), ("disparity_t0", 1), ("disparity_t1", 1)):
                predict = estimator.branches[name].predict
                predict.weight[predict.weight != 1] = 0  # the remaining weights pass on the motion
                if level == "6":
                    predict.bias.copy_(torch.tensor([200.3 / 20, -177.7 / 20][:motion]))
    images = torch.rand(4, 1, 3, 64, 192)
    with torch.no_grad():
        expected = network(*images).levels[2].flow
        with torch.autocast("cpu", dtype=dtype):
            found = network(*images).levels[2].flow
    assert expected.abs().max() > 100
    assert (found - expected).abs().max() < 1e-3  # px; bfloat16's step there is 0.5, float16's 0.06


def test_large_features_stay_finite_in_float16() -> None:
    """196 channels of 20: the sum of products, 78,400, exceeds the range of float16."""
    torch.manual_seed(0)
    features = [
        torch.full((4, channels, 128 >> k, 128 >> k), 20.0) for k, channels in enumerate(_CHANNELS, 1)
    ]
    assert features[-1].half().square().sum(dim=1, dtype=torch.float16).isinf().all()

    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> list[Tensor]:
            return [each[: len(images)].half() for each in features]

    dwarf = Dwarf()
    dwarf.encoder = Fixed()  # type: ignore[assignment]
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.float16):
        output = dwarf(*torch.rand(4, 1, 3, 128, 128))
        assert all(torch.isfinite(motion.flow).all() for motion in output.levels.values())
        deepest = features[-1].half().float()
        volume = estimator_input(deepest, deepest, torch.zeros(4, 2, 2, 2))
    assert volume.dtype == torch.float32
    assert volume[:, 40].max().item() == pytest.approx(1.0, abs=1e-3)


_CHANNELS = (16, 32, 64, 96, 128, 196)
