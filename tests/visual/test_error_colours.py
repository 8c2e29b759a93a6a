"""Steps of the error map: every power of two, and red exactly for outliers of KITTI's rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowdistill.visual import error_to_colours


def one(error: float, magnitude: float) -> tuple[int, ...]:
    colours = error_to_colours(np.array([[error]]), np.array([[magnitude]]), np.ones((1, 1), bool))
    return tuple(colours[0, 0].tolist())


def is_reddish(colour: tuple[int, ...]) -> bool:
    return colour[0] > colour[2]


@settings(deadline=None)  # other work may hold the processor
@given(error=st.floats(0, 200), magnitude=st.floats(0, 2000))
def test_red_is_an_outlier_and_blue_is_none(error: float, magnitude: float) -> None:
    assert is_reddish(one(error, magnitude)) == (error > 3 and error > 0.05 * magnitude)


@pytest.mark.parametrize(("error", "magnitude"), [(3, 0), (3, 60), (4, 80), (8, 160)])
def test_an_error_of_exactly_the_threshold_is_none(error: float, magnitude: float) -> None:
    assert not is_reddish(one(error, magnitude))
    assert is_reddish(one(error * 1.0001, magnitude))


@pytest.mark.parametrize(("magnitude", "threshold"), [(0, 3), (10, 3), (59, 3), (100, 5), (1000, 50)])
def test_the_colour_changes_at_every_power_of_two(magnitude: float, threshold: float) -> None:
    # Just above and below 1/16, 1/8 ... 16 thresholds, with both ends of the scale.
    ends = [threshold * 2.0**power for power in range(-4, 5)]
    at_middles = [one(end * 0.75, magnitude) for end in ends] + [one(ends[-1] * 1.5, magnitude)]
    assert len(set(at_middles)) == 10
    for end, below, above in zip(ends, at_middles, at_middles[1:], strict=False):
        assert one(end * 0.999, magnitude) == below
        assert one(end * 1.001, magnitude) == above
    assert one(0, magnitude) == at_middles[0]
    assert one(1e9, magnitude) == at_middles[-1]


def test_the_scale_goes_from_dark_blue_over_pale_to_dark_red() -> None:
    colours = np.array([one(3 * 2.0**power, 0) for power in np.arange(-4.5, 5)], dtype=int)
    warmth = colours[:, 0] - colours[:, 2]
    assert (np.diff(warmth[:4]) != 0).all()
    assert (warmth[:5] < 0).all()
    assert (warmth[5:] > 0).all()
    brightness = colours.sum(axis=1)
    assert (np.diff(brightness[:5]) > 0).all()
    assert (np.diff(brightness[5:]) < 0).all()


def test_invalid_pixels_are_black_whatever_they_hold() -> None:
    error = np.array([[np.nan, np.inf, 1.0, np.nan]])
    magnitude = np.array([[np.nan, 1.0, np.inf, 10.0]])
    with np.errstate(all="raise"):
        colours = error_to_colours(error, magnitude, np.array([[False, False, False, True]]))
    assert (colours[0, :3] == 0).all()
    assert tuple(colours[0, 3].tolist()) == one(1e9, 10)  # a NaN prediction counts as the worst


def test_shapes_that_differ_are_refused() -> None:
    plane, mask = np.zeros((3, 4)), np.ones((3, 4), bool)
    for arguments in (
        (plane[:2], plane, mask),
        (plane, plane[:2], mask),
        (plane, plane, mask[:2]),
        (plane[0],) * 3,
    ):
        with pytest.raises(ValueError, match="must have the same shape"):
            error_to_colours(*arguments)
