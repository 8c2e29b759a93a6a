"""DDFlow against the numbers of the original: every level, losses, masks, every variable's gradient."""

import pytest
import torch

import reference
from flowdistill.interop import tensorflow_variables
from flowdistill.losses import (
    distillation_loss,
    distillation_mask,
    l2_regulariser,
    occlusion_masks,
    photometric_losses,
)
from flowdistill.networks import DDFlowNet
from flowdistill.networks.ddflow import estimator_input

FORWARD = "ddflow_forward_b2_128x192"
DISTILL = "ddflow_distill_b2_96x160_to_64x128"


@pytest.fixture(scope="module")
def network() -> DDFlowNet:
    network = DDFlowNet()
    reference.fill(network, "ddflow")
    return network


def test_published_parameter_count() -> None:
    assert sum(p.numel() for p in DDFlowNet().parameters()) == 4_273_628


def test_flows_match_at_every_level_in_both_directions(network: DDFlowNet) -> None:
    with torch.no_grad():
        both = network(reference.tensor(FORWARD, "img1"), reference.tensor(FORWARD, "img2"))
    for prefix, found in zip(("fw", "bw"), both, strict=True):
        assert list(found.levels) == [6, 5, 4, 3, 2]
        flows = {f"level_{level}": flow for level, flow in found.levels.items()}
        flows |= {"refined": found.refined, "full_res": found.full}
        for name, flow in flows.items():
            assert reference.relative_error(flow, reference.tensor(FORWARD, f"{prefix}_{name}")) < 1e-4, name


def test_sizes_that_are_no_multiples_of_64(network: DDFlowNet) -> None:
    file = "ddflow_infer_b1_75x110"
    with torch.no_grad():
        forward, _ = network(reference.tensor(file, "img1"), reference.tensor(file, "img2"))
    flows = {f"level_{level}": flow for level, flow in forward.levels.items()}
    for name, flow in (flows | {"refined": forward.refined, "full_res": forward.full}).items():
        assert reference.relative_error(flow, reference.tensor(file, f"fw_{name}")) < 1e-4, name


def test_features_match(network: DDFlowNet) -> None:
    with torch.no_grad():
        pyramid = network.extractor(reference.tensor(FORWARD, "img1")[:1])
    for level in (3, 4, 5, 6):
        expected = reference.tensor(FORWARD, f"feat1_conv{level}_2_item0")
        assert reference.relative_error(pyramid[level - 1], expected) < 1e-4


@pytest.mark.parametrize(
    ("case", "absolute", "gradient_limit"), [("inside", 1e-5, 1e-5), ("leaving", 5e-4, 1e-2)]
)
def test_cost_volume_matches(case: str, absolute: float, gradient_limit: float) -> None:
    name = f"cost_volume_{case}"
    inputs = [
        reference.tensor("ddflow_ops", f"{name}__{key}").requires_grad_() for key in ("x1", "x2", "flow")
    ]
    found = estimator_input(*inputs)
    expected = reference.tensor("ddflow_ops", f"{name}__net_input")
    assert (found - expected).abs().max().item() < absolute
    (found[:, :81] * reference.tensor("ddflow_ops", f"{name}__weight")).sum().backward()
    for value, key in zip(inputs, ("x1", "x2", "flow"), strict=True):
        assert value.grad is not None
        expected_grad = reference.tensor("ddflow_ops", f"{name}__grad_{key}")
        assert reference.relative_error(value.grad, expected_grad) < gradient_limit, key


