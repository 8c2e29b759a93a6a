"""The colour wheel against hues computed from angles alone, and the meaning of white, dark and black."""

import colorsys
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowdistill.visual import flow_to_colours

SEGMENTS = {"red": 15, "yellow": 6, "green": 4, "cyan": 11, "blue": 13, "magenta": 6}


def one(x: float, y: float, maximum: float) -> tuple[int, ...]:
    return tuple(flow_to_colours(np.array([[[x, y]]], np.float32), maximum)[0, 0].tolist())


def at_angle(angle: float, length: float, maximum: float) -> tuple[int, ...]:
    """The colour of a vector that points `angle` turns clockwise (y is down) from +x."""
    return one(length * math.cos(2 * math.pi * angle), length * math.sin(2 * math.pi * angle), maximum)


def wheel_hue(angle: float) -> float:
    """Return HSV's hue in turns from the segment lengths: each segment spans a sixth of the hues."""
    position = angle * (sum(SEGMENTS.values()) - 1)
    for index, steps in enumerate(SEGMENTS.values()):
        if position <= steps:
            return (index + position / steps) / 6
        position -= steps
    raise AssertionError("an angle is below one turn")


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("red", (255, 0, 0)),
        ("yellow", (255, 255, 0)),
        ("green", (0, 255, 0)),
        ("cyan", (0, 255, 255)),
        ("blue", (0, 0, 255)),
        ("magenta", (255, 0, 255)),
    ],
)
def test_corners_lie_where_the_segments_before_them_end(name: str, colour: tuple[int, int, int]) -> None:
    names = list(SEGMENTS)
    before = sum(SEGMENTS[other] for other in names[: names.index(name)])
    found = at_angle(before / 54, 0.9999, 1)
    assert np.abs(np.subtract(found, colour)).max() <= 1


@settings(deadline=None)  # other work may hold the processor
@given(angle=st.floats(0, 0.999), share=st.floats(0.3, 0.999))
def test_hue_and_saturation_follow_angle_and_length(angle: float, share: float) -> None:
    red, green, blue = (channel / 255 for channel in at_angle(angle, share * 7, 7))
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    assert value > 0.99
    assert saturation == pytest.approx(share, abs=0.01)
    # 8-bit channels encode the hue of a pale colour less precisely; hues wrap at a whole turn.
    apart = abs(hue - wheel_hue(angle))
    assert min(apart, 1 - apart) < 0.01 / share


def test_hues_run_clockwise_from_right() -> None:
    hues = [colorsys.rgb_to_hsv(*at_angle(step / 100, 1, 1))[0] for step in range(97)]
    assert all(later > earlier for earlier, later in itertools.pairwise(hues))


@pytest.mark.parametrize("angle", [0.0, 0.2, 0.5, 0.77])
def test_longer_vectors_are_more_saturated_up_to_the_maximum_and_then_darker(angle: float) -> None:
    inside = [colorsys.rgb_to_hsv(*at_angle(angle, length, 10)) for length in np.linspace(0, 9.99, 25)]
    saturations = [saturation for _, saturation, _ in inside]
    assert all(later > earlier for earlier, later in itertools.pairwise(saturations))
    full = colorsys.rgb_to_hsv(*at_angle(angle, 9.999, 10))
    for length in (10.01, 20, 1000):
        hue, saturation, value = colorsys.rgb_to_hsv(*at_angle(angle, length, 10))
        assert saturation > 0.98
        assert value == pytest.approx(0.75 * full[2], abs=1)
        assert hue == pytest.approx(full[0], abs=0.01)


@pytest.mark.parametrize("maximum", [None, 5.0])
def test_no_motion_is_white(maximum: float | None) -> None:
    colours = flow_to_colours(np.zeros((3, 4, 2), np.float32), maximum)
    assert colours.dtype == np.uint8
    assert colours.shape == (3, 4, 3)
    assert (colours == 255).all()


def test_unknown_pixels_are_black_and_do_not_set_the_scale() -> None:
    flow = np.full((2, 3, 2), 3.0, np.float32)
    flow[0, 0] = (np.nan, 1)
    flow[0, 1] = (1, np.inf)
    flow[0, 2] = 1e6
    valid = np.ones((2, 3), bool)
    valid[0, 2] = False
    with np.errstate(all="raise"):
        colours = flow_to_colours(flow, valid=valid)
    assert (colours[0] == 0).all()
    np.testing.assert_array_equal(colours[1], flow_to_colours(flow[1:])[0])
    assert colours[1].min() < 5  # fully saturated: the longest of the valid vectors


def test_the_default_maximum_is_the_longest_vector() -> None:
    flow = np.random.default_rng(0).normal(size=(5, 6, 2)).astype(np.float32)
    longest = float(np.hypot(flow[..., 0], flow[..., 1]).max())
    np.testing.assert_array_equal(flow_to_colours(flow), flow_to_colours(flow, longest))
    np.testing.assert_array_equal(flow_to_colours(flow), flow_to_colours(flow * 8))
    assert (flow_to_colours(flow) != flow_to_colours(flow, longest * 2)).any()


def test_a_picture_without_valid_pixels_is_black() -> None:
    assert (flow_to_colours(np.full((2, 2, 2), np.nan)) == 0).all()


def test_wrong_arguments_are_refused() -> None:
    flow = np.zeros((3, 4, 2))
    for shape in ((2, 3, 4), (3, 4), (3, 4, 3)):
        with pytest.raises(ValueError, match=r"\(H, W, 2\)"):
            flow_to_colours(np.zeros(shape))
    with pytest.raises(ValueError, match="valid must have the shape"):
        flow_to_colours(flow, valid=np.ones((3, 4, 1), bool))
    for maximum in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="maximum must be a positive"):
            flow_to_colours(flow, maximum)
