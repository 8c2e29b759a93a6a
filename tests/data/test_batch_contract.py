"""Stacking samples into a batch."""

import pytest
import torch

from flowdistill.data.sample import PIXEL_MAPS, Batch, Sample, collate
from flowdistill.errors import UserError


def sample(name: str, height: int = 4, width: int = 5) -> Sample:
    image = torch.rand(3, height, width)
    return {
        "name": name,
        "left_t0": image,
        "left_t1": image + 1,
        "valid_flow": torch.ones(1, height, width, dtype=torch.bool),
        "baseline": torch.tensor(0.5),
        "size": torch.tensor([height, width]),
    }


def test_stacks_tensors_and_lists_names() -> None:
    first, second = sample("a"), sample("b")
    batch = collate([first, second])
    assert batch["name"] == ["a", "b"]
    assert torch.equal(batch["left_t1"][1], second["left_t1"])
    assert batch["valid_flow"].dtype == torch.bool
    assert batch["baseline"].shape == (2,)
    assert batch["size"].tolist() == [[4, 5], [4, 5]]


def test_different_sizes_name_samples_and_remedy() -> None:
    with pytest.raises(UserError) as caught:
        collate([sample("000000_10"), sample("000001_10", width=6)])
    for said in ("000000_10 is 4x5", "000001_10 is 4x6", "crop", "batch_size 1"):
        assert said in str(caught.value)


def test_different_keys_are_named() -> None:
    other = sample("b")
    del other["baseline"]
    with pytest.raises(UserError, match=r"a and b .*baseline"):
        collate([sample("a"), other])


def test_every_map_of_the_contract_is_a_key_of_the_batch() -> None:
    scalars = {"name", "size", "intrinsics", "baseline"}
    assert set(PIXEL_MAPS) | scalars == set(Batch.__annotations__)
    assert set(Batch.__annotations__) == set(Sample.__annotations__)