def test_losses_masks_and_gradients_match(network: DDFlowNet) -> None:
    expected = reference.numbers(FORWARD)
    image1, image2 = reference.tensor(FORWARD, "img1"), reference.tensor(FORWARD, "img2")
    variables = tensorflow_variables(network)
    forward, backward = network(image1, image2)
    occluded = occlusion_masks(forward.full, backward.full)
    for mask, key in zip(occluded, ("occ_fw", "occ_bw"), strict=True):
        assert mask.dtype == torch.bool
        assert (mask != reference.tensor(FORWARD, key).bool()).float().mean() <= 5e-4
    losses = photometric_losses(image1, image2, forward.full, backward.full, *occluded)
    assert set(losses) == set(expected["losses"])
    for name, value in losses.items():
        assert value.item() == pytest.approx(expected["losses"][name], rel=2e-5), name
    l2 = l2_regulariser(network.parameters())
    assert l2.item() == pytest.approx(expected["l2_regulariser"], rel=2e-5)
    for stored, term in (
        ("census_occlusion", "census_occlusion"),
        ("abs_robust_no_occlusion", "abs_robust_mean_no_occlusion"),
    ):
        network.zero_grad()
        losses[term].backward(retain_graph=True)
        reference.check_gradient_norms(variables, expected["grad_norms"][stored], (5e-4, 3e-3, 2e-2))
        reference.check_full_gradients(variables, FORWARD, f"grad_{stored}")


def test_distillation_matches(network: DDFlowNet) -> None:
    data, expected = reference.arrays(DISTILL), reference.numbers(DISTILL)
    top, left = (int(v) for v in data["crop_offset_hw"])
    height, width = (int(v) for v in data["target_hw"])

    def crop(key: str) -> torch.Tensor:
        return reference.tensor(DISTILL, key)[..., top : top + height, left : left + width]

    image1, image2 = crop("img1"), crop("img2")
    variables = tensorflow_variables(network)
    forward, backward = network(image1, image2)
    assert reference.relative_error(forward.full, reference.tensor(DISTILL, "student_fw_full_res")) < 1e-4
    assert reference.relative_error(backward.full, reference.tensor(DISTILL, "student_bw_full_res")) < 1e-4
    occluded = occlusion_masks(forward.full, backward.full)
    masks = []
    for mask, key in zip(occluded, ("fw", "bw"), strict=True):
        assert (mask != reference.tensor(DISTILL, f"student_occ_{key}").bool()).float().mean() <= 5e-4
        masks.append(distillation_mask(mask, crop(f"teacher_occ_{key}")))
        assert (masks[-1] != reference.tensor(DISTILL, f"valid_mask_{key}").bool()).float().mean() <= 5e-4
    teacher = (crop("teacher_flow_fw"), crop("teacher_flow_bw"))
    distilled = distillation_loss(forward.full, backward.full, *teacher, *masks)
    losses = photometric_losses(image1, image2, forward.full, backward.full, *occluded)
    stored = {k: v for k, v in expected["losses"].items() if not k.startswith("data_distillation")}
    stored_distillation = expected["losses"]["data_distillation_distillation"]
    assert distilled.item() == pytest.approx(stored_distillation, rel=2e-5)
    for name, value in stored.items():
        assert losses[name].item() == pytest.approx(value, rel=2e-5), name
    for name, loss in (
        ("distillation", distilled),
        ("census_occlusion_plus_distillation", distilled + losses["census_occlusion"]),
    ):
        network.zero_grad()
        loss.backward(retain_graph=True)
        reference.check_gradient_norms(variables, expected["grad_norms"][name], (1e-4, 3e-3, 5e-3))


def test_small_or_different_images_are_an_error() -> None:
    network = DDFlowNet(width=0.1)
    with pytest.raises(ValueError, match="at least 64x64, got 63x80"):
        network(torch.zeros(1, 3, 63, 80), torch.zeros(1, 3, 63, 80))
    with pytest.raises(ValueError, match="the same shape"):
        network(torch.zeros(1, 3, 64, 80), torch.zeros(1, 3, 64, 81))


def test_swapping_the_images_swaps_the_directions() -> None:
    torch.manual_seed(0)
    network = DDFlowNet(width=0.25)
    image1, image2 = torch.rand(2, 1, 3, 64, 96)
    with torch.no_grad():
        forward, backward = network(image1, image2)
        forward_swapped, backward_swapped = network(image2, image1)
    torch.testing.assert_close(forward.full, backward_swapped.full, rtol=0, atol=1e-5)
    torch.testing.assert_close(backward.full, forward_swapped.full, rtol=0, atol=1e-5)
