"""Masks: values that the benchmarks write as 255 (or one bit) are True, and files that are not masks are rejected."""

from pathlib import Path

import numpy as np
import pytest
from handmade_files import GREY, RGB, chunk, decode_png, png
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from flowdistill.formats import FormatError, read_mask, write_mask

MASK = np.array([[True, False, False], [False, True, True]])
BYTES = MASK.astype(np.uint8) * np.uint8(255)


def test_white_is_true(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(BYTES, GREY))
    mask = read_mask(tmp_path / "a.png")
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, MASK)


@pytest.mark.parametrize("mask", [MASK, MASK[..., None]])
def test_is_written_as_8_bit_grey(tmp_path: Path, mask: np.ndarray) -> None:
    write_mask(tmp_path / "a.png", mask)
    np.testing.assert_array_equal(decode_png((tmp_path / "a.png").read_bytes())[..., 0], BYTES)


@settings(deadline=None)  # other work may hold the processor
@given(mask=npst.arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_a_round_trip(tmp_path_factory: pytest.TempPathFactory, mask: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("masks") / "a.png"
    write_mask(path, mask)
    np.testing.assert_array_equal(read_mask(path), mask)


@pytest.mark.parametrize(
    ("content", "expected", "found"),
    [
        (png(MASK.astype(np.uint8), GREY), "0 and 255 only", "at 3 pixels, such as 1"),
        (png(np.where(BYTES, BYTES, np.uint8(7)), GREY), "0 and 255 only", "at 3 pixels, such as 7"),
        (png(np.repeat(BYTES[..., None], 3, axis=2), RGB), "a grey PNG of 8 or 1 bit", "8-bit RGB, 2 x 3"),
        (png(BYTES.astype(np.uint16), GREY), "a grey PNG of 8 or 1 bit", "16-bit grey, 2 x 3"),
        (png(BYTES, GREY, chunk(b"tRNS", b"\0\0")), "a grey PNG of 8 or 1 bit", "with transparency"),
        (b"P5\n3 2\n255\n" + BYTES.tobytes(), "a PNG file", "P5"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path: Path, content: bytes, expected: str, found: str) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_mask(path)
    before, after = str(caught.value).split(", found ")
    assert before.startswith(f"{path}: expected ")
    assert expected in before
    assert found in after


@pytest.mark.parametrize("wrong", [BYTES, MASK[0], np.zeros((2, 3, 2), bool), np.zeros((0, 3), bool)])
def test_other_arrays_are_refused(tmp_path: Path, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a mask must be bool"):
        write_mask(tmp_path / "a.png", wrong)
    assert list(tmp_path.iterdir()) == []
