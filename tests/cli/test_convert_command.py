"""`flowdistill convert` from the user's point of view: files, folders, a repeated command, and every mistake."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from motion_files import DISPARITY, FLOW, flo, kitti_disparity, kitti_flow, pfm, picture, tree

from flowdistill.cli.flowdistill import main

Captured = pytest.CaptureFixture[str]


def convert(*arguments: object) -> int:
    return main(["convert", *map(str, arguments)])


def test_the_subset_of_flyingthings3d_becomes_kittis_files(tmp_path: Path, capsys: Captured) -> None:
    """The same scenes in both layouts: flow, and disparities that one of them stores negative."""
    for layout in ("kitti2015", "things_subset"):
        size = ["--scenes", "2", "--frames", "2", "--size", "64x128", "--seed", "5"]
        assert main(["data", "render", "--output", str(tmp_path / layout), "--layout", layout, *size]) == 0
    things, out = tmp_path / "things_subset", tmp_path / "out"
    assert convert(things / "train" / "flow", out / "flow", "--to", "png") == 0
    disparity = things / "train" / "disparity"
    assert convert(disparity, out / "disparity", "--to", "png") == 1
    assert "all negative, but KITTI's PNG stores only positive ones" in capsys.readouterr().err
    assert not (out / "disparity").exists()
    assert convert(disparity, out / "disparity", "--to", "png", "--negate-disparities") == 0
    kitti = tmp_path / "kitti2015" / "training"
    for made, rendered in (
        ("flow/left/into_future/0000000.png", "flow_occ/000000_00.png"),
        ("disparity/left/0000000.png", "disp_occ_0/000000_00.png"),
    ):
        codes = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (out / made, kitti / rendered)]
        assert codes[0].dtype == np.uint16
        np.testing.assert_array_equal(*codes)


def test_one_file_and_what_it_lost(tmp_path: Path, capsys: Captured) -> None:
    flow = FLOW + np.float32(1 / 256)
    flow[0, :3, 0] = 600, -513, 1e10
    source = flo(tmp_path / "a.FLO", flow)
    target = tmp_path / "new" / "a.Png"
    assert convert(source, target) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{source} -> {target}: flow, 35 pixels, 34 of them valid\n")
    assert re.search(r"\n  pixels outside of the 16-bit range .*, now invalid: 2\n", printed)
    assert "  rounded by 0.00391 px at most, 0.00391 px on average" in printed
    codes = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
    assert np.count_nonzero(codes[..., 0] == 0) == 3
    assert convert(target, tmp_path / "b.npz") == 0
    assert capsys.readouterr().out.endswith("35 pixels, 32 of them valid; nothing is lost\n")


def test_the_sign_of_disparities_is_told(tmp_path: Path, capsys: Captured) -> None:
    source = pfm(tmp_path / "a.pfm", -DISPARITY)
    assert convert(source, tmp_path / "b.npz") == 0
    assert "disparities, unchanged (--negate-disparities flips their sign): 35\n" in capsys.readouterr().out
    mixed = pfm(tmp_path / "c.pfm", np.where(DISPARITY > 8, DISPARITY, -DISPARITY))
    assert convert(mixed, tmp_path / "c.png") == 0
    count = np.count_nonzero(DISPARITY <= 8)
    assert f"which KITTI's PNG cannot store, now invalid: {count}\n" in capsys.readouterr().out
    assert convert(pfm(tmp_path / "d.pfm"), tmp_path / "d.png", "--negate-disparities") == 2
    assert "convert it without --negate-disparities" in capsys.readouterr().err
    assert not (tmp_path / "d.png").exists()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Motions in every format, pictures, and unrelated files."""
    root = tmp_path / "in"
    flo(root / "a.flo")
    flo(root / "deep" / "er" / "b.v2.FLO")
    pfm(root / "deep" / "c.pfm")
    kitti_flow(root / "d.png")
    kitti_disparity(root / "e.PNG")
    np.savez(root / "f.npz", flow=FLOW, valid=np.ones((5, 7), bool))
    picture(root / "a.png")  # beside a.flo
    picture(root / "deep" / "left.jpg")
    (root / "readme.txt").write_text("x")
    np.savez(root / "camera.npz", matrix=np.eye(3))
    (root / "._a.flo").write_bytes(b"macOS")
    (root / ".git").mkdir()
    flo(root / ".git" / "h.flo")
    return root


MOTIONS = ("a", "d", "e", "f", "deep/c", "deep/er/b.v2")


