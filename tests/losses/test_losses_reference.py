"""Single losses against the originals' numbers, slow definitions and properties."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

import reference
from flowdistill.losses import (
    PHOTOMETRIC_TERMS,
    census_distance,
    census_loss,
    distillation_loss,
    distillation_mask,
    dwarf_kitti_loss,
    dwarf_pretraining_loss,
    occlusion_masks,
    photometric_losses,
    robust_loss,
)
from flowdistill.networks import SceneMotion

OPS = "ddflow_ops"
Given = Callable[[str], torch.Tensor]


@pytest.fixture
def given(device: torch.device, dtype: torch.dtype) -> Given:
    """Reads an input of DDFlow's operators as a tensor of `--device` and `--dtype`."""
    return lambda key: reference.tensor(OPS, key, device, dtype)


def census_limit(dtype: torch.dtype) -> float:
    """Of a gradient's relative error. The stored ones carry the original's float32 rounding, which float32 repeats."""
    return 1e-5 if dtype == torch.float32 else 2e-4


def test_robust_loss_matches(given: Given) -> None:
    difference = given("abs_robust__diff").requires_grad_()
    loss = robust_loss(difference, given("abs_robust__mask"))
    loss.backward()
    assert loss.item() == pytest.approx(float(reference.arrays(OPS)["abs_robust__out"]), rel=1e-5)
    assert difference.grad is not None
    assert reference.relative_error(difference.grad, reference.tensor(OPS, "abs_robust__grad_diff")) < 1e-5
    name = "abs_robust_empty_mask"
    empty = robust_loss(given(f"{name}__diff"), given(f"{name}__mask"))
    assert empty.item() == 0.0


def test_occlusion_matches(given: Given) -> None:
    found = occlusion_masks(given("occlusion__flow_fw"), given("occlusion__flow_bw"))
    for mask, key in zip(found, ("occ_fw", "occ_bw"), strict=True):
        expected = reference.tensor(OPS, f"occlusion__{key}").bool()
        assert 0.05 < expected.float().mean() < 0.95
        assert torch.equal(mask.cpu(), expected)


def test_census_matches(given: Given, dtype: torch.dtype) -> None:
    image1 = given("census__img1").requires_grad_()
    image2 = given("census__img2_warped").requires_grad_()
    loss = census_loss(image1, image2, given("census__mask"))
    loss.backward()
    assert loss.item() == pytest.approx(float(reference.arrays(OPS)["census__out"]), rel=1e-5)
    limit = census_limit(dtype)
    for image, key in ((image1, "img1"), (image2, "img2_warped")):
        assert image.grad is not None
        assert reference.relative_error(image.grad, reference.tensor(OPS, f"census__grad_{key}")) < limit


def test_census_distance_is_its_definition_and_its_derivative(device: torch.device) -> None:
    torch.manual_seed(0)
    image1, image2 = torch.rand(2, 1, 3, 5, 6, dtype=torch.float64) * 0.02
    grey = [
        (i * torch.tensor([0.2989, 0.5870, 0.1140]).double().view(1, 3, 1, 1)).sum(1)[0] * 255
        for i in (image1, image2)
    ]
    expected = torch.zeros(5, 6, dtype=torch.float64)
    for row in range(5):
        for column in range(6):
            for dy in range(-3, 4):
                for dx in range(-3, 4):
                    signs = []
                    for g in grey:
                        inside = 0 <= row + dy < 5 and 0 <= column + dx < 6
                        t = (g[row + dy, column + dx].item() if inside else 0.0) - g[row, column].item()
                        signs.append(t / math.sqrt(0.81 + t * t))
                    e = (signs[0] - signs[1]) ** 2
                    expected[row, column] += e / (0.1 + e)
    image1, image2 = image1.to(device), image2.to(device)
    # The grey weights are float32 constants of the module.
    torch.testing.assert_close(census_distance(image1, image2)[0, 0].cpu(), expected, rtol=1e-6, atol=1e-7)
    assert torch.autograd.gradcheck(
        census_distance, (image1.requires_grad_(), image2.requires_grad_()), eps=1e-7, atol=1e-4
    )


def test_photometric_losses_and_their_gradients_match(given: Given, dtype: torch.dtype) -> None:
    data = reference.arrays(OPS)
    flows = [given(f"occlusion__flow_{d}").requires_grad_() for d in ("fw", "bw")]
    occluded = occlusion_masks(flows[0], flows[1])
    images = (given("photometric__img1"), given("photometric__img2"))
    losses = photometric_losses(*images, *flows, *occluded)
    assert tuple(losses) == PHOTOMETRIC_TERMS
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(float(data[f"photometric__{name}"]), rel=2e-5)
        grads = torch.autograd.grad(loss, flows, retain_graph=True)
        for grad, direction in zip(grads, ("fw", "bw"), strict=True):
            expected = reference.tensor(OPS, f"photometric__{name}_grad_flow_{direction}")
            limit = census_limit(dtype) if name.startswith("census") else 1e-5
            assert reference.relative_error(grad, expected) < limit, (name, direction)


def test_photometric_terms_are_chosen_by_name() -> None:
    images, flow, mask = torch.rand(2, 1, 3, 16, 16), torch.zeros(1, 2, 16, 16), torch.zeros(1, 1, 16, 16)
    only = photometric_losses(*images, flow, flow, mask, mask, terms=("census_occlusion",))
    assert list(only) == ["census_occlusion"]
    with pytest.raises(ValueError, match=r"unknown photometric terms.*'census'"):
        photometric_losses(*images, flow, flow, mask, mask, terms=("census",))


