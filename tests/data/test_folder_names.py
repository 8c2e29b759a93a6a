"""Names of one folder: grouping into sequences, and their order."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdistill.data.folder_names import Gap, gaps, natural_key, same_stem, sequences
from flowdistill.data.frame_ids import frame_id

CASES: dict[str, list[list[str]]] = {
    "kitti": [["000000_00.png", "000000_01.png"], ["000001_00.png", "000001_01.png"]],
    "kitti, frame 10 of each": [["000000_10.png"], ["000001_10.png"]],
    "past 99": [["000000_98.png", "000000_99.png", "000000_100.png"]],
    "no padding": [["frame2.png", "frame10.png", "frame100.png"]],
    "mixed suffixes": [["f1.png", "f2.PNG", "f3.jpg", "f4.Jpeg", "f5.tif"]],
    "ffmpeg": [["frame_00001.png", "frame_00002.png"]],
    "two cameras": [["left0001.png", "left0002.png"], ["right0001.png", "right0002.png"]],
    "camera behind": [["0001_left.png", "0002_left.png"], ["0001_right.png", "0002_right.png"]],
    "no number": [["a.png", "B.png", "c.png"]],
    "a phone over midnight": [["IMG_20201231_235959.jpg", "IMG_20210101_000000.jpg"]],
    "a phone with milliseconds": [["PXL_20210101_123456789.jpg", "PXL_20210101_123457001.jpg"]],
    "bursts": [
        ["20210101_123456_001.jpg", "20210101_123456_002.jpg"],
        ["20210101_130000_001.jpg", "20210101_130000_002.jpg"],
    ],
    "screen shots": [["Shot 2021-01-01 at 12.34.59.png", "Shot 2021-01-01 at 12.35.00.png"]],
    "seconds since 1970": [["1305031102.175304.png", "1305031102.211214.png", "1305031103.2.png"]],
    "no day of the calendar": [["20210230_000001.png", "20210230_000002.png"], ["20210231_000001.png"]],
    "shots of a film": [["sh1.0001.png", "sh1.0002.png"], ["sh2.0001.png"]],
    "the same version in each": [["frame0001_v2.png", "frame0002_v2.png"]],
    "numbers of seventeen digits": [["14036365797635555.png", "140363657976355558.png"]],
}


@pytest.mark.parametrize("case", CASES)
def test_names_people_have(case: str) -> None:
    names = [name for sequence in CASES[case] for name in sequence]
    random.Random(0).shuffle(names)
    assert sequences(names) == CASES[case]


words = st.text("ab_-. 0129", min_size=1, max_size=8)


@given(st.sets(words, max_size=12))
def test_every_name_is_in_one_sequence_whatever_the_order(stems: set[str]) -> None:
    names = [f"{stem}x.png" for stem in stems]
    found = sequences(names)
    assert sorted(name for sequence in found for name in sequence) == sorted(names)
    assert sequences(reversed(names)) == found


@given(
    st.text("ab_-", max_size=5).filter(lambda text: not text[-1:].isdigit()),
    st.sets(st.integers(0, 2000), min_size=1, max_size=20),
    st.integers(1, 6),
)
def test_numbered_frames_come_in_the_order_of_their_numbers(
    prefix: str, numbers: set[int], digits: int
) -> None:
    names = [f"{prefix}{number:0{digits}d}.png" for number in sorted(numbers)]
    assert sequences(reversed(names)) == [names]


@given(st.lists(words, min_size=2, max_size=2, unique=True))
def test_different_names_have_different_keys(pair: list[str]) -> None:
    assert natural_key(pair[0]) != natural_key(pair[1])


def test_gaps() -> None:
    frames = ["f_00.png", "f_01.png", "f_03.png", "f_04.png", "f_09.png"]
    assert gaps(frames) == [Gap("f_01.png", "f_03.png"), Gap("f_04.png", "f_09.png")]
    assert gaps(["f_00.png", "f_02.png", "f_03.png"]) == [Gap("f_00.png", "f_02.png")]
    every_second = [f"f_{number:03d}.png" for number in range(1, 100, 2)]
    assert gaps(every_second) == []
    assert gaps([*every_second[:5], *every_second[6:]]) == [Gap("f_009.png", "f_013.png")]
    uneven = [f"{second:.3f}.png" for second in (1305031102.0, 1305031102.033, 1305031102.067, 1305031102.1)]
    assert gaps(uneven) == []
    minute = [f"2021-01-31_23-59-{second}.png" for second in range(50, 60)]
    assert gaps([*minute, "2021-02-01_00-00-00.png", "2021-02-01_00-00-01.png"]) == []
    assert gaps(["a.png", "b.png", "z.png"]) == []
    assert gaps(["f.png"]) == []


def test_two_files_of_one_name() -> None:
    assert same_stem(["2.png", "1.jpg", "1.png"]) == ("1.jpg", "1.png")
    assert same_stem(["1.png", "2.png", "01.png"]) is None


def test_ids_are_words_that_files_can_have_as_names() -> None:
    assert frame_id("walk/frame_0001") == "walk/frame_0001"
    assert frame_id("My Videos/IMG 01") == "My%20Videos/IMG%2001"
    assert frame_id("50% = #1") == "50%25%20%3D%20%231"
    assert frame_id("Mönchsee/ü") == "Mönchsee/ü"
    assert frame_id("0001_right") == "0001%5Fright"  # `_right` is the right camera's mark
    assert frame_id("a\u00a0b\tc") == "a%C2%A0b%09c"
    assert frame_id("latin-\udcfc") == "latin-%FC"  # a byte that is not UTF-8, as Python decodes such names


@given(st.lists(st.text("a %=#_rightü\t\u2003", max_size=12), min_size=2, max_size=2, unique=True))
def test_ids_are_different_for_different_paths(paths: list[str]) -> None:
    ids = [frame_id(path) for path in paths]
    assert ids[0] != ids[1]
    for id_ in ids:
        assert not set("#=") & set(id_)
        assert len(id_.split()) <= 1
        assert not id_.endswith("_right")
