"""Thousands of damaged files of every format: a FormatError, or exactly the values of a slow decoder."""

import struct
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import strict_decoders as strict
from handmade_files import GREY, PALETTE, RGB, SIGNATURE, chunk, flo, header, overwritten, png
from mutations import flo_headers, general, png_structures, text_headers

from flowdistill.formats import (
    FormatError,
    read_flo,
    read_image,
    read_kitti_disparity,
    read_kitti_flow,
    read_mask,
    read_object_map,
    read_pfm,
)

RNG = np.random.default_rng(0)
CODES = RNG.integers(1, 65536, (5, 6, 3), dtype=np.uint16)
FLOATS = RNG.normal(size=90)
SMOOTH = cv2.GaussianBlur(RNG.integers(0, 256, (24, 40, 3), dtype=np.uint8), (0, 0), 2)

Array = np.ndarray[Any, Any]
Reader = Callable[[Path], Array]
Decoder = Callable[[bytes], Array]


def values_of(read: Callable[[Path], tuple[Array, Array]]) -> Reader:
    return lambda path: read(path)[0]


def opencv_jpeg(content: bytes) -> Array:
    """OpenCV as the second decoder, RGB; used only for files that ours accepts, so that it prints nothing."""
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert pixels is not None
    return pixels[..., ::-1]


def packed(rows: list[bytes], depth: int, colour: int, width: int, extra: bytes = b"") -> bytes:
    """A PNG of scanlines put together by hand, filter 0."""
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return SIGNATURE + header(len(rows), width, depth, colour) + extra + data + chunk(b"IEND", b"")


def interlaced(pixels: Array, colour: int) -> bytes:
    """An Adam7 PNG with filter 1 (left) in its rows."""
    height, width = pixels.shape[:2]
    raw = b""
    for left, top, across, down in strict.PASSES:
        part = pixels[top::down, left::across]
        for row in part if part.size else ():
            line, step = row.astype(row.dtype.newbyteorder(">")).tobytes(), row[0].nbytes
            raw += b"\1" + bytes(
                (line[i] - (line[i - step] if i >= step else 0)) % 256 for i in range(len(line))
            )
    fields = struct.pack(">IIBBBBB", width, height, 8 * pixels.dtype.itemsize, colour, 0, 0, 1)
    return SIGNATURE + b"".join(
        chunk(kind, body) for kind, body in ((b"IHDR", fields), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    )


def opencv_png(pixels: Array) -> bytes:
    """With every filter that an encoder chooses, and several IDAT chunks to swap."""
    content = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED])[
        1
    ].tobytes()
    chunks = strict.chunks_of(content)
    data = b"".join(body for kind, body in chunks if kind == b"IDAT")
    third = len(data) // 3
    parts = [
        chunks[0],
        *[(b"IDAT", data[i : i + third + 1]) for i in range(0, len(data), third + 1)],
        chunks[-1],
    ]
    return SIGNATURE + b"".join(chunk(kind, body) for kind, body in parts)


