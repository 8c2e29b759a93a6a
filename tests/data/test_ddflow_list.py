"""DDFlow's own lists as splits: first image, second image, name."""

from pathlib import Path

import pytest
from own_frames import write_names

from flowdistill.data import open_dataset
from flowdistill.data.dataset import MotionDataset
from flowdistill.errors import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    names = [f"image_{camera}/000000_{frame:02d}.png" for camera in (2, 3) for frame in range(3)]
    write_names(tmp_path, names, (16, 24))
    return tmp_path


def opened(root: Path, text: str, view: str = "flow", **options: str) -> MotionDataset:
    split = root / "train_raw_2015_with_id.txt"
    split.write_text(text)
    return open_dataset(
        "folder", str(root), str(split), "scene_flow" if view != "flow" else "flow", False, options
    )


def wrong_line(root: Path, text: str) -> str:
    with pytest.raises(UserError) as caught:
        opened(root, text)
    return str(caught.value)


def test_the_lists_that_come_with_ddflow(root: Path) -> None:
    """The first lines of dataset/KITTI/train_raw_2015_with_id.txt, the second with another successor."""
    data = opened(
        root,
        "image_2/000000_00.png image_2/000000_01.png 000000\nimage_3/000000_00.png image_3/000000_02.png 000001\n\n",
    )
    assert [data[index]["name"] for index in range(2)] == ["000000", "000001"]
    assert [[file.path for file in data.files(index)] for index in range(2)] == [
        [f"{root}/image_2/000000_00.png", f"{root}/image_2/000000_01.png"],
        [f"{root}/image_3/000000_00.png", f"{root}/image_3/000000_02.png"],
    ]
    assert set(data.keys) == {"left_t0", "left_t1"}


def test_ids_lines_and_options_may_mix(root: Path) -> None:
    data = opened(
        root,
        "image_3/000000_01\nimage_2/000000_02.png image_2/000000_00.png clip/back  # in time\n",
        left="image_3",
    )
    assert [entry.id for entry in data.entries] == ["image_3/000000_01", "clip/back"]
    assert data.files(1)[1].path == f"{root}/image_2/000000_00.png"


def test_the_right_frames_of_listed_images(root: Path) -> None:
    data = opened(
        root, "image_2/000000_00.png image_2/000000_02.png a\n", "scene_flow", left="image_2", right="image_3"
    )
    assert {file.key: Path(file.path).relative_to(root).as_posix() for file in data.files(0)} == {
        "left_t0": "image_2/000000_00.png",
        "left_t1": "image_2/000000_02.png",
        "right_t0": "image_3/000000_00.png",
        "right_t1": "image_3/000000_02.png",
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "image_2/000000_00.png image_2/000000_01.png",
            "a line is an id, or first image, second image and name",
        ),
        ("a.png b.png ../../etc/x", "must be a relative path without `..`"),
        ("a.png b.png /etc/x", "must be a relative path without `..`"),
        ("a.png b.png a\nc.png d.png a", "'c.png d.png a' repeats line 1"),
        ("a.png b.png a size=3", "'size=3' is not a valid option"),
        ("a.png labels=proxy b", "'b' is not a valid option"),
    ],
)
def test_wrong_lines_are_named(line: str, words: str, root: Path) -> None:
    text = wrong_line(root, line)
    assert words in text
    assert f"train_raw_2015_with_id.txt, line {1 + line.count(chr(10))}: " in text


def test_a_listed_image_that_is_not_there(root: Path) -> None:
    assert f"{root}/image_2/000000_99.png" in wrong_line(
        root, "image_2/000000_00.png image_2/000000_99.png x"
    )
