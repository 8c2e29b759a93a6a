"""FlyingChairs' official split: from its text file, else from our copy."""

from pathlib import Path

import pytest

from flowdistill.data.chairs import ChairsDataset
from flowdistill.data.datasets import split_entries
from flowdistill.data.splits import read_split
from flowdistill.errors import UserError

COMMITTED = Path(__file__).parents[2] / "data_splits"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "FlyingChairs_release" / "data").mkdir(parents=True)
    return tmp_path


def ids(root: Path, word: str) -> list[str]:
    return [entry.id for entry in split_entries(ChairsDataset, str(root), word, {})]


@pytest.mark.parametrize("part", ["train", "val"])
def test_without_the_file_it_is_the_committed_split(
    root: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ids(root, f"official:{part}") == [
        entry.id for entry in read_split(COMMITTED / f"chairs_{part}.txt")
    ]
    assert (
        f"as in data_splits/chairs_{part}.txt (there is no FlyingChairs_train_val.txt"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("folder", [".", "FlyingChairs_release"])
def test_the_file_decides_where_it_lies(root: Path, folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / folder / "FlyingChairs_train_val.txt"
    path.write_text("1\n2\n1\n1\n2\n")
    assert ids(root, "official:train") == ["00001", "00003", "00004"]
    assert ids(root, "official:val") == ["00002", "00005"]
    assert f"2 pairs from {path}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\n3\n", "line 2: expected 1 .training. or 2 .validation., found '3'"),
        ("1\n1\n", "has no pair for val"),
    ],
)
def test_a_wrong_file_is_an_error(root: Path, text: str, said: str) -> None:
    (root / "FlyingChairs_train_val.txt").write_text(text)
    with pytest.raises(UserError, match=f"FlyingChairs_train_val.txt.*{said}"):
        ids(root, "official:val")


def test_scan_takes_whole_pairs(root: Path) -> None:
    for name in ("00001_img1.ppm", "00001_img2.ppm", "00002_img1.ppm", "00003_img2.ppm", "x.txt"):
        (root / "FlyingChairs_release" / "data" / name).touch()
    assert ids(root, "scan") == ["00001"]
    assert ids(root / "FlyingChairs_release", "scan") == ["00001"]
