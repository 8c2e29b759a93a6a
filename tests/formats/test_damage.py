"""Every truncation and thousands of changed bytes: an error that names the file, or an array of the right kind."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from handmade_files import GREY, RGB, SIGNATURE, chunk, flo, header, overwritten, png, rows

from flowdistill.errors import UserError
from flowdistill.formats import (
    FormatError,
    read_flo,
    read_image,
    read_kitti_disparity,
    read_kitti_flow,
    read_object_map,
    read_pfm,
)

Reader = Callable[[Path], np.ndarray]
RNG = np.random.default_rng(0)
CODES = RNG.integers(1, 65536, (4, 5, 3), dtype=np.uint16)


def _values(read: Callable[[Path], tuple[np.ndarray, np.ndarray]]) -> Reader:
    return lambda path: read(path)[0]


READERS: dict[str, Reader] = {
    "flo": read_flo,
    "pfm_little": read_pfm,
    "pfm_big_colour": read_pfm,
    "kitti_flow": _values(read_kitti_flow),
    "kitti_disparity": _values(read_kitti_disparity),
    "object_map": read_object_map,
    "image_png": read_image,
    "image_ppm": read_image,
    "image_jpg": read_image,
}
CONTENT = {
    "flo": flo(5, 4, RNG.normal(size=40).tolist()),
    "pfm_little": b"Pf\n5 4\n-1.0\n" + RNG.normal(size=20).astype("<f4").tobytes(),
    "pfm_big_colour": b"PF\n5 4\n1.0\n" + RNG.normal(size=60).astype(">f4").tobytes(),
    "kitti_flow": png(CODES, RGB),
    "kitti_disparity": png(CODES[..., 0], GREY),
    "object_map": png(CODES[..., 0].astype(np.uint8), GREY),
    "image_png": png(CODES.astype(np.uint8), RGB),
    "image_ppm": b"P6\n5 4\n255\n" + CODES.astype(np.uint8).tobytes(),
    "image_jpg": cv2.imencode(".jpg", np.full((16, 24, 3), 90, np.uint8))[1].tobytes(),
}
PNGS = ["kitti_flow", "kitti_disparity", "object_map", "image_png"]


def _assert_refused(read: Reader, path: Path) -> None:
    with pytest.raises(FormatError) as caught:
        read(path)
    assert isinstance(caught.value, UserError)
    assert str(caught.value).startswith(f"{path}: expected ")
    assert ", found " in str(caught.value)


@pytest.mark.parametrize("kind", READERS)
def test_the_undamaged_file_is_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / kind).write_bytes(CONTENT[kind])
    assert READERS[kind](tmp_path / kind).shape[:2] == ((16, 24) if kind == "image_jpg" else (4, 5))


@pytest.mark.parametrize("kind", READERS)
def test_every_truncation_is_noticed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    with overwritten(path) as replace:
        for length in range(len(CONTENT[kind])):
            replace(CONTENT[kind][:length])
            _assert_refused(READERS[kind], path)


@pytest.mark.parametrize("kind", PNGS)
def test_every_changed_byte_of_a_png_is_noticed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    with overwritten(path) as replace:
        for position in range(len(CONTENT[kind])):
            for change in (0x01, 0x80, 0xFF):
                damaged = bytearray(CONTENT[kind])
                damaged[position] ^= change
                replace(damaged)
                _assert_refused(READERS[kind], path)


@pytest.mark.parametrize("kind", [kind for kind in READERS if kind not in PNGS])
def test_a_changed_byte_elsewhere_gives_an_error_or_as_many_values(tmp_path: Path, kind: str) -> None:
    """These formats have no checksum: damage that a size check cannot detect must still give an array."""
    path = tmp_path / kind
    path.write_bytes(CONTENT[kind])
    whole = READERS[kind](path)
    refused = 0
    with overwritten(path) as replace:
        for position in range(len(CONTENT[kind])):
            for change in (0x01, 0x10, 0x80, 0xFF):
                damaged = bytearray(CONTENT[kind])
                damaged[position] ^= change
                replace(damaged)
                try:
                    values = READERS[kind](path)
                except FormatError:
                    refused += 1
                else:
                    assert values.dtype == whole.dtype
                    assert values.ndim == 3
                    assert kind == "image_jpg" or values.size == whole.size
    assert refused >= 4 * 8  # at least the header


@pytest.mark.parametrize("position", range(12))
def test_every_changed_byte_of_a_flo_header_is_noticed(tmp_path: Path, position: int) -> None:
    with overwritten(tmp_path / "a.flo") as replace:
        for change in range(1, 256):
            damaged = bytearray(CONTENT["flo"])
            damaged[position] ^= change
            replace(damaged)
            _assert_refused(read_flo, tmp_path / "a.flo")


def _wrong_structure() -> dict[str, bytes]:
    first, last = header(4, 5, 16, GREY), chunk(b"IEND", b"")
    packed = zlib.compress(rows(CODES[..., 0]))
    data = chunk(b"IDAT", packed)
    return {
        "no pixels": SIGNATURE + first + last,
        "no end": SIGNATURE + first + data,
        "no header": SIGNATURE + data + last,
        "header not first": SIGNATURE + data + first + last,
        "only a signature": SIGNATURE,
        "half of the pixels": SIGNATURE + first + chunk(b"IDAT", packed[: len(packed) // 2]) + last,
        "too few rows": SIGNATURE + first + chunk(b"IDAT", zlib.compress(rows(CODES[:3, :, 0]))) + last,
        "pixels that are no deflate": SIGNATURE + first + chunk(b"IDAT", b"garbage" * 9) + last,
        "long header": SIGNATURE
        + chunk(b"IHDR", struct.pack(">IIBBBBBB", 5, 4, 16, 0, 0, 0, 0, 0))
        + data
        + last,
        "8 bit in name only": SIGNATURE + header(4, 5, 8, GREY) + data + last,
        "unknown colour type": SIGNATURE + header(4, 5, 16, 5) + data + last,
        "a line feed turned": png(CODES[..., 0], GREY).replace(b"\r\n", b"\n", 1),
    }


@pytest.mark.parametrize("name", _wrong_structure())
def test_a_png_of_wrong_structure_is_noticed(tmp_path: Path, name: str) -> None:
    """With correct checksums but a wrong structure."""
    (tmp_path / "a.png").write_bytes(_wrong_structure()[name])
    _assert_refused(_values(read_kitti_disparity), tmp_path / "a.png")


@pytest.mark.parametrize("kind", READERS)
def test_what_is_no_readable_file_is_named_with_the_reason(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    reasons = {
        "missing": "no such file",
        "folder": "a folder",
        "file/below": "Not a directory",
        "n" * 300: "File name too long",
        "zero\0byte": "null byte",
        "file": "an empty file",
    }
    (tmp_path / "folder").mkdir()
    for name, reason in reasons.items():
        with pytest.raises(FormatError, match=reason) as caught:
            READERS[kind](tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: expected ")


def test_a_forbidden_file_is_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated, because root, which may run this test, can read everything."""

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(FormatError, match=r"a\.flo: expected .*Permission denied"):
        read_flo(tmp_path / "a.flo")
