"""FlyingThings3D's subset: which frames are consecutive, if the flow of a scene's last frame also exists."""

import shutil
import time
from pathlib import Path

import pytest

from flowdistill.check.collect import collect
from flowdistill.check.examine import Examiner
from flowdistill.check.plan import plan_check
from flowdistill.data import MotionDataModule, View
from flowdistill.data.dataset import ViewName
from flowdistill.data.datasets import open_dataset
from flowdistill.errors import UserError
from flowdistill.render.writer import Request, write_dataset

FUTURE, PAST = "train/flow/left/into_future", "train/flow/left/into_past"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train: scenes of frames 0-2, 3-5, ..., 24-26, val: one. Pairs of scene i are 3i and 3i + 1."""
    folder = tmp_path_factory.mktemp("subset") / "tree"
    write_dataset(folder, "things_subset", Request(seed=0, scenes=10, frames=3, size=(32, 32)))
    return folder


@pytest.fixture
def tree(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "tree", copy_function=shutil.copy))


def label_scene_end(tree: Path, frame: int) -> None:
    """Give the last frame of a scene every label that the frame before it has."""
    for file in [*tree.rglob(f"into_future/{frame - 1:07d}.*"), *tree.rglob(f"left/{frame - 1:07d}.pfm")]:
        shutil.copy(file, file.with_stem(f"{frame:07d}"))


def frames(
    tree: Path, view: ViewName = "flow", split: str = "scan:train", render_pass: str = "clean"
) -> list[int]:
    dataset = open_dataset("things_subset", str(tree), split, view, True, {"render_pass": render_pass})
    assert len(dataset[len(dataset) - 1]["name"]) == 13  # and it can be read
    return [int(entry.id[-7:]) for entry in dataset.entries]


ALL = [frame for frame in range(27) if frame % 3 < 2]


@pytest.mark.parametrize("ends", [(2,), (2, 5, 20), tuple(range(2, 27, 3))])
def test_no_pair_leads_across_a_scenes_end(
    tree: Path, ends: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for end in ends:
        label_scene_end(tree, end)
    for _ in range(2):  # scanned, and then from the cache
        assert frames(tree) == ALL
        said = capsys.readouterr().err
        assert f"{len(ends)} of {18 + len(ends)} pairs left out (train/0000002" in said
        assert f"{PAST} has no 0000003.flo" in said
    assert frames(tree, "scene_flow") == ALL


def test_without_flow_into_the_past_the_pair_is_there_for_the_check_to_see(tree: Path) -> None:
    label_scene_end(tree, 2)
    label_scene_end(tree, 26)
    for folder in [tree / PAST, tree / "train/flow_occlusions/left/into_past"]:
        shutil.rmtree(folder)
    assert frames(tree) == sorted([*ALL, 2])


@pytest.mark.parametrize("kept", [range(12), range(0, 27, 2), range(0)])
def test_a_folder_that_is_half_unpacked_thins_nothing(tree: Path, kept: range) -> None:
    for file in (tree / PAST).iterdir():
        if int(file.stem) not in kept:
            file.unlink()
    with pytest.raises(UserError) as caught:
        frames(tree)
    assert f"{tree / PAST} is incomplete: " in str(caught.value)
    assert "of 18 pairs have no file there" in str(caught.value)
    assert "move it away" in str(caught.value)
    shutil.rmtree(tree / PAST)
    shutil.rmtree(tree / "train/flow_occlusions/left/into_past")
    assert frames(tree) == ALL


def test_flow_into_the_future_that_is_half_unpacked_thins_nothing(tree: Path) -> None:
    for frame in range(10, 25):
        (tree / FUTURE / f"{frame:07d}.flo").unlink(missing_ok=True)
    with pytest.raises(UserError, match="into_future is incomplete: 10 of 18 pairs"):
        frames(tree)


def test_many_in_a_row_are_no_scenes_ends(tmp_path: Path) -> None:
    """9 of 200: a plausible share for scene ends."""
    for folder, numbers in ((FUTURE, range(200)), (PAST, [*range(1, 100), *range(109, 201)])):
        (tmp_path / folder).mkdir(parents=True)
        for number in numbers:
            (tmp_path / folder / f"{number:07d}.flo").touch()
    (tmp_path / "train/image_clean/left").mkdir(parents=True)
    with pytest.raises(UserError, match="9 of 200 pairs have no file there, 9 of them in a row"):
        open_dataset("things_subset", str(tmp_path), "scan:train", "flow", False)


@pytest.mark.parametrize(
    ("gone", "view", "lost"),
    [
        ("image_clean/left/0000004.png", "flow", {3, 4}),
        ("image_clean/right/0000004.png", "flow", set()),
        ("image_clean/right/0000004.png", "scene_flow", {3, 4}),
        ("image_clean/left/0000000.png", "scene_flow", {0}),
        ("image_final/left/0000004.png", "flow", set()),
    ],
)
def test_a_pair_has_both_pictures_of_the_pass_and_the_view(
    tree: Path, gone: str, view: ViewName, lost: set[int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "train" / gone).unlink()
    assert frames(tree, view) == [frame for frame in ALL if frame not in lost]
    assert (f"has no {Path(gone).name}" in capsys.readouterr().err) == bool(lost)


def test_most_pictures_missing_is_no_scenes_end(tree: Path) -> None:
    shutil.rmtree(tree / "train/image_clean/right")
    with pytest.raises(UserError, match="image_clean/right is incomplete: 18 of 18 pairs"):
        frames(tree, "scene_flow")


def test_the_check_names_a_picture_that_the_scan_leaves_out(tree: Path) -> None:
    gone = tree / "train/image_clean/left/0000004.png"
    gone.unlink()
    module = MotionDataModule("things_subset", str(tree), flow=View(train_split="scan:train"))
    plan = plan_check(module)
    problems = collect(plan, [Examiner(True)(job) for job in plan.jobs])
    assert {(problem.sample, problem.file, problem.kind) for problem in problems} == {
        (f"train/000000{frame}", str(gone), "missing") for frame in (3, 4)
    }


def test_every_folder_that_decides_is_looked_at_again(tree: Path, tmp_path: Path) -> None:
    past = tree / PAST
    label_scene_end(tree, 2)
    changes = [
        (lambda: past.rename(tmp_path / "aside"), sorted([*ALL, 2])),
        (lambda: (tmp_path / "aside").rename(past), ALL),
        (lambda: (past / "0000001.flo").rename(tmp_path / "1.flo"), ALL[1:]),
        (lambda: (tmp_path / "1.flo").rename(past / "0000001.flo"), ALL),
        (lambda: (tree / "train/image_clean/left/0000000.png").unlink(), ALL[1:]),
    ]
    assert frames(tree) == ALL
    masks = tree / "train/flow_occlusions/left/into_past"
    shutil.rmtree(masks)
    for change, expected in changes:
        time.sleep(0.02)  # the file system's clock ticks some hundred times a second
        change()
        assert frames(tree) == expected
    assert frames(tree, render_pass="final") == ALL  # the other pass has its pictures


def test_a_line_of_a_split_file_is_named(tree: Path, tmp_path: Path) -> None:
    label_scene_end(tree, 2)
    split = tmp_path / "mine.txt"
    split.write_text("# mine\ntrain/0000000\ntrain/0000002\ntrain/0000005\n")
    for labels in (True, False):
        with pytest.raises(UserError) as caught:
            open_dataset("things_subset", str(tree), str(split), "flow", labels)
        text = str(caught.value)
        assert text.startswith(
            f"{split}, line 3: train/0000002 is not a pair of frames: {PAST} has no 0000003.flo"
        )
        assert text.endswith("This affects 2 of 3 lines.")
    exclude = tmp_path / "exclude.txt"
    exclude.write_text("train/0000002\ntrain/0000005\n")
    dataset = open_dataset("things_subset", str(tree), str(split), "flow", True, exclude=str(exclude))
    assert [entry.id for entry in dataset.entries] == ["train/0000000"]


def test_the_check_lists_such_lines_for_exclusion(tree: Path, tmp_path: Path) -> None:
    split = tmp_path / "mine.txt"
    split.write_text("train/0000000\ntrain/0000005\n")
    module = MotionDataModule("things_subset", str(tree), flow=View(train_split=str(split)))
    (problem,) = plan_check(module).bad_lines
    assert (problem.kind, problem.sample, problem.file) == ("bad_split_line", "train/0000005", str(split))
    assert f"{split}, line 2: " in problem.detail
    assert problem.entry is not None  # so that an exclusion list can name it


def test_a_wrong_line_beside_such_lines_is_named_too(tree: Path, tmp_path: Path) -> None:
    split = tmp_path / "mine.txt"
    split.write_text("train/0000000 camera=up\ntrain/0000005\ntrain/0000005\n")
    module = MotionDataModule("things_subset", str(tree), flow=View(train_split=str(split)))
    found = [problem.detail for problem in plan_check(module).bad_lines]
    assert [detail.partition(": ")[0] for detail in found] == [f"{split}, line {line}" for line in (1, 3, 2)]


def test_the_right_camera_is_asked_where_it_has_flow(tree: Path, tmp_path: Path) -> None:
    split = tmp_path / "right.txt"
    split.write_text("train/0000002 camera=right\n")
    with pytest.raises(UserError, match=r"line 1: .*flow/left/into_past has no 0000003"):
        open_dataset("things_subset", str(tree), str(split), "flow", False)
    for folder, name in ((FUTURE, "0000001"), (PAST, "0000002")):
        right = tree / folder.replace("left", "right")
        right.mkdir(parents=True)
        shutil.copy(tree / folder / f"{name}.flo", right)
    with pytest.raises(UserError, match=r"line 1: .*flow/right/into_past has no 0000003"):
        open_dataset("things_subset", str(tree), str(split), "flow", False)
    split.write_text("train/0000001 camera=right\n")
    assert len(open_dataset("things_subset", str(tree), str(split), "flow", True)) == 1
    # A lost label is reported as missing: the backward flow shows that the two frames are a pair.
    (tree / FUTURE / "0000000.flo").unlink()
    split.write_text("train/0000000\n")
    with pytest.raises(UserError, match=r"(?s)1 of 1 label files.*into_future/0000000\.flo"):
        open_dataset("things_subset", str(tree), str(split), "flow", True)
