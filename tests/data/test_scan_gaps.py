"""A scan does not drop a missing frame within a video: it stays in the split and is reported by name."""

from pathlib import Path

import pytest

from flowdistill.data.sintel import SintelDataset
from flowdistill.data.things import ThingsDataset
from flowdistill.data.tree import without_gaps
from flowdistill.errors import UserError


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def things(root: Path) -> list[str]:
    entries = ThingsDataset.named_split("scan", str(root), ThingsDataset.chosen_options({}))
    return [entry.id for entry in entries]


def sintel(root: Path) -> list[str]:
    entries = SintelDataset.named_split("scan", str(root), SintelDataset.chosen_options({}))
    return [entry.id for entry in entries]


@pytest.fixture
def things_frames(tmp_path: Path) -> dict[tuple[str, int], Path]:
    folder = tmp_path / "frames_cleanpass/TRAIN/A/0000"
    return {(c, n): touch(folder / c / f"{n:04d}.png") for c in ("left", "right") for n in range(6, 10)}


@pytest.mark.parametrize("gone", [("left", 7), ("left", 9), ("right", 8)])
def test_things_keep_a_frame_that_one_camera_lost(
    tmp_path: Path, things_frames: dict[tuple[str, int], Path], gone: tuple[str, int]
) -> None:
    things_frames[gone].unlink()
    assert things(tmp_path) == [f"TRAIN/A/0000/{frame:04d}" for frame in (6, 7, 8)]
    if gone[0] == "left":
        options = ThingsDataset.chosen_options({})
        entries = ThingsDataset.named_split("scan", str(tmp_path), options)
        with pytest.raises(UserError, match=f"{gone[0]}/{gone[1]:04d}.png"):
            ThingsDataset(tmp_path, entries, "flow", labels=False, options=options)


def test_things_keep_a_frame_that_both_cameras_lost(
    tmp_path: Path, things_frames: dict[tuple[str, int], Path]
) -> None:
    for camera in ("left", "right"):
        things_frames[camera, 7].unlink()
    assert things(tmp_path) == [f"TRAIN/A/0000/{frame:04d}" for frame in (6, 7, 8)]


def test_unused_frames_of_things_stay_out(tmp_path: Path, things_frames: dict[tuple[str, int], Path]) -> None:
    (tmp_path / "all_unused_files.txt").write_text("TRAIN/A/0000/left/0007.png\n")
    assert things(tmp_path) == ["TRAIN/A/0000/0008"]


@pytest.mark.parametrize("gone", ["clean/one/frame_0002.png", "final/one/frame_0003.png"])
def test_sintel_keeps_a_frame_that_one_pass_lost(tmp_path: Path, gone: str) -> None:
    for render_pass in ("clean", "final"):
        for frame in range(1, 4):
            touch(tmp_path / f"training/{render_pass}/one/frame_{frame:04d}.png")
    (tmp_path / "training" / gone).unlink()
    assert sintel(tmp_path) == [f"{p}/one/frame_{n:04d}" for p in ("clean", "final") for n in (1, 2)]


def test_gaps_are_filled_and_nothing_else() -> None:
    assert without_gaps([]) == set()
    assert without_gaps([5]) == {5}
    assert without_gaps([16, 19, 18]) == {16, 17, 18, 19}