def test_a_folder_keeps_its_structure(folder: Path, capsys: Captured) -> None:
    out = folder.parent / "out"
    assert convert(folder, out, "--to", "npz") == 0
    assert tree(out) == {f"{name}.npz" for name in MOTIONS}
    for name in MOTIONS:
        with np.load(out / f"{name}.npz") as arrays:
            key = next(iter(set(arrays) - {"valid"}))
            np.testing.assert_array_equal(arrays[key], FLOW if key == "flow" else DISPARITY)
    printed = capsys.readouterr().out
    assert f"{folder} -> {out}: 4 of flow, 2 of disparity; 210 pixels, 210 of them valid" in printed
    assert "4 skipped, neither flow nor disparity: " in printed
    for name in ("a.png", "deep/left.jpg", "readme.txt", "camera.npz"):
        assert str(folder / name) in printed


def test_the_same_command_again_makes_what_is_missing(folder: Path, capsys: Captured) -> None:
    out = folder.parent / "out"
    assert convert(folder, out, "--to", "pfm") == 0
    (out / "d.pfm").unlink()
    (out / "a.pfm").write_bytes(b"mine")
    capsys.readouterr()
    assert convert(folder, out, "--to", "pfm") == 0
    printed = capsys.readouterr().out
    assert f"{out}: 1 of flow; 35 pixels" in printed
    assert "5 existing, skipped (--overwrite replaces them)" in printed
    assert (out / "a.pfm").read_bytes() == b"mine"
    assert convert(folder, out, "--to", "pfm", "--overwrite", "--workers", "2") == 0
    assert (out / "a.pfm").read_bytes() == (out / "d.pfm").read_bytes()


