"""Means of images against numpy in float64: each image once, whatever its number of labels."""

import numpy as np
import pytest
import torch
from torch import Tensor

from flowdistill.metrics import EndPointError, ImageMeans


def batch(
    seed: int, images: int, channels: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    truth = torch.from_numpy(rng.normal(0, 20, (images, channels, 9, 13)).astype(np.float32))
    off = torch.from_numpy(rng.normal(0, 2.5, truth.shape).astype(np.float32))
    shares = rng.uniform(0.05, 1, (images, 1, 1, 1))
    valid = torch.from_numpy(rng.random((images, 1, 9, 13)) < shares)
    return (truth + off).to(dtype), truth, valid


def by_numpy(batches: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[float, float]:
    errors, shares = [], []
    for prediction, truth, valid in batches:
        for p, t, v in zip(*(x.double().numpy() for x in (prediction, truth, valid)), strict=True):
            if v.any():
                off = np.sqrt(((p - t) ** 2).sum(0))[v[0] > 0]
                errors.append(off.mean())
                shares.append(100 * (off > 3).mean())
    return float(np.mean(errors)), float(np.mean(shares))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_as_numpy_says_and_unlike_the_pooled_mean(channels: int, dtype: torch.dtype) -> None:
    batches = [batch(seed, images, channels, dtype) for seed, images in enumerate((3, 1, 4))]
    metric, pooled = ImageMeans(), EndPointError()
    for each in batches:
        metric.update(*each)
        pooled.update(*each)
    found = metric.compute()
    epe, bad3 = by_numpy(batches)
    assert found["epe"].item() == pytest.approx(epe, abs=2e-6)
    assert found["bad3"].item() == pytest.approx(bad3, abs=2e-4)
    assert abs(pooled.compute()["all"].item() - epe) > 1e-3


def test_any_split_over_batches_and_processes_gives_the_same_bits() -> None:
    prediction, truth, valid = batch(5, 6, 2)
    together = ImageMeans()
    together.update(prediction, truth, valid)
    parts = [ImageMeans(), ImageMeans()]
    for index in (3, 0, 5, 1, 4, 2):
        chosen = slice(index, index + 1)
        parts[index % 2].update(prediction[chosen], truth[chosen], valid[chosen])
    total, images = (
        parts[0].total + parts[1].total,
        parts[0].images + parts[1].images,
    )  # as a sum over processes
    assert torch.equal(total, together.total)
    assert images == together.images == 6


def test_an_image_without_labels_does_not_count() -> None:
    prediction, truth, valid = batch(6, 3, 1)
    valid[1] = False
    metric, without = ImageMeans(), ImageMeans()
    metric.update(prediction, truth, valid)
    without.update(prediction[[0, 2]], truth[[0, 2]], valid[[0, 2]])
    assert metric.images == 2
    assert metric.compute() == without.compute()
    empty = ImageMeans()
    empty.update(prediction[1:2], truth[1:2], valid[1:2])
    assert empty.compute()["epe"].isnan()


def test_nan_in_the_prediction_shows_and_nan_in_unlabelled_truth_does_not() -> None:
    prediction, truth, valid = batch(7, 1, 2)
    valid[0, 0, 0, :2] = torch.tensor([True, False])
    truth[0, :, 0, 1] = torch.nan
    metric = ImageMeans()
    metric.update(prediction, truth, valid)
    before = metric.compute()
    assert not before["epe"].isnan()
    prediction[0, :, 0, 0] = torch.nan
    metric.reset()
    metric.update(prediction, truth, valid)
    assert metric.compute()["epe"].isnan()
    assert metric.compute()["bad3"] >= before["bad3"]


def test_an_error_of_exactly_3_px_is_not_over_it() -> None:
    truth = torch.zeros(1, 1, 1, 2)
    metric = ImageMeans()
    metric.update(truth + torch.tensor([3.0, 3.0001]), truth, torch.ones(1, 1, 1, 2, dtype=torch.bool))
    assert metric.compute()["bad3"] == 50
