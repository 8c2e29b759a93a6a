"""Reading split files: the grammar and the error messages."""

from pathlib import Path

import pytest

from flowdistill.data.splits import CAMERAS, SplitEntry, read_split
from flowdistill.errors import UserError


def split(folder: Path, text: str) -> Path:
    path = folder / "mine.txt"
    path.write_text(text)
    return path


def test_order_comments_and_options(tmp_path: Path) -> None:
    text = (
        "# rule\n\n000002_10\n  000001_03 camera=right  # why\nambush_2/frame_0001 camera=left\n000001_03\n"
        "000002_10 labels=proxy\n000004_00 labels=a/b camera=right\n"
    )
    assert read_split(split(tmp_path, text)) == [
        SplitEntry("000002_10"),
        SplitEntry("000001_03", "right"),
        SplitEntry("ambush_2/frame_0001"),
        SplitEntry("000001_03"),
        SplitEntry("000002_10", "left", "proxy"),
        SplitEntry("000004_00", "right", "a/b"),
    ]


def test_a_written_line_reads_as_the_same_entry(tmp_path: Path) -> None:
    entries = [
        SplitEntry("a/b_1", camera, labels) for camera in CAMERAS for labels in (None, "proxy", "x/y=z")
    ]
    text = "\n".join(entry.line for entry in entries)
    assert read_split(split(tmp_path, text)) == entries


def test_names_tell_the_cameras_apart() -> None:
    assert SplitEntry("000000_10").name == "000000_10"
    assert SplitEntry("000000_10", "right").name == "000000_10_right"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("000000_10 camera=middle", "'middle'"),
        ("000000_10 camera", "'camera' is not a valid option"),
        ("000000_10 colour=red", "'colour=red' is not a valid option"),
        ("000000_10 000001_10", "'000001_10' is not a valid option"),
        ("camera=left", "must start with the sample's id"),
        ("000000_10 camera=left camera=left", "camera= is given twice"),
        ("000000_10 labels=", "labels= has no folder"),
        ("000000_10 labels", "'labels' is not a valid option"),
        ("000000_10 labels=a labels=b", "labels= is given twice"),
    ],
)
def test_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = split(tmp_path, f"# rule\n000009_10\n{line}\n")
    with pytest.raises(UserError) as caught:
        read_split(path)
    assert f"{path}, line 3" in str(caught.value)
    assert said in str(caught.value)


def test_repeated_sample_names_both_lines(tmp_path: Path) -> None:
    path = split(tmp_path, "000000_10\n000001_10\n000000_10 camera=left\n")
    with pytest.raises(UserError, match=r"line 3: .* repeats line 1"):
        read_split(path)


@pytest.mark.parametrize("text", ["", "# only a rule\n\n"])
def test_empty_split_says_what_to_do(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"is empty.*flowdistill data splits --output"):
        read_split(split(tmp_path, text))


def test_missing_split_lists_what_is_there(tmp_path: Path) -> None:
    split(tmp_path, "a\n")
    (tmp_path / "b.txt").write_text("b\n")
    with pytest.raises(UserError, match=r"kitti_2000\.txt does not exist.*contains: b\.txt, mine\.txt"):
        read_split(tmp_path / "kitti_2000.txt")


def test_missing_split_in_missing_or_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist either.*data splits --output"):
        read_split(tmp_path / "nowhere" / "a.txt")
    with pytest.raises(UserError, match="contains no split files"):
        read_split(tmp_path / "a.txt")
    with pytest.raises(UserError, match="is a folder"):
        read_split(tmp_path)


def test_binary_file_is_no_split(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(UserError, match=r"a\.txt cannot be read as text"):
        read_split(path)