def test_distillation_acts_only_where_the_student_alone_is_blind(
    device: torch.device, dtype: torch.dtype
) -> None:
    student = torch.tensor([1, 1, 0, 0], dtype=torch.bool, device=device).view(1, 1, 1, 4)
    teacher = torch.tensor([1, 0, 1, 0], dtype=torch.bool, device=device).view(1, 1, 1, 4)
    mask = distillation_mask(student, teacher)
    assert mask.flatten().tolist() == [False, True, False, False]
    flow = torch.zeros(1, 2, 1, 4, device=device, dtype=dtype, requires_grad=True)
    taught = torch.full((1, 2, 1, 4), 0.99, device=device, dtype=dtype, requires_grad=True)
    loss = distillation_loss(flow, flow, taught, taught, mask, mask)
    # One pixel, two channels of (0.99 + 0.01)^0.4 = 1, over 2 * 1 pixel, two directions halved.
    assert loss.item() == pytest.approx(1.0, rel=1e-6)
    loss.backward()
    assert flow.grad is not None
    assert taught.grad is None
    assert (flow.grad.abs().sum(dim=1).flatten() > 0).tolist() == [False, True, False, False]


def _levels(level: int, values: torch.Tensor) -> dict[int, SceneMotion]:
    other = torch.zeros_like(values[:, :1])
    return {level: SceneMotion(values, other, other.clone())}


def test_masked_l1_matches_through_the_kitti_loss(device: torch.device, dtype: torch.dtype) -> None:
    """The original's masked L1 works on network units; ours on pixels, so x 20."""
    name = "masked_l1_loss_alpha0p001"
    data = reference.arrays("dwarf_ops")
    predicted = (reference.tensor("dwarf_ops", f"{name}__prediction", device, dtype) * 20).requires_grad_()
    truth = reference.tensor("dwarf_ops", f"{name}__gt", device, dtype) * 20
    valid = reference.tensor("dwarf_ops", f"{name}__mask", device, dtype) != 0
    zero = torch.zeros_like(truth[:, :1])
    terms = dwarf_kitti_loss(
        _levels(2, predicted), truth, zero, zero, valid, zero.bool(), zero.bool(), alphas={2: 0.001}
    )
    assert terms["level2/flow"].item() == pytest.approx(float(data[f"{name}__out"]), rel=1e-5)
    assert terms["data_loss"].item() == pytest.approx(0.5 * terms["level2/flow"].item(), rel=1e-6)
    terms["level2/flow"].backward()
    assert predicted.grad is not None
    expected = reference.tensor("dwarf_ops", f"{name}__grad_prediction") / 20
    assert reference.relative_error(predicted.grad, expected) < 1e-5


@pytest.mark.parametrize("policy", ["zero", "mask"])
def test_l1_with_unknown_labels_through_the_pretraining_loss(
    policy: str, device: torch.device, dtype: torch.dtype
) -> None:
    """Level 0 is full size, so the area average is the identity and the stored numbers apply."""
    name = "l1_loss_alpha0p32"
    data = reference.arrays("dwarf_ops")
    predicted = (reference.tensor("dwarf_ops", f"{name}__prediction", device, dtype) * 20).requires_grad_()
    truth = reference.tensor("dwarf_ops", f"{name}__gt", device, dtype) * 20
    assert torch.isnan(truth).any()
    zero = torch.zeros_like(truth[:, :1])
    terms = dwarf_pretraining_loss(
        _levels(0, predicted), truth, zero, zero, alphas={0: 0.32}, non_finite=policy
    )
    terms["level0/flow"].backward()
    assert predicted.grad is not None
    known = torch.isfinite(truth).all(dim=1, keepdim=True).expand_as(truth)
    if policy == "zero":
        assert terms["level0/flow"].item() == pytest.approx(float(data[f"{name}__out"]), rel=1e-5)
        expected = reference.tensor("dwarf_ops", f"{name}__grad_prediction") / 20
        assert reference.relative_error(predicted.grad, expected) < 1e-5
    else:
        by_hand = (predicted - truth)[known].abs().sum() / 20 * 0.32 / truth.shape[0]
        assert terms["level0/flow"].item() == pytest.approx(by_hand.item(), rel=1e-5)
        assert predicted.grad[~known].abs().max() == 0
        assert (predicted.grad[known].abs() > 0).all()


def test_mask_policy_averages_over_known_pixels_only(device: torch.device, dtype: torch.dtype) -> None:
    """A half-known cell is compared by its known half: a perfect prediction has loss 0, unlike with 'zero'."""
    truth = torch.full((1, 2, 8, 8), 4.0, device=device, dtype=dtype)
    truth[..., ::2] = torch.nan
    zero = torch.zeros_like(truth[:, :1])
    levels = _levels(1, torch.full((1, 2, 4, 4), 4.0, device=device, dtype=dtype))
    masked = dwarf_pretraining_loss(levels, truth, zero, zero, alphas={1: 1.0}, non_finite="mask")
    published = dwarf_pretraining_loss(levels, truth, zero, zero, alphas={1: 1.0}, non_finite="zero")
    assert masked["data_loss"].item() == 0.0
    assert published["level1/flow"].item() == pytest.approx(2 * 16 * 4 / 20)


def test_unknown_policy_is_an_error() -> None:
    zero = torch.zeros(1, 1, 8, 8)
    flow = torch.zeros(1, 2, 8, 8)
    with pytest.raises(ValueError, match='"zero" or "mask", got \'skip\''):
        dwarf_pretraining_loss(_levels(0, flow), flow, zero, zero, alphas={0: 1.0}, non_finite="skip")


def test_no_gradient_passes_through_the_occlusion_masks(device: torch.device, dtype: torch.dtype) -> None:
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 2, 8, 9)))
    flow = values.to(device, dtype).requires_grad_()
    assert not any(mask.requires_grad for mask in occlusion_masks(flow, -flow))
