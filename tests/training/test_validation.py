"""Reported validation values: NaN predictions are visible, empty sets omitted, values equal the metrics' own."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric.utilities import move_data_to_device

from device_traffic import DEVICE, Traffic, watched
from flowdistill.data import KittiDataset, collate, read_split
from flowdistill.metrics import SCENE_FLOW_KEYS
from flowdistill.training.validation import MotionValidation


@pytest.fixture
def batch(rendered: Path) -> Any:
    dataset = KittiDataset(str(rendered), read_split(rendered / "val.txt"), "scene_flow", labels=True)
    return collate([dataset[0], dataset[1]])


def test_numbers_are_those_of_a_slow_computation(batch: Any) -> None:
    torch.manual_seed(0)
    prediction = {k: batch[k] + 3 * torch.randn_like(batch[k]) for k in SCENE_FLOW_KEYS}
    validation = MotionValidation(*SCENE_FLOW_KEYS)
    validation.update(prediction, batch)
    found = validation.compute()
    outlier = torch.zeros_like(batch["valid_flow"])
    everywhere, visible = torch.ones_like(outlier), torch.ones_like(outlier)
    names = {
        "flow": ("epe", "fl"),
        "disparity_t0": ("disparity_t0_epe", "d1"),
        "disparity_t1": ("disparity_t1_epe", "d2"),
    }
    for key, (epe, rate) in names.items():
        error = (prediction[key] - batch[key]).double().norm(dim=1, keepdim=True)
        size = batch[key].double().norm(dim=1, keepdim=True)
        wrong = (error > 3) & (error > 0.05 * size)
        valid, noc = batch[f"valid_{key}"], batch[f"valid_{key}_noc"]
        assert found[f"{epe}_all"] == pytest.approx(error[valid].mean().item(), rel=1e-5)
        assert found[f"{epe}_noc"] == pytest.approx(error[noc].mean().item(), rel=1e-5)
        assert found[f"{epe}_occ"] == pytest.approx(error[valid & ~noc].mean().item(), rel=1e-5)
        assert found[f"{rate}_noc"] == pytest.approx(100 * wrong[noc].double().mean().item(), abs=0.02)
        # Each image once, without the 5 % rule.
        images = [error[i][valid[i]] for i in range(len(error))]
        prefix = epe.removesuffix("epe")
        mean = sum(image.mean() for image in images) / len(images)
        bad3 = 100 * sum((image > 3).double().mean() for image in images) / len(images)
        assert found[f"{prefix}epe_mean_of_images"] == pytest.approx(float(mean), abs=2e-6)
        assert found[f"{prefix}bad3_mean_of_images"] == pytest.approx(float(bad3), abs=0.02)
        outlier |= wrong
        everywhere &= valid
        visible &= noc
    assert found["sf_all"] == pytest.approx(100 * outlier[everywhere].double().mean().item(), abs=0.02)
    assert found["sf_noc"] == pytest.approx(100 * outlier[visible].double().mean().item(), abs=0.02)
    validation.reset()
    assert validation.compute() == {}


@pytest.mark.parametrize("mask", ["occluded", "labels", "sparse"])
def test_occlusion_is_judged_by_the_mask_or_by_the_labels(mask: str, batch: Any) -> None:
    torch.manual_seed(0)
    valid = batch["valid_flow"].clone()
    truth = valid & ~batch["valid_flow_noc"]
    assert truth.any()
    if mask == "occluded":
        truth = torch.rand(truth.shape) < 0.3  # it takes precedence over the labels
        batch["occluded"] = truth
    elif mask == "sparse":
        valid &= torch.rand(truth.shape) < 0.5
        batch["valid_flow"] = valid
        batch["valid_flow_noc"] &= valid
    found = torch.rand(truth.shape) < 0.4
    validation = MotionValidation("flow", occlusion=True)
    validation.update({"flow": batch["flow"], "occluded": found}, batch)
    values = validation.compute()
    hits = (found & truth)[valid].double().sum()
    assert values["occlusion_precision"] == pytest.approx((hits / found[valid].sum()).item())
    assert values["occlusion_recall"] == pytest.approx((hits / truth[valid].sum()).item())
    both = values["occlusion_precision"], values["occlusion_recall"]
    assert values["occlusion_f1"] == pytest.approx(2 * both[0] * both[1] / sum(both))
    validation.reset()
    validation.update({"flow": batch["flow"], "occluded": torch.zeros_like(found)}, batch)
    values = validation.compute()
    assert values["occlusion_recall"] == 0
    assert "occlusion_precision" not in values  # no pixel is predicted as occluded


def test_a_broken_prediction_shows_as_nan(batch: Any) -> None:
    flow = batch["flow"].clone()
    flow[0, 0, 5, 5] = math.nan
    validation = MotionValidation("flow")
    validation.update({"flow": flow}, batch)
    assert math.isnan(validation.compute()["epe_all"])


def test_no_occlusion_and_no_labels_leave_nothing_behind(batch: Any) -> None:
    validation = MotionValidation("flow", occlusion=True)
    found = {"flow": batch["flow"], "occluded": batch["valid_flow"]}
    validation.update(found, {k: v for k, v in batch.items() if "flow" not in k and k != "occluded"})
    assert validation.compute() == {}
    batch["valid_flow"] = batch["valid_flow_noc"]
    validation.update(found, batch)
    values = validation.compute()
    assert "epe_occ" not in values
    assert values["epe_all"] == 0.0


@pytest.mark.parametrize("noc", [True, False])
def test_no_batch_waits_for_the_device(noc: bool, batch: Any) -> None:
    on_device = move_data_to_device(batch, DEVICE)
    if not noc:
        on_device = {key: value for key, value in on_device.items() if not key.endswith("_noc")}
    prediction = {key: torch.zeros_like(on_device[key]) for key in SCENE_FLOW_KEYS}
    prediction["occluded"] = torch.zeros_like(on_device["valid_flow"])
    validation = MotionValidation(*SCENE_FLOW_KEYS, occlusion=True, means=("census",)).to(DEVICE)
    with watched(Traffic()) as traffic:
        for _ in range(2):
            validation.update(prediction, on_device)
            validation.add("census", prediction["flow"].mean(), 2)
    assert traffic.all == []
    states = [state for metric in validation.metrics.values() for state in metric.metric_state.values()]
    assert {state.device for state in states} == {DEVICE}


def test_images_without_labels_are_no_part_of_a_mean_of_images(batch: Any) -> None:
    validation = MotionValidation("flow")
    batch["valid_flow"][:] = False
    batch["valid_flow_noc"][:] = False
    validation.update({"flow": batch["flow"] + 1}, batch)
    assert not [name for name in validation.compute() if "images" in name]
    validation.reset()
    batch["valid_flow"][0] = True
    prediction = batch["flow"] + torch.tensor([3.0, 4.0]).view(2, 1, 1)
    validation.update({"flow": prediction}, batch)
    assert validation.compute()["epe_mean_of_images"] == pytest.approx(5, abs=1e-5)
    validation.reset()
    prediction[0, 0, 0, 0] = math.nan
    validation.update({"flow": prediction}, batch)
    assert math.isnan(validation.compute()["epe_mean_of_images"])  # as for epe_all: it stays visible
