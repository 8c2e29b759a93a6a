"""Disparity colours: a ramp runs through the map once, and unknown pixels are black."""

import colorsys

import numpy as np
import pytest

from flowdistill.visual import disparity_to_colours

RAMP = np.linspace(0, 64, 200, dtype=np.float32)[None]


def test_far_is_blue_and_near_is_red() -> None:
    colours = disparity_to_colours(RAMP)
    assert (colours.dtype, colours.shape) == (np.uint8, (1, 200, 3))
    hues = np.array([colorsys.rgb_to_hsv(*colour)[0] for colour in colours[0].tolist()])
    # From violet (0.75 of a turn or so) down to red, never back by more than rounding.
    assert 0.6 < hues[2] < 0.85
    assert hues[-1] < 0.05
    assert (np.diff(hues) < 0.02).all()
    # The largest channel is blue at a fifth, green in the middle, red at nine tenths.
    assert [colours[0, at].argmax() for at in (40, 100, 180)] == [2, 1, 0]


def test_no_colour_of_the_map_is_black() -> None:
    assert disparity_to_colours(RAMP).sum(axis=2).min() > 60


def test_both_shapes_are_taken() -> None:
    np.testing.assert_array_equal(disparity_to_colours(RAMP[..., None]), disparity_to_colours(RAMP))


def test_values_are_clipped_to_the_scale() -> None:
    colours = disparity_to_colours(np.array([[-5.0, 0.0, 32.0, 64.0, 1000.0]]), maximum=64)[0]
    assert (colours[0] == colours[1]).all()
    assert (colours[3] == colours[4]).all()
    assert len(np.unique(colours, axis=0)) == 3


def test_the_default_maximum_is_the_largest_known_value() -> None:
    values = RAMP.copy()
    values[0, 0], values[0, 1] = np.inf, 9999
    valid = values < 5000
    with np.errstate(all="raise"):
        colours = disparity_to_colours(values, valid=valid)
    assert (colours[0, :2] == 0).all()
    np.testing.assert_array_equal(colours[0, 2:], disparity_to_colours(RAMP, maximum=64)[0, 2:])


def test_nan_is_black_and_zero_disparity_everywhere_is_no_error() -> None:
    assert (disparity_to_colours(np.full((2, 3), np.nan)) == 0).all()
    assert (disparity_to_colours(np.zeros((2, 3))) == disparity_to_colours(RAMP)[0, 0]).all()


def test_wrong_arguments_are_refused() -> None:
    for shape in ((2, 3, 2), (3,), (1, 2, 3, 1)):
        with pytest.raises(ValueError, match="disparity must have the shape"):
            disparity_to_colours(np.zeros(shape))
    with pytest.raises(ValueError, match="valid must have the shape"):
        disparity_to_colours(np.zeros((2, 3)), valid=np.ones((2, 3, 1), bool))
    with pytest.raises(ValueError, match="maximum must be a positive"):
        disparity_to_colours(np.zeros((2, 3)), maximum=0)
