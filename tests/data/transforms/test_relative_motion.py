"""Relative motion of the second frame: flows compose exactly in both directions, and pixels that leave are occluded."""

import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowdistill.data.sample import Sample
from flowdistill.data.transforms import RelativeMotion, move_t1
from flowdistill.data.transforms.relative_motion import turn
from flowdistill.errors import UserError
from rendered_truth import SIZE, flow_sample, pixel_grid, stereo_sample

HEIGHT, WIDTH = SIZE
angles, shifts = st.floats(-0.3, 0.3), st.tuples(st.floats(-15, 15), st.floats(-15, 15))


def moved_point(x: Tensor, y: Tensor, angle: float, shift: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """A position rotated about the image centre and shifted, with sines and cosines in float64."""
    dx, dy = x - (WIDTH - 1) / 2, y - (HEIGHT - 1) / 2
    return (
        (WIDTH - 1) / 2 + dx * math.cos(angle) - dy * math.sin(angle) + shift[0],
        (HEIGHT - 1) / 2 + dx * math.sin(angle) + dy * math.cos(angle) + shift[1],
    )


@settings(deadline=None, max_examples=20)
@given(angle=angles, shift=shifts)
def test_flow_is_composed_exactly(angle: float, shift: tuple[float, float]) -> None:
    before = flow_sample()
    after = move_t1(before, turn(SIZE, angle, np.array(shift)))
    x, y = pixel_grid(before["left_t0"])
    for key in ("flow", "teacher_flow"):
        old, new = cast(Any, before)[key].double(), cast(Any, after)[key]
        to_x, to_y = moved_point(x + old[0], y + old[1], angle, shift)
        torch.testing.assert_close(new, torch.stack([to_x - x, to_y - y]).float(), atol=1e-4, rtol=0)
        assert new.dtype == torch.float32
    to_x, to_y = x + after["flow"][0].double(), y + after["flow"][1].double()
    beyond = (to_x < 0) | (to_x > WIDTH - 1) | (to_y < 0) | (to_y > HEIGHT - 1)
    # Not at the edge, where float32 and float64 may differ.
    near = sum(
        (v - edge).abs() < 1e-3 for v, edge in ((to_x, 0), (to_x, WIDTH - 1), (to_y, 0), (to_y, HEIGHT - 1))
    )
    clear = ~cast(Tensor, near).bool()
    assert torch.equal((after["occluded"][0])[clear], (before["occluded"][0] | beyond)[clear])
    assert torch.equal((after["valid_flow_noc"][0])[clear], (before["valid_flow_noc"][0] & ~beyond)[clear])
    assert torch.equal(after["valid_flow"], before["valid_flow"])
    for key in ("left_t0", "foreground", "teacher_occluded", "size"):
        assert torch.equal(cast(Any, after)[key], cast(Any, before)[key])


@settings(deadline=None, max_examples=15)
@given(angle=angles, shift=shifts, scene=st.sampled_from([(7, 2), (0, 0)]))
def test_there_and_back(angle: float, shift: tuple[float, float], scene: tuple[int, int]) -> None:
    """Where a point is visible in both frames, the backward flow leads from its end back to its start."""
    after = move_t1(flow_sample(*scene), turn(SIZE, angle, np.array(shift)))
    x, y = pixel_grid(after["left_t0"])
    start = torch.stack([x, y])
    end = start + after["flow"].double()
    pixel = end.round()
    inside = ((pixel >= 0) & (pixel < torch.tensor([WIDTH, HEIGHT]).view(2, 1, 1))).all(dim=0)
    index = (pixel[1].clamp(0, HEIGHT - 1) * WIDTH + pixel[0].clamp(0, WIDTH - 1)).long()
    home = pixel + after["flow_backward"].double().flatten(1)[:, index]
    # The pixel is up to half a pixel off the end, so its start is equally far off, rotated back by the angle.
    off = pixel - end
    cosine, sine = math.cos(angle), math.sin(angle)
    turned = torch.stack([cosine * off[0] + sine * off[1], cosine * off[1] - sine * off[0]])
    seen = inside & ~after["occluded"][0] & ~after["occluded_backward"][0].flatten()[index]
    assert seen.float().mean() > 0.2
    assert float((home - start - turned).norm(dim=0)[seen].median()) < 0.05


@pytest.mark.parametrize("shift", [(0, 0), (7, 0), (-4, 5), (0, -9), (159, 95), (-200, 3)])
def test_whole_shifts_of_stereo_are_exact(shift: tuple[int, int]) -> None:
    before = stereo_sample()
    after = move_t1(before, turn(SIZE, 0, np.array(shift)))
    dx, dy = shift
    for key in ("left_t1", "right_t1"):
        old = cast(Any, before)[key].numpy()
        rows, columns = np.arange(HEIGHT) - dy, np.arange(WIDTH) - dx
        folded = [
            np.minimum(i % (2 * n - 2), 2 * n - 2 - i % (2 * n - 2))
            for i, n in ((rows, HEIGHT), (columns, WIDTH))
        ]
        np.testing.assert_array_equal(cast(Any, after)[key].numpy(), old[:, folded[0]][:, :, folded[1]])
    offset = torch.tensor([dx, dy]).view(2, 1, 1)
    torch.testing.assert_close(after["flow"], before["flow"] + offset, atol=1e-5, rtol=0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    known = (x - dx >= 0) & (x - dx < WIDTH) & (y - dy >= 0) & (y - dy < HEIGHT)
    source = (slice(None), np.clip(y - dy, 0, HEIGHT - 1), np.clip(x - dx, 0, WIDTH - 1))
    for key in ("flow_backward", "teacher_flow_backward"):
        expected = np.where(known, cast(Any, before)[key].numpy()[source] - offset.numpy(), 0)
        np.testing.assert_allclose(cast(Any, after)[key].numpy(), expected, atol=1e-4)
    hidden = cast(Any, before)["teacher_occluded_backward"].numpy()[source] | ~known
    np.testing.assert_array_equal(after["teacher_occluded_backward"].numpy(), hidden)
    assert not (after["occluded_backward"].numpy() < hidden).any()
    for key in ("right_t0", "disparity_t0", "disparity_t1", "valid_disparity_t0_noc", "valid_disparity_t1"):
        assert torch.equal(cast(Any, after)[key], cast(Any, before)[key])
    # The part of t1 that is visible in both moved images.
    x, y = pixel_grid(before["left_t0"])
    to_x, to_y = x + after["flow"][0], y + after["flow"][1]
    seen = (to_x >= 0) & (to_x <= WIDTH - 1) & (to_y >= 0) & (to_y <= HEIGHT - 1)
    right = to_x - after["disparity_t1"][0]
    seen_right = seen & (right >= 0) & (right <= WIDTH - 1)
    assert torch.equal(after["valid_disparity_t1_noc"][0], before["valid_disparity_t1_noc"][0] & seen_right)


def test_unknown_flow_stays_what_it_was() -> None:
    sample = flow_sample()
    sample["valid_flow"][:, :50] = False
    sample["flow"][:, :20], sample["flow"][:, 20:50] = torch.nan, 0
    after = move_t1(sample, turn(SIZE, 0.1, np.array([3.5, -2])))
    torch.testing.assert_close(after["flow"][:, :50], sample["flow"][:, :50], rtol=0, atol=0, equal_nan=True)
    assert not torch.equal(after["flow"][:, 50:], sample["flow"][:, 50:])


def test_the_draws() -> None:
    whole = flow_sample()
    sample = cast(Sample, {key: cast(Any, whole)[key] for key in ("name", "left_t0", "left_t1", "flow")})
    sample["flow"] = torch.zeros_like(sample["flow"])
    transform = RelativeMotion(4, 6)
    flows = torch.stack([transform(sample, np.random.default_rng(seed))["flow"] for seed in range(300)])
    # The turn is about the centre, so that the mean of the flow is the shift.
    shift = flows.mean(dim=(2, 3))
    angle = torch.rad2deg(torch.asin((flows[:, 1, :, -1] - flows[:, 1, :, 0]).mean(dim=1) / (WIDTH - 1)))
    for values, most in ((shift[:, 0], 6), (shift[:, 1], 6), (angle, 4)):
        assert -most <= float(values.min()) < -0.95 * most
        assert 0.95 * most < float(values.max()) <= most
        assert abs(float(values.mean())) < 0.15 * most


def test_whole_shifts_reach_every_place_in_the_range() -> None:
    stereo, found = stereo_sample(), set()
    for seed in range(300):
        flow = RelativeMotion(0, 2)(stereo, np.random.default_rng(seed))["flow"]
        found.add(tuple((flow - stereo["flow"])[:, 0, 0].round().tolist()))
    assert found == {(x, y) for x in range(-2, 3) for y in range(-2, 3)}


def test_stereo_is_not_turned() -> None:
    with pytest.raises(UserError, match=r"7/2 is a stereo pair.*relative_rotation: 0"):
        RelativeMotion(1, 0)(stereo_sample(), np.random.default_rng(0))


def test_keys_do_not_depend_on_the_draw() -> None:
    sample = flow_sample()
    del sample["occluded_backward"], sample["teacher_occluded_backward"]
    keys = {frozenset(RelativeMotion(0, 1)(sample, np.random.default_rng(seed))) for seed in range(5)}
    assert len(keys) == 1
    assert {"occluded_backward", "teacher_occluded_backward"} <= next(iter(keys))
