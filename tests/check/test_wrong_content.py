"""Labels compared with images: correct ones give no findings, misread ones are named, in all layouts and worlds."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from check_faults import LAYOUTS, check, data_module
from misread import (
    FACTORS,
    MISREADINGS,
    VARIANTS,
    Label,
    applies,
    files_by_key,
    misread,
    plant,
    plant_factor,
    read_label,
    vary,
    with_noc,
    write_label,
)

from flowdistill.check.problems import Problem
from flowdistill.cli.flowdistill import main
from flowdistill.data import MotionDataModule, View
from flowdistill.data.files import SampleFile
from flowdistill.formats import read_image, write_image
from flowdistill.render.writer import Request, write_dataset

SIZE = (96, 192)
PLANTED = [
    ("kitti2015", "street", "flow"),
    ("kitti2015", "rooms", "disparity_t0"),
    ("kitti2015", "street", "disparity_t1"),
    ("things_subset", "street", "flow_backward"),
    ("things", "rooms", "disparity_t0"),
    ("sintel", "rooms", "flow"),
    ("chairs", "street", "flow"),
]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("originals")


def tree(originals: Path, tmp_path: Path, layout: str, world: str) -> MotionDataModule:
    """A copy of a rendered data set of 8 samples."""
    original = originals / layout / world
    if not original.is_dir():
        write_dataset(original, layout, Request(31, 4, 3, SIZE, world=world))
    shutil.copytree(original, tmp_path / layout)
    return data_module(layout, tmp_path / layout)


def wrong(module: MotionDataModule) -> list[Problem]:
    return [problem for problem in check(module) if problem.kind == "wrong_content"]


def spoil(module: MotionDataModule, key: str, name: str, only: int | None = None) -> set[str]:
    """Misread the labels of a key and their noc files, and return the paths of the changed files."""
    paths = set()
    for group in with_noc(files_by_key(module), key):

        def change(found: list[Label], group: list[SampleFile] = group) -> list[Label]:
            bad = misread(found, name, group[0])
            return bad if only is None else [bad[k] if k == only else label for k, label in enumerate(found)]

        plant(group, change)
        paths |= {file.path for k, file in enumerate(group) if only in (None, k)}
    return paths


@pytest.mark.parametrize("world", ["rooms", "street"])
@pytest.mark.parametrize(
    ("layout", "variants"), [(layout, VARIANTS[k % 2 :: 2]) for k, layout in enumerate(LAYOUTS)]
)
def test_right_labels_raise_no_alarm(
    originals: Path, tmp_path: Path, layout: str, world: str, variants: tuple[str, ...]
) -> None:
    module = tree(originals, tmp_path, layout, world)
    for number, variant in enumerate(variants):
        vary(module, variant, number)
        assert check(module) == [], variant


@pytest.mark.parametrize(
    ("layout", "world", "key", "name"),
    [(*where, name) for where in PLANTED for name in MISREADINGS if applies(name, where[2])],
)
def test_a_data_set_of_misread_labels_is_named(
    originals: Path, tmp_path: Path, layout: str, world: str, key: str, name: str
) -> None:
    module = tree(originals, tmp_path, layout, world)
    paths = spoil(module, key, name)
    problems = wrong(module)
    assert {problem.file for problem in problems} <= paths
    assert len({problem.file for problem in problems if name in problem.detail}) >= 4
    assert {problem.severity for problem in problems if name in problem.detail} == {"error"}


@pytest.mark.parametrize("layout", ["things", "things_subset"])
def test_a_disparity_in_place_of_its_change_is_named(originals: Path, tmp_path: Path, layout: str) -> None:
    module = tree(originals, tmp_path, layout, "street")
    files = files_by_key(module)
    for disparity, change in zip(files["disparity_t0"], files["disparity_t1"], strict=True):
        write_label(change, read_label(disparity) + read_label(change))
    problems = wrong(module)
    assert {problem.file for problem in problems} <= {file.path for file in files["disparity_t1"]}
    assert sum(problem.detail.startswith("absolute, not a change: ") for problem in problems) >= 6


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("key", ["disparity_t0", "disparity_t1"])
def test_another_factor_is_told_from_the_pictures(
    originals: Path, tmp_path: Path, key: str, factor: int
) -> None:
    module = tree(originals, tmp_path, "kitti2015", "rooms")
    files = files_by_key(module)[key]
    plant_factor(files, factor)
    problems = [problem for problem in wrong(module) if problem.file in {file.path for file in files}]
    assert len(problems) == 8
    assert sum(f"with the factor {factor} in place of 256" in problem.detail for problem in problems) >= 6


@pytest.mark.parametrize("name", ["negated", "upside down", "mirrored", "x and y swapped"])
def test_a_single_file_that_sticks_out_is_a_warning(originals: Path, tmp_path: Path, name: str) -> None:
    module = tree(originals, tmp_path, "sintel", "street")
    (path,) = spoil(module, "flow", name, only=3)
    problems = wrong(module)
    assert {problem.file for problem in problems} == {path}
    assert all(problem.severity == "warning" and name in problem.detail for problem in problems)


def test_warnings_are_printed_and_end_with_exit_code_0(
    originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tree(originals, tmp_path, "sintel", "rooms")
    command = ["data", "check", "--config", "configs/data/sintel.yaml", "--root", str(tmp_path / "sintel")]
    command += ["--data.init_args.flow.train_split", "scan", "--data.init_args.flow.val_split", "scan"]
    command += ["--workers", "1"]
    spoil(module, "flow", "negated", only=0)
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "no problems and 2 warnings in 2 samples" in said  # one flow for both passes
    assert "  warning: clean/" in said
    spoil(module, "flow", "negated")
    assert main(command) == 1
    said = capsys.readouterr().out
    assert " problems in 1" in said
    assert "negated: with this reading the images match better in " in said


def test_cameras_that_are_swapped_are_found_with_labels_and_without(originals: Path, tmp_path: Path) -> None:
    module = tree(originals, tmp_path, "kitti2015", "rooms")
    training = tmp_path / "kitti2015" / "training"
    (training / "image_2").rename(training / "aside")
    (training / "image_3").rename(training / "image_2")
    (training / "aside").rename(training / "image_3")
    said = [problem.detail for problem in wrong(module) if "disp_occ_0" in problem.file]
    assert len(said) == 8
    assert all(detail.startswith("left and right camera swapped") for detail in said)
    for folder in ("disp_occ_0", "disp_noc_0", "disp_occ_1", "disp_noc_1", "flow_occ", "flow_noc", "obj_map"):
        shutil.rmtree(training / folder)
    view = View(predict_split="scan", train_split=None, val_split=None)
    module = data_module("kitti2015", tmp_path / "kitti2015", flow=None, scene_flow=view)
    found = wrong(module)
    assert {Path(problem.file).parent.name for problem in found} == {"image_3"}
    assert len({problem.file for problem in found}) == 8


def test_labels_of_the_other_camera_are_named(originals: Path, tmp_path: Path) -> None:
    """Labels warped to the right camera's grid: nearer points cover farther ones, the rest is unknown."""
    module = tree(originals, tmp_path, "kitti2015", "street")
    files = files_by_key(module)
    for flow, disparity, later in zip(
        files["flow"], files["disparity_t0"], files["disparity_t1"], strict=True
    ):
        motion, depth, depth_t1 = (read_label(file) for file in (flow, disparity, later))
        motion[..., 0] += (depth - depth_t1)[..., 0]
        write_label(flow, carry(motion, depth[..., 0]))
        write_label(disparity, carry(depth, depth[..., 0]))
    for key in ("flow", "disparity_t0"):
        paths = {file.path for file in files[key]}
        said = [problem.detail for problem in wrong(module) if problem.file in paths]
        assert sum(detail.startswith("of the other camera") for detail in said) >= 6, key


