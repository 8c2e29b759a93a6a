"""Every pair of formats: the result by independent readers, and the reported losses by a loop over the pixels."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from motion_readers import read_anew, write_anew

from flowdistill.formats import FormatError
from flowdistill.formats.conversion import NEGATIVE, OUT_OF_RANGE, Conversion, convert_motion
from flowdistill.formats.motion import (
    NO_NUMBER,
    THIRD_CHANNEL,
    Motion,
    NoMotionError,
    inspect_motion,
    read_motion,
    write_motion,
)

FORMATS = {"flow": (".flo", ".pfm", ".png", ".npz"), "disparity": (".pfm", ".png", ".npz")}
CASES = [(quantity, a, b) for quantity, names in FORMATS.items() for a in names for b in names]
CHANNELS = {"flow": 2, "disparity": 1}
STEP = {"flow": 64, "disparity": 256}
LOWEST = {"flow": -512, "disparity": 0}
END = {"flow": 512, "disparity": 256}

Pixel = list[float] | None
# What is stored for each pixel, counts by loss, and the rounding of each number stored.
Expected = tuple[list[list[Pixel]], dict[str, int], list[float]]

any_float = st.floats(allow_nan=True, allow_infinity=True, width=32)
near = st.floats(-600, 600, width=32)


def a_motion(quantity: str, source: str) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Values that the source can store, and a mask: any code of a PNG; else numbers near its range, and far outside."""
    shape = st.tuples(st.integers(1, 5), st.integers(1, 5))

    def of(sides: tuple[int, int]) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
        full = (*sides, CHANNELS[quantity])
        if source == ".png":
            first = 0 if quantity == "flow" else 1  # a disparity's code 0 is invalid
            codes = npst.arrays(np.uint16, full, elements=st.integers(first, 65535))
            values = codes.map(lambda c: c.astype(np.float32) / STEP[quantity] + LOWEST[quantity])
        else:
            values = npst.arrays(np.float32, full, elements=st.one_of(near, near, near, any_float))
        return st.tuples(values, npst.arrays(np.bool_, sides))

    return shape.flatmap(of)


@pytest.mark.parametrize(("quantity", "source", "target"), CASES)
# Other work may hold the processor; every example writes the same files anew.
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_arrives_and_what_is_lost(
    tmp_path: Path, quantity: str, source: str, target: str, data: st.DataObject
) -> None:
    values, mask = data.draw(a_motion(quantity, source))
    write_anew(tmp_path / f"a{source}", quantity, values, mask)
    place = tmp_path / f"b{target}"
    place.unlink(missing_ok=True)
    expected = by_a_loop(quantity, values, mask, source, target)
    if expected is None:
        with pytest.raises(FormatError, match="all negative"):
            convert_motion(tmp_path / f"a{source}", place)
        assert not place.exists()
        return
    wanted, lost, errors = expected
    found = convert_motion(tmp_path / f"a{source}", place)
    stored, valid = read_anew(place, quantity)
    for row, column in np.ndindex(mask.shape):
        pixel = wanted[row][column]
        assert valid[row, column] == (pixel is not None)
        if pixel is not None:
            assert stored[row, column].tolist() == pixel
    assert found.lost == {kind: count for kind, count in lost.items() if count}
    assert found.pixels == mask.size
    assert found.written == int(valid.sum())
    assert found.valid == found.written + lost[NEGATIVE] + lost[OUT_OF_RANGE]
    assert found.largest_rounding == max(errors, default=0)
    assert math.isclose(found.mean_rounding, sum(errors) / max(len(errors), 1), abs_tol=1e-12)
    negatives = quantity == "disparity" and sum(
        pixel is not None and pixel[0] < 0 for line in wanted for pixel in line
    )
    assert found.negative == negatives
    # Back into the source's format: nothing further is lost.
    back = convert_motion(place, tmp_path / f"c{source}")
    again, valid_again = read_anew(tmp_path / f"c{source}", quantity)
    if source != ".png" or target == ".png":
        assert back.lost == {}
        assert back.largest_rounding == 0
        np.testing.assert_array_equal(valid_again, valid)
        np.testing.assert_array_equal(again[valid], stored[valid])


def by_a_loop(
    quantity: str, values: np.ndarray, mask: np.ndarray, source: str, target: str
) -> Expected | None:
    """The expected result; None if the conversion must be rejected."""
    lost = {NEGATIVE: 0, OUT_OF_RANGE: 0, NO_NUMBER: 0}
    errors: list[float] = []
    rows: list[list[Pixel]] = []
    signs = []
    for row in range(mask.shape[0]):
        line: list[Pixel] = []
        for column in range(mask.shape[1]):
            pixel = values[row, column].tolist()
            if not mask[row, column]:
                line.append(None)
                continue
            if any(math.isnan(number) or abs(number) > 1e9 for number in pixel):
                lost[NO_NUMBER] += source == ".npz"  # other formats use it to mark invalid pixels
                line.append(None)
                continue
            signs.append(pixel[0] < 0)
            if target != ".png":
                errors += [0.0] * len(pixel)
                line.append(pixel)
            elif quantity == "disparity" and pixel[0] < 0:
                lost[NEGATIVE] += 1
                line.append(None)
            elif all(LOWEST[quantity] <= number < END[quantity] for number in pixel):
                kept = [nearest(number, quantity) for number in pixel]
                errors += [abs(a - b) for a, b in zip(kept, pixel, strict=True)]
                line.append(kept)
            else:
                lost[OUT_OF_RANGE] += 1
                line.append(None)
        rows.append(line)
    if target == ".png" and quantity == "disparity" and signs and all(signs):
        return None
    return rows, lost, errors


