"""Rendered frames as samples with every label of the contract, and a check of them independent of transforms.

Nothing here comes from the transforms: the warp is another one, in float64.
"""

from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from flowdistill.data.sample import Sample
from flowdistill.render import render_scene

SIZE = (96, 160)


@lru_cache(maxsize=8)
def _sample(seed: int, scene: int) -> dict[str, Any]:
    frame = next(iter(render_scene(seed, scene, 2, SIZE)))

    def chw(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))

    out: dict[str, Any] = {"name": f"{seed}/{scene}", "size": torch.tensor(SIZE)}
    for key in ("left_t0", "right_t0", "left_t1", "right_t1"):
        out[key] = chw(getattr(frame, key)).float() / 255
    for key in ("flow", "flow_backward", "disparity_t0", "disparity_t1", "occluded", "occluded_backward"):
        out[key] = chw(getattr(frame, key))
    seen = {
        "flow": ~frame.occluded,
        "disparity_t0": ~frame.occluded_right_t0,
        "disparity_t1": ~frame.occluded & ~frame.occluded_right_t1,
    }
    for key, mask in seen.items():
        out[f"valid_{key}"] = torch.ones(1, *SIZE, dtype=torch.bool)
        out[f"valid_{key}_noc"] = chw(mask)
    out["foreground"] = chw(frame.foreground > 0)
    out["teacher_flow"], out["teacher_flow_backward"] = out["flow"] + 0.25, out["flow_backward"] - 0.25
    out["teacher_occluded"] = out["occluded"]
    out["teacher_occluded_backward"] = out["occluded_backward"]
    out["intrinsics"] = torch.from_numpy(frame.intrinsics)
    out["baseline"] = torch.tensor(frame.baseline, dtype=torch.float32)
    out["points"] = chw(frame.points_t0)
    return out


def stereo_sample(seed: int = 7, scene: int = 2) -> Sample:
    """A fresh copy of all the renderer's data for two stereo pairs, dense and exact."""
    known = {key: value for key, value in _sample(seed, scene).items() if key != "points"}
    return cast(Sample, {key: v.clone() if isinstance(v, Tensor) else v for key, v in known.items()})


def flow_sample(seed: int = 7, scene: int = 2) -> Sample:
    """The same for the left camera only."""
    sample = cast(dict[str, Any], stereo_sample(seed, scene))
    return cast(
        Sample, {key: v for key, v in sample.items() if "right" not in key and "disparity" not in key}
    )


def points(seed: int = 7, scene: int = 2) -> Tensor:
    """(3, H, W) metres: the 3D point of each pixel of left_t0, in camera coordinates."""
    found: Tensor = _sample(seed, scene)["points"].clone()
    return found


def look_up(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Bicubic `image` (C, H, W) at positions (H, W), in float64."""
    height, width = image.shape[-2:]
    grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=-1)
    found = F.grid_sample(image.double()[None], grid[None], "bicubic", "border", align_corners=True)
    return found[0]


def pixel_grid(image: Tensor) -> tuple[Tensor, Tensor]:
    height, width = image.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    return x, y


def matches(sample: Sample) -> dict[str, tuple[str, str, Tensor, Tensor]]:
    """Match -> (reference, other image, displacement (2, H, W), visibility mask (H, W))."""
    flow = sample["flow"].double()
    found = {"left_t1": ("left_t0", "left_t1", flow, sample["valid_flow_noc"][0])}
    if "flow_backward" in sample:
        back, hidden = sample["flow_backward"].double(), sample["occluded_backward"][0]
        found["backward"] = ("left_t1", "left_t0", back, ~hidden)
    if "right_t0" in sample:
        still = torch.zeros_like(flow[:1])
        d0, d1 = sample["disparity_t0"].double(), sample["disparity_t1"].double()
        found["right_t0"] = (
            "left_t0",
            "right_t0",
            torch.cat([-d0, still]),
            sample["valid_disparity_t0_noc"][0],
        )
        found["right_t1"] = (
            "left_t0",
            "right_t1",
            flow - torch.cat([d1, still]),
            sample["valid_disparity_t1_noc"][0],
        )
    return found


def warp_errors(sample: Sample, shift: tuple[float, float] = (0.0, 0.0)) -> dict[str, float]:
    """Match -> median grey-level error of the warped image where visible, with the motion shifted by `shift` px."""
    errors = {}
    images = cast(dict[str, Tensor], sample)
    for match, (reference, other, motion, seen) in matches(sample).items():
        target = images[reference].double()
        x, y = pixel_grid(target)
        warped = look_up(images[other], x + motion[0] + shift[0], y + motion[1] + shift[1])
        assert seen.float().mean() > 0.05, match
        errors[match] = 255 * float((warped - target).abs().mean(dim=0)[seen].median())
    return errors


def interpolation_costs(sample: Sample) -> dict[str, float]:
    """Match -> the allowed error of a warp by exact ground truth, in grey levels.

    The renderer's own tolerance (tests/render/test_render_truth.py): 0.3 levels for rounding to 8 bits, and 0.6 of the
    error of moving the reference by half a pixel and back.
    """
    costs = {}
    images = cast(dict[str, Tensor], sample)
    for match, (reference, _, _, seen) in matches(sample).items():
        target = images[reference].double()
        x, y = pixel_grid(target)
        half = 0.0 if match == "right_t0" else 0.5
        there_and_back = look_up(look_up(target, x + 0.5, y + half), x - 0.5, y - half)
        costs[match] = 0.3 + 0.6 * 255 * float((there_and_back - target).abs().mean(dim=0)[seen].median())
    return costs


def judge(before: Sample, after: Sample, exact: bool) -> None:
    """Assert that the ground truth of `after` warps its images onto each other, in every match, within tolerance.

    Args:
        exact: the transform moved pixels without interpolation: the renderer's tolerance applies, plus 30 % because
            medians of a small window differ. Otherwise images were interpolated once more, which may double the error.
    """
    errors, old, new = warp_errors(after), interpolation_costs(before), interpolation_costs(after)
    for match, error in errors.items():
        bound = (1.3 if exact else 2) * max(old[match], new[match])
        assert error <= bound, f"{match}: {error:.2f} grey levels, more than {bound:.2f}"
    for shift in ((0.25, 0.0), (-0.25, 0.0), (0.0, 0.25), (0.0, -0.25)):
        for match, error in warp_errors(after, shift).items():
            assert error > errors[match], f"{match}: the truth moved by {shift} px warps better"
