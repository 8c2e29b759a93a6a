"""Requirements of the servers according to their pages and kits, and inference of the kind from the content."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from submission_files import pack, tiny_kind, write_folder

from flowdistill.errors import UserError
from flowdistill.submission.guess import guess_benchmark, guess_task
from flowdistill.submission.kinds import TASKS, submission_kind
from flowdistill.submission.members import Fault, Members, open_members

KINDS = [(benchmark, task) for benchmark, tasks in TASKS.items() for task in tasks]


@pytest.mark.parametrize(
    ("task", "folders"),
    [("stereo", ["disp_0"]), ("flow", ["flow"]), ("sceneflow", ["disp_0", "disp_1", "flow"])],
)
def test_kitti_2015_wants_200_files_a_folder(task: str, folders: list[str]) -> None:
    files = list(submission_kind("kitti2015", task).files)
    assert files == [f"{folder}/{number:06d}_10.png" for folder in folders for number in range(200)]


@pytest.mark.parametrize("task", ["stereo", "flow"])
def test_kitti_2012_wants_195_files_in_the_root(task: str) -> None:
    kind = submission_kind("kitti2012", task)
    assert list(kind.files) == [f"{number:06d}_10.png" for number in range(195)]
    assert {file.content for file in kind.files.values()} == {"disparity" if task == "stereo" else "flow"}


def test_sintel_wants_552_files_a_pass() -> None:
    files = [path.split("/") for path in submission_kind("sintel", "flow").files]
    assert Counter(parts[0] for parts in files) == {"clean": 552, "final": 552}
    scenes = Counter(parts[1] for parts in files if parts[0] == "final")
    # The scenes that the bundler's README lists, in Sintel's own spelling.
    assert set(scenes) == {
        "ambush_1", "ambush_3", "bamboo_3", "cave_3", "market_1", "PERTURBED_market_3", "market_4", "mountain_2",
        "PERTURBED_shaman_1", "temple_1", "tiger", "wall",
    }  # fmt: skip
    assert scenes["ambush_1"] == 22
    assert scenes["ambush_3"] == 40
    assert [parts[2] for parts in files if parts[:2] == ["clean", "tiger"]] == [
        f"frame_{number:04d}.flo" for number in range(1, 50)
    ]


def test_no_task_that_a_benchmark_lacks() -> None:
    with pytest.raises(UserError, match="kitti2012 has no sceneflow benchmark; it has stereo, flow"):
        submission_kind("kitti2012", "sceneflow")


def opened(path: Path) -> Members:
    members = open_members(path)
    assert not isinstance(members, Fault)
    return members


@pytest.mark.parametrize(("benchmark", "task"), KINDS)
def test_told_from_the_content(tmp_path: Path, benchmark: str, task: str) -> None:
    folder = write_folder(tmp_path / "out", tiny_kind(benchmark, task))
    (folder / "__MACOSX" / "flow").mkdir(parents=True)
    (folder / "__MACOSX" / "flow" / "._x.png").write_bytes(b"fork")
    for path in (folder, pack(folder, tmp_path / "out.zip")):
        members = opened(path)
        assert guess_benchmark(members) == benchmark
        assert guess_task(members, benchmark) == task


def test_told_in_spite_of_faults(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "nested" / "results", tiny_kind("kitti2015", "sceneflow"))
    shutil.rmtree(folder / "disp_1")
    members = opened(tmp_path / "nested")
    assert guess_benchmark(members) == "kitti2015"
    assert guess_task(members, "kitti2015") == "sceneflow"
    # 2015's files in the root: recognised by numbers that 2012 does not have, and by the images' type.
    flat = write_folder(tmp_path / "flat", tiny_kind("kitti2012", "stereo"))
    (flat / "000000_10.png").rename(flat / "000199_10.png")
    (flat / "000001_10.png").write_bytes(b"broken")
    members = opened(flat)
    assert guess_benchmark(members) == "kitti2015"
    assert guess_task(members, "kitti2015") == "stereo"


@pytest.mark.parametrize(
    ("folders", "last", "expected"),
    [
        (["flow"], 194, "kitti2012"),
        (["disp_0"], 194, "kitti2012"),
        (["out/flow"], 194, "kitti2012"),
        (["flow"], 193, "kitti2015"),
        (["flow"], 199, "kitti2015"),
        (["disp_0", "disp_1", "flow"], 194, "kitti2015"),
    ],
)
def test_2012_in_a_folder_of_2015(tmp_path: Path, folders: list[str], last: int, expected: str) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
        for number in range(last + 1):
            (tmp_path / folder / f"{number:06d}_10.png").touch()
    assert guess_benchmark(opened(tmp_path)) == expected


def test_nothing_tells_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match="--kind kitti2015"):
        guess_benchmark(opened(tmp_path))
    (tmp_path / "000000_10.png").write_bytes(b"broken")
    with pytest.raises(UserError, match="--task stereo or flow"):
        guess_task(opened(tmp_path), "kitti2012")
