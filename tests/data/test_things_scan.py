"""Splits by scanning FlyingThings3D: the pairs, and the cache, which is valid until the tree changes."""

import json
import os
import time
from pathlib import Path

import pytest

from flowdistill.data.datasets import DATASETS, split_entries
from flowdistill.errors import UserError


def things(root: Path, part: str = "TRAIN", sequence: str = "A/0000", frames: range = range(6, 16)) -> Path:
    """Empty images: a scan only uses names."""
    folder = root / "frames_cleanpass" / part / sequence / "left"
    folder.mkdir(parents=True)
    for frame in frames:
        (folder / f"{frame:04d}.png").touch()
    return folder


def ids(root: Path, word: str = "scan", dataset: str = "things", **options: str) -> list[str]:
    chosen = DATASETS[dataset].chosen_options(options)
    return [entry.id for entry in split_entries(DATASETS[dataset], str(root), word, chosen)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "flowdistill"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def test_parts_letters_and_sequences_in_order(root: Path) -> None:
    things(root, "TEST", "C/0001", range(6, 8))
    things(root, "TRAIN", "B/0000", range(6, 9))
    things(root, "TRAIN", "A/0012", range(6, 8))
    train = ["TRAIN/A/0012/0006", "TRAIN/B/0000/0006", "TRAIN/B/0000/0007"]
    assert ids(root) == [*train, "TEST/C/0001/0006"]
    assert ids(root, "scan:TRAIN") == train
    assert ids(root, "scan:TEST") == ["TEST/C/0001/0006"]


def test_other_files_are_no_pairs_and_a_gap_stays_a_pair(root: Path) -> None:
    folder = things(root, frames=range(6, 9))
    (folder / "0007.png").unlink()
    for name in ("0009.png", "0010.jpg", "Thumbs.db", "00011.png"):
        (folder / name).touch()
    (root / "frames_cleanpass" / "TRAIN" / ".DS_Store").touch()
    assert ids(root) == [f"TRAIN/A/0000/{frame:04d}" for frame in (6, 7, 8)]


def test_pairs_that_touch_an_unused_frame_are_left_out(root: Path) -> None:
    things(root)
    things(root, sequence="B/0003", frames=range(6, 9))
    lines = ["TRAIN/A/0000/left/0008.png", "TRAIN/A/0000/right/0013.png", "TEST/B/0003/left/0007.png", ""]
    (root / "all_unused_files.txt").write_text("\n".join(lines))
    left = [6, 9, 10, 11, 14]
    assert ids(root) == [
        *(f"TRAIN/A/0000/{frame:04d}" for frame in left),
        "TRAIN/B/0003/0006",
        "TRAIN/B/0003/0007",
    ]


def test_a_list_of_unused_files_that_names_none_is_an_error(root: Path) -> None:
    things(root)
    (root / "all_unused_files.txt").write_text("<html>404</html>\n")
    with pytest.raises(UserError, match=r"all_unused_files\.txt: no line has the form.*'<html>404</html>'"):
        ids(root)


def test_a_scan_is_kept_in_the_root_and_used_again(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    things(root)
    first = ids(root)
    kept = root / ".flowdistill" / "things-clean.json"
    assert f"9 pairs in {root}, scanned now, cached in {kept}" in capsys.readouterr().err
    stored = json.loads(kept.read_text())
    stored["ids"].append("TRAIN/A/0000/9998")  # shows that the cache is read
    kept.write_text(json.dumps(stored))
    assert ids(root) == [*first, "TRAIN/A/0000/9998"]
    assert "as scanned before" in capsys.readouterr().err


def test_every_change_of_the_tree_is_noticed(root: Path) -> None:
    folder = things(root)
    assert len(ids(root)) == 9
    changes = [
        (lambda: (folder / "0016.png").touch(), 10),
        (lambda: (folder / "0016.png").unlink(), 9),
        (lambda: things(root, sequence="A/0001", frames=range(6, 8)), 10),
        (lambda: things(root, sequence="C/0000", frames=range(6, 8)), 11),
        (lambda: things(root, part="TEST", frames=range(6, 8)), 12),
        (lambda: (root / "all_unused_files.txt").write_text("TRAIN/A/0001/left/0006.png\n"), 11),
        (lambda: (root / "all_unused_files.txt").unlink(), 12),
    ]
    for change, count in changes:
        time.sleep(0.02)  # the file system's clock ticks some hundred times a second
        change()
        assert len(ids(root)) == count


def test_where_the_root_cannot_be_written_the_users_cache_serves(
    root: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    things(root)
    (root / ".flowdistill").write_text("a file, so no folder can be made here")
    first = ids(root)
    (kept,) = cache.glob("*-things-clean.json")
    assert f" cached in {kept}" in capsys.readouterr().err
    assert ids(root) == first
    assert f"as scanned before ({kept})" in capsys.readouterr().err
    other = root.parent / "other"
    things(other, frames=range(6, 8))
    (other / ".flowdistill").write_text("")
    assert len(ids(other)) == 1  # another root has another cache
    assert len(list(cache.iterdir())) == 2


def test_without_any_place_to_write_it_still_works(
    root: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    things(root)
    (root / ".flowdistill").write_text("")
    cache.parent.write_text("")
    assert len(ids(root)) == 9
    assert "not cached" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 0}', '{"version": 1, "stamps": [], "ids": []}']
)
def test_a_broken_cache_is_made_anew(root: Path, content: str) -> None:
    things(root)
    kept = root / ".flowdistill" / "things-clean.json"
    kept.parent.mkdir()
    kept.write_text(content)
    assert len(ids(root)) == 9
    assert len(json.loads(kept.read_text())["ids"]) == 9


def test_passes_have_caches_of_their_own(root: Path) -> None:
    things(root)
    final = root / "frames_finalpass" / "TRAIN" / "A" / "0000" / "left"
    final.mkdir(parents=True)
    for frame in (6, 7):
        (final / f"{frame:04d}.png").touch()
    assert len(ids(root)) == 9
    assert ids(root, render_pass="final") == ["TRAIN/A/0000/0006"]


def test_the_subset_has_a_pair_where_its_flow_file_is(root: Path) -> None:
    for part, frames in (("train", (0, 1, 7)), ("val", (3,))):
        folder = root / part / "flow" / "left" / "into_future"
        folder.mkdir(parents=True)
        (root / part / "image_clean").mkdir()
        for frame in frames:
            (folder / f"{frame:07d}.flo").touch()
        (folder / "readme.txt").touch()
    assert ids(root, "scan:train", "things_subset") == ["train/0000000", "train/0000001", "train/0000007"]
    assert ids(root, "scan:val", "things_subset") == ["val/0000003"]
    time.sleep(0.02)
    (root / "val" / "flow" / "left" / "into_future" / "0000004.flo").touch()
    assert ids(root, "scan:val", "things_subset") == ["val/0000003", "val/0000004"]


def test_an_empty_part_is_an_error_and_not_kept(root: Path) -> None:
    (root / "frames_cleanpass" / "TRAIN").mkdir(parents=True)
    with pytest.raises(UserError, match=r"frames_cleanpass/TEST contains no pair.*no such folder"):
        ids(root, "scan:TEST")
    assert not os.path.exists(root / ".flowdistill")
