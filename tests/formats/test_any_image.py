"""Arbitrary images: the pixels written by other tools, and errors that say what to do."""

import struct
from pathlib import Path

import numpy as np
import pytest
from handmade_files import RGB, chunk, png
from picture_files import COLOUR, DEEP, PICTURES, opencv, pillow, tiff, with_alpha
from PIL import Image

from flowdistill.formats import (
    IMAGE_SUFFIXES,
    FormatError,
    inspect_any_image,
    is_sixteen_bit_image,
    is_turned_image,
    read_any_image,
    read_image,
)


@pytest.mark.parametrize("name", PICTURES)
def test_pixels_are_those_that_were_written(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content, expected = PICTURES[name]
    path = tmp_path / "picture.of_any_name"
    path.write_bytes(content)
    pixels = read_any_image(path)
    assert (pixels.dtype, pixels.flags.c_contiguous, pixels.flags.writeable) == (np.uint8, True, True)
    np.testing.assert_array_equal(pixels, expected)
    assert inspect_any_image(path) == expected.shape[:2]
    assert is_sixteen_bit_image(path) == ("16" in name.split()[0])
    assert not is_turned_image(path)
    assert capfd.readouterr() == ("", "")


def test_every_code_of_16_bits_goes_to_the_nearest_of_8(tmp_path: Path) -> None:
    codes = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    (tmp_path / "a.png").write_bytes(opencv(".png", codes))
    pixels = read_any_image(tmp_path / "a.png")[..., 0]
    assert np.abs(pixels * 257.0 - codes).max() <= 128  # half of a step, which is odd
    # 8-bit values expanded to 16 bit are recovered.
    np.testing.assert_array_equal(pixels.ravel()[::257], np.arange(256))


@pytest.mark.parametrize("quality", [20, 95])
def test_a_jpeg_is_what_the_strict_reader_says(tmp_path: Path, quality: int) -> None:
    path = tmp_path / "named.png"
    for pixels in (COLOUR, COLOUR[..., 0]):
        path.write_bytes(pillow(pixels, "JPEG", quality=quality) + b"a phone's film after the end")
        np.testing.assert_array_equal(read_any_image(path), read_image(path))
        assert inspect_any_image(path) == COLOUR.shape[:2]
        assert not is_sixteen_bit_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF"])
def test_an_orientation_tag_is_told_of_and_turns_nothing(tmp_path: Path, kind: str, orientation: int) -> None:
    tags = Image.Exif()
    tags[274] = orientation
    (tmp_path / "with").write_bytes(pillow(COLOUR, kind, exif=tags))
    (tmp_path / "without").write_bytes(pillow(COLOUR, kind))
    np.testing.assert_array_equal(read_any_image(tmp_path / "with"), read_any_image(tmp_path / "without"))
    assert inspect_any_image(tmp_path / "with") == COLOUR.shape[:2]
    assert is_turned_image(tmp_path / "with") == (orientation != 1)


def test_a_damaged_tag_does_not_make_a_picture_unreadable(tmp_path: Path) -> None:
    for exif in (
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"Exif\0\0II*\0" + struct.pack("<IH", 8, 9999),
        b"Exif\0\0II*\0" + bytes(9),
    ):
        (tmp_path / "a.jpg").write_bytes(pillow(COLOUR, "JPEG", exif=exif))
        assert read_any_image(tmp_path / "a.jpg").shape == COLOUR.shape
        assert not is_turned_image(tmp_path / "a.jpg")


_CLEAR = with_alpha(COLOUR)
_CLEAR[2:4, 5, 3] = 254, 0
_DEEP_CLEAR = with_alpha(DEEP)
_DEEP_CLEAR[2:4, 5, 3] = 65534


@pytest.mark.parametrize(
    "content",
    [
        pillow(_CLEAR, "PNG"), pillow(_CLEAR, "WEBP", lossless=True), pillow(_CLEAR, "WEBP", alpha_quality=100),
        pillow(_CLEAR, "TIFF"), opencv(".bmp", _CLEAR), opencv(".png", _DEEP_CLEAR), opencv(".tif", _DEEP_CLEAR),
        png(np.where(_CLEAR[..., 3:] < 255, 7, COLOUR | 8), RGB, chunk(b"tRNS", b"\0\7\0\7\0\7")),
    ],
)  # fmt: skip
def test_pixels_that_are_not_opaque_are_counted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    said = r"a\.png: expected an image whose pixels are all opaque, found 2 of 962 pixels that are not .*background"
    with pytest.raises(FormatError, match=said):
        read_any_image(tmp_path / "a.png")
    assert inspect_any_image(tmp_path / "a.png") == COLOUR.shape[:2]


_FLOAT = Image.fromarray(COLOUR[..., 0].astype(np.float32))
_TWO = {"save_all": True, "append_images": [Image.fromarray(COLOUR[::-1].copy())]}


def _bmp(bits: int, compression: int = 0, offset: int = 62, colours: int = 0) -> bytes:
    """Two headers, two colours or two masks, and a pixel."""
    fields = offset, 40, 1, 1, 1, bits, compression, 0, 0, 0, colours, 0
    end = struct.pack("<II", 0xFF000000, 0x7E0) if compression == 3 else bytes(8)
    return b"BM" + bytes(8) + struct.pack("<IIiiHHIIIIII", *fields) + end + b"\xff" * 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pillow(COLOUR, "TIFF", **_TWO), "a TIFF of one page, found 2; save each page to its own file"),
        (pillow(COLOUR, "WEBP", **_TWO), "a WebP of one picture, found an animation"),
        (pillow(Image.fromarray(COLOUR).convert("CMYK"), "TIFF"), "in grey, RGB or .*convert it to PNG"),
        (pillow(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"), "4 channels"),
        (pillow(COLOUR, "TIFF", compression="jpeg"), "DEFLATE or PackBits, found another .*convert it to PNG"),
        (pillow(_FLOAT, "TIFF"), "of 8 or 16 bit, found another .*32"),
        (tiff(DEEP, t339=2), "of 8 or 16 bit"),
        (tiff(COLOUR, t284=2), "pixel after pixel"),
        (tiff(COLOUR, t322=16), "in strips"),
        (tiff(COLOUR, t317=3), "differences"),
        (tiff(COLOUR, rows=8, t278=13), "2 strips of 13 rows for 26 rows of a TIFF, found 4"),
        (tiff(COLOUR, t278=0), "strips of 0 rows"),
        (tiff(COLOUR[..., 0], t262=3), "a TIFF's palette of 768 numbers, found 0"),
        (_bmp(16), "an uncompressed BMP of 1, 4, 8, 24 or 32 bits per pixel, found 16 bits"),
        (_bmp(8, compression=1), "found 8 bits, compression 1"),
        (_bmp(24, offset=50), "behind byte 54, found byte 50"),
        (_bmp(32, compression=3), "one byte per channel, found the mask 000007e0"),
        (_bmp(8, colours=2) + bytes([0, 0, 0, 0, 255, 255, 255, 0]), "indices of its 2 colours, found the index 255"),
        (pillow(COLOUR, "GIF"), "found a file that starts with b'GIF87a"),
        (b"P3\n1 1\n255\n1 2 3\n", "binary PPM"),
        (b"P5\n1 1\n9\n\x0a", "samples of at most 9, found one of 10"),
        (b"\0\5\x16\7a Macintosh's notes", "an image "),
        (b"", "an empty file"),
    ],
)  # fmt: skip
def test_other_pictures_are_refused_with_advice(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(FormatError, match=rf"a\.png: expected .*{said}"):
        read_any_image(tmp_path / "a.png")


def test_a_smaller_version_beside_the_picture_is_no_second_page(tmp_path: Path) -> None:
    content = bytearray(tiff(COLOUR))
    (directory,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, directory)
    struct.pack_into("<I", content, directory + 2 + 12 * count, len(content))
    thumbnail = struct.pack("<HHHII", 1, 254, 4, 1, 1) + bytes(4)
    (tmp_path / "a.tif").write_bytes(content + thumbnail)
    np.testing.assert_array_equal(read_any_image(tmp_path / "a.tif"), COLOUR)


def test_the_strict_reader_stays_strict(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for name in (
        "png rgba",
        "png16 rgb",
        "png grey + alpha",
        "webp lossless",
        "bmp rgb",
        "tiff raw rgb",
        "ppm16",
    ):
        path.write_bytes(PICTURES[name][0])
        with pytest.raises(FormatError, match=r"expected an image"):
            read_image(path)


def test_suffixes_are_in_lower_case_with_their_dot() -> None:
    assert {suffix[0] for suffix in IMAGE_SUFFIXES} == {"."}
    assert {suffix.lower() for suffix in IMAGE_SUFFIXES} == IMAGE_SUFFIXES
    assert {
        f".{name}" for name in ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "ppm", "pgm"]
    } == IMAGE_SUFFIXES
