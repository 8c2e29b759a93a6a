"""Mixtures of data sets: number of occurrences of each sample, order independent of the process, same keys."""

from collections import Counter
from pathlib import Path
from typing import cast

import pytest
import torch
from kitti_writer import write_kitti

from flowdistill.data import KittiDataset, SplitEntry, open_dataset
from flowdistill.data.dataset import ViewName
from flowdistill.data.mixture import Mixture, Part
from flowdistill.data.sampler import InfiniteBatches
from flowdistill.errors import UserError
from flowdistill.render.writer import Request, write_dataset


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixture")
    for layout, scenes in (
        ("kitti2015", 1),
        ("kitti2012", 1),
        ("sintel", 1),
        ("things", 2),
        ("things_subset", 1),
    ):
        write_dataset(folder / layout, layout, Request(seed=2, scenes=scenes, frames=3, size=(32, 64)))
    return folder


def part(
    trees: Path, name: str, weight: int = 1, view: str = "flow", labels: bool = True, split: str = "scan"
) -> Part:
    return Part(
        open_dataset(name, str(trees / name), split, cast(ViewName, view), labels), weight, f"{name}'s place"
    )


def test_each_epoch_holds_each_sample_as_often_as_its_weight(trees: Path) -> None:
    mixture = Mixture([part(trees, "sintel", 5), part(trees, "things", 2), part(trees, "things_subset")])
    assert len(mixture) == 5 * 4 + 2 * 4 + 2
    names = [mixture[index]["name"] for index in range(len(mixture))]
    weights = {"sintel": 5, "things": 2, "things_subset": 1}
    counts = Counter(names)
    assert {name: weights[name.partition(":")[0]] for name in counts} == counts
    assert {name for name in counts if name.startswith("things:")} == {
        f"things:{scene}/{frame}" for scene in ("TRAIN/A/0000", "TEST/A/0000") for frame in ("0006", "0007")
    }
    for index in (-1, len(mixture)):
        with pytest.raises(IndexError):
            mixture[index]


def test_order_is_a_pure_function_of_seed_step_and_rank(trees: Path) -> None:
    mixture = Mixture([part(trees, "sintel", 3), part(trees, "things")])
    whole = InfiniteBatches(mixture, [], batch_size=2, seed=9)
    names = [whole.batch(step)["name"] for step in range(len(mixture))]
    resumed = InfiniteBatches(mixture, [], batch_size=2, seed=9, start_step=5)
    assert next(iter(resumed))["name"] == names[5]
    ranks = [InfiniteBatches(mixture, [], 1, 9, rank, 2) for rank in range(2)]
    assert [ranks[0].batch(3)["name"][0], ranks[1].batch(3)["name"][0]] == names[3]
    epochs = [Counter(name for batch in names[start : start + 8] for name in batch) for start in (0, 8)]
    assert epochs[0] == epochs[1]
    assert sum(epochs[0].values()) == 3 * 4 + 4


def test_what_only_some_sources_have_is_left_out_and_said(
    trees: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixture = Mixture([part(trees, "kitti2015"), part(trees, "sintel"), part(trees, "things_subset", 2)])
    said = capsys.readouterr().err
    for text in (
        "left out, because not every source has it",
        "foreground (only kitti2015's place)",
        "occluded (only sintel's place, things_subset's place)",
        "flow_backward (only things_subset's place)",
    ):
        assert text in said
    samples = [mixture[index] for index in range(len(mixture))]
    expected = {"left_t0", "left_t1", "flow", "valid_flow", "valid_flow_noc"}
    assert all(set(sample) == expected | {"name", "size"} for sample in samples)
    assert mixture.keys == expected
    alone = part(trees, "sintel").dataset[0]
    mixed = next(sample for sample in samples if sample["name"] == f"sintel:{alone['name']}")
    assert torch.equal(mixed["valid_flow_noc"], alone["valid_flow"] & ~alone["occluded"])


def test_sources_that_differ_in_what_the_view_is_about_are_refused(trees: Path) -> None:
    parts = [part(trees, name, view="scene_flow") for name in ("kitti2015", "kitti2012")]
    with pytest.raises(
        UserError, match=r"have the same keys.*\n  disparity_t1: only kitti2015's place\n  valid_"
    ):
        Mixture(parts)


def test_teachers_for_one_source_only_are_refused(trees: Path, tmp_path: Path) -> None:
    root = write_kitti(tmp_path, [0], frames=(0, 1))
    entries = [SplitEntry("000000_00", labels="proxy")]
    dataset = KittiDataset(root, entries, "flow", labels=False, require_files=False)
    with pytest.raises(UserError, match="teacher_flow: only A"):
        Mixture([Part(dataset, 1, "A"), part(trees, "sintel", labels=False)])


@pytest.mark.parametrize("weight", [0, -3])
def test_weights_are_positive(trees: Path, weight: int) -> None:
    with pytest.raises(UserError, match=rf"sintel's place\.weight is the number of times .*not {weight}"):
        Mixture([part(trees, "sintel", weight)])
