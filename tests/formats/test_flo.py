"""Middlebury .flo against bytes put together by hand."""

import struct
from pathlib import Path

import numpy as np
import pytest
from handmade_files import flo
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from flowdistill.formats import FormatError, read_flo, write_flo

# 3 columns, 2 rows: (x, y) is (column, 10 * row) + 0.25.
HAND_MADE = flo(3, 2, [0.25, 0.25, 1.25, 0.25, 2.25, 0.25, 0.25, 10.25, 1.25, 10.25, 2.25, 10.25])
VALUES = np.stack(np.meshgrid([0.25, 1.25, 2.25], [0.25, 10.25]), axis=-1).astype(np.float32)


def test_reads_the_hand_made_file(tmp_path: Path) -> None:
    (tmp_path / "a.flo").write_bytes(HAND_MADE)
    flow = read_flo(tmp_path / "a.flo")
    assert flow.dtype == np.float32
    assert flow.flags.writeable
    np.testing.assert_array_equal(flow, VALUES)


def test_writes_the_hand_made_file(tmp_path: Path) -> None:
    write_flo(tmp_path / "a.flo", VALUES.astype(np.float64))
    assert (tmp_path / "a.flo").read_bytes() == HAND_MADE


@settings(deadline=None)  # other work may hold the processor
@given(bits=npst.arrays(np.uint32, st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(2))))
def test_a_round_trip_keeps_every_bit(tmp_path_factory: pytest.TempPathFactory, bits: np.ndarray) -> None:
    """Bits, not values: NaN with any payload, signed zeros and denormals come back."""
    path = tmp_path_factory.mktemp("flo") / "a.flo"
    write_flo(path, bits.view(np.float32))
    np.testing.assert_array_equal(read_flo(path).view(np.uint32), bits)


def test_a_round_trip_of_a_strided_view(tmp_path: Path) -> None:
    flow = np.random.default_rng(0).normal(size=(2, 6, 4)).astype(np.float32).transpose(1, 2, 0)
    write_flo(tmp_path / "a.flo", flow)
    np.testing.assert_array_equal(read_flo(tmp_path / "a.flo"), flow)


@pytest.mark.parametrize(
    ("content", "expected", "found"),
    [
        (b"", "a .flo file", "an empty file"),
        (b"PIEH\1\0", "header of 12 bytes", "6 bytes"),
        (b"HEIP" + HAND_MADE[4:], "b'PIEH'", "b'HEIP'"),
        (struct.pack(">f", 202021.25) + HAND_MADE[4:], "b'PIEH'", "b'HEIP'"),
        (HAND_MADE[:-1], "60 bytes for a flow of 2 x 3", "59 bytes"),
        (HAND_MADE + b"\0", "60 bytes for a flow of 2 x 3", "61 bytes"),
        (flo(0, 2, []), "sides of 1 to 65536", "a width of 0"),
        (flo(-3, -2, [0.0] * 12), "sides of 1 to 65536", "a height of -2"),
        (flo(1 << 17, 1, [0.0] * 12), "sides of 1 to 65536", "a width of 131072"),
        (flo(1 << 16, 1 << 16, [0.0] * 12), "34359738380 bytes", "60 bytes"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: bytes, expected: str, found: str) -> None:
    path = tmp_path / "broken.flo"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_flo(path)
    before, after = str(caught.value).split(", found ")
    assert before.startswith(f"{path}: expected ")
    assert expected in before
    assert found in after


@pytest.mark.parametrize(
    "shape", [(4, 5), (4, 5, 1), (4, 5, 3), (0, 5, 2), (4, 0, 2), (2, 4, 5, 2), (1, 65537, 2)]
)
def test_other_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 2\)"):
        write_flo(tmp_path / "a.flo", np.zeros(shape))
    assert list(tmp_path.iterdir()) == []
