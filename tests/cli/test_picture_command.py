"""`flowdistill picture` from the user's point of view: colours, printed scales, output paths, and every mistake."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from motion_files import DISPARITY, FLOW, flo, kitti_disparity, kitti_flow, pfm, picture, tree

from flowdistill.cli.flowdistill import main

Captured = pytest.CaptureFixture[str]


def draw(*arguments: object) -> int:
    return main(["picture", *map(str, arguments)])


def read(path: Path) -> np.ndarray:
    """(H, W, 3) RGB."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels.dtype == np.uint8
    return pixels[..., ::-1]


def test_flow_has_the_wheels_colours(tmp_path: Path, capsys: Captured) -> None:
    flow = np.zeros((1, 6, 2), np.float32)
    flow[0, :5] = (8, 0), (-8, 0), (0, 8), (0, -8), (1e10, 1e10)
    source = flo(tmp_path / "a.flo", flow)
    assert draw(source) == 0
    right, left, down, up, unknown, still = read(tmp_path / "a_colour.png")[0].tolist()
    assert right == [255, 0, 0]
    assert left[0] == 0
    assert min(left[1:]) > 200  # cyan
    assert min(down[:2]) > 200  # yellow
    assert up[2] == 255
    assert up[1] == 0  # violet
    assert unknown == [0, 0, 0]
    assert still == [255, 255, 255]
    line = capsys.readouterr().out
    assert line.startswith(f"{source} -> {tmp_path / 'a_colour.png'}: flow, full colour at 8 px")
    assert "16.7 % invalid (black)" in line


def test_no_valid_pixel_is_black(tmp_path: Path) -> None:
    values = np.linspace(-200, 200, 24, dtype=np.float32).reshape(4, 6)
    flo(tmp_path / "a.flo", np.dstack([values, values.T.reshape(4, 6)]))
    pfm(tmp_path / "b.pfm", np.abs(values) - 8)  # some negative
    for name in ("a.flo", "b.pfm"):
        assert draw(tmp_path / name) == 0
        assert read(tmp_path / f"{name[0]}_colour.png").max(axis=2).min() > 0


