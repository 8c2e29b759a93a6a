"""Pictures: exact through PNG and PPM, RGB order, and errors with a reason."""

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from handmade_files import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGB_ALPHA,
    SIGNATURE,
    chunk,
    decode_png,
    header,
    png,
    rows,
)

from flowdistill.formats import FormatError, read_image, write_image

COLOUR = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
GREY_PIXELS = COLOUR[..., 0]
THREE_GREY = np.repeat(GREY_PIXELS[..., None], 3, axis=2)


def palette_png(transparent: bool = False) -> tuple[bytes, np.ndarray]:
    """A picture of 4 colours with 8-bit indices, and its pixels."""
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]], np.uint8)
    indices = np.random.default_rng(1).integers(0, 4, (4, 5), dtype=np.uint8)
    extra = chunk(b"PLTE", colours.tobytes()) + (chunk(b"tRNS", b"\x80") if transparent else b"")
    return png(indices, PALETTE, extra), colours[indices]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (png(COLOUR, RGB), COLOUR),
        (png(GREY_PIXELS, GREY), THREE_GREY),
        palette_png(),
        (png(COLOUR, RGB) + b"bytes after IEND", COLOUR),
        (b"P6\n5 4\n255\n" + COLOUR.tobytes(), COLOUR),
        (b"P6 # a comment\n#another\n5\t4 255\n" + COLOUR.tobytes(), COLOUR),
        (b"P5\n5 4\n255\n" + GREY_PIXELS.tobytes(), THREE_GREY),
    ],
)
def test_reads_hand_made_files(tmp_path: Path, content: bytes, expected: np.ndarray) -> None:
    # The content determines the format, not the name.
    (tmp_path / "picture.dat").write_bytes(content)
    image = read_image(tmp_path / "picture.dat")
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("suffix", [".png", ".ppm", ".PNG"])
def test_lossless_round_trips(tmp_path: Path, suffix: str) -> None:
    write_image(tmp_path / f"a{suffix}", COLOUR)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), COLOUR)


def test_the_png_has_rgb_order(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", COLOUR)
    np.testing.assert_array_equal(decode_png((tmp_path / "a.png").read_bytes()), COLOUR)


@pytest.mark.parametrize("grey", [GREY_PIXELS, GREY_PIXELS[..., None]])
def test_grey_is_written_with_one_channel(tmp_path: Path, grey: np.ndarray) -> None:
    write_image(tmp_path / "a.png", grey)
    assert decode_png((tmp_path / "a.png").read_bytes()).shape == (4, 5, 1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), THREE_GREY)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg_comes_back_nearly(tmp_path: Path, suffix: str) -> None:
    y, x = np.mgrid[:64, :96]
    smooth = np.stack([2 * x, 3 * y, 200 - x - y], axis=-1).astype(np.uint8)
    write_image(tmp_path / f"a{suffix}", smooth)
    assert np.abs(read_image(tmp_path / f"a{suffix}").astype(int) - smooth).mean() < 2
    write_image(tmp_path / f"g{suffix}", smooth[..., 0])
    grey = read_image(tmp_path / f"g{suffix}")
    assert np.abs(grey.astype(int) - smooth[..., :1]).mean() < 1
    assert (grey[..., 0] == grey[..., 2]).all()


@pytest.mark.parametrize("option", [cv2.IMWRITE_JPEG_PROGRESSIVE, cv2.IMWRITE_JPEG_RST_INTERVAL])
def test_other_kinds_of_jpeg(tmp_path: Path, option: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    content = cv2.imencode(".jpg", noise, [option, 1])[1].tobytes()
    (tmp_path / "a.jpg").write_bytes(content)
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), expected)