def test_an_interrupted_command_can_be_repeated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, replaced = folder.parent / "out", os.replace
    left = 3

    def replace_some(source: str, target: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        replaced(source, target)

    monkeypatch.setattr(os, "replace", replace_some)
    assert convert(folder, out, "--to", "npz") == 130
    assert len(tree(out)) == 3  # and no partial file
    monkeypatch.undo()
    assert convert(folder, out, "--to", "npz") == 0
    assert tree(out) == {f"{name}.npz" for name in MOTIONS}


def test_one_quantity_of_a_folder(folder: Path, capsys: Captured) -> None:
    out = folder.parent / "out"
    assert convert(folder, out, "--to", "flo") == 1
    assert "disparities, which .flo cannot store (--quantity flow skips them)" in capsys.readouterr().err
    flows = {"a.flo", "d.flo", "f.flo", "deep/er/b.v2.flo"}
    assert tree(out) == flows
    assert convert(folder, folder.parent / "again", "--to", "flo", "--quantity", "flow") == 0
    assert "2 skipped, of the other quantity" in capsys.readouterr().out
    assert tree(folder.parent / "again") == flows


def test_damaged_files_are_named_and_the_rest_is_done(folder: Path, capsys: Captured) -> None:
    (folder / "cut.flo").write_bytes((folder / "a.flo").read_bytes()[:-5])
    (folder / "empty.png").write_bytes(b"")
    (folder / "gone.pfm").symlink_to("nowhere")
    content = bytearray((folder / "d.png").read_bytes())
    content[60] ^= 1  # its header is valid: the fault is found when it is read
    (folder / "flipped.png").write_bytes(content)
    os.mkfifo(folder / "pipe.flo")
    out = folder.parent / "out"
    for again in (False, True):
        assert convert(folder, out, "--to", "npz") == 1
        captured = capsys.readouterr()
        problems = captured.err[captured.err.index("problems: 4") :]
        for name in ("cut.flo", "empty.png", "gone.pfm", "flipped.png"):
            assert f"  {folder / name}: " in problems
        assert str(folder / "pipe.flo") not in problems
        assert ("6 existing" in captured.out) == again
    assert tree(out) == {f"{name}.npz" for name in MOTIONS}


def test_a_folder_that_may_not_be_listed_is_one_line(
    folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("er"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # the tests may run as root, who may read every folder
    assert convert(folder, folder.parent / "out", "--to", "npz") == 1
    assert f"{folder / 'deep' / 'er'}: cannot be listed (Permission denied)" in capsys.readouterr().err
    assert len(tree(folder.parent / "out")) == 5


def test_two_sources_of_one_target(folder: Path, capsys: Captured) -> None:
    pfm(folder / "a.pfm")
    out = folder.parent / "out"
    assert convert(folder, out, "--to", "npz") == 1
    message = capsys.readouterr().err
    assert f"{folder / 'a.flo'} and {folder / 'a.pfm'} would both become {out / 'a.npz'}" in message
    assert tree(out) == {f"{name}.npz" for name in MOTIONS if name != "a"}


def test_links_are_followed_and_circles_are_left(folder: Path) -> None:
    elsewhere = folder.parent / "elsewhere"
    flo(elsewhere / "g.flo")
    (folder / "linked").symlink_to(elsewhere)
    (elsewhere / "circle").symlink_to(folder)
    out = folder.parent / "out"
    assert convert(folder, out, "--to", "npz") == 0
    assert tree(out) == {f"{name}.npz" for name in (*MOTIONS, "linked/g")}


def test_the_output_may_lie_inside_and_is_not_converted_again(folder: Path, capsys: Captured) -> None:
    out = folder / "out"
    for _ in range(2):
        assert convert(folder, out, "--to", "flo", "--quantity", "flow") == 0
    assert tree(out) == {"a.flo", "d.flo", "f.flo", "deep/er/b.v2.flo"}
    assert "4 existing" in capsys.readouterr().out


def test_no_input_is_ever_written_over(folder: Path, capsys: Captured) -> None:
    before = (folder / "a.flo").read_bytes()
    out = folder.parent / "out"
    out.mkdir()
    (out / "d.flo").symlink_to(folder / "a.flo")
    assert convert(folder, out, "--to", "flo", "--quantity", "flow", "--overwrite") == 1
    assert f"{out / 'd.flo'} is a file of {folder}, and is not overwritten" in capsys.readouterr().err
    assert (folder / "a.flo").read_bytes() == before
    (folder.parent / "same.flo").symlink_to(folder / "a.flo")
    for target in (folder / "a.flo", folder / ".." / "in" / "a.flo", folder.parent / "same.flo"):
        assert convert(folder / "a.flo", target, "--overwrite") == 2
        assert "is the input file" in capsys.readouterr().err
    assert (folder / "a.flo").read_bytes() == before


def test_an_output_that_is_there_is_kept(folder: Path, capsys: Captured) -> None:
    target = folder.parent / "x.png"
    target.write_bytes(b"mine")
    assert convert(folder / "a.flo", target) == 2
    assert f"{target} already exists; --overwrite replaces it" in capsys.readouterr().err
    assert target.read_bytes() == b"mine"
    assert convert(folder / "a.flo", target, "--overwrite") == 0
    assert target.read_bytes() == (folder / "d.png").read_bytes()


MISTAKES: dict[str, tuple[list[str], str]] = {
    "no input": (["nothing", "x.flo"], "there is no file or folder nothing"),
    "no format": (["in/a.flo", "x"], "the suffix sets the format; use one of .flo, .pfm, .png, .npz"),
    "a picture's format": (["in/a.flo", "x.jpg"], "the suffix sets the format; use one of"),
    "two formats": (["in/a.flo", "x.png", "--to", "pfm"], "--to is pfm, but x.png is a .png"),
    "a folder for a file": (["in/a.flo", "in/deep"], "in/deep is a folder; choose a file in it"),
    "no --to": (["in", "out"], "set the target format with --to flo|pfm|png|npz"),
    "in place": (["in", "in/../in", "--to", "npz"], "is the input folder"),
    "a file for a folder": (["in", "in/a.flo", "--to", "npz"], "in/a.flo is a file"),
    "a file's name for a folder": (["in", "x.npz", "--to", "npz"], "x.npz has the suffix of a file"),
    "a picture": (["in/a.png", "x.flo"], "expected flow or disparity: a 16-bit PNG"),
    "other arrays": (["in/camera.npz", "x.flo"], "found the arrays matrix"),
    "the other quantity": (["in/e.PNG", "x.npz", "--quantity", "flow"], "expected flow, found disparity"),
    "a disparity as flow": (["in/e.PNG", "new/x.flo"], "it contains disparity, but .flo can only store flow"),
    "negated flow": (["in/a.flo", "x.npz", "--negate-disparities"], "in/a.flo contains flow"),
    "no motions": (["in/deep/pictures", "out", "--to", "flo"], "but others (in/deep/pictures/x.png)"),
    "an empty folder": (["in/.git/empty", "out", "--to", "flo"], "but no files at all"),
    "a file on the way": (["in/a.flo", "in/a.flo/x.png"], "in/a.flo/x.png: cannot make its folder"),
    "no workers": (["in", "out", "--to", "npz", "--workers", "0"], "--workers is 0"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_leave_nothing(
    folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    picture(folder / "deep" / "pictures" / "x.png")
    (folder / ".git" / "empty").mkdir()
    monkeypatch.chdir(folder.parent)
    before = sorted(folder.parent.rglob("*"))
    arguments, words = MISTAKES[mistake]
    assert convert(*arguments) == 2
    message = capsys.readouterr().err
    assert words in message
    assert "Traceback" not in message
    assert sorted(folder.parent.rglob("*")) == before


@pytest.mark.parametrize("command", ["convert", "picture"])
def test_starts_fast_and_works_without_torch(folder: Path, command: str) -> None:
    arguments = ["out", "--to", "npz"] if command == "convert" else ["--output", "out"]
    script = (
        "import sys\nfrom flowdistill.cli.flowdistill import main\n"
        f"try: main([{command!r}, '--help'])\n"
        "except SystemExit: print('numpy' in sys.modules)\n"
        f"print(main([{command!r}, 'in', *{arguments!r}]), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=folder.parent
    )
    lines = done.stdout.splitlines()
    assert "False" in lines  # --help does not even import numpy
    assert re.fullmatch("0 False", lines[-1])
