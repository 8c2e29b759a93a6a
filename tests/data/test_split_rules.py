"""The committed splits are what the rules say, and the rules say what the papers did."""

import argparse
from pathlib import Path

import pytest

from flowdistill.cli import data_splits
from flowdistill.data.split_rules import write_splits
from flowdistill.data.splits import SplitEntry, read_split
from flowdistill.errors import UserError

COMMITTED = Path(__file__).parents[2] / "data_splits"


def test_committed_files_are_the_rules_output(tmp_path: Path) -> None:
    written = {path.name: path.read_bytes() for path in write_splits(tmp_path)}
    committed = {path.name: path.read_bytes() for path in COMMITTED.glob("*.txt")}
    assert committed == written


def test_each_file_states_its_rule_first() -> None:
    for path in COMMITTED.glob("*.txt"):
        assert path.read_text().startswith(f"# {path.stem}: ")


def test_counts() -> None:
    counts = {path.stem: len(read_split(path)) for path in COMMITTED.glob("*.txt")}
    assert counts == {
        "kitti_200": 200,
        "kitti_160": 160,
        "kitti_40": 40,
        "kitti_multiview_ddflow": 6000,
        "rendered_train": 480,
        "rendered_val": 32,
    }


def test_kitti_40_is_the_rest_of_kitti_160() -> None:
    parts = [*read_split(COMMITTED / "kitti_160.txt"), *read_split(COMMITTED / "kitti_40.txt")]
    assert parts == read_split(COMMITTED / "kitti_200.txt")
    assert parts == [SplitEntry(f"{sequence:06d}_10") for sequence in range(200)]


def test_ddflow_pairs_keep_away_from_ground_truth() -> None:
    entries = read_split(COMMITTED / "kitti_multiview_ddflow.txt")
    touched = {int(entry.id[-2:]) + offset for entry in entries for offset in (0, 1)}
    assert touched == {*range(9), *range(13, 21)}
    assert {entry.id[:6] for entry in entries} == {f"{sequence:06d}" for sequence in range(200)}
    assert sum(entry.camera == "right" for entry in entries) == 3000


def test_rendered_scenes_are_disjoint() -> None:
    train, val = (
        {entry.id.split("_")[0] for entry in read_split(COMMITTED / f"rendered_{part}.txt")}
        for part in ("train", "val")
    )
    assert not train & val
    assert len(train | val) == 256


def test_command_writes_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    data_splits.add_parser(parser.add_subparsers())
    args = parser.parse_args(["splits", "--output", str(tmp_path / "new")])
    assert args.run(args) == 0
    assert (tmp_path / "new" / "kitti_40.txt").read_bytes() == (COMMITTED / "kitti_40.txt").read_bytes()
    assert "kitti_multiview_ddflow.txt: 6000 samples" in capsys.readouterr().out


def test_unwritable_folder_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written to .*file"):
        write_splits(tmp_path / "file")