def test_an_orientation_tag_does_not_turn_the_picture(tmp_path: Path) -> None:
    """A tag 'turn by 90 degrees' (TIFF entry 0x0112, value 6) in an EXIF segment."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    plain = cv2.imencode(".jpg", np.zeros((16, 32, 3), np.uint8))[1].tobytes()
    tagged = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    turned = cv2.imdecode(np.frombuffer(tagged, np.uint8), cv2.IMREAD_COLOR)
    assert turned.shape == (32, 16, 3)  # OpenCV applies this tag by default
    (tmp_path / "a.jpg").write_bytes(tagged)
    assert read_image(tmp_path / "a.jpg").shape == (16, 32, 3)


def one_bit_png() -> bytes:
    packed = zlib.compress(b"\0\x80\0\x40")
    return SIGNATURE + header(2, 3, 1, GREY) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def huge_png(sides: tuple[int, int]) -> bytes:
    packed = zlib.compress(rows(COLOUR))
    return SIGNATURE + header(*sides, 8, RGB) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def jpeg_with_frame(old: bytes, new: bytes) -> bytes:
    content = cv2.imencode(".jpg", np.zeros((16, 32, 3), np.uint8))[1].tobytes()
    assert content.count(old) == 1
    return content.replace(old, new)


FRAME = b"\xff\xc0\x00\x11\x08\x00\x10\x00\x20\x03"  # 17 bytes, 8 bit, 16 x 32, 3 channels


@pytest.mark.parametrize(
    ("content", "expected", "found"),
    [
        (b"", "an image", "an empty file"),
        (b"GIF89a-and-more", "PNG, JPEG or binary PPM", "b'GIF89a-a'"),
        (b"P3\n1 1\n255\n1 2 3\n", "PNG, JPEG or binary PPM", "P3"),
        (png(COLOUR.astype(np.uint16), RGB), "8-bit grey, RGB or palette", "16-bit RGB, 4 x 5"),
        (png(np.ones((4, 5, 4), np.uint8), RGB_ALPHA), "without transparency", "8-bit RGB + alpha, 4 x 5"),
        (png(np.ones((4, 5, 2), np.uint8), GREY_ALPHA), "without transparency", "8-bit grey + alpha, 4 x 5"),
        (palette_png(transparent=True)[0], "without transparency", "8-bit palette with transparency"),
        (one_bit_png(), "8-bit grey, RGB or palette", "1-bit grey, 2 x 3"),
        (huge_png((0, 5)), "sides of 1 to 65536", "a height of 0"),
        (huge_png((5, 1 << 17)), "sides of 1 to 65536", "a width of 131072"),
        (huge_png((65000, 65000)), "compressed pixels for 65000 x 65000", "bytes, too few"),
        (huge_png((9, 9)), "an image of 9 x 9", "pixels that cannot be decoded"),
        (jpeg_with_frame(FRAME, FRAME[:4] + b"\x0c" + FRAME[5:]), "8 bit, 1 or 3 channels", "12 bit"),
        (jpeg_with_frame(FRAME, FRAME[:-1] + b"\x04"), "8 bit, 1 or 3 channels", "4 channels"),
        (jpeg_with_frame(FRAME, FRAME[:5] + b"\0\0" + FRAME[7:]), "sides of 1 to 65536", "a height of 0"),
        (jpeg_with_frame(FRAME, FRAME[:5] + b"\xff" * 4 + FRAME[9:]), "pixels for 65535 x 65535", "too few"),
        (b"P6\n5 4\n65535\n" + bytes(120), "the maximum 255", "the maximum 65535"),
        (b"P6\n5 4\n255\n" + bytes(59), "71 bytes for 4 x 5 x 3", "70 bytes"),
        (b"P6\n5 4\n255\n" + bytes(61), "71 bytes for 4 x 5 x 3", "72 bytes"),
        (b"P6\n5 0\n255\n", "sides of 1 to 65536", "a height of 0"),
        (b"P6\n5 four\n255\n" + bytes(60), "a PPM header", "four"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: bytes, expected: str, found: str) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_image(path)
    before, after = str(caught.value).split(", found ")
    assert before.startswith(f"{path}: expected ")
    assert expected in before
    assert found in after


@pytest.mark.parametrize("shape", [(4,), (4, 5, 2), (4, 5, 4), (0, 5), (4, 0, 3)])
def test_other_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="an image"):
        write_image(tmp_path / "a.png", np.zeros(shape, np.uint8))


def test_other_types_and_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got float32"):
        write_image(tmp_path / "a.png", np.zeros((4, 5, 3), np.float32))
    with pytest.raises(ValueError, match="suffix"):
        write_image(tmp_path / "a.tiff", COLOUR)
    assert list(tmp_path.iterdir()) == []