EIGHT = CODES.astype(np.uint8)
COLOURS = chunk(b"PLTE", bytes(range(12)))
# Name -> content, reader, decoder. Content of the same kind comes from two encoders where there are two.
FILES: dict[str, tuple[bytes, Reader, Decoder]] = {
    "flo": (flo(6, 5, FLOATS[:60].tolist()), read_flo, strict.flo),
    "pfm grey little": (b"Pf\n6 5\n-1.0\n" + FLOATS[:30].astype("<f4").tobytes(), read_pfm, strict.pfm),
    "pfm grey big": (b"Pf\n6 5\n1.0\n" + FLOATS[:30].astype(">f4").tobytes(), read_pfm, strict.pfm),
    "pfm colour little": (b"PF\n6 5\n-1.0\n" + FLOATS.astype("<f4").tobytes(), read_pfm, strict.pfm),
    "pfm colour big": (b"PF\n6 5\n1.0\n" + FLOATS.astype(">f4").tobytes(), read_pfm, strict.pfm),
    "kitti flow": (opencv_png(CODES), values_of(read_kitti_flow), strict.kitti_flow),
    "kitti flow interlaced": (interlaced(CODES, RGB), values_of(read_kitti_flow), strict.kitti_flow),
    "kitti disparity": (opencv_png(CODES[..., 0]), values_of(read_kitti_disparity), strict.kitti_disparity),
    "object map": (png(EIGHT[..., 0], GREY), read_object_map, strict.object_map),
    "mask": (png(np.where(EIGHT[..., 0] > 99, 255, 0).astype(np.uint8), GREY), read_mask, strict.mask),
    "mask of one bit": (packed([b"\xa4\x80", b"\x13\0", b"\xff\x80"], 1, GREY, 9), read_mask, strict.mask),
    "png colour": (opencv_png(EIGHT), read_image, strict.image),
    "png grey interlaced": (interlaced(EIGHT[..., 0], GREY), read_image, strict.image),
    "png palette": (png(EIGHT[..., 0] % 4, PALETTE, COLOURS), read_image, strict.image),
    "png palette of two bits": (
        packed([b"\x1b\x40", b"\xe4\x80"], 2, PALETTE, 5, COLOURS),
        read_image,
        strict.image,
    ),
    "ppm": (b"P6\n6 5\n255\n" + EIGHT.tobytes(), read_image, strict.image),
    "pgm": (b"P5\n6 5\n255\n" + EIGHT[..., 0].tobytes(), read_image, strict.image),
    "jpeg": (cv2.imencode(".jpg", SMOOTH)[1].tobytes(), read_image, opencv_jpeg),
    "jpeg grey": (cv2.imencode(".jpg", SMOOTH[..., 0])[1].tobytes(), read_image, opencv_jpeg),
    "jpeg progressive": (
        cv2.imencode(".jpg", SMOOTH, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes(),
        read_image,
        opencv_jpeg,
    ),
}


def damaged(name: str) -> Iterator[bytes]:
    content = FILES[name][0]
    seed = list(FILES).index(name)
    yield from general(content, seed)
    if name == "flo":
        yield from flo_headers(content)
    elif content[:1] == b"P":
        yield from text_headers(content)
    elif content[:1] == b"\x89":
        yield from png_structures(content, seed)


@pytest.mark.parametrize("name", FILES)
def test_the_whole_file_is_what_the_slow_decoder_says(tmp_path: Path, name: str) -> None:
    content, read, decode = FILES[name]
    (tmp_path / "file").write_bytes(content)
    np.testing.assert_array_equal(read(tmp_path / "file"), decode(content))


def values_or_none(read: Reader, path: Path) -> Array | None:
    """Return what is read; None for a FormatError. Any other exception is a failure."""
    try:
        return read(path)
    except FormatError as error:
        if not str(error).startswith(f"{path}: expected "):
            raise
        return None


def meaning(decode: Decoder, content: bytes) -> Array | None:
    try:
        return decode(content)
    except strict.BrokenError:
        return None


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_give_an_error_or_what_their_bytes_mean(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content, read, decode = FILES[name]
    path = tmp_path / "file"
    refused = taken = 0
    with overwritten(path) as replace:
        for number, mutated in enumerate(damaged(name)):
            replace(mutated)
            values = values_or_none(read, path)
            if values is None:
                refused += 1
                if not name.startswith("jpeg"):
                    # Valid content must not be rejected, either.
                    assert meaning(decode, mutated) is None, f"mutation {number} means something"
                continue
            taken += 1
            expected = meaning(decode, mutated)
            assert expected is not None, f"mutation {number} means nothing"
            assert (values.dtype, values.shape) == (expected.dtype, expected.shape), number
            if values.dtype == np.float32:
                values, expected = values.view(np.uint32), expected.copy().view(np.uint32)  # NaN's bits, too
            assert np.array_equal(values, expected), f"mutation {number} means something else"
    assert refused >= 100
    assert refused + taken >= 400
    # Formats without a checksum accept any content of the right length.
    assert taken >= (30 if content[:1] != b"\x89" else 1)
    # No decoder printed to the terminal.
    assert capfd.readouterr() == ("", "")


def test_there_are_thousands_of_them() -> None:
    different = {(name, mutated) for name in FILES for mutated in damaged(name) if mutated != FILES[name][0]}
    assert len(different) >= 8000


@pytest.mark.parametrize("option", [cv2.IMWRITE_JPEG_PROGRESSIVE, cv2.IMWRITE_JPEG_RST_INTERVAL])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_a_jpeg_that_lost_a_piece_of_its_pixels_is_refused(
    tmp_path: Path, option: int, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    """OpenCV would fill it with grey and print a message."""
    picture = cv2.resize(SMOOTH, (400, 300), interpolation=cv2.INTER_CUBIC)
    for value in (0, 1):
        content = cv2.imencode(".jpg", picture, [option, value])[1].tobytes()
        middle = len(content) // 2
        (tmp_path / "file").write_bytes(content[:middle] + content[middle + int(share * len(content)) :])
        with pytest.raises(FormatError, match="compressed pixels that are damaged"):
            read_image(tmp_path / "file")
    assert capfd.readouterr() == ("", "")


def absurd_files() -> dict[str, bytes]:
    """Small files whose headers or compressed data require gigabytes."""
    side = 65_536
    bomb = zlib.compress(bytes(1 << 28), 9)
    jpeg = bytearray(FILES["jpeg"][0])
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    end = chunk(b"IEND", b"")
    return {
        "flo": b"PIEH" + struct.pack("<2i", side, side) + bytes(80),
        "pfm": b"PF\n65536 65536\n-1.0\n" + bytes(80),
        "ppm": b"P6\n65536 65536\n255\n" + bytes(80),
        "png": SIGNATURE + header(side, side, 16, RGB) + chunk(b"IDAT", zlib.compress(bytes(9999))) + end,
        "palette": SIGNATURE + header(side, side, 1, PALETTE) + COLOURS + chunk(b"IDAT", bytes(999)) + end,
        "jpeg": bytes(jpeg),
        # A colour profile of 256 MiB of zeros in 256 KiB.
        "profile": SIGNATURE
        + header(5, 6, 8, GREY)
        + chunk(b"iCCP", b"p\0\0" + bomb)
        + chunk(b"IDAT", b"x")
        + end,
    }


def test_absurd_sizes_cost_no_memory(tmp_path: Path) -> None:
    """Read in a process that may allocate 200 MB more than it uses."""
    for name, content in absurd_files().items():
        (tmp_path / name).write_bytes(content)
        assert len(content) < 300_000
    program = """
        import resource, sys
        from pathlib import Path
        from flowdistill import formats
        size = 1024 * int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1])
        resource.setrlimit(resource.RLIMIT_AS, (size + 200_000_000,) * 2)
        readers = [formats.read_flo, formats.read_pfm, formats.read_image, formats.read_mask,
                   formats.read_kitti_flow, formats.read_kitti_disparity]
        for path in sorted(Path(sys.argv[1]).iterdir()):
            for read in readers:
                try:
                    read(path)
                except formats.FormatError:
                    print(path.name)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.split() == [name for name in sorted(absurd_files()) for _ in range(6)]
