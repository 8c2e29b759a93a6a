"""The intrinsics of a transformed sample project its pixels' points onto these pixels, at the disparity's depth."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowdistill.data.sample import Sample
from flowdistill.data.transforms import (
    RandomCrop,
    RandomScale,
    ReflectPad,
    RelativeMotion,
    Zoom,
    flip_left_right,
    flip_top_bottom,
    resample,
)
from rendered_truth import SIZE, flow_sample, pixel_grid, points, stereo_sample


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


SCENES = [(7, 2), (0, 0), (11, 1)]


def with_rays(scene: tuple[int, int]) -> Sample:
    """A sample whose image is x / z, y / z and 1 / z of the point at each pixel.

    These are linear in the pixel position, so that they can be interpolated within a surface.
    """
    sample, seen = cast(dict[str, Any], stereo_sample(*scene)), points(*scene)
    kept = {key: sample[key] for key in ("name", "size", "intrinsics", "baseline", "disparity_t0")}
    kept["left_t0"] = torch.cat([seen[:2], torch.ones_like(seen[:1])]) / seen[2:]
    return cast(Sample, kept | {"valid_disparity_t0": torch.ones(1, *SIZE, dtype=torch.bool)})


def projection_error(sample: Sample, mirror: tuple[int, int] = (1, 1)) -> tuple[float, float]:
    """Largest and mean distance, px, from pixels to the projections of their points, two pixels inside valid areas.

    The mean is that of the signed differences in x and y: a filter's ripples cancel, a wrong camera does not.
    """
    seen, camera = sample["left_t0"].double(), sample["intrinsics"].double()
    assert camera[2].tolist() == [0, 0, 1]
    ray = torch.stack([mirror[0] * seen[0], mirror[1] * seen[1], torch.ones_like(seen[0])])
    projected = torch.einsum("ij,jhw->ihw", camera, ray)
    hidden = (~sample["valid_disparity_t0"]).float()
    inner = F.max_pool2d(F.pad(hidden, (2, 2, 2, 2), value=1)[None], 5, 1)[0, 0] == 0
    assert inner.float().mean() > 0.3
    difference = (projected[:2] - torch.stack(pixel_grid(seen)))[:, inner]
    return float(difference.norm(dim=0).max()), float(difference.mean(dim=1).norm())


def depth_error(sample: Sample) -> float:
    """Median relative difference between the depth from the disparity and that of the pixel's point."""
    depth = sample["intrinsics"][0, 0] * sample["baseline"] / sample["disparity_t0"][0]
    ratio = (depth * sample["left_t0"][2])[sample["valid_disparity_t0"][0]]
    return float((ratio - 1).abs().median())


@settings(deadline=None, max_examples=15)
@given(
    scene=st.sampled_from(SCENES),
    seed=st.integers(0, 2**30),
    stretch=st.floats(1, 1.4),
    crop=st.tuples(st.integers(64, 96), st.integers(96, 160)),
)
def test_points_still_project_to_their_pixels(
    scene: tuple[int, int], seed: int, stretch: float, crop: tuple[int, int]
) -> None:
    # The downscaling filter does not reproduce ramps exactly.
    chains: list[tuple[list[Any], float]] = [
        ([RandomScale((0.7, 1.8), stretch)], 0.2),
        ([RandomScale((1.3, 1.8), min(stretch, 1.3))], 2e-3),
        ([Zoom(1.0)], 2e-3),
        ([ReflectPad((120, 190)), RandomCrop(crop)], 2e-3),
        ([RandomCrop(crop), Zoom(1.0), RandomScale((0.7, 1.8), stretch)], 0.2),
    ]
    for chain, px in chains:
        sample, generator = with_rays(scene), rng(seed)
        for transform in chain:
            sample = transform(sample, generator)
        largest, mean = projection_error(sample)
        assert largest < px
        assert mean < 0.01
        assert depth_error(sample) < 0.02


@pytest.mark.parametrize(("flip", "mirror"), [(flip_left_right, (-1, 1)), (flip_top_bottom, (1, -1))])
def test_a_mirrored_camera_sees_the_mirrored_world(flip: Any, mirror: tuple[int, int]) -> None:
    sample = with_rays(SCENES[0])
    sample["intrinsics"][0, 1] = 20.0  # skewed pixels, so that the sign of the skew is tested, too
    sample["left_t0"][0] -= 20 / sample["intrinsics"][0, 0] * sample["left_t0"][1]
    assert projection_error(sample)[0] < 1e-3
    flipped = flip(sample)
    assert projection_error(flipped, mirror)[0] < 1e-3
    assert float(flipped["intrinsics"][0, 0]) > 0


@pytest.mark.parametrize(
    ("fault", "px"),
    [
        (lambda k: k + torch.tensor([[0, 0, 0.25], [0, 0, 0], [0, 0, 0]]), 0.2),  # without the half pixel
        (lambda k: k * torch.tensor([[1 / 1.5, 1, 1], [1, 1, 1], [1, 1, 1]]), 5),  # focal length not scaled
        (lambda k: stereo_sample()["intrinsics"], 5),  # nothing done
    ],
)
def test_a_wrong_camera_is_found(fault: Callable[[Tensor], Tensor], px: float) -> None:
    sample = resample(with_rays(SCENES[0]), (144, 240), (24, 40), SIZE)
    assert projection_error(sample)[0] < 2e-3
    sample["intrinsics"] = fault(sample["intrinsics"])
    assert projection_error(sample)[0] > px


def test_a_moved_second_frame_has_no_intrinsics() -> None:
    for sample in (flow_sample(), stereo_sample()):
        after = RelativeMotion(0, 3)(sample, rng(0))
        assert not {"intrinsics", "baseline"} & set(after)
