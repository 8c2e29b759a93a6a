"""PFM against bytes put together by hand: both byte orders, grey and colour, bottom row first."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from flowdistill.formats import FormatError, read_pfm, write_pfm

# Top row 1 2 3, bottom row 4 5 6: the file starts with the bottom.
GREY = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)[..., None]
GREY_FILE = b"Pf\n3 2\n-1.0\n" + struct.pack("<6f", 4, 5, 6, 1, 2, 3)
# One column, two rows: top (1, 2, 3), bottom (4, 5, 6).
COLOUR = np.array([[[1, 2, 3]], [[4, 5, 6]]], dtype=np.float32)
COLOUR_FILE = b"PF\n1 2\n-1.0\n" + struct.pack("<6f", 4, 5, 6, 1, 2, 3)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (GREY_FILE, GREY),
        (COLOUR_FILE, COLOUR),
        (b"Pf\n3 2\n1.0\n" + struct.pack(">6f", 4, 5, 6, 1, 2, 3), GREY),
        (b"PF\n1 2\n1\n" + struct.pack(">6f", 4, 5, 6, 1, 2, 3), COLOUR),
        # The magnitude of the scale is not applied.
        (b"Pf\n3 2\n-0.003922\n" + GREY_FILE[-24:], GREY),
        # White space as in files of other writers.
        (b"Pf 3 2 -1e0 " + GREY_FILE[-24:], GREY),
        (b"Pf\r\n3  2\r\n-1.0\r\n" + GREY_FILE[-24:], GREY),
        # One row: nothing to flip, but still a separate array.
        (b"Pf\n3 1\n-1\n" + struct.pack("<3f", 1, 2, 3), GREY[:1]),
    ],
)
def test_reads_hand_made_files(tmp_path: Path, content: bytes, expected: np.ndarray) -> None:
    (tmp_path / "a.pfm").write_bytes(content)
    values = read_pfm(tmp_path / "a.pfm")
    assert values.dtype == np.float32
    assert values.dtype.isnative
    assert values.flags.writeable
    assert values.flags.c_contiguous
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(
    ("values", "content"), [(GREY, GREY_FILE), (GREY[..., 0], GREY_FILE), (COLOUR, COLOUR_FILE)]
)
def test_writes_the_hand_made_files(tmp_path: Path, values: np.ndarray, content: bytes) -> None:
    write_pfm(tmp_path / "a.pfm", values)
    assert (tmp_path / "a.pfm").read_bytes() == content


@settings(deadline=None)  # other work may hold the processor
@given(bits=npst.arrays(np.uint32, st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3]))))
def test_a_round_trip_keeps_every_bit(tmp_path_factory: pytest.TempPathFactory, bits: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("pfm") / "a.pfm"
    write_pfm(path, bits.view(np.float32))
    np.testing.assert_array_equal(read_pfm(path).view(np.uint32), bits)


@settings(deadline=None)  # other work may hold the processor
@given(bits=npst.arrays(np.uint32, (2, 3, 1)))
def test_big_endian_keeps_every_bit(tmp_path_factory: pytest.TempPathFactory, bits: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("pfm") / "a.pfm"
    path.write_bytes(b"Pf\n3 2\n1.0\n" + bits[::-1].astype(">u4").tobytes())
    np.testing.assert_array_equal(read_pfm(path).view(np.uint32), bits)


@pytest.mark.parametrize(
    ("content", "expected", "found"),
    [
        (b"", "a PFM file", "an empty file"),
        (b"P6\n3 2\n255\n" + bytes(18), "b'Pf' or b'PF'", "b'P6'"),
        (b"Pf\n3 2\n", "a PFM header", "b'Pf\\n3 2\\n'"),
        (b"Pf\n3 x\n-1.0\n" + bytes(24), "a PFM header", "3 x"),
        (b"Pf\n3 2\n0.0\n" + bytes(24), "a PFM scale", "b'0.0'"),
        (b"Pf\n3 2\n1e999\n" + bytes(24), "a PFM scale", "b'1e999'"),
        (b"Pf\n3 2\n1-.e\n" + bytes(24), "a PFM scale", "b'1-.e'"),
        (b"Pf\n0 2\n-1.0\n", "sides of 1 to 65536", "a width of 0"),
        (b"Pf\n3 -2\n-1.0\n" + bytes(24), "sides of 1 to 65536", "a height of -2"),
        (b"Pf\n99999 99999\n-1.0\n", "sides of 1 to 65536", "a height of 99999"),
        (GREY_FILE[:-1], "36 bytes for a PFM of 2 x 3 x 1", "35 bytes"),
        (GREY_FILE + b"\0", "36 bytes for a PFM of 2 x 3 x 1", "37 bytes"),
        (b"PF" + GREY_FILE[2:], "84 bytes for a PFM of 2 x 3 x 3", "36 bytes"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: bytes, expected: str, found: str) -> None:
    path = tmp_path / "broken.pfm"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_pfm(path)
    before, after = str(caught.value).split(", found ")
    assert before.startswith(f"{path}: expected ")
    assert expected in before
    assert found in after


@pytest.mark.parametrize("shape", [(4,), (4, 5, 2), (4, 5, 4), (0, 5), (4, 0, 3), (1, 4, 5, 3)])
def test_other_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a PFM array must have"):
        write_pfm(tmp_path / "a.pfm", np.zeros(shape))
    assert list(tmp_path.iterdir()) == []
