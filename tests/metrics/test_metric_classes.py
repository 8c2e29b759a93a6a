"""The classes against slow loops in double precision, on data with NaN and garbage at invalid pixels."""

import math
import warnings

import numpy as np
import pytest
import slow_metrics as slow
import torch
from torch import Tensor

from flowdistill.metrics import (
    SCENE_FLOW_KEYS,
    EndPointError,
    OcclusionScores,
    OutlierRate,
    SampleMean,
    SceneFlowOutlierRate,
)

SIZE = (6, 9)


def random_motion(rng: np.random.Generator, images: int, channels: int) -> tuple[np.ndarray, ...]:
    """prediction, truth (B, C, H, W); valid, valid_noc (B, 1, H, W); the truth is garbage where it is not valid."""
    truth = rng.normal(scale=40, size=(images, channels, *SIZE)).astype(np.float32)
    truth[rng.random(truth.shape) < 0.1] = 0
    prediction = truth + rng.normal(scale=4, size=truth.shape).astype(np.float32)
    valid = rng.random((images, 1, *SIZE)) < 0.7
    garbage = rng.choice([np.nan, np.inf, -np.inf, 1e30, 0], size=truth.shape).astype(np.float32)
    truth = np.where(valid, truth, garbage)
    return prediction, truth, valid, valid & (rng.random(valid.shape) < 0.6)


