"""Rendered data after dataset and transforms: the exact ground truth still warps the other images to left_t0."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from flowdistill.data.dataset import ViewName
from flowdistill.data.datasets import open_dataset
from flowdistill.data.sample import Sample
from flowdistill.data.sampler import Transform
from flowdistill.data.transforms import RandomCrop, ReflectPad, flip_left_right, flip_top_bottom
from flowdistill.render.writer import Request, write_dataset


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rendered")
    write_dataset(root, "kitti2015", Request(scenes=1, frames=3, size=(64, 128), seed=4))
    return root


def samples(root: Path, view: ViewName) -> list[Sample]:
    dataset = open_dataset("kitti2015", str(root), "scan", view, labels=True)
    return [dataset[index] for index in range(len(dataset))]


def warp_error(sample: Sample, other: str, motion: Tensor, valid: Tensor) -> float:
    """Mean absolute difference of left_t0 and `other` looked up at pixel + motion, over valid pixels inside."""
    height, width = motion.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grid = torch.stack(
        [2 * (x + motion[0]) / (width - 1) - 1, 2 * (y + motion[1]) / (height - 1) - 1], dim=-1
    )
    image: Tensor = sample[other]
    warped = F.grid_sample(image[None], grid[None], mode="bicubic", align_corners=True)[0]
    used = valid[0] & (grid.abs() <= 1).all(dim=-1)
    assert used.float().mean() > 0.3
    return float((warped - sample["left_t0"]).abs()[:, used].mean())


def errors(sample: Sample, shift: float) -> dict[str, float]:
    """The warp error of each motion in the sample's labels, with x shifted by `shift` px."""
    flow, valid = sample["flow"].clone(), sample["valid_flow_noc"]
    flow[0] += shift
    found = {"left_t1": warp_error(sample, "left_t1", flow, valid)}
    if "right_t0" in sample:
        still = torch.zeros_like(sample["disparity_t0"])
        to_right = torch.cat([shift - sample["disparity_t0"], still])
        found["right_t0"] = warp_error(sample, "right_t0", to_right, sample["valid_disparity_t0_noc"])
        both = flow - torch.cat([sample["disparity_t1"], still])
        valid = valid & sample["valid_disparity_t1_noc"]
        found["right_t1"] = warp_error(sample, "right_t1", both, valid)
    return found


@pytest.mark.parametrize(
    ("view", "transforms"),
    [
        ("flow", []),
        ("flow", [lambda sample, rng: flip_left_right(sample)]),
        ("flow", [lambda sample, rng: flip_top_bottom(sample)]),
        ("flow", [ReflectPad((70, 150)), RandomCrop((60, 110))]),
        ("scene_flow", []),
        ("scene_flow", [ReflectPad((80, 150)), RandomCrop((60, 110))]),
    ],
)
def test_truth_warps_and_moved_truth_does_not(
    rendered: Path, view: ViewName, transforms: list[Transform]
) -> None:
    for sample in samples(rendered, view):
        for transform in transforms:
            sample = transform(sample, np.random.default_rng(0))
        right = errors(sample, 0.0)
        for key, error in right.items():
            assert error < 0.03, key
            for shift in (-0.25, 0.25):
                assert errors(sample, shift)[key] > 1.3 * error, key


def test_flips_leave_the_warp_error_as_it_was(rendered: Path) -> None:
    for sample in samples(rendered, "flow"):
        before = errors(sample, 0.0)["left_t1"]
        for flip in (flip_left_right, flip_top_bottom):
            assert errors(flip(sample), 0.0)["left_t1"] == pytest.approx(before, rel=1e-3)


def test_rendered_tree_holds_everything_of_the_contract(rendered: Path) -> None:
    first, second = samples(rendered, "scene_flow")
    assert (first["name"], second["name"]) == ("000000_00", "000000_01")
    assert first["foreground"].any()
    assert not first["foreground"].all()
    assert float(first["baseline"]) > 0
    assert float(first["intrinsics"][0, 0]) > 0
    assert not (first["valid_flow_noc"] & ~first["valid_flow"]).any()
    assert 0.02 < 1 - first["valid_flow_noc"].float().mean() < 0.4
