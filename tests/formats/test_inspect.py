"""Inspecting headers: the same sizes and the same errors as reading, including for truncated files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flowdistill.formats import (
    FormatError,
    inspect_flo,
    inspect_image,
    inspect_kitti_disparity,
    inspect_kitti_flow,
    inspect_mask,
    inspect_object_map,
    inspect_pfm,
    read_flo,
    read_image,
    read_kitti_disparity,
    read_kitti_flow,
    read_mask,
    read_object_map,
    read_pfm,
    write_flo,
    write_image,
    write_kitti_disparity,
    write_kitti_flow,
    write_mask,
    write_pfm,
)
from flowdistill.formats.png import write_png

rng = np.random.default_rng(0)
HEIGHT, WIDTH = 37, 53
COLOURS = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
VALUES = rng.uniform(1, 90, (HEIGHT, WIDTH, 3)).astype(np.float32)
# Name -> writer, inspector, reader.
KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], tuple[int, ...]], Callable[[Path], object]]] = {
    "a.flo": (lambda path: write_flo(path, VALUES[..., :2]), inspect_flo, read_flo),
    "a.pfm": (lambda path: write_pfm(path, VALUES), inspect_pfm, read_pfm),
    "grey.pfm": (lambda path: write_pfm(path, VALUES[..., 0]), inspect_pfm, read_pfm),
    "a.png": (lambda path: write_image(path, COLOURS), inspect_image, read_image),
    "a.ppm": (lambda path: write_image(path, COLOURS), inspect_image, read_image),
    "a.jpg": (lambda path: write_image(path, COLOURS), inspect_image, read_image),
    "flow.png": (lambda path: write_kitti_flow(path, VALUES[..., :2]), inspect_kitti_flow, read_kitti_flow),
    "disparity.png": (
        lambda path: write_kitti_disparity(path, VALUES[..., 0]), inspect_kitti_disparity, read_kitti_disparity,
    ),
    "mask.png": (lambda path: write_mask(path, VALUES[..., 0] > 40), inspect_mask, read_mask),
    "objects.png": (lambda path: write_png(path, COLOURS[..., 0] % 7), inspect_object_map, read_object_map),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, (write, _, _) in KINDS.items():
        write(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", KINDS)
def test_the_header_gives_the_size_that_reading_gives(folder: Path, name: str) -> None:
    _, look, read = KINDS[name]
    found = read(folder / name)
    values = found[0] if isinstance(found, tuple) else found
    assert isinstance(values, np.ndarray)
    size = look(folder / name)
    assert size[:2] == (HEIGHT, WIDTH)
    assert size == values.shape[: len(size)]


@pytest.mark.parametrize("name", KINDS)
def test_no_file_that_is_cut_off_passes(folder: Path, name: str) -> None:
    _, look, _ = KINDS[name]
    whole = (folder / name).read_bytes()
    path = folder / f"cut_{name}"
    for length in {0, 1, 7, 12, 30, 33, 60, len(whole) // 2, len(whole) - 5, len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError, match=name):
            look(path)
    with pytest.raises(FormatError, match="no such file"):
        look(folder / "nothing")


@pytest.mark.parametrize("name", KINDS)
def test_looking_refuses_the_kinds_that_reading_refuses(folder: Path, name: str) -> None:
    _, look, read = KINDS[name]
    refused = 0
    for other in KINDS:
        try:
            read(folder / other)
        except FormatError as error:
            if "of 0 and 255 only" in str(error):
                continue  # not visible in the header: an 8-bit grey PNG may be a mask
            refused += 1
            with pytest.raises(FormatError):
                look(folder / other)
        else:
            assert look(folder / other)[:2] == (HEIGHT, WIDTH)
    assert refused >= 4


@pytest.mark.parametrize("name", ["a.png", "flow.png", "mask.png"])
def test_bytes_after_the_end_of_a_png_are_tolerated_as_by_reading(folder: Path, name: str) -> None:
    _, look, read = KINDS[name]
    path = folder / name
    path.write_bytes(path.read_bytes() + bytes(500))
    read(path)
    assert look(path) == (HEIGHT, WIDTH)