def tensors(
    *arrays: np.ndarray, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    """Masks stay bool; motions become `dtype`."""
    return [
        torch.from_numpy(array).to(device, torch.bool if array.dtype == bool else dtype) for array in arrays
    ]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("with_noc", [True, False])
def test_end_point_error_and_outlier_rate(
    channels: int, with_noc: bool, device: torch.device, dtype: torch.dtype
) -> None:
    rng = np.random.default_rng(channels)
    batches = [random_motion(rng, images, channels) for images in (1, 3, 2)]
    error, rate = EndPointError().to(device), OutlierRate().to(device)
    for batch in batches:
        inputs = tensors(*batch, device=device, dtype=dtype)[: 4 if with_noc else 3]
        error.update(*inputs)
        rate.update(*inputs)
    prediction, truth, valid, noc = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    sets = {"all": valid, "noc": noc, "occ": valid & ~noc} if with_noc else {"all": valid}
    errors = error.compute()
    assert list(errors) == list(sets)
    for name, mask in sets.items():
        assert errors[name].dtype == torch.float64
        assert errors[name].item() == pytest.approx(slow.mean_error(prediction, truth, mask), rel=1e-6)
    rates = rate.compute()
    assert list(rates) == (["all", "noc"] if with_noc else ["all"])
    for index, name in enumerate(rates):
        flags = slow.outlier_list(prediction, truth, sets[name])
        assert 0 < sum(flags) < len(flags)
        assert rate.total[index].item() == sum(flags)
        assert rate.pixels[index].item() == len(flags)
        assert rates[name].item() == slow.percent(flags)


def test_a_mask_of_non_occluded_pixels_counts_only_where_valid(
    device: torch.device, dtype: torch.dtype
) -> None:
    prediction, truth, valid, _ = random_motion(np.random.default_rng(0), 2, 2)
    metric = EndPointError().to(device)
    inputs = (prediction, truth, valid, np.ones_like(valid))
    metric.update(*tensors(*inputs, device=device, dtype=dtype))
    means = metric.compute()
    assert means["noc"].item() == means["all"].item()
    assert math.isfinite(means["all"].item())
    assert means["occ"].isnan()


@pytest.mark.parametrize("with_noc", [True, False])
def test_scene_flow_needs_one_outlier_among_three_valid_truths(
    with_noc: bool, device: torch.device, dtype: torch.dtype
) -> None:
    rng = np.random.default_rng(5)
    metric = SceneFlowOutlierRate().to(device)
    flags: dict[str, list[bool]] = {"all": [], "noc": []}
    for images in (2, 3):
        data = {key: random_motion(rng, images, 2 if key == "flow" else 1) for key in SCENE_FLOW_KEYS}
        moved = {key: tensors(*data[key], device=device, dtype=dtype) for key in SCENE_FLOW_KEYS}
        prediction, truth, valid, noc = (
            {key: moved[key][part] for key in SCENE_FLOW_KEYS} for part in range(4)
        )
        metric.update(prediction, truth, valid, noc if with_noc else None)
        for name, part in (("all", 2), ("noc", 3)):
            mask = np.logical_and.reduce([data[key][part] for key in SCENE_FLOW_KEYS])
            each = [slow.outlier_list(*data[key][:2], mask) for key in SCENE_FLOW_KEYS]
            flags[name] += [any(three) for three in zip(*each, strict=True)]
    rates = metric.compute()
    assert list(rates) == (["all", "noc"] if with_noc else ["all"])
    for name in rates:
        assert 0 < sum(flags[name]) < len(flags[name])
        assert rates[name].item() == slow.percent(flags[name])


def test_sets_without_pixels_are_nan_without_a_warning(device: torch.device, dtype: torch.dtype) -> None:
    arrays = random_motion(np.random.default_rng(0), 1, 2)
    prediction, truth, valid, noc = tensors(*arrays, device=device, dtype=dtype)
    nothing = torch.zeros_like(valid)
    three = [
        {"disparity_t0": t[:, :1], "disparity_t1": t[:, :1], "flow": t} for t in (prediction, truth, nothing)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for metric in (EndPointError().to(device), OutlierRate().to(device)):
            metric.update(prediction, truth, nothing, noc)
            assert all(value.isnan() for value in metric.compute().values())
        scene_flow = SceneFlowOutlierRate().to(device)
        scene_flow.update(*three)
        assert scene_flow.compute()["all"].isnan()


def test_a_prediction_that_diverged_shows(device: torch.device, dtype: torch.dtype) -> None:
    arrays = random_motion(np.random.default_rng(0), 1, 2)
    prediction, truth, valid, _ = tensors(*arrays, device=device, dtype=dtype)
    prediction = torch.full_like(prediction, torch.nan)
    error, rate = EndPointError().to(device), OutlierRate().to(device)
    error.update(prediction, truth, valid)
    rate.update(prediction, truth, valid)
    assert error.compute()["all"].isnan()
    assert rate.compute()["all"].item() == 100


@pytest.mark.parametrize("metric_type", [EndPointError, OutlierRate])
@pytest.mark.parametrize("first_with_noc", [True, False])
def test_updates_with_and_without_noc_cannot_be_mixed(metric_type: type, first_with_noc: bool) -> None:
    inputs = tensors(*random_motion(np.random.default_rng(0), 1, 2))
    first, second = (inputs, inputs[:3]) if first_with_noc else (inputs[:3], inputs)
    metric = metric_type()
    metric.update(*first)
    before = metric.compute()
    with pytest.raises(ValueError, match="valid_noc in every update or in none"):
        metric.update(*second)
    metric.update(*first)
    assert metric.compute().keys() == before.keys()
    metric.reset()
    metric.update(*second)
    assert len(metric.compute()) == (1 if first_with_noc else len(metric.sets))


def test_forward_gives_the_batch_and_keeps_the_whole() -> None:
    rng = np.random.default_rng(0)
    a, b = (tensors(*random_motion(rng, 2, 2)) for _ in range(2))
    metric, alone = OutlierRate(), OutlierRate()
    metric(*a)
    alone.update(*b)
    assert metric(*b)["noc"].item() == alone.compute()["noc"].item()
    both = OutlierRate()
    both.update(*[torch.cat(pair) for pair in zip(a, b, strict=True)])
    assert metric.compute() == both.compute()


def test_states_keep_their_precision_when_a_module_is_cast() -> None:
    metric = torch.nn.ModuleDict({"epe": EndPointError()}).half()["epe"]
    assert metric.total.dtype == metric.pixels.dtype == torch.int64


@pytest.mark.parametrize(
    "metric_type", [EndPointError, OutlierRate, SceneFlowOutlierRate, OcclusionScores, SampleMean]
)
def test_no_state_is_float64(metric_type: type) -> None:
    """Few GPUs are fast at it, and Apple's have none."""
    assert all(getattr(metric_type(), name).dtype != torch.float64 for name in metric_type()._defaults)


def test_a_mean_over_samples_is_weighted_and_shows_nan() -> None:
    metric = SampleMean()
    metric.update(torch.tensor(2.0), 3)
    metric.update(torch.tensor(7.0), 1)
    assert metric.compute().item() == 3.25
    metric.update(torch.tensor(math.nan), 1)
    assert metric.compute().isnan()
    metric.reset()
    metric.update(torch.tensor(1.5), 2)
    assert metric.compute().item() == 1.5


def test_forward_does_not_hide_a_mixture() -> None:
    inputs = tensors(*random_motion(np.random.default_rng(0), 1, 2))
    metric = EndPointError()
    metric(*inputs)
    metric(*inputs[:3])
    with pytest.raises(ValueError, match="valid_noc in every update or in none"):
        metric.compute()


def test_masks_of_another_shape_are_refused() -> None:
    prediction, truth, valid, noc = tensors(*random_motion(np.random.default_rng(0), 2, 2))
    for masks in ([valid[:1]], [valid, noc[:1]], [valid.squeeze(1)], [valid.byte()], [valid, noc.float()]):
        with pytest.raises(ValueError, match="the mask must"):
            EndPointError().update(prediction, truth, *masks)


def test_a_missing_motion_is_named() -> None:
    motions = {"disparity_t0": torch.ones(1, 1, 2, 2), "flow": torch.ones(1, 2, 2, 2)}
    with pytest.raises(KeyError, match="disparity_t1"):
        SceneFlowOutlierRate().update(motions, motions, motions)