def carry(values: np.ndarray, disparity: np.ndarray) -> np.ndarray:
    width = disparity.shape[1]
    carried = np.full_like(values, np.nan)
    order = np.argsort(disparity, axis=None, kind="stable")  # nearest last
    y, x = np.divmod(order, width)
    at = np.rint(x - disparity[y, x]).astype(int)
    inside = at >= 0
    carried[y[inside], at[inside]] = values[y[inside], x[inside]]
    return carried


def test_noc_and_occ(originals: Path, tmp_path: Path) -> None:
    module = tree(originals, tmp_path, "kitti2015", "rooms")
    training = tmp_path / "kitti2015" / "training"
    (training / "flow_occ").rename(training / "aside")
    (training / "flow_noc").rename(training / "flow_occ")
    (training / "aside").rename(training / "flow_noc")
    noc = next(file for file in files_by_key(module)["valid_disparity_t0_noc"])
    label = read_label(noc)
    occ = read_label(next(file for file in files_by_key(module)["disparity_t0"]))
    occ[10:20] = np.nan
    write_label(next(file for file in files_by_key(module)["disparity_t0"]), occ)
    write_label(noc, np.nan_to_num(label, nan=5.0))
    said = {Path(problem.file).parent.name: problem.detail for problem in wrong(module)}
    assert set(said) == {"flow_noc", "disp_noc_0"}
    assert said["flow_noc"].startswith("occ and noc swapped")
    assert said["disp_noc_0"].startswith("occ and noc swapped")
    turned = next(file for file in files_by_key(module)["valid_disparity_t1_noc"])
    write_label(turned, read_label(turned) + 2)
    label[30:40, :50] = np.nan
    write_label(noc, label)
    said = {Path(problem.file).parent.name: problem.detail for problem in wrong(module)}
    assert said["disp_noc_0"].startswith("noc is not a subset of occ: ")
    assert said["disp_noc_1"].startswith("values differ from occ at ")


