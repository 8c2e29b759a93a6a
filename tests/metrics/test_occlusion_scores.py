"""Precision and recall of occlusion masks: counted pixel by pixel in Python, over any split into batches."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowdistill.metrics import OcclusionScores


def by_hand(triples: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[float, float]:
    both = found = true = 0
    for mask, truth, valid in triples:
        for f, t, v in zip(
            mask.flatten().tolist(), truth.flatten().tolist(), valid.flatten().tolist(), strict=True
        ):
            if v:
                both, found, true = both + (f and t), found + f, true + t
    return (both / found if found else math.nan), (both / true if true else math.nan)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_scores_are_those_of_counting_pixels(seed: int, batches: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    shares = torch.rand(3, generator=generator)
    metric = OcclusionScores()
    seen = []
    for size in batches:
        found, truth, valid = (
            torch.rand(size, 1, 4, 5, generator=generator) < share for share in shares.tolist()
        )
        metric.update(found, truth, valid)
        seen.append((found, truth, valid))
    result = metric.compute()
    assert (result["precision"].item(), result["recall"].item()) == pytest.approx(by_hand(seen), nan_ok=True)
    metric.reset()
    assert metric.counts.tolist() == [0, 0, 0]


def test_known_masks(device: torch.device) -> None:
    found = torch.tensor([1, 1, 1, 0, 0, 1], dtype=torch.bool, device=device).view(1, 1, 1, 6)
    truth = torch.tensor([1, 0, 1, 1, 0, 1], dtype=torch.bool, device=device).view(1, 1, 1, 6)
    valid = torch.tensor([1, 1, 1, 1, 1, 0], dtype=torch.bool, device=device).view(1, 1, 1, 6)
    metric = OcclusionScores().to(device)
    metric.update(found, truth, valid)
    assert {name: value.item() for name, value in metric.compute().items()} == {
        "precision": pytest.approx(2 / 3), "recall": pytest.approx(2 / 3), "f1": pytest.approx(2 / 3)
    }  # fmt: skip
    metric.update(found, ~found & False, valid)  # nothing is occluded: only precision falls
    assert metric.compute()["precision"] == pytest.approx(1 / 3)
    assert metric.compute()["recall"] == pytest.approx(2 / 3)
    # The harmonic mean of 1/3 and 2/3.
    assert metric.compute()["f1"] == pytest.approx(2 / (3 + 3 / 2))


@pytest.mark.parametrize("wrong", [torch.zeros(1, 1, 4, 5), torch.zeros(1, 1, 5, 4, dtype=torch.bool)])
def test_other_types_and_shapes_are_refused(wrong: Tensor) -> None:
    right = torch.zeros(1, 1, 4, 5, dtype=torch.bool)
    for masks in ((right, wrong, right), (right, right, wrong), (wrong, right, right)):
        with pytest.raises(ValueError, match="mask must"):
            OcclusionScores().update(*masks)
