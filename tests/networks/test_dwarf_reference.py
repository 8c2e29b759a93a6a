"""DWARF against the numbers of the original: every level, losses, every variable's gradient."""

from typing import Any

import numpy as np
import pytest
import torch

import reference
from flowdistill.interop import tensorflow_variables
from flowdistill.losses import dwarf_kitti_loss, dwarf_pretraining_loss, squared_weights
from flowdistill.networks import Dwarf, dwarf_to_image_size
from flowdistill.networks.dwarf import scene_flow_volume
from flowdistill.ops.area import area_average

IMAGES = ("left_t0", "right_t0", "left_t1", "right_t1")


@pytest.fixture(scope="module")
def network() -> Dwarf:
    network = Dwarf()
    reference.fill(network, "dwarf")
    return network


def images(file: str) -> list[torch.Tensor]:
    return [reference.tensor(file, key) for key in IMAGES]


def test_weight_rule_is_the_references() -> None:
    """Our generator reproduces the stored values, so that parity is not parity with a wrong rule."""
    for kind, entries in reference.numbers("weight_rule_check").items():
        entries = dict(entries)
        total = entries.pop("_abs_sum_of_all_variables")
        for name, entry in entries.items():
            value = reference.weight(name, entry["shape"], seed=1)
            np.testing.assert_allclose(value.ravel()[:4], entry["first4"], rtol=1e-6)
            assert np.abs(value.astype(np.float64)).sum() == pytest.approx(entry["abs_sum"], rel=1e-6)
        listed = reference.numbers(f"{kind}_variables")
        found = sum(
            np.abs(reference.weight(v["name"], v["shape"], 1).astype(np.float64)).sum() for v in listed
        )
        assert found == pytest.approx(total, rel=1e-6)


def test_published_parameter_count() -> None:
    assert sum(p.numel() for p in Dwarf().parameters()) == 19_618_196


@pytest.mark.parametrize("file", ["dwarf_forward_b1_64x128", "dwarf_forward_b2_128x192"])
def test_motions_match_at_every_level(network: Dwarf, file: str) -> None:
    with torch.no_grad():
        output = network.train()(*images(file))
    assert list(output.levels) == [6, 5, 4, 3, 2]
    for level, motion in output.levels.items():
        for found, key in (
            (motion.flow / 20, "forward_flow"),
            (motion.disparity_t0 / -20, "disparity"),
            (motion.disparity_t1 / -20, "disparity_change"),
        ):
            expected = reference.tensor(file, f"level{level}_{key}")
            assert reference.relative_error(found, expected) < 1e-4, (level, key)


def test_features_and_volumes_match(network: Dwarf) -> None:
    file = "dwarf_forward_b1_64x128"
    with torch.no_grad():
        pyramids = [network.encoder(image) for image in images(file)]
        for level in range(2, 7):
            expected = reference.tensor(file, f"enc_left_t0_level{level}")
            assert reference.relative_error(pyramids[0][level - 1], expected) < 1e-4
        volume = scene_flow_volume(*(pyramid[5] for pyramid in pyramids))
    assert reference.relative_error(volume, reference.tensor(file, "block6_correlation_volume")) < 1e-4


@pytest.mark.parametrize("mode", ["crop", "resize"])
def test_final_modes_match(network: Dwarf, mode: Any) -> None:
    file = "dwarf_test_64x128_final_50x120"
    with torch.no_grad():
        output = network.eval()(*images(file))
    assert list(output.levels) == [2]
    found = dwarf_to_image_size(output.full, (50, 120), mode)
    for value, key in (
        (found.flow, "forward_flow"),
        (-found.disparity_t0, "disparity"),
        (-found.disparity_t1, "disparity_change"),
    ):
        expected = reference.nchw(reference.arrays(file)[f"{mode}_{key}"][None])
        assert reference.relative_error(value, expected) < 1e-4, key
    again = dwarf_to_image_size(output, (50, 120), mode)
    assert torch.equal(again.flow, found.flow)


@pytest.mark.parametrize("case", ["sceneflow", "kitti"])
def test_losses_and_gradients_match(network: Dwarf, case: str) -> None:
    file = f"dwarf_{case}_loss_b2_64x128"
    expected = reference.numbers(file)
    flow = reference.tensor(file, "gt_flow")
    disparity_t0, disparity_t1 = (
        -reference.tensor(file, f"gt_{k}") for k in ("disparity", "disparity_change")
    )
    network.train().zero_grad()
    output = network(*images(file))
    if case == "sceneflow":
        terms = dwarf_pretraining_loss(output.levels, flow, disparity_t0, disparity_t1, non_finite="zero")
    else:
        valid = (flow[:, 2:] != 0, disparity_t0 != 0, disparity_t1 != 0)
        terms = dwarf_kitti_loss(output.levels, flow[:, :2], disparity_t0, disparity_t1, *valid)
    for level, components in expected["components"].items():
        for theirs, ours in (
            ("forward_flow", "flow"),
            ("disparity", "disparity_t0"),
            ("disparity_change", "disparity_t1"),
        ):
            assert terms[f"{level}/{ours}"].item() == pytest.approx(components[theirs], rel=2e-5), (
                level,
                ours,
            )
    assert terms["data_loss"].item() == pytest.approx(expected["data_loss"], rel=2e-5)
    regularisation = 0.0004 * squared_weights(network.parameters())
    assert regularisation.item() == pytest.approx(expected["regularisation_loss"], rel=2e-5)
    total = terms["data_loss"] + regularisation
    assert total.item() == pytest.approx(expected["total_loss"], rel=2e-5)

    variables = tensorflow_variables(network)
    terms["data_loss"].backward(retain_graph=False)
    reference.check_gradient_norms(variables, expected["grad_norms_data"], (5e-4, 3e-3, 2e-2))
    reference.check_full_gradients(variables, file, "grad_data")
    regularisation.backward()
    reference.check_gradient_norms(variables, expected["grad_norms_total"], (5e-4, 3e-3, 5e-2))
    reference.check_full_gradients(variables, file, "grad_total")


def test_ground_truth_pyramid_matches() -> None:
    file = "dwarf_sceneflow_loss_b2_64x128"
    for theirs, ours in (
        ("flow", "forward_flow"),
        ("disparity", "disparity"),
        ("disparity_change", "disparity_change"),
    ):
        truth = reference.tensor(file, f"gt_{theirs}")
        for level in (3, 4, 5, 6):
            pyramid = torch.nan_to_num(area_average(truth, level), nan=0.0) / 20
            expected = reference.tensor(file, f"gt_pyramid_level{level}_{ours}")
            assert reference.relative_error(pyramid, expected) < 1e-5, (theirs, level)


@pytest.mark.parametrize("shape", [(1, 3, 64, 100), (1, 3, 60, 128), (1, 3, 0, 64)])
def test_sizes_that_are_no_multiples_of_64_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="multiples of 64"):
        Dwarf(width=0.1)(*[torch.zeros(shape)] * 4)


def test_width_factor_shrinks_every_layer() -> None:
    small = Dwarf(width=0.25)
    output = small(*[torch.rand(1, 3, 64, 128)] * 4)
    assert output.full.flow.shape == (1, 2, 64, 128)
    assert output.full.disparity_t1.shape == (1, 1, 64, 128)
    assert sum(p.numel() for p in small.parameters()) < 19_618_196 / 6
