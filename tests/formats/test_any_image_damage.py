"""Damaged images of every kind: an error that names the file, or an array; silence on the terminal."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from handmade_files import overwritten
from mutations import general
from picture_files import COLOUR, PICTURES, opencv, pillow

from flowdistill.formats import FormatError, inspect_any_image, is_sixteen_bit_image, read_any_image

FILES = {
    name: PICTURES[name][0]
    for name in (
        "png palette with opaque tRNS", "png16 rgba", "png grey + alpha", "tiff raw rgba", "tiff tiff_lzw rgb",
        "tiff tiff_lzw rgba", "tiff tiff_adobe_deflate palette", "tiff packbits grey", "tiff16 5 2", "tiff16 > by hand",
        "webp lossless", "webp lossless rgba", "webp lossy", "webp lossy with a profile", "bmp rgb", "bmp rgba",
        "bmp palette", "ppm16", "pgm",
    )
} | {"jpeg": pillow(COLOUR, "JPEG")}  # fmt: skip


def _read(path: Path) -> np.ndarray | None:
    """Return the pixels, or None if the file is rejected with the expected error."""
    try:
        return read_any_image(path)
    except FormatError as error:
        if not str(error).startswith(f"{path}: expected ") or ", found " not in str(error):
            raise
        return None


@pytest.mark.parametrize("name", FILES)
def test_no_truncation_is_read(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    content = FILES[name]
    # Everywhere in headers and at the end, and at many places between.
    lengths = {
        *range(0, len(content), 1 + len(content) // 150),
        *range(80),
        *range(len(content) - 80, len(content)),
    }
    with overwritten(tmp_path / "a") as replace:
        for length in sorted(lengths & set(range(len(content)))):
            replace(content[:length])
            assert _read(tmp_path / "a") is None, length
            with pytest.raises(FormatError):
                inspect_any_image(tmp_path / "a")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", FILES)
def test_other_damage_gives_an_error_or_pixels(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    refused = taken = 0
    with overwritten(tmp_path / "a") as replace:
        for damaged in general(FILES[name], list(FILES).index(name), truncations=10, changes=60):
            replace(damaged)
            pixels = _read(tmp_path / "a")
            if pixels is None:
                refused += 1
                continue
            taken += 1
            assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
            assert inspect_any_image(tmp_path / "a") == pixels.shape[:2]
            assert is_sixteen_bit_image(tmp_path / "a") in (True, False)
    assert refused >= 20
    assert refused + taken >= 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", [name for name in PICTURES if name.startswith("png") or "deflate" in name])
def test_a_changed_byte_of_checked_pixels_is_noticed(tmp_path: Path, name: str) -> None:
    """PNG has a checksum of everything, zlib one of its content."""
    content, expected = PICTURES[name]
    middle = range(len(content) // 4, len(content) // 2, 1 + len(content) // 100)
    with overwritten(tmp_path / "a") as replace:
        for position in middle:
            damaged = bytearray(content)
            damaged[position] ^= 0x10
            replace(damaged)
            pixels = _read(tmp_path / "a")
            assert pixels is None or ("tiff" in name and np.array_equal(pixels, expected))


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".tif", ".ppm"])
def test_pixels_that_are_not_there_are_not_made_up(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A piece is gone from the middle, and nothing else."""
    picture = cv2.resize(COLOUR, (400, 300), interpolation=cv2.INTER_CUBIC)
    content = opencv(suffix, picture, *([cv2.IMWRITE_WEBP_QUALITY, 90] if suffix == ".webp" else []))
    middle = len(content) // 2
    (tmp_path / "a").write_bytes(content[:middle] + content[middle + 2000 :])
    assert _read(tmp_path / "a") is None
    assert capfd.readouterr() == ("", "")