def test_the_sign_of_the_baseline(originals: Path, tmp_path: Path) -> None:
    module = tree(originals, tmp_path, "kitti2015", "rooms")
    path = tmp_path / "kitti2015" / "training" / "calib_cam_to_cam" / "000001.txt"
    text = path.read_text()
    path.write_text(
        text.replace("P_rect_02", "P_rect_XX").replace("P_rect_03", "P_rect_02").replace("XX", "03")
    )
    problems = wrong(module)
    assert {problem.file for problem in problems} == {str(path)}
    assert all("is not to the right" in problem.detail for problem in problems)


def test_zero_motion_and_still_pictures_say_nothing(originals: Path, tmp_path: Path) -> None:
    """A static camera: all readings of its flow are the same, and no half repeats the other."""
    module = tree(originals, tmp_path, "sintel", "rooms")
    for file in files_by_key(module)["flow"]:
        write_label(file, np.zeros((*SIZE, 2), np.float32))
    for path in (tmp_path / "sintel").rglob("frame_0002.png"):
        if path.parts[-3] in ("clean", "final"):
            write_image(path, read_image(path.with_name("frame_0001.png")))
            write_image(path.with_name("frame_0003.png"), read_image(path.with_name("frame_0001.png")))
    assert check(module) == []


@pytest.mark.parametrize("world", ["rooms", "street"])
def test_a_pair_across_a_scenes_end_is_a_warning(originals: Path, tmp_path: Path, world: str) -> None:
    """Without backward flow, only the images show that the next number is another scene."""
    tree(originals, tmp_path, "things_subset", world)
    train = tmp_path / "things_subset" / "train"
    for folder, ending in (
        ("flow/left/into_future", "flo"),
        ("flow_occlusions/left/into_future", "png"),
        ("disparity_change/left/into_future", "pfm"),
    ):
        shutil.copy(train / folder / f"0000001.{ending}", train / folder / f"0000002.{ending}")
    for folder, ending in (("disparity/left", "pfm"), ("disparity_occlusions/left", "png")):
        if not (train / folder / f"0000002.{ending}").exists():
            shutil.copy(train / folder / f"0000001.{ending}", train / folder / f"0000002.{ending}")
    shutil.rmtree(train / "flow/left/into_past")
    shutil.rmtree(train / "flow_occlusions/left/into_past")
    module = data_module("things_subset", tmp_path / "things_subset")
    problems = [problem for problem in wrong(module) if Path(problem.file).suffix == ".flo"]
    assert {problem.sample for problem in problems} == {"train/0000002"}
    assert all(problem.detail.startswith("of other pictures: ") for problem in problems)
    assert all(problem.severity == "warning" for problem in problems)


def test_changes_too_small_to_see_are_no_trouble(originals: Path, tmp_path: Path) -> None:
    module = tree(originals, tmp_path, "things", "rooms")
    changes = files_by_key(module)["disparity_t1"]
    for number, file in enumerate(changes):
        write_label(file, np.full((*SIZE, 1), 0.05 * (number % 2), np.float32))
    assert check(module) == []


def test_one_file_with_another_factor_is_not_the_fault_of_all(originals: Path, tmp_path: Path) -> None:
    module = tree(originals, tmp_path, "kitti2015", "rooms")
    file = files_by_key(module)["disparity_t0"][2]
    plant_factor([file], 1)
    problems = [problem for problem in wrong(module) if problem.file == file.path]
    assert [problem.severity for problem in problems] == ["warning"]
    assert "with the factor 1 in place of 256" in problems[0].detail
