"""`dataset: folder`: the pairs of a folder of images, the printed notes, and the effect of each option."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from own_frames import picture, write_names

from flowdistill.data import open_dataset
from flowdistill.data.dataset import MotionDataset, ViewName
from flowdistill.data.folder_walk import walk
from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError


def opened(root: Path, split: str = "scan", view: ViewName = "flow", **options: str | int) -> MotionDataset:
    return open_dataset("folder", str(root), split, view, False, options)


def pairs(root: Path, split: str = "scan", **options: str | int) -> list[tuple[str, str]]:
    """The names of the two frames of every pair."""
    data = opened(root, split, **options)
    return [(Path(entry.frames[0]).name, Path(entry.frames[1]).name) for entry in data.entries]


def error(root: Path, split: str = "scan", view: ViewName = "flow", **options: str | int) -> str:
    with pytest.raises(UserError) as caught:
        opened(root, split, view, **options)
    return str(caught.value)


def test_all_kinds_of_images_in_natural_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["f1.png", "f2.JPG", "f3.PNG", "f9.bmp", "f10.tif", "f11.webp", "f12.ppm", "f100.JPEG"]
    write_names(tmp_path, names)
    data = opened(tmp_path)
    assert [entry.id for entry in data.entries] == ["f1", "f2", "f3", "f9", "f10", "f11", "f12"]
    for number, sample in enumerate(data[index] for index in range(len(data))):
        assert set(sample) == {"left_t0", "left_t1", "name", "size"}
        for key, at in (("left_t0", number), ("left_t1", number + 1)):
            expected = picture(at)
            shown = (sample[key] * 255).numpy().transpose(1, 2, 0)  # type: ignore[literal-required]
            # JPEG and WebP by OpenCV are slightly lossy; neighbours differ by far more.
            assert np.abs(shown - expected).mean() < 6
            assert np.abs(shown - picture(at + 3)).mean() > 30
    assert "folder: 7 pairs in 1 sequence of 8 frames in" in capsys.readouterr().err


def test_a_long_video_loses_no_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_names(tmp_path / "training/image_2", [f"000000_{number:02d}.png" for number in range(130)], (8, 8))
    found = pairs(tmp_path)
    assert len(found) == 129
    assert found[99] == ("000000_99.png", "000000_100.png")
    assert "129 pairs in 1 sequence of 130 frames" in capsys.readouterr().err


def test_sequences_are_not_paired_with_each_other(tmp_path: Path) -> None:
    write_names(tmp_path, ["000000_00.png", "000000_01.png", "000001_00.png", "000001_01.png"])
    write_names(tmp_path / "b/deep", ["x.png", "y.png"])
    write_names(tmp_path / "a", ["left1.png", "right1.png", "left2.png", "right2.png"])
    ids = [entry.id for entry in opened(tmp_path).entries]
    assert ids == ["000000_00", "000001_00", "a/left1", "a/right1", "b/deep/x"]


def test_hidden_files_are_passed_over_and_links_are_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "disk"
    write_names(elsewhere, ["1.png", "2.png"])
    root = tmp_path / "root"
    write_names(root, ["1.png", "2.png"])
    (root / "._1.png").write_bytes(b"\0\5\x16\7junk")
    (root / ".DS_Store").write_bytes(b"x")
    (root / "Thumbs.db").write_bytes(b"x")
    (root / "notes.txt").write_text("x")
    write_names(root / ".trash", ["1.png", "2.png"])
    (root / "linked").symlink_to(elsewhere, target_is_directory=True)
    (root / "again").symlink_to(root, target_is_directory=True)
    (elsewhere / "up").symlink_to(root, target_is_directory=True)
    (root / "self").symlink_to("self")
    assert [entry.id for entry in opened(root).entries] == ["1", "linked/1"]
    assert capsys.readouterr().err.splitlines() == [f"folder: 2 pairs in 2 sequences of 4 frames in {root}"]


def test_what_is_odd_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_names(tmp_path / "s", ["f_0.png", "f_1.png", "f_5.png", "f_6.png", "lonely_0.png"])
    deep = tmp_path / "deep/000.png"
    deep.parent.mkdir()
    for number in range(2):
        cv2.imwrite(str(deep.with_name(f"{number:03d}.png")), picture(number).astype(np.uint16) * 257)
    write_names(tmp_path / "size", ["1.png", "2.png"])
    write_names(tmp_path / "size", ["3.png", "4.png"], (96, 64))
    write_names(tmp_path / "flow_occ", ["000000_10.png", "000000_11.png"])
    (tmp_path / "size" / "5.HEIC").write_bytes(b"of a phone")
    opened(tmp_path)
    opened(tmp_path)
    text = capsys.readouterr().err
    assert text.splitlines() == [
        f"folder: 6 pairs in 4 sequences of 10 frames in {tmp_path}",
        f"folder: 1 frame not part of any pair: {tmp_path}/s/lonely_0.png",
        "folder: numbers are missing at 1 place: between s/f_1.png and f_5.png; the frames on both sides are treated "
        "as consecutive",
        "folder: the image size changes, and no pair spans the change: size/3.png is 96x64, size/2.png is 64x96",
        "folder: 16 bits per channel are scaled to 8: deep/000.png, and the frames after them",
        "folder: skipped, labels or predictions according to their names: flow_occ",
        "folder: not read, not one of png, jpg, webp, bmp, tif, ppm, mp4, ...: size/5.HEIC",
    ]
    write_names(tmp_path / "new", ["1.png", "2.png"])
    opened(tmp_path)
    assert "7 pairs in 5 sequences" in capsys.readouterr().err


def test_sixteen_bits_are_scaled_and_an_opaque_alpha_is_read(tmp_path: Path) -> None:
    shown = picture(4)
    cv2.imwrite(str(tmp_path / "0.png"), shown[..., ::-1].astype(np.uint16) * 257)
    rgba = np.dstack([shown[..., ::-1], np.full(shown.shape[:2], 255, np.uint8)])
    cv2.imwrite(str(tmp_path / "1.png"), rgba)
    cv2.imwrite(str(tmp_path / "2.png"), shown[..., 1])
    first, second = opened(tmp_path)[0], opened(tmp_path)[1]
    for image in (first["left_t0"], first["left_t1"]):
        assert np.array_equal((image * 255).numpy().round().transpose(1, 2, 0), shown)
    grey = (second["left_t1"] * 255).numpy().round()
    assert np.array_equal(grey, np.repeat(shown[None, ..., 1], 3, axis=0))


def test_stride_and_every(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_names(tmp_path, [f"{number}.png" for number in range(7)], (8, 8))
    assert pairs(tmp_path, stride=2) == [(f"{n}.png", f"{n + 2}.png") for n in range(5)]
    assert pairs(tmp_path, every="3") == [("0.png", "3.png"), ("3.png", "6.png")]
    assert pairs(tmp_path, every=2, stride=3) == [("0.png", "6.png")]
    text = capsys.readouterr().err
    assert "(every 2, stride 3)" in text
    assert f"2 frames not part of any pair: {tmp_path}/2.png, {tmp_path}/4.png" in text
    assert "with every 4 and stride 2 (options) the shortest sequence that has a pair has 9 frames" in error(
        tmp_path, every=4, stride=2
    )


def test_limit_is_spread_evenly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_names(tmp_path, [f"{number}.png" for number in range(11)], (8, 8))
    assert [first for first, _ in pairs(tmp_path, limit=3)] == ["0.png", "3.png", "6.png"]
    assert "3 of the 10 pairs are used (limit), spread evenly" in capsys.readouterr().err
    assert len(pairs(tmp_path, limit=99)) == len(pairs(tmp_path, limit="all")) == 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stride": 0}, "options.stride of folder must be a whole number of 1 or more, not '0'"),
        ({"every": "two"}, "options.every of folder must be a whole number of 1 or more, not 'two'"),
        ({"limit": -1}, "options.limit of folder must be a whole number of 1 or more, or all, not '-1'"),
        ({"right": "image_3"}, "options.left must then be the corresponding part"),
        ({"stripe": 2}, "folder has no option 'stripe'; its options: stride, every, limit, left, right"),
    ],
)
def test_wrong_options(options: dict[str, str | int], words: str, tmp_path: Path) -> None:
    write_names(tmp_path, ["1.png", "2.png"])
    assert words in error(tmp_path, **options)


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    assert "contains no images or videos, but nothing" in error(tmp_path)
    (tmp_path / "readme.md").write_text("x")
    assert "contains no images or videos, but readme.md" in error(tmp_path)
    write_names(tmp_path, ["7.png"])
    assert "contains 1 frame, but no pair" in error(tmp_path)
    assert "does not exist (looked from" in error(tmp_path / "nowhere")
    assert "7.png is a file. Set the folder that contains it" in error(tmp_path / "7.png")
    with pytest.raises(UserError, match="No data folder is given"):
        open_dataset("folder", "", "scan", "flow", False)
    write_names(tmp_path, ["7.jpg"])
    assert f"{tmp_path} contains 7.jpg and 7.png, two frames with the same name" in error(tmp_path)


def test_a_folder_that_may_not_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_names(tmp_path / "open", ["1.png", "2.png"])
    write_names(tmp_path / "shut", ["1.png", "2.png"])
    scandir = os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(
        os, "scandir", refuse
    )  # the tests may run as root, for whom permissions have no effect
    with pytest.raises(UserError, match=r"shut: this folder cannot be listed \(Permission denied\)"):
        walk(str(tmp_path))


def test_a_damaged_frame_is_named_when_it_is_read(tmp_path: Path) -> None:
    write_names(tmp_path, ["1.png", "2.png", "3.png"])
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:100])
    data = opened(tmp_path)
    assert len(data) == 2
    with pytest.raises(UserError, match=r"2\.png"):
        data[0]


@pytest.mark.parametrize(
    ("names", "left", "right"),
    [
        (("training/image_2/000000_{}.png", "training/image_3/000000_{}.png"), "image_2", "image_3"),
        (("left/{}.png", "right/{}.jpg"), "left", "right"),
        (("a/left_{}.png", "a/right_{}.png"), "left", "right"),
        (("left/left_{}.png", "right/right_{}.png"), "left", "right"),
        (("cam0/{}_leftover.png", "cam1/{}_leftover.png"), "cam0", "cam1"),
        (("{}_L.png", "{}_R.png"), "_L", "_R"),
        (("cam/{}.png", "cam_right/{}.png"), "cam", "cam_right"),
    ],
)
def test_two_cameras(names: tuple[str, str], left: str, right: str, tmp_path: Path) -> None:
    lefts, rights = ([name.format(f"0{number}") for number in range(3)] for name in names)
    write_names(tmp_path, [*lefts, *rights])
    write_names(tmp_path / "other", ["1.png", "2.png"])
    data = opened(tmp_path, view="scene_flow", left=left, right=right)
    assert len(data) == 2  # right frames are not a sequence of their own
    files = {file.key: os.path.relpath(file.path, tmp_path) for file in data.files(1)}
    assert files == {"left_t0": lefts[1], "left_t1": lefts[2], "right_t0": rights[1], "right_t1": rights[2]}
    assert set(data[0]) == {"left_t0", "right_t0", "left_t1", "right_t1", "name", "size"}
    assert data[0]["name"] == os.path.splitext(lefts[0])[0]
    of_right = tmp_path / "right.txt"
    of_right.write_text(f"{os.path.splitext(lefts[0])[0]} camera=right\n")
    flow = opened(tmp_path, str(of_right), left=left, right=right)
    assert os.path.relpath(flow.files(0)[0].path, tmp_path) == rights[0]


def test_cameras_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_names(
        tmp_path, ["image_2/1.png", "image_2/2.png", "image_3/1.png", "image_0/1.png", "image_0/2.png"]
    )
    text = error(tmp_path, view="scene_flow", left="image_2", right="image_3")
    assert f"1 of 4 images that the scene_flow view needs are missing:\n  {tmp_path}/image_3/2.png" in text
    assert (
        "2 files without 'image_2' in the path left out: image_0/1.png, image_0/2.png"
        in capsys.readouterr().err
    )
    assert "{left: image_2, right: image_3}" in error(tmp_path, view="scene_flow")
    assert "none with 'cam0' in its path" in error(tmp_path, left="cam0", right="cam1")
    assert pairs(tmp_path, left="image_2") == [("1.png", "2.png")]  # `left` alone selects folders


def test_split_files_of_ids(tmp_path: Path) -> None:
    write_names(tmp_path, ["My Videos/IMG 01.jpg", "My Videos/IMG 02.jpg", "My Videos/IMG 03.jpg"])
    assert [entry.id for entry in opened(tmp_path).entries] == [
        "My%20Videos/IMG%2001",
        "My%20Videos/IMG%2002",
    ]
    split = tmp_path / "split.txt"
    split.write_text("# one of them\nMy%20Videos/IMG%2002 labels=proxy\n")
    assert "proxy labels that the split requires" in error(tmp_path, str(split))
    split.write_text("My%20Videos/IMG%2002\n")
    assert pairs(tmp_path, str(split)) == [("IMG 02.jpg", "IMG 03.jpg")]
    split.write_text("My%20Videos/IMG%2003\n")
    text = error(tmp_path, str(split))
    assert text.startswith(
        f"{split}, line 1: no pair of frames in {tmp_path} starts with 'My%20Videos/IMG%2003'"
    )
    split.write_text("IMG%2001\n")
    assert error(tmp_path, str(split)).endswith("Did you mean My%20Videos/IMG%2001?")


def test_exclusions_name_ids(tmp_path: Path) -> None:
    write_names(tmp_path / "a", ["1.png", "2.png", "3.png"])
    exclude = tmp_path / "bad.txt"
    exclude.write_text("a/1\n")
    data = open_dataset("folder", str(tmp_path), "scan", "flow", False, exclude=str(exclude))
    assert list(data.entries) == [SplitEntry("a/2")]
    assert data.entries[0].frames == (f"{tmp_path}/a/2.png", f"{tmp_path}/a/3.png")


def test_relative_roots_work_from_wherever_they_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        write_names(
            tmp_path / name / "data", ["1.png", "2.png"] if name == "one" else ["1.png", "2.png", "3.png"]
        )
        monkeypatch.chdir(tmp_path / name)
        data = opened(Path("data"))
        assert len(data) == (1 if name == "one" else 2)
        assert data[0]["name"] == "1"


def test_a_file_that_goes_after_the_scan_is_missed_by_name(tmp_path: Path) -> None:
    write_names(tmp_path, ["a/1.png", "a/2.png", "b/1.png"])
    split = tmp_path / "list.txt"
    split.write_text("a/1.png a/2.png x\na/1.png b/2.png y\n")
    shutil.rmtree(tmp_path / "b")
    assert f"1 of 3 images that the flow view needs are missing:\n  {tmp_path}/b/2.png" in error(
        tmp_path, str(split)
    )