def test_a_fixed_maximum_makes_pictures_comparable(tmp_path: Path, capsys: Captured) -> None:
    for name, factor in (("a", 1), ("b", 7)):
        flo(tmp_path / "in" / f"{name}.flo", FLOW * factor)
        kitti_disparity(tmp_path / "in" / f"{name}d.png", DISPARITY * factor)
    assert draw(tmp_path / "in", "--max-flow", 4.5, "--max-disparity", 19, "--output", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    lengths = 7 * np.hypot(FLOW[..., 0], FLOW[..., 1])
    over = np.count_nonzero(lengths > 4.5)
    assert f"b.png: flow, full colour at 4.5 px ({over} pixels are beyond, darker)" in printed
    over = np.count_nonzero(7 * DISPARITY > 19)
    assert f"bd.png: disparity, from 0 to 19 px ({over} pixels are beyond, drawn like it)" in printed
    pictures = {name: read(tmp_path / "out" / f"{name}.png") for name in ("a", "ad", "b", "bd")}
    # The same disparity has the same colour in both.
    seven = [pictures["ad"][DISPARITY == 7], pictures["bd"][DISPARITY * 7 == 7]]
    assert len(np.unique(np.concatenate(seven), axis=0)) == 1
    assert min(map(len, seven)) > 0
    assert draw(tmp_path / "in", "--output", tmp_path / "free") == 0
    # Scaled to each file's own maximum, they are all identical.
    for one, other in (("a", "b"), ("ad", "bd")):
        np.testing.assert_array_equal(
            read(tmp_path / "free" / f"{one}.png"), read(tmp_path / "free" / f"{other}.png")
        )
    assert (pictures["a"] != pictures["b"]).any()


def test_negative_disparities_look_like_positive_ones(tmp_path: Path, capsys: Captured) -> None:
    for name, sign in (("a", 1), ("b", -1)):
        pfm(tmp_path / f"{name}.pfm", sign * DISPARITY)
        assert draw(tmp_path / f"{name}.pfm") == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("from 0 to 19 px (the largest), stored negative")
    np.testing.assert_array_equal(read(tmp_path / "a_colour.png"), read(tmp_path / "b_colour.png"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    flo(root / "a.flo")
    kitti_flow(root / "deep" / "000000_10.png")
    pfm(root / "deep" / "c.pfm")
    np.savez(root / "f.npz", disparity=DISPARITY)
    picture(root / "a.png")
    return root


def test_a_folder_becomes_a_folder_beside_it(
    folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    names = {"a.png", "deep/000000_10.png", "deep/c.png", "f.png"}
    assert draw(folder) == 0
    assert tree(folder.parent / "in_colour") == names
    printed = capsys.readouterr().out
    assert len([line for line in printed.splitlines() if " -> " in line]) == 4
    assert f"1 skipped, neither flow nor disparity: {folder / 'a.png'}" in printed
    assert draw(folder, "--workers", "2") == 0
    assert "4 existing" in capsys.readouterr().out
    monkeypatch.chdir(folder)
    assert draw(".", "--overwrite") == 0
    assert tree(folder.parent / "in_colour") == names
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


def test_a_picture_never_takes_its_sources_place(folder: Path, capsys: Captured) -> None:
    source = folder / "deep" / "000000_10.png"
    before = source.read_bytes()
    for output in (source, folder / "deep", folder / "deep" / ".." / "deep"):
        assert draw(source, "--output", output, "--overwrite") == 2
        assert "is the input file" in capsys.readouterr().err
    assert draw(folder, "--output", folder, "--overwrite") == 2
    assert "is the input folder" in capsys.readouterr().err
    assert source.read_bytes() == before
    assert draw(source) == 0
    assert tree(folder / "deep") == {"000000_10.png", "000000_10_colour.png", "c.pfm"}
    assert draw(source) == 2
    assert "already exists; --overwrite replaces it" in capsys.readouterr().err
    assert draw(source, "--output", folder.parent / "pictures") == 0
    assert tree(folder.parent / "pictures") == {"000000_10.png"}
    assert draw(source, "--output", folder.parent / "x" / "y.PNG") == 0
    assert (folder.parent / "x" / "y.PNG").is_file()
    assert draw(source, "--output", folder.parent / "y.jpg") == 0
    assert (folder.parent / "y.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_damaged_files_are_named_and_the_rest_is_drawn(folder: Path, capsys: Captured) -> None:
    (folder / "cut.flo").write_bytes((folder / "a.flo").read_bytes()[:-5])
    assert draw(folder, "--quantity", "flow") == 1
    captured = capsys.readouterr()
    assert f"problems: 1\n  {folder / 'cut.flo'}: expected" in captured.err
    assert "2 skipped, of the other quantity" in captured.out
    assert tree(folder.parent / "in_colour") == {"a.png", "deep/000000_10.png"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["in/a.png"], "expected flow or disparity: a 16-bit PNG, RGB or grey, found 8-bit RGB"),
        (["in/a.flo", "--quantity", "disparity"], "expected disparity, found flow"),
        (["in", "--max-flow", "0"], "--max-flow is 0.0; give a positive number"),
        (["in", "--max-disparity", "nan"], "--max-disparity is nan"),
        (["in", "--max-flow", "inf"], "--max-flow is inf"),
        (["nothing"], "there is no file or folder nothing"),
        (["in", "--output", "in/a.flo"], "in/a.flo is a file, but in is a folder"),
        (["in", "--output", "x.png"], "x.png has the suffix of a file"),
    ],
)
def test_mistakes_leave_nothing(
    folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(folder.parent)
    before = sorted(folder.parent.rglob("*"))
    assert draw(*arguments) == 2
    assert words in capsys.readouterr().err
    assert sorted(folder.parent.rglob("*")) == before
