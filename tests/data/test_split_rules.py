"""The committed splits match the rules, and the rules match the papers."""

import argparse
from pathlib import Path

import pytest

from flowdistill.cli import data_sets
from flowdistill.data.split_rules import write_splits
from flowdistill.data.splits import SplitEntry, read_split
from flowdistill.errors import UserError

CHAIRS_VALIDATION_SUM = 3_915_653  # of the 640 ids of the official list
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
        "kitti_multiview": 4000,
        "kitti_multiview_partial": 3200,
        "kitti_mixed": 3200,
        "kitti_multiview_ddflow": 6000,
        "kitti2012_194": 194,
        "kitti2012_195": 195,
        "kitti2012_multiview_ddflow": 5820,
        "sintel_all": 2082,
        "sintel_train": 1632,
        "sintel_val": 450,
        "chairs_train": 22232,
        "chairs_val": 640,
        "rendered_train": 480,
        "rendered_val": 32,
        "rendered_long_train": 1984,
        "rendered_long_val": 64,
        "rendered_gt": 24,
        "rendered_px": 480,
        "rendered_gt_px": 480,
    }


def test_kitti_40_is_the_rest_of_kitti_160() -> None:
    parts = [*read_split(COMMITTED / "kitti_160.txt"), *read_split(COMMITTED / "kitti_40.txt")]
    assert parts == read_split(COMMITTED / "kitti_200.txt")
    assert parts == [SplitEntry(f"{sequence:06d}_10") for sequence in range(200)]


@pytest.mark.parametrize(
    ("name", "sequences"), [("kitti_multiview_ddflow", 200), ("kitti2012_multiview_ddflow", 194)]
)
def test_ddflow_pairs_keep_away_from_ground_truth(name: str, sequences: int) -> None:
    entries = read_split(COMMITTED / f"{name}.txt")
    touched = {int(entry.id[-2:]) + offset for entry in entries for offset in (0, 1)}
    assert touched == {*range(9), *range(13, 21)}
    assert {entry.id[:6] for entry in entries} == {f"{sequence:06d}" for sequence in range(sequences)}
    assert sum(entry.camera == "right" for entry in entries) == len(entries) / 2
    assert {entry.labels for entry in entries} == {None}


def test_splits_with_proxy_labels() -> None:
    whole, part, mixed = (
        read_split(COMMITTED / f"kitti_{name}.txt") for name in ("multiview", "multiview_partial", "mixed")
    )
    assert whole == [SplitEntry(f"{s:06d}_{f:02d}", "left", "proxy") for s in range(200) for f in range(20)]
    assert part == whole[:3200]
    true = [entry for entry in mixed if entry.labels is None]
    assert true == read_split(COMMITTED / "kitti_160.txt")
    assert [SplitEntry(entry.id, entry.camera, "proxy") for entry in mixed] == part
    held_out = {entry.id[:6] for entry in read_split(COMMITTED / "kitti_40.txt")}
    assert not held_out & {entry.id[:6] for entry in part}


def test_sintel_holds_every_pair_of_23_scenes_in_both_passes() -> None:
    """Frames of each scene as in the benchmark: 50, except for four scenes; 1,064 frames, 1,041 pairs."""
    ids = [entry.id.split("/") for entry in read_split(COMMITTED / "sintel_all.txt")]
    lengths = {"ambush_2": 21, "ambush_4": 33, "ambush_6": 20, "market_6": 40}
    scenes = {scene for _, scene, _ in ids}
    assert len(scenes) == 23
    for render_pass in ("clean", "final"):
        frames = [(scene, frame) for found, scene, frame in ids if found == render_pass]
        assert len(frames) == 1041
        for scene in scenes:
            expected = [f"frame_{number:04d}" for number in range(1, lengths.get(scene, 50))]
            assert [frame for found, frame in frames if found == scene] == expected


def test_sintel_val_is_six_scenes_and_train_the_rest() -> None:
    whole, train, val = (read_split(COMMITTED / f"sintel_{part}.txt") for part in ("all", "train", "val"))
    assert sorted(entry.id for entry in train + val) == sorted(entry.id for entry in whole)
    scenes = {entry.id.split("/")[1] for entry in val}
    assert scenes == {"ambush_2", "ambush_6", "bamboo_2", "cave_4", "market_6", "temple_2"}


def test_chairs_are_parted_without_a_rest() -> None:
    train, val = (read_split(COMMITTED / f"chairs_{part}.txt") for part in ("train", "val"))
    numbers = sorted(int(entry.id) for entry in train + val)
    assert numbers == list(range(1, 22873))
    # First, last, and the longest run of the official list.
    assert {6, 18, 4318, 4319, 4320, 4321, 22867} <= {int(entry.id) for entry in val}
    assert sum(int(entry.id) for entry in val) == CHAIRS_VALIDATION_SUM


@pytest.mark.parametrize(("prefix", "scenes"), [("rendered", 256), ("rendered_long", 1024)])
def test_rendered_scenes_are_disjoint(prefix: str, scenes: int) -> None:
    train, val = (
        {entry.id.split("_")[0] for entry in read_split(COMMITTED / f"{prefix}_{part}.txt")}
        for part in ("train", "val")
    )
    assert not train & val
    assert len(train | val) == scenes


def test_rendered_supervisions_are_built_as_those_of_kitti() -> None:
    """5 % have ground truth, as 160 of KITTI's 3,200; the mixed split is the proxy split with these lines replaced."""
    gt, px, mixed = (read_split(COMMITTED / f"rendered_{name}.txt") for name in ("gt", "px", "gt_px"))
    assert [entry for entry in mixed if entry.labels is None] == gt
    assert [SplitEntry(entry.id, entry.camera, "proxy") for entry in mixed] == px
    assert [entry.id for entry in px] == [entry.id for entry in read_split(COMMITTED / "rendered_train.txt")]
    assert len(gt) / len(px) == len(read_split(COMMITTED / "kitti_160.txt")) / 3200 == 0.05
    assert {int(entry.id[:6]) for entry in gt} == set(range(0, 240, 10))


def test_command_writes_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    data_sets.add_parser(parser.add_subparsers())
    args = parser.parse_args(["splits", "--output", str(tmp_path / "new")])
    assert args.run(args) == 0
    assert (tmp_path / "new" / "kitti_40.txt").read_bytes() == (COMMITTED / "kitti_40.txt").read_bytes()
    assert "kitti_multiview_ddflow.txt: 6000 samples" in capsys.readouterr().out


def test_unwritable_folder_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written to .*file"):
        write_splits(tmp_path / "file")