def nearest(number: float, quantity: str) -> float:
    """The nearest number represented by a code: within half a step, except at the ends of the range."""
    step, low = STEP[quantity], LOWEST[quantity]
    first = 1 if quantity == "disparity" else 0
    code = min(max(round((number - low) * step), first), 65535)
    kept = code / step + low
    inside = low + first / step <= number <= low + 65535 / step
    assert abs(kept - number) <= (0.5 if inside else 1) / step
    return kept


@pytest.mark.parametrize(("quantity", "suffix"), [(q, s) for q, names in FORMATS.items() for s in names])
def test_suffixes_of_any_case(tmp_path: Path, quantity: str, suffix: str) -> None:
    values = np.arange(12 * CHANNELS[quantity], dtype=np.float32).reshape(3, 4, -1) + 1
    write_anew(tmp_path / f"a{suffix}", quantity, values, values[..., 0] != 5)
    (tmp_path / f"a{suffix}").rename(tmp_path / f"a.x{suffix.title()}")
    assert inspect_motion(tmp_path / f"a.x{suffix.title()}") == quantity
    convert_motion(tmp_path / f"a.x{suffix.title()}", tmp_path / "b.NPZ")
    stored, valid = read_anew(tmp_path / "b.NPZ", quantity)
    np.testing.assert_array_equal(stored[valid], values[valid])
    assert np.count_nonzero(~valid) == 1


def test_negated_disparities(tmp_path: Path) -> None:
    """As stored in FlyingThings3D's subset; 0 stays a positive 0, and an unknown value unknown."""
    cv2.imwrite(str(tmp_path / "a.pfm"), np.array([[-3.5, -0.25, 0, np.nan]], np.float32))
    found = convert_motion(tmp_path / "a.pfm", tmp_path / "b.npz", negate_disparity=True)
    with np.load(tmp_path / "b.npz") as arrays:
        assert arrays["disparity"].tolist() == [[3.5, 0.25, 0, 0]]
        assert not np.signbit(arrays["disparity"]).any()
        assert arrays["valid"].tolist() == [[True, True, True, False]]
    assert found.lost == {}
    assert found.negative == 0
    assert convert_motion(tmp_path / "a.pfm", tmp_path / "c.pfm").negative == 2


def test_a_third_channel_is_counted(tmp_path: Path) -> None:
    stored = np.zeros((2, 3, 3), np.float32)
    stored[0, 1, 0] = 7  # blue: the third
    stored[1, 1, 0] = np.nan
    cv2.imwrite(str(tmp_path / "a.pfm"), stored)
    assert convert_motion(tmp_path / "a.pfm", tmp_path / "b.flo").lost == {THIRD_CHANNEL: 1}


def test_counts_of_several_files_add_up(tmp_path: Path) -> None:
    write_anew(tmp_path / "a.flo", "flow", np.full((1, 2, 2), 1 / 256), np.array([[True, False]]))
    write_anew(tmp_path / "b.flo", "flow", np.array([[[600, 0], [0.0, 0.0]]]), np.array([[True, True]]))
    both = [convert_motion(tmp_path / f"{name}.flo", tmp_path / f"{name}.png") for name in "ab"]
    total = sum(both, Conversion())
    assert (total.pixels, total.valid, total.written) == (4, 3, 2)
    assert total.lost == {OUT_OF_RANGE: 1}
    assert total.largest_rounding == 1 / 256
    assert total.mean_rounding == 1 / 512


def test_which_files_are_motions(tmp_path: Path) -> None:
    grey = np.zeros((4, 5), np.uint16)
    pictures = {"grey.png": grey.astype(np.uint8), "rgba.png": np.zeros((4, 5, 4), np.uint16)}
    for name, pixels in pictures.items():
        cv2.imwrite(str(tmp_path / name), pixels)
        with pytest.raises(NoMotionError, match="a 16-bit PNG, RGB or grey"):
            inspect_motion(tmp_path / name)
    for name in ("a.txt", "flo", "a.npy"):
        (tmp_path / name).write_bytes(b"PIEH")
        with pytest.raises(NoMotionError, match="suffix"):
            inspect_motion(tmp_path / name)
    cv2.imwrite(str(tmp_path / "d.png"), grey)
    assert inspect_motion(tmp_path / "d.png") == "disparity"
    with pytest.raises(FormatError, match="expected flow, found disparity"):
        read_motion(tmp_path / "d.png", "flow")
    (tmp_path / "cut.png").write_bytes((tmp_path / "d.png").read_bytes()[:-20])
    with pytest.raises(FormatError, match="truncated") as error:
        inspect_motion(tmp_path / "cut.png")
    assert not isinstance(error.value, NoMotionError)


def test_a_disparity_is_no_flow(tmp_path: Path) -> None:
    write_anew(tmp_path / "a.pfm", "disparity", np.ones((1, 1, 1)), np.ones((1, 1), bool))
    with pytest.raises(FormatError, match=r"a\.pfm: it contains disparity, but \.flo can only store flow"):
        convert_motion(tmp_path / "a.pfm", tmp_path / "new" / "a.flo")
    assert not (tmp_path / "new").exists()
    motion = read_motion(tmp_path / "a.pfm")
    with pytest.raises(FormatError, match="can only store flow"):
        write_motion(tmp_path / "a.flo", motion)


def test_a_picture_of_a_negative_world_is_written_where_asked(tmp_path: Path) -> None:
    """The writer itself rejects nothing: values that the PNG cannot store become invalid."""
    values = np.array([[[-1.0], [2.0]]], np.float32)
    write_motion(tmp_path / "a.png", Motion("disparity", values, np.array([[True, True]])))
    assert cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED).tolist() == [[0, 512]]
